//! Stays where the load is near enough to what the count is meant for.

use super::defaults::TOLERANCE;
use super::draft::Draft;
use crate::model::{Count, Detail, Policy, Reason, Stage};

/// Keeps the count if the winning vote is a proportional rule whose load is within the tolerance.
pub(super) fn stay(draft: &mut Draft<'_>, policy: &Policy) {
    let tolerance = policy.behavior.tolerance.unwrap_or(TOLERANCE);
    let (lower, upper) = (1.0 - tolerance, 1.0 + tolerance);
    let ratio = draft.best.filter(|best| best.reason == Reason::Target).and_then(|best| best.ratio);
    match ratio.filter(|ratio| lower <= *ratio && *ratio <= upper) {
        Some(ratio) if draft.count != draft.current && draft.current > Count(0) => {
            let detail = Detail::Tolerated { ratio, upper, lower };
            draft.pass(Stage::Tolerance, draft.current, Some(Reason::WithinTolerance), detail);
        }
        _ => draft.keep(Stage::Tolerance, "no load is near enough to its target to stay for it"),
    }
}
