//! `status.yaml`: one screen that says what is in force, how it is, and why.
//!
//! Nothing in it changes while nothing happens: there is no time of writing, so that an idle controller
//! makes no commits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::{Book, Entry};
use super::history::autoscale_word;
use crate::model::{
    Bounds, CommitId, Decision, Detail, Owner, OwnerId, Phase, Plan, PlanDigest, ProviderName,
    Reason, Replica, TargetId, TargetPlan, TraceLine,
};

/// Version of the file's form.
pub const STATUS_VERSION: u32 = 1;

/// The status file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusFile {
    /// Version of this form.
    pub version: u32,
    /// Whose replicas it tells of; a controller of another owner leaves the branch alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub owner: Option<OwnerId>,
    /// The spec commit in force.
    #[schemars(with = "String")]
    pub spec_commit: CommitId,
    /// The last spec commit whose plan was applied in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub applied_commit: Option<CommitId>,
    /// Digest of the plan of the commit in force.
    #[schemars(with = "String")]
    pub plan_digest: PlanDigest,
    /// The worst of what follows, in a word.
    pub health: Health,
    /// Ready, Reconciling and Stalled.
    pub conditions: Vec<Condition>,
    /// A newer commit that is refused, so that `specCommit` stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<StatusGap>,
    /// Every target, sorted.
    pub targets: Vec<StatusTarget>,
}

impl StatusFile {
    /// What it says about a target. Its targets are sorted, as [`status_file`] makes them.
    #[must_use]
    pub fn target(&self, target: &TargetId) -> Option<&StatusTarget> {
        let index = self.targets.binary_search_by(|known| known.target.cmp(target)).ok()?;
        self.targets.get(index)
    }
}

/// How things are, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The world is as decided.
    Ok,
    /// Something is under way.
    Reconciling,
    /// Something is held, failing or unknown.
    Degraded,
}

/// One condition, in the manner of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// `Ready`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: bool,
    /// Stable code of why.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// Since when it has this status.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// A commit that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refused {
    /// The commit; absent when the branch itself cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub commit: Option<CommitId>,
    /// What is wrong, one finding a line: `file:line:column code message`.
    pub findings: Vec<String>,
}

/// A region of a provider that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusGap {
    /// The provider.
    #[schemars(with = "String")]
    pub provider: ProviderName,
    /// The region.
    #[schemars(with = "String")]
    pub region: crate::model::Region,
    /// What happened.
    pub error: String,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusTarget {
    /// The service and region.
    #[schemars(with = "BTreeMap<String, String>")]
    pub target: TargetId,
    /// The provider that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub provider: Option<ProviderName>,
    /// Who may move the count: `manual`, `metrics`, `disabled`, or `removed` when it is gone from the spec.
    pub autoscale: String,
    /// Least, desired and most; absent when it is gone from the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, u32>>")]
    pub bounds: Option<Bounds>,
    /// Replicas that exist; absent where the world could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The count on record: the `to` of the last history line.
    pub recorded: u32,
    /// Replicas that are ready.
    pub ready: u32,
    /// What the count should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<u32>,
    /// Who owns the count: `spec` or `policy`.
    pub owner: String,
    /// Reason code of the last change of the count.
    pub reason: String,
    /// Why the count is what it is.
    pub sentence: String,
    /// Since when the count is what it is.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Actions that remain to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// What stands in the way of another count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<StatusHeld>,
    /// What raises the least count for a time: schedules and bursts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<String>,
    /// What is held, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<StatusHeld>,
    /// Replicas that are not as they should be: phase, restarts, exit reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<String>,
    /// The last failure, until something succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Something that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusHeld {
    /// Stable reason code.
    pub reason: String,
    /// What it is and what ends the hold.
    pub sentence: String,
}

/// What a status file is made from, besides the book.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time, for conditions that change now.
    pub now: Timestamp,
    /// The plan that remains after the cycle: what would be done next.
    pub plan: &'a Plan,
    /// The digest of the plan that was last stated by a spec change.
    pub plan_digest: &'a PlanDigest,
    /// Whose replicas they are.
    pub owner: &'a OwnerId,
    /// The last commit applied in full.
    pub applied: Option<&'a CommitId>,
    /// The newer commit that is refused.
    pub refused: Option<&'a Refused>,
    /// What could not be read.
    pub gaps: &'a [crate::model::Gap],
    /// The status before, for `since`.
    pub before: Option<&'a StatusFile>,
}

/// Makes the status file.
#[must_use]
pub fn status_file(facts: &Facts<'_>, book: &Book) -> StatusFile {
    let mut targets: Vec<StatusTarget> = facts
        .plan
        .targets
        .iter()
        .map(|target| status_target(facts, target, book.entries().get(&target.target)))
        .collect();
    // What is on record and cannot be seen now is not forgotten: the next run starts from this file.
    let planned: BTreeSet<&TargetId> =
        facts.plan.targets.iter().map(|target| &target.target).collect();
    let unseen = book.entries().iter().filter(|(target, _)| !planned.contains(target));
    targets.extend(unseen.map(|(target, entry)| unseen_target(facts, target, entry)));
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    let conditions = conditions(facts, &targets);
    let is = |kind: &str| conditions.iter().any(|c| c.kind == kind && c.status);
    let health = match (is("Ready"), is("Reconciling"), is("Stalled")) {
        (_, _, true) => Health::Degraded,
        (_, true, _) => Health::Reconciling,
        (true, _, _) => Health::Ok,
        (false, _, _) => Health::Degraded,
    };
    StatusFile {
        version: STATUS_VERSION,
        owner: Some(facts.owner.clone()),
        spec_commit: facts.plan.spec_commit.clone(),
        applied_commit: facts.applied.cloned(),
        plan_digest: facts.plan_digest.clone(),
        health,
        conditions,
        refused: facts.refused.cloned(),
        gaps: facts
            .gaps
            .iter()
            .map(|gap| StatusGap {
                provider: gap.provider.clone(),
                region: gap.region.clone(),
                error: gap.error.clone(),
            })
            .collect(),
        targets,
    }
}

fn status_target(facts: &Facts<'_>, target: &TargetPlan, entry: Option<&Entry>) -> StatusTarget {
    let decision = target.decision.as_ref();
    let effective = decision.and_then(|decision| decision.effective).map(|count| count.0);
    let (sentence, refused) = told(facts, target, effective);
    StatusTarget {
        target: target.target.clone(),
        provider: target.provider.clone(),
        autoscale: decision
            .map_or("removed", |decision| autoscale_word(decision.inputs.autoscale))
            .to_owned(),
        bounds: target.bounds_after,
        count: target.count.map(|count| count.0),
        recorded: entry.map_or(0, |entry| entry.count.0),
        ready: target.ready.0,
        effective,
        owner: decision.map_or("spec", |decision| decision.owner.word()).to_owned(),
        reason: entry.map_or_else(String::new, |entry| entry.reason.clone()),
        sentence,
        since: entry.map_or(facts.now, |entry| entry.since),
        pending: target
            .steps
            .iter()
            .flat_map(|step| &step.actions)
            .map(|action| format!("{} {}: {}", action.kind.word(), action.key, action.why))
            .collect(),
        refused,
        floors: decision.map(floors).unwrap_or_default(),
        held: target
            .held
            .iter()
            .map(|held| StatusHeld {
                reason: held.reason.code().to_owned(),
                sentence: held.sentence.clone(),
            })
            .collect(),
        deviations: target.replicas.iter().filter_map(deviation).collect(),
        last_error: entry.and_then(|entry| entry.last_error.clone()),
    }
}

/// The floors in force, in words.
fn floors(decision: &Decision) -> Vec<String> {
    let is_floor = |line: &&TraceLine| matches!(line.detail, Detail::Floors { .. });
    decision.trace.iter().filter(is_floor).map(TraceLine::sentence).collect()
}

/// Why the count is what it is, and what stands in the way of another. Measured values move all the time:
/// as long as nothing else does, what was told stays, so that a target at rest makes no commits.
fn told(
    facts: &Facts<'_>,
    target: &TargetPlan,
    effective: Option<u32>,
) -> (String, Option<StatusHeld>) {
    let Some(decision) = &target.decision else { return ("gone from the spec".to_owned(), None) };
    let code = decision.refused.map(Reason::code);
    let told = facts.before.and_then(|before| before.target(&target.target)).filter(|before| {
        before.effective == effective
            && before.bounds == target.bounds_after
            && before.autoscale == autoscale_word(decision.inputs.autoscale)
            && before.refused.as_ref().map(|refused| refused.reason.as_str()) == code
    });
    if let Some(told) = told.filter(|_| decision.owner == Owner::Policy) {
        return (told.sentence.clone(), told.refused.clone());
    }
    let refused = decision.refusal();
    let refused =
        refused.map(|(reason, sentence)| StatusHeld { reason: reason.code().to_owned(), sentence });
    (decision.sentence(), refused)
}

/// A target that is gone from the spec, and whose replicas cannot be seen.
fn unseen_target(facts: &Facts<'_>, target: &TargetId, entry: &Entry) -> StatusTarget {
    // As it was told: nothing ends a hold while nothing can be seen.
    let before: Vec<&StatusHeld> = facts
        .before
        .into_iter()
        .flat_map(|before| &before.targets)
        .filter(|before| before.target == *target)
        .flat_map(|before| &before.held)
        .collect();
    let held = entry.held.iter().map(|code| {
        let told = before.iter().find(|held| held.reason == *code);
        told.map_or_else(
            || StatusHeld {
                reason: code.clone(),
                sentence: "held when it was last seen".to_owned(),
            },
            |held| (*held).clone(),
        )
    });
    StatusTarget {
        target: target.clone(),
        provider: entry.provider.clone(),
        autoscale: "removed".to_owned(),
        bounds: None,
        count: None,
        recorded: entry.count.0,
        ready: 0,
        effective: None,
        owner: "spec".to_owned(),
        reason: entry.reason.clone(),
        sentence: "gone from the spec, and its replicas cannot be seen now".to_owned(),
        since: entry.since,
        pending: Vec::new(),
        refused: None,
        floors: Vec::new(),
        held: held.collect(),
        deviations: Vec::new(),
        last_error: entry.last_error.clone(),
    }
}

/// What is odd about a replica, in a line; nothing for one that serves and never failed.
fn deviation(replica: &Replica) -> Option<String> {
    let exit = replica
        .last_exit
        .as_ref()
        .map(|exit| format!(", last run ended with {} at {:.0}", exit.reason, exit.at))
        .unwrap_or_default();
    let restarts = match replica.restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        n => format!(", restarted {n} times"),
    };
    let detail = match &replica.phase {
        Phase::Ready if replica.restarts == 0 => return None,
        Phase::Ready => "ready".to_owned(),
        Phase::Unhealthy { why } => format!("unhealthy: {why}"),
        Phase::Starting | Phase::BackOff { .. } | Phase::Stopped | Phase::Draining => {
            replica.phase.word().to_owned()
        }
    };
    Some(format!("{} is {detail}{restarts}{exit}", replica.key))
}

fn conditions(facts: &Facts<'_>, targets: &[StatusTarget]) -> Vec<Condition> {
    let failing: Vec<&StatusTarget> = targets.iter().filter(|t| t.last_error.is_some()).collect();
    let held = targets.iter().filter(|target| !target.held.is_empty()).count();
    let pending = targets.iter().filter(|target| !target.pending.is_empty()).count();
    let off = targets
        .iter()
        .filter(|t| {
            t.effective.is_some_and(|effective| t.ready != effective || t.count != Some(effective))
        })
        .count();

    let stalled = if facts.refused.is_some() {
        Some((
            "SpecRefused",
            "the newest commit is refused; the last good one stays in force".to_owned(),
        ))
    } else if let Some(first) = failing.first() {
        let error = first.last_error.as_deref().unwrap_or_default();
        Some((
            "ActionFailed",
            format!(
                "{} of {} targets fail; first {}: {error}",
                failing.len(),
                targets.len(),
                first.target
            ),
        ))
    } else if let Some(gap) = facts.gaps.first() {
        Some(("ProviderUnreadable", format!("{} in {}: {}", gap.provider, gap.region, gap.error)))
    } else if held > 0 {
        Some(("Held", format!("{held} of {} targets have something held back", targets.len())))
    } else {
        None
    };
    let ready = if off == 0 && stalled.is_none() {
        (true, "AsDecided", "every target is as decided".to_owned())
    } else {
        let all = targets.len();
        let unknown = targets.iter().filter(|target| target.count.is_none()).count();
        let message = match (off, unknown) {
            (0, 0) => "every target is as decided, and something is in the way".to_owned(),
            (0, _) => format!("{unknown} of {all} targets cannot be read"),
            (_, 0) => format!("{off} of {all} targets are not as decided"),
            (_, _) => {
                format!("{off} of {all} targets are not as decided, {unknown} cannot be read")
            }
        };
        (false, "NotAsDecided", message)
    };
    let reconciling = if pending > 0 {
        (
            true,
            "ActionsPending",
            format!("{pending} of {} targets have actions pending", targets.len()),
        )
    } else {
        (false, "NothingPending", "nothing is pending".to_owned())
    };
    let stalled = match stalled {
        Some((reason, message)) => (true, reason, message),
        None => (false, "Moving", "nothing is in the way".to_owned()),
    };
    [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)]
        .into_iter()
        .map(|(kind, (status, reason, message))| {
            let since = facts
                .before
                .into_iter()
                .flat_map(|before| &before.conditions)
                .find(|c| c.kind == kind && c.status == status && c.reason == reason)
                .map_or(facts.now, |condition| condition.since);
            Condition { kind: kind.to_owned(), status, reason: reason.to_owned(), message, since }
        })
        .collect()
}
