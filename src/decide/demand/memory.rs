//! When to go down: once holding has cost as much as a change, and not below a level that comes back soon.

use super::account::Account;
use super::tune::{
    LEVEL_FIRST, LEVEL_RATIO, LEVELS, LOW_LEAST_S, PRICE_POOR, PRICE_RICH, PRICE_SHARE, PROOF,
    RETURN_HALF_S, RETURN_POOR_S, RETURN_RICH_S,
};
use super::{fading, seconds};
use crate::model::{DemandMemory, LoadSample, Moment};

/// The highest level whose mean time away, the time below it by the times it was reached, is within what waiting
/// may cost. In loads.
pub(super) fn floor_of_returns(memory: &DemandMemory, account: &Account) -> f64 {
    let away = account.between(RETURN_POOR_S, RETURN_RICH_S) * (1.0 - account.broke);
    let levels = memory.reached.iter().zip(&memory.below).enumerate().rev();
    let mut returning =
        levels.filter(|(_, (reached, below))| **reached >= PROOF && **reached * away >= **below);
    returning.next().map_or(0.0, |(level, _)| top_of(level))
}

/// Whether keeping what is not needed has cost as much as a change: ski rental. Counts up while it is not
/// needed, and begins anew when it is; a way down that is cut into steps is paid for once.
pub(super) fn is_paid(
    memory: &mut DemandMemory,
    account: &Account,
    count: f64,
    needed: f64,
    now: Moment,
    tick: f64,
) -> bool {
    if needed >= count {
        memory.waste = 0.0;
        memory.low_since = None;
        return false;
    }
    let since = *memory.low_since.get_or_insert(now);
    memory.waste += (count - needed) * tick;
    if seconds(now, since) < LOW_LEAST_S {
        return false;
    }
    let price = account.between(PRICE_POOR, PRICE_RICH) * (PRICE_SHARE * count).max(1.0);
    memory.waste >= price
}

/// The largest load of the last readings but the newest: a step down is not deeper than all of them ask for.
pub(super) fn lately(memory: &DemandMemory, at: Moment) -> f64 {
    let is_late = |sample: &&LoadSample| seconds(at, sample.at) < LOW_LEAST_S;
    let late = memory.samples.iter().rev().take_while(is_late);
    late.map(|sample| sample.load).fold(0.0, f64::max)
}

/// Learns how long the load is below each level, and how often it reaches it.
pub(super) fn learn_returns(memory: &mut DemandMemory, load: f64, tick: f64) {
    let keep = fading(tick, RETURN_HALF_S);
    let before = memory.samples.last().map_or(load, |last| last.load);
    let (from, to) = (level_of(before), level_of(load));
    memory.below.resize(LEVELS, 0.0);
    memory.reached.resize(LEVELS, 0.0);
    for (level, (below, reached)) in memory.below.iter_mut().zip(&mut memory.reached).enumerate() {
        let (waited, came) = match level {
            level if level > to => (tick, 0.0),
            level if level > from => (0.0, 1.0),
            _ => (0.0, 0.0),
        };
        *below = short(*below * keep + waited);
        *reached = short(*reached * keep + came);
    }
}

/// Without the digits that would only make a recorded memory longer.
fn short(value: f64) -> f64 {
    (value * DIGITS).round() / DIGITS
}

/// A millionth: of a second, or of a return.
const DIGITS: f64 = 1e6;

/// The level that a load is at: the lowest whose top is not below it.
fn level_of(load: f64) -> usize {
    if load <= LEVEL_FIRST {
        return 0;
    }
    let level = ((load / LEVEL_FIRST).ln() / LEVEL_RATIO.ln()).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let level = level as usize;
    level.min(LEVELS - 1)
}

/// The largest load of a level.
fn top_of(level: usize) -> f64 {
    let power = i32::try_from(level).unwrap_or(i32::MAX);
    LEVEL_FIRST * LEVEL_RATIO.powi(power)
}
