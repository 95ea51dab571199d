//! What was spent of what the target itself costs: rich buys calm, poor saves.

use super::tune::{ACCOUNT_HALF_S, BROKE_SPAN, BUDGET, FULL_USE, POOR_ABOVE, RICH_BELOW};
use super::{fading, whole};
use crate::model::{Count, DemandMemory};

/// How far the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Account {
    /// 1 is rich, 0 is poor.
    rich: f64,
    /// 1 is over the budget although poor.
    pub(super) broke: f64,
}

impl Account {
    pub(super) fn of(memory: &DemandMemory) -> Self {
        let spending = if memory.allowed > 0.0 { memory.spent / memory.allowed } else { 0.0 };
        Self {
            rich: ((POOR_ABOVE - spending) / (POOR_ABOVE - RICH_BELOW)).clamp(0.0, 1.0),
            broke: ((spending - POOR_ABOVE) / BROKE_SPAN).clamp(0.0, 1.0),
        }
    }

    /// A constant between that of a poor account and that of a rich one.
    pub(super) fn between(&self, poor: f64, rich: f64) -> f64 {
        poor + (rich - poor) * self.rich
    }
}

/// Enters what was used and what the load allowed.
pub(super) fn learn(
    memory: &mut DemandMemory,
    load: f64,
    used: Count,
    bounds: (Count, Count),
    tick: f64,
) {
    let keep = fading(tick, ACCOUNT_HALF_S);
    let (min, max) = (f64::from(bounds.0.0), f64::from(bounds.1.0));
    let need = whole(FULL_USE * load).max(min).min(max);
    memory.spent = memory.spent * keep + f64::from(used.0) * tick;
    memory.allowed = memory.allowed * keep + BUDGET * need * tick;
}
