//! Stays where the load is near enough to what the count is meant for.

use super::defaults::TOLERANCE;
use super::draft::{Draft, Vote};
use crate::model::{Count, Detail, Policy, Reason, Stage};

/// Keeps the count if the winning vote is a proportional rule whose load is within the tolerance.
pub(super) fn stay(draft: &mut Draft<'_>, policy: &Policy) {
    let tolerance = policy.behavior.tolerance.unwrap_or(TOLERANCE);
    let (lower, upper) = (1.0 - tolerance, 1.0 + tolerance);
    // What a missing signal asks for has no load that could be near enough.
    let is_vote = |best: &Vote| best.reason == Reason::Target && best.count == draft.count;
    let ratio = draft.best.filter(is_vote).and_then(|best| best.ratio);
    match ratio.filter(|ratio| lower <= *ratio && *ratio <= upper) {
        Some(ratio) if draft.count != draft.current && draft.current > Count(0) => {
            let detail = Detail::Tolerated { ratio, upper, lower };
            // What a rule asks for is asked for whether or not a target asks for a little more.
            let firm = draft.firm.map_or(draft.current, |firm| firm.max(draft.current));
            draft.pass(Stage::Tolerance, firm, Some(Reason::WithinTolerance), detail);
        }
        _ if draft.count == draft.current => draft.keep(Stage::Tolerance, "nothing would change"),
        _ => draft.keep(Stage::Tolerance, "no load is near enough to its target to stay for it"),
    }
}
