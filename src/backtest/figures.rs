//! What a replay came to, second by second: cost, calm, and how often there was too little.
//!
//! The figures are those by which autoscalers are compared in the literature on elasticity (SPEC RG's
//! under-provisioning time share and its kin): the replicas needed in a second are the mean load of the last
//! minute over the capacity of one replica, rounded up, at most the upper bound.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Terms;
use super::demand::Demand;
use super::replay::{Change, Replay};
use super::supply::Supply;
use crate::model::{Bounds, Count, Moment, Reason};

/// The time over which the load is averaged to say how many replicas it needs: a second of too much is a
/// queue, a minute of it is too few replicas.
const NEED_WINDOW: Duration = Duration::from_secs(60);
/// A change that turns back the one before within this time is a reversal.
const REVERSAL_WINDOW: Duration = Duration::from_secs(600);
/// Figures count whole seconds.
const SECOND: Duration = Duration::from_secs(1);
/// Rounding dust of a running total, as a share of one replica.
const DUST: f64 = 1e-9;

/// What a replay came to. Shares are of the measured time, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The time that was measured.
    pub measured: Duration,
    /// Replicas wanted, over time: what is paid for, from the order on.
    pub replica_hours: f64,
    /// Replicas needed, over time: no policy can do with less and serve everything.
    pub needed_hours: f64,
    /// Changes of the count.
    pub changes: usize,
    /// Those of them that turn back the one before within ten minutes.
    pub reversals: usize,
    /// Share of the time with fewer replicas serving than needed.
    pub under_provisioned: f64,
    /// Share of the load above what the serving replicas could serve, second by second; the load that is
    /// beyond `max` replicas is left out above and below the line.
    pub unserved: f64,
    /// Share of the load that `max` replicas could not have served.
    pub beyond_max: f64,
    /// Share of the time at `min`.
    pub at_min: f64,
    /// Share of the time at `max`.
    pub at_max: f64,
    /// The most replicas wanted.
    pub most: Count,
    /// The largest change.
    pub step_max: u32,
    /// Share of the time by the reason of the decision in force.
    pub reasons: BTreeMap<&'static str, f64>,
}

impl Figures {
    /// Changes of the count per hour.
    #[must_use]
    pub fn changes_per_hour(&self) -> f64 {
        self.per_hour(self.changes)
    }

    /// Reversals per hour.
    #[must_use]
    pub fn reversals_per_hour(&self) -> f64 {
        self.per_hour(self.reversals)
    }

    #[expect(clippy::cast_precision_loss, reason = "changes are far fewer than 2^52")]
    fn per_hour(&self, count: usize) -> f64 {
        let hours = self.measured.as_secs_f64() / 3600.0;
        if hours > 0.0 { count as f64 / hours } else { 0.0 }
    }
}

/// One second of a replay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Second {
    pub(super) at: Moment,
    /// What was asked for in it.
    pub(super) load: f64,
    pub(super) needed: u32,
    pub(super) wanted: u32,
    pub(super) serving: u32,
}

/// The seconds of a replay, from its beginning.
pub(super) fn seconds<'a>(
    replay: &'a Replay,
    demand: &'a Demand,
    bounds: Bounds,
    terms: &Terms,
) -> impl Iterator<Item = Second> + use<'a> {
    let capacity = terms.capacity;
    let first = replay.changes.first().map_or(bounds.desired, |change| change.wanted);
    let mut supply = Supply::new(first.0, terms.startup);
    let mut changes = replay.changes.iter().skip(1).peekable();
    let (mut ends, mut window) = (demand.cursor(), demand.cursor());
    let mut before = ends.total(replay.from);
    let count = replay.to.since(replay.from).as_secs();
    (0..count).map(move |second| {
        let at = replay.from.after(Duration::from_secs(second));
        while let Some(change) = changes.next_if(|change| change.at <= at) {
            supply.want(at, change.wanted.0);
        }
        supply.pass(at);
        let end = at.after(SECOND);
        let total = ends.total(end);
        let load = total - before;
        before = total;
        let window_from = end.before(NEED_WINDOW).max(replay.from);
        let asked = total - window.total(window_from);
        let mean = asked / end.since(window_from).as_secs_f64();
        let needed = capacity.map_or(0, |capacity| whole(mean / capacity).min(bounds.max.0));
        Second { at, load, needed, wanted: supply.count(), serving: supply.serving() }
    })
}

/// The next whole number of replicas, forgiving rounding dust.
fn whole(quotient: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = (quotient - DUST).ceil() as u32;
    whole
}

/// Measures a replay against the load.
#[must_use]
pub fn measure(replay: &Replay, demand: &Demand, bounds: Bounds, terms: &Terms) -> Figures {
    let from = replay.from.after(terms.skipped(replay.to.since(replay.from)));
    // Without a capacity there is nothing that could be too little.
    let capacity = terms.capacity.unwrap_or(f64::INFINITY);
    let ceiling = f64::from(bounds.max.0) * capacity;
    let (mut wanted, mut needed, mut under, mut at_min, mut at_max, mut count) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let (mut asked, mut lost, mut beyond) = (0.0, 0.0, 0.0);
    let mut most = 0;
    for second in seconds(replay, demand, bounds, terms).filter(|second| second.at >= from) {
        count += 1;
        wanted += u64::from(second.wanted);
        needed += u64::from(second.needed);
        under += u64::from(second.serving < second.needed);
        at_min += u64::from(second.wanted == bounds.min.0);
        at_max += u64::from(second.wanted == bounds.max.0);
        most = most.max(second.wanted);
        let within = second.load.min(ceiling);
        asked += within;
        beyond += second.load - within;
        lost += (within - (f64::from(second.serving) + DUST) * capacity).max(0.0);
    }
    let share = |part: u64| ratio(number(part), number(count));
    let steps = steps(&replay.changes, from);
    Figures {
        measured: Duration::from_secs(count),
        replica_hours: number(wanted) / 3600.0,
        needed_hours: number(needed) / 3600.0,
        changes: steps.changes,
        reversals: steps.reversals,
        under_provisioned: share(under),
        unserved: ratio(lost, asked),
        beyond_max: ratio(beyond, asked + beyond),
        at_min: share(at_min),
        at_max: share(at_max),
        most: Count(most),
        step_max: steps.largest,
        reasons: reasons(replay, from),
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a year times replicas are below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

struct Steps {
    changes: usize,
    reversals: usize,
    largest: u32,
}

fn steps(changes: &[Change], from: Moment) -> Steps {
    let mut steps = Steps { changes: 0, reversals: 0, largest: 0 };
    let mut last: Option<(Moment, bool)> = None;
    for (before, change) in changes.iter().zip(changes.iter().skip(1)) {
        let is_up = change.wanted > before.wanted;
        let turned = |(at, was_up): (Moment, bool)| {
            was_up != is_up && change.at.since(at) <= REVERSAL_WINDOW
        };
        if change.at >= from {
            steps.changes += 1;
            steps.reversals += usize::from(last.is_some_and(turned));
            steps.largest = steps.largest.max(change.wanted.0.abs_diff(before.wanted.0));
        }
        last = Some((change.at, is_up));
    }
    steps
}

/// The share of the time from `from` on that each reason was in force.
fn reasons(replay: &Replay, from: Moment) -> BTreeMap<&'static str, f64> {
    let mut times: BTreeMap<Reason, Duration> = BTreeMap::new();
    let ends = replay.reasons.iter().skip(1).map(|(at, _)| *at).chain([replay.to]);
    for ((at, reason), end) in replay.reasons.iter().zip(ends) {
        *times.entry(*reason).or_default() += end.since((*at).max(from));
    }
    let whole = replay.to.since(from).as_secs_f64();
    let shares = times.into_iter().filter(|(_, time)| !time.is_zero());
    shares.map(|(reason, time)| (reason.code(), ratio(time.as_secs_f64(), whole))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Series;
    use crate::model::testing::bounds;

    fn at(second: i64) -> Moment {
        Moment(second * 1000)
    }

    fn terms() -> Terms {
        Terms {
            interval: Duration::from_secs(15),
            startup: Duration::from_secs(30),
            delay: Duration::ZERO,
            window: Duration::ZERO,
            capacity: Some(10.0),
            skip: Some(Duration::ZERO),
        }
    }

    fn changes(of: &[(i64, u32)]) -> Vec<Change> {
        of.iter().map(|(second, count)| Change { at: at(*second), wanted: Count(*count) }).collect()
    }

    /// 120 s of 10, then 120 s of 30 a second; one replica serves 10. A second and third are wanted at 150,
    /// and one goes at 210.
    #[test]
    fn counts_what_a_hand_counts() {
        let rows: String = (1..=8)
            .map(|row| format!("{},{}\n", row * 30, if row <= 4 { 10 } else { 30 }))
            .collect();
        let demand = Demand::of(&Series::parse("x", rows.as_bytes()).expect("rows"));
        let replay = Replay {
            from: at(0),
            to: at(240),
            changes: changes(&[(0, 1), (150, 3), (210, 2)]),
            reasons: vec![(at(0), Reason::WithinTolerance), (at(150), Reason::Target)],
        };
        let figures = measure(&replay, &demand, bounds(1, 1, 3), &terms());
        assert_eq!(figures.measured, Duration::from_secs(240));
        // 150 x 1 + 60 x 3 + 30 x 2.
        assert!((figures.replica_hours * 3600.0 - 390.0).abs() < 1e-6);
        // The mean of a minute is over 10 from second 120 on, over 20 from 150 on: 120 + 30 x 2 + 90 x 3.
        assert!((figures.needed_hours * 3600.0 - 450.0).abs() < 1e-6);
        // One serves until 180, three until 210, then two: too little for 60 s, and again for 30 s.
        assert!((figures.under_provisioned - 90.0 / 240.0).abs() < 1e-9);
        // Of 1,200 + 3,600: 20 too much for 60 s, then 10 for 30 s.
        assert!((figures.unserved - 1500.0 / 4800.0).abs() < 1e-6);
        assert_eq!((figures.changes, figures.reversals, figures.step_max), (2, 1, 2));
        assert_eq!((figures.most, figures.beyond_max), (Count(3), 0.0));
        assert!((figures.at_min - 150.0 / 240.0).abs() < 1e-9);
        assert!((figures.at_max - 60.0 / 240.0).abs() < 1e-9);
        assert_eq!(figures.reasons.get("target"), Some(&(90.0 / 240.0)));
        assert!((figures.changes_per_hour() - 30.0).abs() < 1e-9);
    }

    #[test]
    fn load_beyond_the_upper_bound_is_nobodys_fault() {
        let demand = Demand::of(&Series::parse("x", b"60,40\n120,40\n").expect("rows"));
        let replay =
            Replay { from: at(0), to: at(120), changes: changes(&[(0, 2)]), reasons: Vec::new() };
        let figures = measure(&replay, &demand, bounds(0, 2, 2), &terms());
        assert_eq!((figures.under_provisioned, figures.unserved), (0.0, 0.0));
        assert!((figures.beyond_max - 0.5).abs() < 1e-9);
        assert!((figures.needed_hours - figures.replica_hours).abs() < 1e-9);
    }

    #[test]
    fn the_beginning_is_left_out_and_turns_count_within_ten_minutes() {
        let demand = Demand::of(&Series::parse("x", b"3600,10\n7200,10\n").expect("rows"));
        let replay = Replay {
            from: at(0),
            to: at(7200),
            changes: changes(&[(0, 1), (600, 5), (800, 2), (1400, 3), (2001, 2), (2100, 1)]),
            reasons: Vec::new(),
        };
        let terms = Terms { skip: None, ..terms() };
        assert_eq!(terms.skipped(Duration::from_secs(7200)), Duration::from_secs(720));
        let figures = measure(&replay, &demand, bounds(1, 1, 5), &terms);
        // 800 turns back 600, and 1400 turns back 800; 2001 is a second too late.
        assert_eq!((figures.changes, figures.reversals), (4, 2));
        assert_eq!(figures.measured, Duration::from_secs(6480));
    }
}
