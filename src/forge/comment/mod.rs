//! The one comment of a pull request, for its whole life. Pure: the same state gives the same text.
//!
//! It has four parts: a hidden line ([`Memo`]), a head that says how things stand (made of the memo alone), the
//! plan as it was reviewed, and a foot (made of the memo alone). So its head can be changed after a merge, and
//! after a restart, without making the plan again.

mod body;
mod findings;
mod folds;
mod foot;
mod head;
mod hidden;
mod lines;
mod planned;
mod table;
#[cfg(test)]
mod tests;

pub use body::{COMMENT_CHARS_MAX, Links, Read, SECTION_BYTES_MAX, Section, body, read};
pub use findings::{conflict, invalid, unplanned, untouched};
pub use head::took;
pub use planned::{Backtest, Planned, planned};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CommitId, OwnerId, PlanDigest, PullNumber};

/// Version of the hidden line's form.
pub const MEMO_VERSION: u32 = 1;

/// What a comment remembers of itself: the controller's only memory of a pull request that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memo {
    /// [`MEMO_VERSION`].
    pub version: u32,
    /// Whose comment it is: two controllers on one repository have a comment each.
    pub owner: OwnerId,
    /// The planned head of the pull request.
    pub head: CommitId,
    /// The commit of the base branch that it was merged onto.
    pub base: CommitId,
    /// The commit that was in force, and that the plan starts from.
    pub from: Option<CommitId>,
    /// The digest of the plan; `None` where there is no plan.
    pub digest: Option<PlanDigest>,
    /// Hash of everything whose change makes an edit worth it.
    pub key: String,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// What there is to say in one sentence: plain text.
    pub verdict: String,
    /// How it stands.
    pub phase: Phase,
    /// Plans before this one, oldest first.
    pub earlier: Vec<Earlier>,
    /// How many still older ones there was no room for.
    #[serde(default)]
    pub earlier_left_out: usize,
}

/// A plan that another took the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// When it was planned.
    pub planned_at: Timestamp,
    /// The head of then.
    pub head: CommitId,
    /// The base of then.
    pub base: CommitId,
    /// Its digest.
    pub digest: Option<PlanDigest>,
    /// Its sentence: plain text.
    pub verdict: String,
}

/// How a pull request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Phase {
    /// It is planned and may be merged.
    Planned,
    /// The merge result is not a valid spec.
    Invalid,
    /// It does not merge.
    Conflict,
    /// It changes nothing of the spec any more.
    Untouched,
    /// It is merged, and what was merged is being applied.
    Applying {
        /// The merge.
        merged: Merge,
        /// How many actions there are.
        actions: usize,
    },
    /// It is applied in full.
    Applied {
        /// The merge.
        merged: Merge,
        /// Time from seeing the merge until it was applied, in milliseconds.
        took_ms: u64,
        /// How many actions were done.
        actions: usize,
    },
    /// Some of it failed; it is tried again.
    Failed {
        /// The merge.
        merged: Merge,
        /// Time from seeing the merge until now, in milliseconds.
        took_ms: u64,
        /// What failed, each as `target: what happened`: plain text.
        failures: Vec<String>,
    },
    /// Nothing failed, and some of it waits for something.
    Waiting {
        /// The merge.
        merged: Merge,
        /// What waits for what, each as `target: why`: plain text.
        waits: Vec<String>,
    },
    /// A newer commit took over before it was applied in full.
    Superseded {
        /// The merge.
        merged: Merge,
        /// The newer commit.
        by: CommitId,
        /// The pull request that the newer commit is from.
        by_pull: Option<PullNumber>,
    },
    /// What was merged is not what was reviewed, and is held.
    Held {
        /// The merge.
        merged: Merge,
        /// The digest of what was merged.
        digest: PlanDigest,
        /// How the two plans differ, each a line of plain text.
        differences: Vec<String>,
    },
    /// What was merged is not a valid spec: the last good commit stays in force.
    Refused {
        /// The merge.
        merged: Merge,
        /// What is wrong, each a line of plain text.
        findings: Vec<String>,
    },
}

/// A merge of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Merge {
    /// The commit on the base branch.
    pub commit: CommitId,
    /// Login of who merged.
    pub by: Option<String>,
    /// When the controller saw it.
    pub seen_at: Timestamp,
    /// How what was merged differs from what was reviewed, where it does and is applied all the same; each a
    /// line of plain text.
    pub differences: Vec<String>,
}

impl Phase {
    /// The merge, where there was one.
    #[must_use]
    pub fn merge(&self) -> Option<&Merge> {
        match self {
            Self::Planned | Self::Invalid | Self::Conflict | Self::Untouched => None,
            Self::Applying { merged, .. }
            | Self::Applied { merged, .. }
            | Self::Failed { merged, .. }
            | Self::Waiting { merged, .. }
            | Self::Superseded { merged, .. }
            | Self::Held { merged, .. }
            | Self::Refused { merged, .. } => Some(merged),
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Applied { .. } | Self::Superseded { .. })
    }
}
