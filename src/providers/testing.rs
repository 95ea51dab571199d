//! A stateful fake world, for the test-suite: replicas in a file or in memory, and faults on order.
//!
//! Built only with the feature `testing`. The file form lets a test kill the real binary and look at what
//! it left; the memory form is fast enough for ten thousand targets.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Applied, Call, Ctx, Provider, ProviderError};
use crate::model::{
    About, CommitId, FailureKind, Next, Ordinal, OwnerId, Phase, ProviderName, Region, Regions,
    Replica, ReplicaKey, TargetId, TemplateHash,
};

/// Everything there is in a fake world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// The replicas, of every owner.
    pub replicas: Vec<FakeReplica>,
    /// Every change that happened, in order.
    pub log: Vec<LogEntry>,
    /// Faults that wait for a call they fit.
    pub faults: VecDeque<Fault>,
    /// What a stale read returns: the world before the last change.
    #[serde(default)]
    pub before: Vec<FakeReplica>,
}

/// A replica of the fake world.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the labels of a replica, as everywhere")]
pub struct FakeReplica {
    pub owner: OwnerId,
    pub provider: ProviderName,
    pub target: TargetId,
    pub ordinal: Ordinal,
    pub template: TemplateHash,
    pub spec_commit: CommitId,
    pub running: bool,
}

/// One change that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// `create`, `start` or `destroy`.
    pub op: String,
    /// The target.
    pub target: TargetId,
    /// The replica.
    pub ordinal: Ordinal,
}

/// A fault on order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The call it waits for: `observe`, `create`, `start`, `destroy`, or `any`.
    pub op: String,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Answers 503 and does nothing.
    Unavailable,
    /// Answers 429 with a `Retry-After` of a second, and does nothing.
    RateLimited,
    /// Answers 403 and does nothing.
    Denied,
    /// Does it, and answers as if the connection had been cut.
    DoneButCut,
    /// Does it, and never answers.
    DoneButSilent,
    /// Reads: returns the world as it was before the last change.
    Stale,
}

#[derive(Debug, Clone)]
enum Backing {
    Memory(Arc<Mutex<World>>),
    File(PathBuf),
}

/// A provider whose infrastructure is a [`World`].
#[derive(Debug, Clone)]
pub struct FakeProvider {
    name: ProviderName,
    about: About,
    backing: Backing,
}

impl FakeProvider {
    /// A world in memory, shared by all clones of this provider.
    #[must_use]
    pub fn in_memory(name: ProviderName) -> Self {
        Self::in_memory_regions(name, Regions::Any)
    }

    /// A world in memory that serves these regions.
    #[must_use]
    pub fn in_memory_regions(name: ProviderName, regions: Regions) -> Self {
        let backing = Backing::Memory(Arc::default());
        Self { name, about: about(regions), backing }
    }

    /// A world in `dir/world.json`, shared by all processes that name it.
    #[must_use]
    pub fn in_dir(name: ProviderName, dir: PathBuf, regions: Regions) -> Self {
        Self { name, about: about(regions), backing: Backing::File(dir) }
    }

    /// Another provider on the same world.
    #[must_use]
    pub fn named(&self, name: ProviderName) -> Self {
        Self { name, ..self.clone() }
    }

    /// Looks at the world, or changes it as somebody else would.
    ///
    /// # Panics
    /// When the world's file cannot be read or written: there is no test to go on with.
    #[expect(clippy::expect_used, reason = "a test's world that cannot be read ends the test")]
    pub fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        match &self.backing {
            Backing::Memory(world) => {
                act(&mut world.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Backing::File(dir) => {
                std::fs::create_dir_all(dir).expect("create the fake world's folder");
                let lock = File::create(dir.join("lock")).expect("create the fake world's lock");
                lock.lock().expect("lock the fake world");
                let path = dir.join("world.json");
                let mut world: World = match std::fs::read(&path) {
                    Ok(bytes) => serde_json::from_slice(&bytes).expect("parse the fake world"),
                    Err(_) => World::default(),
                };
                let before = world.clone();
                let result = act(&mut world);
                if world != before {
                    let text = serde_json::to_vec(&world).expect("write the fake world");
                    let temporary = dir.join("world.json.new");
                    std::fs::write(&temporary, text).expect("write the fake world");
                    std::fs::rename(&temporary, &path).expect("replace the fake world");
                }
                result
            }
        }
    }

    fn fault(world: &mut World, op: &str) -> Option<FaultKind> {
        let position = world.faults.iter().position(|fault| fault.op == op || fault.op == "any")?;
        world.faults.remove(position).map(|fault| fault.kind)
    }

    fn change(&self, ctx: &Ctx, world: &mut World, call: &Call) -> Result<Applied, ProviderError> {
        let key = call.key();
        let is_it = |replica: &FakeReplica| {
            replica.owner == ctx.owner
                && replica.provider == self.name
                && replica.target == key.target
                && replica.ordinal == key.ordinal
        };
        let found = world.replicas.iter().position(is_it);
        let before = world.replicas.clone();
        let applied = match (call, found) {
            (Call::Create(launch), Some(index)) => {
                let agrees =
                    world.replicas.get(index).is_some_and(|r| r.template == launch.template_hash);
                if !agrees {
                    return Err(ProviderError::give_up(
                        FailureKind::Conflict,
                        format!("create {key}: it exists with another template"),
                    ));
                }
                Applied::AlreadySo
            }
            (Call::Create(launch), None) => {
                world.replicas.push(FakeReplica {
                    owner: ctx.owner.clone(),
                    provider: self.name.clone(),
                    target: key.target.clone(),
                    ordinal: key.ordinal,
                    template: launch.template_hash.clone(),
                    spec_commit: launch.spec_commit.clone(),
                    running: true,
                });
                Applied::Done
            }
            (Call::Start(_), Some(index)) => match world.replicas.get_mut(index) {
                Some(replica) if !replica.running => {
                    replica.running = true;
                    Applied::Done
                }
                _ => Applied::AlreadySo,
            },
            (Call::Start(_), None) => {
                return Err(ProviderError::give_up(
                    FailureKind::NotFound,
                    format!("start {key}: it does not exist"),
                ));
            }
            (Call::Destroy { .. }, Some(index)) => {
                world.replicas.remove(index);
                Applied::Done
            }
            (Call::Destroy { .. }, None) => Applied::AlreadySo,
        };
        if applied == Applied::Done {
            world.before = before;
            world.log.push(LogEntry {
                op: call.word().to_owned(),
                target: key.target.clone(),
                ordinal: key.ordinal,
            });
        }
        Ok(applied)
    }
}

/// Longer than any call is waited for.
const SILENCE: Duration = Duration::from_secs(3600);

fn about(regions: Regions) -> About {
    About {
        kind: "fake".into(),
        regions,
        needs: (&[]).into(),
        ignores: (&[]).into(),
        shares_host_ports: false,
        concurrency_max: 64,
        call_timeout: Duration::from_secs(2),
        start_typical: Duration::ZERO,
    }
}

fn refused(kind: FaultKind, word: &str, what: &str) -> ProviderError {
    match kind {
        FaultKind::Denied => {
            ProviderError::give_up(FailureKind::Denied, format!("{word} {what}: 403 forbidden"))
        }
        FaultKind::RateLimited => ProviderError {
            kind: FailureKind::RateLimited,
            next: Next::Retry { after: Some(Duration::from_secs(1)) },
            message: format!("{word} {what}: 429 too many requests"),
        },
        FaultKind::Unavailable
        | FaultKind::DoneButCut
        | FaultKind::DoneButSilent
        | FaultKind::Stale => ProviderError::retry(
            FailureKind::Unavailable,
            format!("{word} {what}: 503 service unavailable"),
        ),
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn about(&self) -> &About {
        &self.about
    }

    async fn observe(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Replica>, ProviderError> {
        let replicas = self.with_world(|world| match Self::fault(world, "observe") {
            None => Ok(world.replicas.clone()),
            Some(FaultKind::Stale) => Ok(world.before.clone()),
            Some(kind) => Err(refused(kind, "observe", region.as_str())),
        })?;
        let mut mine: Vec<Replica> = replicas
            .into_iter()
            .filter(|replica| {
                replica.owner == ctx.owner
                    && replica.provider == self.name
                    && replica.target.region == *region
            })
            .map(|replica| Replica {
                instance: format!("fake-{}-{}", replica.target, replica.ordinal),
                key: ReplicaKey {
                    target: replica.target,
                    provider: replica.provider,
                    ordinal: replica.ordinal,
                },
                template: replica.template,
                spec_commit: replica.spec_commit,
                phase: if replica.running { Phase::Ready } else { Phase::Stopped },
                address: None,
                started_at: Some(Timestamp::UNIX_EPOCH),
                restarts: 0,
                last_exit: None,
            })
            .collect();
        mine.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(mine)
    }

    async fn apply(&self, ctx: &Ctx, call: &Call) -> Result<Applied, ProviderError> {
        let (result, fault) = self.with_world(|world| {
            let fault = Self::fault(world, call.word());
            match fault {
                Some(FaultKind::Unavailable | FaultKind::RateLimited | FaultKind::Denied) => {
                    (Ok(Applied::AlreadySo), fault)
                }
                Some(FaultKind::DoneButCut | FaultKind::DoneButSilent | FaultKind::Stale)
                | None => (self.change(ctx, world, call), fault),
            }
        });
        match fault {
            None | Some(FaultKind::Stale) => result,
            Some(FaultKind::DoneButSilent) => {
                tokio::time::sleep(SILENCE).await;
                result
            }
            Some(kind) => Err(refused(kind, call.word(), &call.key().to_string())),
        }
    }
}
