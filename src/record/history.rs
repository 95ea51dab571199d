//! One line of history: what changed, or what was refused, and everything needed to see why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Inputs;
use crate::model::{Autoscale, CommitId, Decision, PlanDigest, TargetId};

/// Version of the line's form. Readers refuse a newer one and accept older ones.
pub const HISTORY_VERSION: u32 = 1;

/// One line of `history/YYYY/MM/DD.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryLine {
    /// Version of this form.
    pub v: u32,
    /// Unique: a line is never written twice, whatever crashes in between.
    pub id: String,
    /// When the change ended, or the refusal began.
    pub time: Timestamp,
    /// The service and region.
    pub target: TargetId,
    /// What kind of event it is.
    pub kind: Kind,
    /// Replicas before.
    pub from: u32,
    /// Replicas after.
    pub to: u32,
    /// Stable reason code.
    pub reason: String,
    /// The reason in a sentence.
    pub sentence: String,
    /// Every stage of the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
    /// What the decision was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// The spec commit in force.
    pub spec_commit: CommitId,
    /// Digest of the plan, for a change that a spec change asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<PlanDigest>,
    /// Who asked for it: the author of the spec commit, or `tidegate`.
    pub actor: String,
    /// How it ended.
    pub outcome: LineOutcome,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether nothing was really done.
    pub dry_run: bool,
    /// How many equal events this line stands for. A drift and the change that repairs it become one pair of
    /// lines while they wait to be published: the count then went from one to the other and back so often.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub times: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(times: &u32) -> bool {
    *times == 1
}

/// What kind of event a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The controller changed the count, or tried to.
    Change,
    /// Replicas were replaced or started; the count is the same.
    Rollout,
    /// The count changed without a recorded decision.
    Drift,
    /// Something is held back, from now on.
    Held,
    /// What was held back is not any more.
    Released,
    /// The policy or a person wants another count, and something stands in the way, from now on.
    Refused,
    /// It does not stand in the way any more.
    Allowed,
}

impl Kind {
    /// The word for tables and stores.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Rollout => "rollout",
            Self::Drift => "drift",
            Self::Held => "held",
            Self::Released => "released",
            Self::Refused => "refused",
            Self::Allowed => "allowed",
        }
    }
}

/// How the event of a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineOutcome {
    /// As planned.
    Applied,
    /// Not, or not in full.
    Failed,
    /// Ended early, by a newer commit or a shutdown.
    Superseded,
    /// Under way: the cycle has had its time, and the next one goes on.
    Deferred,
    /// It was only seen.
    Observed,
}

/// One stage of the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceStep {
    /// The stage.
    pub stage: String,
    /// The count it was given.
    pub before: u32,
    /// The count it passed on.
    pub after: u32,
    /// Stable reason code; absent where the stage had nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it did and why, in a sentence.
    pub sentence: String,
}

pub(super) fn autoscale_word(autoscale: Autoscale) -> &'static str {
    match autoscale {
        Autoscale::Manual => "manual",
        Autoscale::Metrics => "metrics",
        Autoscale::Disabled => "disabled",
    }
}

/// Every stage of a decision, as a line holds it.
#[must_use]
pub fn trace_of(decision: &Decision) -> Vec<TraceStep> {
    decision
        .trace
        .iter()
        .map(|line| TraceStep {
            stage: line.stage.word().to_owned(),
            before: line.before.0,
            after: line.after.0,
            reason: line.reason.map(|reason| reason.code().to_owned()),
            sentence: line.sentence(),
        })
        .collect()
}

/// Path, without extension, of the day's history on the status branch.
#[must_use]
pub fn history_stem(time: Timestamp) -> String {
    time.strftime("history/%Y/%m/%d").to_string()
}

/// The id of the `sequence`th line of one run of the controller.
#[must_use]
pub fn line_id(run: &str, sequence: u64) -> String {
    format!("{run}-{sequence}")
}
