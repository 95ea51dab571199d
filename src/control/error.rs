//! What can keep the controller from its work.

use super::{LockError, SetupError};
use crate::git::GitError;
use crate::model::OwnerId;

/// Why the controller could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The configuration could not be turned into a controller.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The spec repository or the status branch could not be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The state folder is in use, or cannot be.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file of the state folder could not be read or written.
    #[error("{doing} in `{folder}`: {source}")]
    State {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        folder: String,
        /// What happened.
        source: std::io::Error,
    },
    /// The status file on the status branch is not one that this version can read.
    #[error(
        "read status.yaml of branch `{branch}`: {message}; move the branch aside to start anew, or use the version that wrote it"
    )]
    Status {
        /// The status branch.
        branch: String,
        /// What is wrong.
        message: String,
    },
    /// The status branch is another controller's.
    #[error(
        "use the status branch `{branch}`: it belongs to owner `{theirs}`, and this configuration's is \
         `{ours}`. If this controller is to go on with those replicas (the repository's address changed), set \
         `owner: {theirs}`; if it is another one, give it a `status.branch` of its own"
    )]
    Owner {
        /// The status branch.
        branch: String,
        /// The owner that the branch names.
        theirs: OwnerId,
        /// The owner of this configuration.
        ours: OwnerId,
    },
    /// It is not known which bursts and pauses are in force.
    #[error(
        "nothing is changed before the bursts and pauses on branch `{branch}` are known: {why}"
    )]
    Overrides {
        /// The status branch.
        branch: String,
        /// What is in the way.
        why: String,
    },
    /// There is no spec to work with.
    #[error("no valid spec: {0}")]
    NoSpec(String),
}
