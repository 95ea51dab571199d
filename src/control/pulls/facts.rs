//! What the controller tells whoever reports at the forge. Told, never waited for.

use jiff::Timestamp;

use super::judgement::Judgement;
use crate::model::CommitId;

/// Something that happened to a commit of the spec branch.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// A new head was judged.
    Judged {
        /// The head.
        commit: CommitId,
        /// What becomes of it.
        judgement: Judgement,
        /// When.
        at: Timestamp,
    },
    /// A new head is not a valid spec; the last good commit stays in force.
    Refused {
        /// The head.
        commit: CommitId,
        /// What is wrong, a line each.
        findings: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// Actions for the commit in force begin.
    Began {
        /// The commit.
        commit: CommitId,
        /// How many there are.
        actions: usize,
    },
    /// A cycle ended.
    Cycled {
        /// The commit in force.
        commit: CommitId,
        /// Whether nothing of what it states remains to be done.
        is_in_full: bool,
        /// Whether something is left because the time was up: that is no failure.
        is_cut: bool,
        /// How many actions were done.
        actions: usize,
        /// What failed.
        failures: Vec<String>,
        /// What waits.
        waits: Vec<String>,
        /// When.
        at: Timestamp,
    },
}
