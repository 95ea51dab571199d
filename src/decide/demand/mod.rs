//! The default rule for a load: how many replicas one total asks for, given what a replica is meant for and
//! nothing else.
//!
//! Everything counts in *loads*: value / level, "replicas at the target". The newest value can only raise the
//! answer: what is learnt from it counts from the next decision on, so more load never means fewer replicas.
//!
//! The principles, and where they come from:
//!
//! 1. **A rise has a rest** ([`outlook`]). A mean over a window turns a step into a ramp of one window, so the
//!    slope beyond noise, times what is left of the window, is the rest of the step. The window is read off the
//!    query; a value of an instant has none, and no rest. A rise that outlasts two minutes is a trend, and is
//!    carried on for as long as data are late and a replica starts. (System
//!    identification of a moving average; compare Autopilot's and AWS' predictive scaling, which look ahead
//!    without knowing the window.)
//! 2. **Headroom is worth its price where it covers** ([`headroom`]). The distance between target and full use
//!    is headroom already. How much of it a count may use before it steps up follows from the noise of the
//!    signal, from the size of past rises, and from what was spent. (A dead band in replicas, as Kubernetes'
//!    tolerance, but one that knows the load's spread.)
//! 3. **Waiting and changing cost the same in the end** ([`memory`]). A lower count is taken once holding the
//!    higher one has cost as much as a change: ski rental, which is never worse than twice the best. A level
//!    that comes back soon, by its mean time of return, is kept. (Kubernetes' stabilization window of five
//!    minutes is a guess of that time.)
//! 4. **The target is a promise about cost** ([`account`]). Over a day the rule spends what the target itself
//!    costs; rich, it buys calm, and poor, it saves headroom and memory. (A leaky bucket.)

mod account;
mod headroom;
mod memory;
mod outlook;
mod tune;

use std::time::Duration;

use account::Account;
pub use tune::FULL_USE;
use tune::{DUST, HEAT_RETURN, INTERVAL_S, SILENCE, TICK_MAX_S};

use crate::model::{Count, DemandMemory, DemandWhy as Why, Moment};

/// What a policy states of the rule's parts, each in its plain meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stated {
    /// The count stays while the load is within this share of it.
    pub(super) tolerance: Option<f64>,
    /// Going down waits for a window that is kept elsewhere.
    pub(super) has_window: bool,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// When it is decided by.
    pub(super) now: Moment,
    /// When it was measured.
    pub(super) at: Moment,
    /// The time that it is the mean of; zero for a value of an instant.
    pub(super) window: Duration,
    /// Value / level.
    pub(super) load: f64,
    /// The count before.
    pub(super) have: Count,
    /// The least and the most that are allowed: only what may be used is learnt from.
    pub(super) bounds: (Count, Count),
}

/// The answer, and what it was made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Demand {
    /// The count it asks for.
    pub(super) wants: Count,
    /// The load expected when a replica that is ordered now serves.
    pub(super) outlook: f64,
    /// Loads for each replica of the count before above which it steps up.
    pub(super) upper: f64,
    /// Why it is that count.
    pub(super) why: Why,
}

/// Decides by one reading, and learns from it.
pub(super) fn demand(memory: &mut DemandMemory, stated: Stated, reading: Load) -> Demand {
    let Load { now, at, window, load, have, .. } = reading;
    if memory.seen.is_some_and(|seen| now < seen) {
        // A clock that was set back: what is remembered is of the future. It is forgotten, and begun anew.
        memory.samples.clear();
    }
    let tick = memory.seen.map_or(0.0, |seen| seconds(now, seen).min(TICK_MAX_S));
    if is_silence(memory, now) {
        memory.low_since = None;
    }
    memory.seen = Some(now);
    if !load.is_finite() {
        return Demand { wants: have, outlook: 0.0, upper: 1.0, why: Why::Near };
    }
    // Decisions may be made more often than the source measures: the same reading again is no news.
    let is_new = memory.samples.last().is_none_or(|last| at > last.at);
    let bend = outlook::typical_bend(&memory.samples);
    if is_new {
        let outlook = outlook::outlook(memory, at, load, bend, window);
        (memory.most, memory.least) = (outlook.most, outlook.least);
    }
    // Stated in full, the rule has its plain meaning: the value as it is.
    let is_plain = stated.tolerance.is_some() && stated.has_window;
    let (most, least) =
        if is_plain { (load, load) } else { (memory.most.max(load), memory.least.min(load)) };
    let demand = decide(memory, stated, reading, (most, least), tick);
    let news = is_new.then_some(bend);
    learn(memory, reading, demand.wants, tick, news);
    demand
}

/// Whether nothing was read for much longer than usual.
fn is_silence(memory: &DemandMemory, now: Moment) -> bool {
    let [.., a, b] = memory.samples.as_slice() else { return false };
    let usual = seconds(b.at, a.at).max(INTERVAL_S);
    memory.seen.is_some_and(|seen| seconds(now, seen) > SILENCE * usual)
}

/// The count that the load asks for, between what it is expected to be at most and at least.
fn decide(
    memory: &mut DemandMemory,
    stated: Stated,
    reading: Load,
    (most, least): (f64, f64),
    tick: f64,
) -> Demand {
    let Load { load, have, .. } = reading;
    let count = f64::from(have.0);
    let account = Account::of(memory);
    let (heat, aim) = match stated.tolerance {
        Some(tolerance) => (tolerance, 0.0),
        None => headroom::headroom(memory, &account, count),
    };
    let floor = if stated.has_window { 0.0 } else { memory::floor_of_returns(memory, &account) };
    let kept = whole(floor / (1.0 + HEAT_RETURN));

    let mut wants = count;
    let mut why = Why::Near;
    if most > count * (1.0 + heat + DUST) {
        wants = whole(most / (1.0 + aim)).max(count + 1.0).max(kept);
        why = Why::Load;
        memory.waste = 0.0;
        memory.low_since = None;
    } else if stated.tolerance.is_none_or(|tolerance| load < count * (1.0 - tolerance - DUST)) {
        // What is on its way up is needed although it is not here yet.
        let needed = whole(most / (1.0 + aim)).max(kept);
        let expected = if most > load { most } else { least };
        // A stated window looks back by itself.
        let lately = if stated.has_window { 0.0 } else { memory::lately(memory, reading.at) };
        let lower = whole(expected.max(lately) / (1.0 + aim));
        if stated.has_window {
            wants = lower.min(count);
            why = if wants < count { Why::Load } else { Why::Near };
        } else if memory::is_paid(memory, &account, count, needed, reading.now, tick) {
            wants = lower.max(kept).min(count);
            why = Why::Load;
        } else if lower < count {
            why = if kept >= count { Why::Returns } else { Why::Waits };
        }
    } else {
        memory.waste = 0.0;
        memory.low_since = None;
    }
    Demand { wants: super::draft::replicas(wants), outlook: most.max(load), upper: 1.0 + heat, why }
}

/// All that is learnt counts from the next decision on. `news` is the bend that a new reading stood out against.
fn learn(memory: &mut DemandMemory, reading: Load, wants: Count, tick: f64, news: Option<f64>) {
    let Load { at, load, bounds: (min, max), .. } = reading;
    let used = wants.max(min).min(max);
    memory::learn_returns(memory, load, tick);
    account::learn(memory, load, used, (min, max), tick);
    if let Some(bend) = news {
        let step = memory.samples.last().map_or(0.0, |last| seconds(at, last.at).min(TICK_MAX_S));
        outlook::learn_phase(memory, load, step, bend);
        headroom::learn_noise(memory, step, bend);
        headroom::learn_rises(memory, at, load, step);
        outlook::remember(memory, at, load);
    }
}

/// The next whole number of replicas, forgiving rounding dust.
fn whole(load: f64) -> f64 {
    (load - DUST).ceil().max(0.0)
}

fn seconds(later: Moment, earlier: Moment) -> f64 {
    later.since(earlier).as_secs_f64()
}

/// What is left of one after `seconds`, if half is left after `half` seconds.
fn fading(seconds: f64, half: f64) -> f64 {
    0.5f64.powf(seconds / half)
}
