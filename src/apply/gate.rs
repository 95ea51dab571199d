//! The health gate: waits until a replica is ready, so that nothing that serves goes before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::World;
use super::clock::elapsed;
use crate::model::{
    FailureKind, Health, OutcomeResult, Phase, ProviderName, Region, Replica, ReplicaKey,
};
use crate::providers::{Ctx, Provider, ProviderError};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How old a look by another waiting target may be to serve this one too.
const LOOK_SHARED_FOR: Duration = Duration::from_millis(90);
/// What a start may take where no health check says how long.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a replica may be missing from what is read: a provider's list may lag behind its own calls.
const UNSEEN_MAX: Duration = Duration::from_secs(10);
/// Restarts during the wait after which a replica is said not to stay up.
const RESTARTS_MAX: u32 = 3;

/// What was seen, and when.
#[derive(Debug)]
struct Look {
    begun: Timestamp,
    ended: Timestamp,
    replicas: Arc<Vec<Replica>>,
}

/// The last look at one region; whoever holds it looks for all.
type SharedLook = Arc<Mutex<Option<Look>>>;

/// Shares looks at one region among all targets that wait there.
#[derive(Debug, Default)]
pub(super) struct Gate {
    looks: Mutex<BTreeMap<(ProviderName, Region), SharedLook>>,
}

impl Gate {
    /// Returns once the replica is ready, or says why it will not be.
    pub(super) async fn ready(
        &self,
        world: &World<'_>,
        ctx: &Ctx,
        provider: &dyn Provider,
        key: &ReplicaKey,
        health: Option<&Health>,
    ) -> Result<OutcomeResult, ProviderError> {
        let begun = world.clock.now();
        let limit = START_MAX.max(health.map_or(Duration::ZERO, |health| {
            health.start_period + (health.interval + health.timeout) * health.failures.max(1) * 2
        }));
        loop {
            let last = match self.look(world, ctx, provider, key, begun).await {
                Ok(replicas) => match replicas.iter().find(|replica| replica.key == *key) {
                    None if elapsed(begun, world.clock.now()) >= UNSEEN_MAX => {
                        return Err(gone(key));
                    }
                    None => "it has not been seen".to_owned(),
                    Some(replica) => match settled(replica) {
                        Settled::Ready => return Ok(OutcomeResult::Applied),
                        Settled::Never(why) => return Err(never(key, &why)),
                        Settled::NotYet(why) => why,
                    },
                },
                // The replica may be fine: only the look failed, so look again until the time is up.
                Err(error) => error.message,
            };
            if elapsed(begun, world.clock.now()) >= limit {
                let limit = crate::model::format_duration(limit);
                return Err(never(key, &format!("not ready within {limit}: {last}")));
            }
            tokio::select! {
                () = world.clock.sleep(LOOK_EVERY) => {}
                () = world.stop.raised() => return Ok(world.stop.outcome()),
            }
        }
    }

    async fn look(
        &self,
        world: &World<'_>,
        ctx: &Ctx,
        provider: &dyn Provider,
        key: &ReplicaKey,
        since: Timestamp,
    ) -> Result<Arc<Vec<Replica>>, ProviderError> {
        let place = (key.provider.clone(), key.target.region.clone());
        let cell = self.looks.lock().await.entry(place).or_default().clone();
        let mut look = cell.lock().await;
        // A look that began before this wait may have seen the replica half made.
        if let Some(look) = look.as_ref()
            && look.begun > since
            && elapsed(look.ended, world.clock.now()) < LOOK_SHARED_FOR
            && look.replicas.iter().any(|replica| replica.key == *key)
        {
            return Ok(look.replicas.clone());
        }
        let limit = provider.about().call_timeout;
        let begun = world.clock.now();
        let ctx = Ctx { now: begun, owner: ctx.owner.clone() };
        let replicas = tokio::time::timeout(limit, provider.observe(&ctx, &key.target.region))
            .await
            .unwrap_or_else(|_| {
                let limit = crate::model::format_duration(limit);
                Err(ProviderError::retry(
                    FailureKind::Timeout,
                    format!("await-ready {key}: no answer within {limit}"),
                ))
            })?;
        let replicas = Arc::new(replicas);
        *look = Some(Look { begun, ended: world.clock.now(), replicas: replicas.clone() });
        Ok(replicas)
    }
}

enum Settled {
    Ready,
    NotYet(String),
    Never(String),
}

fn settled(replica: &Replica) -> Settled {
    let exit = || {
        replica.last_exit.as_ref().map_or("no exit was seen".to_owned(), |exit| exit.reason.clone())
    };
    match &replica.phase {
        Phase::Ready => Settled::Ready,
        Phase::Starting => Settled::NotYet("it is starting".to_owned()),
        Phase::Unhealthy { why } => Settled::Never(format!("it is unhealthy: {why}")),
        Phase::BackOff { .. } if replica.restarts >= RESTARTS_MAX => {
            Settled::Never(format!("it does not stay up: {}", exit()))
        }
        Phase::BackOff { .. } => {
            Settled::NotYet(format!("it ended and is started again: {}", exit()))
        }
        Phase::Stopped => Settled::Never(format!("it stopped: {}", exit())),
        Phase::Draining => Settled::Never("it is being removed".to_owned()),
    }
}

fn never(key: &ReplicaKey, why: &str) -> ProviderError {
    ProviderError::give_up(FailureKind::Unavailable, format!("await-ready {key}: {why}"))
}

fn gone(key: &ReplicaKey) -> ProviderError {
    ProviderError::give_up(
        FailureKind::NotFound,
        format!(
            "await-ready {key}: it is gone; somebody removed it, and the next cycle makes it anew"
        ),
    )
}
