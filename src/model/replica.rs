//! What was found in the world.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitId, Ordinal, ProviderName, Region, TargetId, TemplateHash};

/// The identity of a replica: no two replicas have the same key, because providers name what they create
/// by it and refuse a second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaKey {
    /// The service and region it belongs to.
    pub target: TargetId,
    /// The provider that runs it.
    pub provider: ProviderName,
    /// Which of the target's replicas.
    pub ordinal: Ordinal,
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.target, self.ordinal)
    }
}

/// One replica that this controller created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Identity.
    pub key: ReplicaKey,
    /// The provider's own id of it: a container id, a process id.
    pub instance: String,
    /// Hash of the template it was made from.
    pub template: TemplateHash,
    /// The spec commit it was made for.
    pub spec_commit: CommitId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Where it listens, as `host:port`, if it has a port.
    pub address: Option<String>,
    /// When its present run started.
    pub started_at: Option<Timestamp>,
    /// How often it was restarted after an exit.
    pub restarts: u32,
    /// How its last run ended.
    pub last_exit: Option<Exit>,
}

/// Where a replica is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It runs, but its health is not established yet.
    Starting,
    /// It runs and serves.
    Ready,
    /// It runs and fails its health check.
    Unhealthy {
        /// What the last probe said.
        why: String,
    },
    /// Its process exited; its supervisor starts it again, later each time.
    BackOff {
        /// When the next start is due.
        until: Timestamp,
    },
    /// It exists but does not run, and nothing but this controller will start it.
    Stopped,
    /// It was asked to stop and is on its way out.
    Draining,
}

impl Phase {
    /// The word for tables and status files.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy { .. } => "unhealthy",
            Self::BackOff { .. } => "back-off",
            Self::Stopped => "stopped",
            Self::Draining => "draining",
        }
    }
}

/// How a run of a replica ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// In words: `exit code 3`, `killed by signal 9`, `out of memory`.
    pub reason: String,
}

/// A read of the world that failed: what is unknown, not what is absent. A gap forbids destroying there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The provider that could not be read.
    pub provider: ProviderName,
    /// The region that could not be read.
    pub region: Region,
    /// What happened, in a sentence fragment.
    pub error: String,
}

/// The world at one instant, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// When reading began.
    pub at: Timestamp,
    /// Every replica of this controller's, sorted by key.
    pub replicas: Vec<Replica>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

impl Observed {
    /// The replicas of each target that has any, sorted by target.
    pub fn by_target(&self) -> impl Iterator<Item = (&TargetId, &[Replica])> {
        let targets = self.replicas.chunk_by(|a, b| a.key.target == b.key.target);
        targets.filter_map(|found| Some((&found.first()?.key.target, found)))
    }
}
