//! Lets the time of a recording pass, and asks for a decision at every tick.

use std::time::Duration;

use super::Terms;
use super::series::Series;
use super::supply::Supply;
use crate::decide::{self, Cap, Input};
use crate::model::{
    Autoscale, Bounds, Count, DecisionInputs, Measured, Moment, Policy, Reason, TargetId,
    TargetState,
};

/// What is replayed: a target under a policy.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The target.
    pub target: &'a TargetId,
    /// Its bounds.
    pub bounds: Bounds,
    /// The policy, taken as being in force whatever `autoscale` says; without one the count rests at
    /// `desired`.
    pub policy: Option<&'a Policy>,
    /// Time after any change before a step down.
    pub cooldown: Duration,
    /// What the service may cost, taken for this target alone.
    pub cap: Option<Cap>,
}

/// A new count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// From when on.
    pub at: Moment,
    /// How many are wanted.
    pub wanted: Count,
}

/// What a policy did.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The beginning.
    pub from: Moment,
    /// The end.
    pub to: Moment,
    /// The count at the beginning, and each change of it.
    pub changes: Vec<Change>,
    /// The reason of the decisions, from the time on at which it changed.
    pub reasons: Vec<(Moment, Reason)>,
}

/// Decides from `from` up to `to`, one interval after the other. `signals` are in the order of the policy's;
/// one that was not recorded is absent. At the beginning `desired` replicas serve and nothing is remembered.
#[must_use]
pub fn replay(
    subject: &Subject<'_>,
    signals: &[Option<&Series>],
    terms: &Terms,
    from: Moment,
    to: Moment,
) -> Replay {
    let mut views: Vec<Option<View<'_>>> =
        signals.iter().map(|series| series.map(|series| View::new(series, terms))).collect();
    let start = subject.bounds.desired;
    let mut supply = Supply::new(start.0, terms.startup);
    let mut state = TargetState::default();
    let mut changes = vec![Change { at: from, wanted: start }];
    let mut reasons: Vec<(Moment, Reason)> = Vec::new();
    let mut measured: Vec<Measured> = Vec::with_capacity(views.len());
    // A tick of no length would be no progress.
    let interval = terms.interval.max(Duration::from_millis(1));
    let mut now = from;
    let policy = subject.policy.map(|policy| as_recorded(policy, signals, terms.window));
    let autoscale = if subject.policy.is_some() { Autoscale::Metrics } else { Autoscale::Manual };
    while now < to {
        supply.pass(now);
        measured.clear();
        measured.extend(views.iter_mut().map(|view| match view {
            Some(view) => view.measured(now),
            None => Measured::Absent,
        }));
        let input = Input {
            target: subject.target,
            facts: DecisionInputs {
                now,
                bounds: subject.bounds,
                autoscale,
                observed: Some(Count(supply.count())),
                ready: Count(supply.serving()),
                starting: Count(supply.starting()),
                is_rolling_out: false,
                cooldown: subject.cooldown,
            },
            policy: policy.as_ref(),
            measured: &measured,
            bursts: &[],
            pauses: &[],
        };
        let states = std::slice::from_mut(&mut state);
        for decision in decide::decide_service(&[input], states, subject.cap) {
            let wanted = decision.effective.unwrap_or(Count(supply.count()));
            if wanted.0 != supply.count() {
                if now == from {
                    // What is wanted at the beginning serves at once.
                    supply = Supply::new(wanted.0, terms.startup);
                    changes.clear();
                } else {
                    supply.want(now, wanted.0);
                }
                changes.push(Change { at: now, wanted });
            }
            if reasons.last().is_none_or(|(_, reason)| *reason != decision.reason) {
                reasons.push((now, decision.reason));
            }
        }
        now = now.after(interval);
    }
    Replay { from, to, changes, reasons }
}

/// The policy, with signals as they were recorded: as old as their recordings are coarse, because a source that
/// measures so seldom has no newer ones; and means of the window that is laid over the rows, if any is.
fn as_recorded(policy: &Policy, signals: &[Option<&Series>], window: Duration) -> Policy {
    let mut policy = policy.clone();
    for (signal, series) in policy.signals.iter_mut().zip(signals) {
        if let Some(series) = series {
            signal.max_age = Some(signal.max_age().max(series.due()));
            if series.step() < window {
                signal.window = window;
            }
        }
    }
    policy
}

/// What can be seen of a series at an instant that only moves forward.
struct View<'a> {
    series: &'a Series,
    delay: Duration,
    window: Duration,
    /// Rows before this index have left the window.
    begin: usize,
    /// Rows before this index can be seen.
    end: usize,
}

impl<'a> View<'a> {
    fn new(series: &'a Series, terms: &Terms) -> Self {
        Self { series, delay: terms.delay, window: terms.window, begin: 0, end: 0 }
    }

    /// The mean of the rows in the window, else the newest row, with the time at which that can be seen.
    fn measured(&mut self, now: Moment) -> Measured {
        let seen = now.before(self.delay);
        let horizon = seen.before(self.window);
        let rows = self.series.rows();
        let up_to = |from: usize, limit: Moment| {
            let rest = rows.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|row| row.at <= limit).count()
        };
        self.end = up_to(self.end, seen);
        self.begin = up_to(self.begin, horizon);
        let Some(newest) = self.end.checked_sub(1).and_then(|index| rows.get(index)) else {
            return Measured::Absent;
        };
        let value = self.series.mean(self.begin, self.end).unwrap_or(newest.value);
        Measured::Value { value, at: newest.at.after(self.delay) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Row, questions};
    use super::*;
    use crate::model::testing::{bounds, target};
    use crate::model::{SignalName, SourceFile, SourceName, Sources, Spec};

    /// A spec whose policy, `p`, has these lines.
    fn spec(policy: &str) -> Spec {
        let service = "services: [{id: web, scale: {policy: p, regions: [{name: iad, min: 1, desired: 2, max: 9}]}}]";
        let bytes = format!("{service}\npolicies:\n  - name: p\n{policy}").into_bytes();
        let file = SourceFile { path: "spec.yaml".to_owned(), bytes };
        let loaded = crate::spec::load(&Sources { spec: Some(file), ..Sources::default() }, None);
        assert_eq!(loaded.diagnostics, []);
        loaded.spec.expect("a valid spec")
    }

    fn policy(spec: &Spec) -> &Policy {
        spec.policies.values().next().expect("one policy")
    }

    #[test]
    fn asks_a_source_what_its_signals_ask() {
        let one = spec(
            "    signals: {a: {source: prom, query: x}, b: {source: provider, metric: cpuPercent}}\n    targets: [{signal: a, perReplica: 1}]\n",
        );
        let other = spec(
            "    signals: {a: {source: prom, query: y}}\n    targets: [{signal: a, perReplica: 1}]\n",
        );
        let prom = SourceName::try_from("prom").expect("a name");
        let a = SignalName::try_from("a").expect("a name");
        let asked = questions([policy(&one), policy(&one)], &prom);
        assert_eq!(asked, Ok([(a, "x".to_owned())].into()));
        insta::assert_snapshot!(
            questions([policy(&one), policy(&other)], &prom).expect_err("two questions"),
            @"signal `a` asks `x` in one policy and `y` in the other; to compare them, give recordings of both under names of their own"
        );
    }

    proptest! {
        /// Whatever was recorded, and however irregularly: in bounds, on ticks, no change that is none, and
        /// the same again.
        #[test]
        fn counts_stay_in_bounds(
            values in prop::collection::vec((1_i64..200, 0.0_f64..2000.0), 2..80),
            max in 1_u32..12,
            cooldown_s in 0_u64..120,
        ) {
            let spec = spec("    signals: {rps: {source: prom, query: x}}\n    targets: [{signal: rps, perReplica: 100}]\n");
            let mut at = Moment(1_700_000_000_000);
            let rows = values.iter().map(|(seconds, value)| {
                at = at.after(Duration::from_secs(seconds.unsigned_abs()));
                Row { at, value: *value }
            });
            let series = Series::of("x", rows.collect()).expect("rising rows");
            let target = target("web", "iad");
            let bounds = bounds(1, 1, max);
            let subject = Subject {
                target: &target,
                bounds,
                policy: Some(policy(&spec)),
                cooldown: Duration::from_secs(cooldown_s),
                cap: None,
            };
            let terms = Terms {
                interval: super::super::INTERVAL_DEFAULT,
                startup: Duration::from_secs(30),
                delay: Duration::from_secs(15),
                window: Duration::from_secs(60),
                capacity: Some(100.0),
                skip: None,
            };
            let again = || replay(&subject, &[Some(&series)], &terms, series.begin(), series.end());
            let made = again();
            prop_assert_eq!(&made, &again());
            prop_assert_eq!(made.changes.first().map(|change| change.at), Some(series.begin()));
            for (before, change) in made.changes.iter().zip(made.changes.iter().skip(1)) {
                prop_assert!(before.wanted != change.wanted);
                prop_assert_eq!(change.at.since(series.begin()).as_secs() % 15, 0);
            }
            for change in &made.changes {
                prop_assert!((bounds.min..=bounds.max).contains(&change.wanted));
            }
        }
    }

    fn view(text: &str, delay_s: u64, window_s: u64) -> impl FnMut(i64) -> Option<(f64, i64)> {
        let series = Series::parse("x", text.as_bytes()).expect("rows");
        let terms = Terms {
            interval: super::super::INTERVAL_DEFAULT,
            startup: Duration::ZERO,
            delay: Duration::from_secs(delay_s),
            window: Duration::from_secs(window_s),
            capacity: Some(1.0),
            skip: None,
        };
        // What was seen before is seen again: a test may ask in any order.
        move |second| match View::new(&series, &terms).measured(Moment(second * 1000)) {
            Measured::Value { value, at } => Some((value, at.0 / 1000)),
            Measured::Absent | Measured::Failed(_) => None,
        }
    }

    #[test]
    fn sees_the_mean_of_the_window_no_earlier_than_the_delay() {
        let rows: String = (1..=100).map(|t| format!("{t},{t}\n")).collect();
        let mut seen = view(&rows, 15, 60);
        assert_eq!(seen(15), None);
        assert_eq!(seen(16), Some((1.0, 16)));
        // The rows of 26 to 85.
        assert_eq!(seen(100), Some((55.5, 100)));
        let mut newest = view(&rows, 0, 0);
        assert_eq!(newest(40), Some((40.0, 40)));
    }

    #[test]
    fn a_coarse_row_is_held_and_grows_old() {
        let mut seen = view("300,1\n600,2\n900,3\n", 0, 60);
        assert_eq!(seen(600), Some((2.0, 600)));
        assert_eq!(seen(899), Some((2.0, 600)));
        assert_eq!(seen(1501), Some((3.0, 900)));
    }
}
