//! When to go down: once holding has cost as much as a change, and not below a level that comes back soon.

use super::account::Account;
use super::fading;
use super::tune::{
    LEVEL_FIRST, LEVEL_RATIO, LEVELS, PRICE_POOR, PRICE_RICH, PRICE_SHARE, PROOF, RETURN_HALF_S,
    RETURN_POOR_S, RETURN_RICH_S,
};
use crate::model::DemandMemory;

/// The highest level whose mean time away, the time below it by the times it was reached, is within what waiting
/// may cost. In loads.
pub(super) fn floor_of_returns(memory: &DemandMemory, account: &Account) -> f64 {
    let away = account.between(RETURN_POOR_S, RETURN_RICH_S) * (1.0 - account.broke);
    let levels = memory.reached.iter().zip(&memory.below).enumerate().rev();
    let mut returning = levels.filter(|(_, (reached, below))| {
        **reached >= PROOF && f64::from(**reached) * away >= f64::from(**below)
    });
    returning.next().map_or(0.0, |(level, _)| top_of(level))
}

/// Whether keeping what is not needed has cost as much as a change: ski rental. Counts up while it is not
/// needed, and begins anew when it is.
pub(super) fn is_paid(
    memory: &mut DemandMemory,
    account: &Account,
    count: f64,
    needed: f64,
    tick: f64,
) -> bool {
    if needed >= count {
        memory.waste = 0.0;
        return false;
    }
    memory.waste += (count - needed) * tick;
    let price = account.between(PRICE_POOR, PRICE_RICH) * (PRICE_SHARE * count).max(1.0);
    let is_paid = memory.waste >= price;
    if is_paid {
        memory.waste = 0.0;
    }
    is_paid
}

/// Learns how long the load is below each level, and how often it reaches it.
pub(super) fn learn_returns(memory: &mut DemandMemory, load: f64, tick: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "half-lives need no more digits")]
    let (keep, tick) = (fading(tick, RETURN_HALF_S) as f32, tick as f32);
    let before = memory.samples.last().map_or(load, |last| last.load);
    let (from, to) = (level_of(before), level_of(load));
    memory.below.resize(LEVELS, 0.0);
    memory.reached.resize(LEVELS, 0.0);
    for (level, (below, reached)) in memory.below.iter_mut().zip(&mut memory.reached).enumerate() {
        *below *= keep;
        *reached *= keep;
        if level > to {
            *below += tick;
        } else if level > from {
            *reached += 1.0;
        }
    }
}

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
