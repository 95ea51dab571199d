//! What one cycle planned and did.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Good;
use crate::model::{
    HeldReason, Observed, OutcomeResult, Plan, TargetId, TargetOutcome, TargetPlan,
};

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
    /// Whether nothing of what the commit states remains to be done, except what only another commit can
    /// allow.
    #[must_use]
    pub fn is_in_full(&self) -> bool {
        is_in_full(&self.planned.plan, &self.outcomes)
    }

    /// What keeps the commit from being applied in full though nothing failed, as `target: why`.
    #[must_use]
    pub fn not_done(&self) -> Vec<String> {
        let held = |target: &TargetPlan| {
            let blocking = target.held.iter().filter(|held| blocks(held.reason));
            blocking.map(|held| format!("{}: {}", target.target, held.sentence)).collect::<Vec<_>>()
        };
        self.planned.plan.targets.iter().flat_map(held).collect()
    }

    /// The failures, as `target: what happened`.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failed = |target: &TargetOutcome| {
            let errors = target.outcomes.iter().filter_map(|outcome| match &outcome.result {
                OutcomeResult::Failed { error, .. } => Some(error),
                OutcomeResult::Applied
                | OutcomeResult::AlreadySo
                | OutcomeResult::Skipped
                | OutcomeResult::Superseded
                | OutcomeResult::Deferred => None,
            });
            errors.map(|error| format!("{}: {error}", target.target)).collect::<Vec<_>>()
        };
        self.outcomes.iter().flat_map(failed).collect()
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

/// Whether what is held for this reason keeps a commit from being in force in full.
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
