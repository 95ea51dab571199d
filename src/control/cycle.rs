//! What one cycle planned and did.

use std::sync::Arc;

use super::Good;
use crate::model::{HeldReason, Observed, OutcomeResult, Plan, TargetOutcome};

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
                | OutcomeResult::Superseded => None,
            })
            .collect()
    }
}

/// Whether nothing of what the plan's spec states remains to be done.
pub(super) fn is_in_full(plan: &Plan, outcomes: &[TargetOutcome]) -> bool {
    let all_done = outcomes
        .iter()
        .flat_map(|target| &target.outcomes)
        .all(|outcome| matches!(outcome.result, OutcomeResult::Applied | OutcomeResult::AlreadySo));
    let blocks = |reason: HeldReason| match reason {
        HeldReason::ProviderGap | HeldReason::RolloutWaiting | HeldReason::MassDestroy => true,
        // These stay until the spec changes again, and the rest of the commit is in force all the same.
        HeldReason::VanishedService
        | HeldReason::VanishedRegion
        | HeldReason::NoTemplate
        | HeldReason::DriftReported
        | HeldReason::Draining => false,
    };
    all_done && !plan.targets.iter().flat_map(|target| &target.held).any(|held| blocks(held.reason))
}
