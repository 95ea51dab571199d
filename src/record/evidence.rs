//! What a decision was made from, as a history line holds it: enough to make the decision again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::autoscale_word;
use crate::model::{
    Bounds, Burst, CostShare, Count, Decision, Measured, Moment, Pause, Spec, TargetId, TargetState,
};

/// What the decisions of one cycle were made from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The spec, with its policies.
    pub spec: &'a Spec,
    /// What was measured, by target.
    pub measured: &'a BTreeMap<TargetId, Vec<Measured>>,
    /// The memories before the decisions.
    pub before: &'a BTreeMap<TargetId, TargetState>,
    /// Bursts.
    pub bursts: &'a [Burst],
    /// Pauses.
    pub pauses: &'a [Pause],
}

/// What a decision was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inputs {
    /// The instant, in milliseconds since 1970. Without it the decision cannot be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Moment>,
    /// The bounds.
    pub bounds: Bounds,
    /// The mode: `manual`, `metrics` or `disabled`.
    pub autoscale: String,
    /// Replicas that existed.
    pub observed: Option<u32>,
    /// Replicas that were ready.
    pub ready: u32,
    /// Replicas that were on their way to be ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub starting: u32,
    /// Whether replicas were being replaced.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rolling_out: bool,
    /// Time after any change before a step down, in milliseconds.
    #[serde(default, skip_serializing_if = "is_none_ms")]
    pub cooldown_ms: u64,
    /// The policy, as the spec writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<serde_json::Value>,
    /// What was measured, in the order of the names of the policy's signals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
    /// The memory before the decision.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub state: TargetState,
    /// Bursts in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Burst>,
    /// Pauses in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// What of the service's cost cap fell to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What of a service's cost cap fell to a target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// The cap, per hour.
    pub cap: f64,
    /// Replicas that fit.
    pub allowed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none_ms(ms: &u64) -> bool {
    *ms == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_empty(state: &TargetState) -> bool {
    *state == TargetState::default()
}

impl Inputs {
    /// What `decision` was made from.
    pub(super) fn of(decision: &Decision, evidence: &Evidence<'_>) -> Self {
        let facts = &decision.inputs;
        let target = &decision.target;
        let service = evidence.spec.services.get(&target.service);
        let policy = service.and_then(|service| evidence.spec.policy_of(service));
        Self {
            now: Some(facts.now),
            bounds: facts.bounds,
            autoscale: autoscale_word(facts.autoscale).to_owned(),
            observed: facts.observed.map(|count| count.0),
            ready: facts.ready.0,
            starting: facts.starting.0,
            rolling_out: facts.is_rolling_out,
            cooldown_ms: u64::try_from(facts.cooldown.as_millis()).unwrap_or(u64::MAX),
            policy: policy.map(|policy| policy.document.clone()),
            measured: evidence.measured.get(target).cloned().unwrap_or_default(),
            state: evidence.before.get(target).cloned().unwrap_or_default(),
            bursts: evidence
                .bursts
                .iter()
                .filter(|burst| burst.is_in_force(facts.now) && burst.is_about(target))
                .cloned()
                .collect(),
            pauses: evidence
                .pauses
                .iter()
                .filter(|pause| pause.is_in_force(facts.now) && pause.is_about(target))
                .cloned()
                .collect(),
            cost: decision
                .cost
                .map(|CostShare { cap, allowed: Count(allowed) }| Cost { cap, allowed }),
        }
    }
}
