//! What one cycle planned and did.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Good;
use crate::model::{HeldReason, Observed, OutcomeResult, Plan, TargetId, TargetOutcome};

/// What a plan is made of and for: kept so that it can be shown and applied.
#[derive(Debug)]
pub struct Planned {
    /// The spec in force.
    pub good: Arc<Good>,
    /// The world it starts from.
    pub observed: Observed,
    /// The plan.
    pub plan: Plan,
}

/// What one cycle did.
#[must_use]
#[derive(Debug)]
pub struct Ticked {
    /// The plan that was applied.
    pub planned: Planned,
    /// What became of it.
    pub outcomes: Vec<TargetOutcome>,
    /// Whether a newer commit or a shutdown cut it short.
    pub is_superseded: bool,
    /// Whether something is left to the next cycle, because this one has had its time.
    pub is_deferred: bool,
}

impl Ticked {
    /// The failures, as `target: what happened`.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .flat_map(|outcome| &outcome.outcomes)
            .filter_map(|outcome| match &outcome.result {
                OutcomeResult::Failed { error, .. } => Some(error.clone()),
                OutcomeResult::Applied
                | OutcomeResult::AlreadySo
                | OutcomeResult::Skipped
                | OutcomeResult::Superseded
                | OutcomeResult::Deferred => None,
            })
            .collect()
    }
}

/// The targets of which nothing that the plan's spec states remains to be done.
pub(super) fn done_in_full<'a>(
    plan: &'a Plan,
    outcomes: &'a [TargetOutcome],
) -> impl Iterator<Item = &'a TargetId> {
    let unfinished: BTreeSet<&TargetId> = outcomes
        .iter()
        .filter(|target| !target.outcomes.iter().all(|outcome| is_done(&outcome.result)))
        .map(|target| &target.target)
        .collect();
    plan.targets
        .iter()
        .filter(|target| !target.held.iter().any(|held| blocks(held.reason)))
        .map(|target| &target.target)
        .filter(move |target| !unfinished.contains(target))
}

/// Whether nothing of what the plan's spec states remains to be done anywhere.
pub(super) fn is_in_full(plan: &Plan, outcomes: &[TargetOutcome]) -> bool {
    done_in_full(plan, outcomes).count() == plan.targets.len()
}

fn is_done(result: &OutcomeResult) -> bool {
    matches!(result, OutcomeResult::Applied | OutcomeResult::AlreadySo)
}

/// Whether something of the commit remains to be done while this is held.
fn blocks(reason: HeldReason) -> bool {
    match reason {
        HeldReason::ProviderGap | HeldReason::RolloutWaiting | HeldReason::MassDestroy => true,
        // These stay until the spec changes again, and the rest of the commit is in force all the same.
        HeldReason::VanishedService
        | HeldReason::VanishedRegion
        | HeldReason::NoTemplate
        | HeldReason::DriftReported => false,
    }
}
