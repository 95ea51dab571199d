//! Modules that observe and act on one kind of infrastructure each.
//!
//! A provider is two verbs and a declaration: [`Provider::observe`] reads one region, [`Provider::apply`]
//! does one idempotent call, [`Provider::about`] says what it can do. Some also tell what replicas use
//! ([`Provider::measure`]). It does **not** retry, wait for its
//! turn, log, count metrics, read secrets, diff, order or decide: [`crate::apply`] and [`crate::plan`] do
//! these once for all of them. No provider knows another.

pub mod docker;
pub mod process;
pub mod registry;
#[cfg(feature = "testing")]
pub mod testing;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{
    About, CommitId, FailureKind, Next, OwnerId, Region, Replica, ReplicaKey, Secret, Template,
    TemplateHash,
};

/// What a provider is handed with every call, and never keeps.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The time of this cycle.
    pub now: Timestamp,
    /// Whose replicas to see and touch; all others do not exist.
    pub owner: OwnerId,
}

/// One call that changes the world. Each is idempotent: repeating it is [`Applied::AlreadySo`].
#[derive(Debug, Clone)]
pub enum Call {
    /// Make the replica and start it. Returns once it runs; whether it is ready is observed later.
    Create(Box<Launch>),
    /// Start a replica that exists and is stopped.
    Start(Box<Launch>),
    /// Ask the replica to stop, give it its drain time, remove it. Returns once it is gone.
    Destroy {
        /// The replica.
        key: ReplicaKey,
        /// Time between the request to stop and the kill: at least this. Where the provider knows the
        /// drain time that the replica was made with, the longer of the two holds: a service that is
        /// gone from the spec has no template any more, and its replicas still end as it said.
        drain: Duration,
    },
}

impl Call {
    /// The replica it is about.
    #[must_use]
    pub fn key(&self) -> &ReplicaKey {
        match self {
            Self::Create(launch) | Self::Start(launch) => &launch.key,
            Self::Destroy { key, .. } => key,
        }
    }

    /// The word for logs and errors.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::Destroy { .. } => "destroy",
        }
    }
}

/// Everything needed to make one replica: labels to find it by, template, resolved environment.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Identity; becomes the replica's name and labels.
    pub key: ReplicaKey,
    /// The template it is made from.
    pub template: Template,
    /// The template's environment with secrets resolved. Only this may hold secret values.
    pub env: Vec<(String, Secret)>,
    /// Hash of the template; becomes a label.
    pub template_hash: TemplateHash,
    /// The spec commit it is made for; becomes a label.
    pub spec_commit: CommitId,
}

/// How a call ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It changed something.
    Done,
    /// It was so already.
    AlreadySo,
}

/// What one replica uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The replica.
    pub key: ReplicaKey,
    /// Processor time per time, since the reading before: 1 is one core. `None` on the first reading of a
    /// run.
    pub cpu_cores: Option<f64>,
    /// Memory in bytes, without caches that are given back when somebody needs them.
    pub memory_bytes: Option<u64>,
    /// When it was read.
    pub at: Timestamp,
}

/// Why a call ended badly, and what to do next. The message never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Of what kind.
    pub kind: FailureKind,
    /// What to do next.
    pub next: Next,
    /// What was being done, to what, and what happened: a fragment that fits after "failed to ".
    pub message: String,
}

impl ProviderError {
    /// A failure that may pass: the same call is tried again.
    #[must_use]
    pub fn retry(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, next: Next::Retry { after: None }, message: message.into() }
    }

    /// A failure that stays until spec, configuration or world change.
    #[must_use]
    pub fn give_up(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, next: Next::GiveUp, message: message.into() }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProviderError {}

/// One kind of infrastructure.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// What it is and can do.
    fn about(&self) -> &About;

    /// Reads every replica of `ctx.owner` and this provider's name in one region, whatever its service,
    /// sorted by key; also those that do not run.
    ///
    /// # Errors
    /// [`ProviderError`] when the region cannot be read in full: never a partial list.
    async fn observe(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Replica>, ProviderError>;

    /// Does one call. Cancelling it (dropping the future) leaves the world in a state that the same call
    /// repairs when it is repeated.
    ///
    /// # Errors
    /// [`ProviderError`] with what to do next.
    async fn apply(&self, ctx: &Ctx, call: &Call) -> Result<Applied, ProviderError>;

    /// What each running replica of `ctx.owner` and this provider's name uses in one region, sorted by key.
    /// Those of which nothing can be read, because they are on their way in or out, are left out.
    ///
    /// # Errors
    /// [`ProviderError`] when the region cannot be measured in full, and from those that do not measure.
    async fn measure(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Usage>, ProviderError> {
        let _ = (ctx, region);
        let kind = &self.about().kind;
        Err(ProviderError::give_up(
            FailureKind::Invalid,
            format!(
                "measure replicas: a `{kind}` provider does not; use signals of another source"
            ),
        ))
    }
}
