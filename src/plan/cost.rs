//! What a target costs per hour: now, after, and at worst.

use crate::model::{Count, Prices, TargetPlan};

/// Fills in the target's costs, where its provider has a price.
pub(super) fn price(target: &mut TargetPlan, prices: &Prices) {
    let Some(price) = target.provider.as_ref().and_then(|provider| prices.of(provider)) else {
        return;
    };
    let cost = |count: Option<Count>| count.map(|count| f64::from(count.0) * price);
    target.cost_now = cost(target.count);
    target.cost_after = cost(target.decision.as_ref().and_then(|decision| decision.effective));
    target.cost_max = cost(target.bounds_after.map(|bounds| bounds.max));
}

/// Adds to a sum that is unknown until its first known part.
pub(super) fn add(sum: &mut Option<f64>, part: Option<f64>) {
    if let Some(part) = part {
        *sum = Some(sum.unwrap_or_default() + part);
    }
}
