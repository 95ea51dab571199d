//! What became of a plan.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Count, TargetId};

/// What kind of failure a provider met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// What was asked for is not there.
    NotFound,
    /// The credentials do not allow it.
    Denied,
    /// Too many calls.
    RateLimited,
    /// Somebody else changed it.
    Conflict,
    /// The request is wrong and will stay so.
    Invalid,
    /// The provider is not there.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// Anything else.
    Unexpected,
}

/// What to do after a failure; decided where the failure is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again; not before this time has passed, if given.
    Retry {
        /// How long the provider asked to wait.
        after: Option<Duration>,
    },
    /// Trying again is useless until spec, configuration or world change.
    GiveUp,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The action.
    pub action: Action,
    /// When its first attempt began.
    pub started: Timestamp,
    /// How long it took, retries included.
    pub took: Duration,
    /// How it ended.
    pub result: OutcomeResult,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeResult {
    /// It was done.
    Applied,
    /// It was so already.
    AlreadySo,
    /// It failed.
    Failed {
        /// What happened, in a sentence fragment.
        error: String,
        /// Of what kind.
        kind: FailureKind,
    },
    /// It was not tried, because one before it failed.
    Skipped,
    /// It was not tried, because a newer commit or a shutdown came first.
    Superseded,
    /// It was not finished, because the cycle has had its time; the next one goes on.
    Deferred,
}

/// What became of one target's part of a plan.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetOutcome {
    /// The target.
    pub target: TargetId,
    /// How many replicas existed before.
    pub from: Count,
    /// How many replicas exist after, by the outcomes.
    pub to: Count,
    /// Its actions, in the order they ended.
    pub outcomes: Vec<Outcome>,
    /// When its first action began.
    pub started: Timestamp,
    /// How long all of it took.
    pub took: Duration,
}
