//! What is special to the Docker provider, against a real daemon.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod faults;
mod images;
mod life;
mod tls;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::model::{
    Ordinal, OwnerId, ProviderName, Replica, ReplicaKey, ServiceId, TargetId, Template,
};
use tidegate::providers::docker::DockerProvider;
use tidegate::providers::docker::config::DockerConfig;
use tidegate::providers::{Applied, Call, Ctx, Provider as _, ProviderError};

use crate::conformance;
use crate::support::containers;
use crate::support::dockerd::Dockerd;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// A provider at work on a daemon, as an owner of its own; removes its containers at the end.
struct World {
    dockerd: Dockerd,
    owner: OwnerId,
    provider: DockerProvider,
}

impl World {
    async fn new() -> Self {
        let dockerd = Dockerd::shared().await;
        let config = containers::config(&dockerd.host);
        Self { owner: containers::unique_owner(), provider: provider(&config), dockerd }
    }

    fn ctx(&self) -> Ctx {
        Ctx { now: Timestamp::now(), owner: self.owner.clone() }
    }

    async fn create(&self, template: Template) -> Result<Applied, ProviderError> {
        self.provider.apply(&self.ctx(), &create(template)).await
    }

    async fn destroy(&self, drain: Duration) -> Result<Applied, ProviderError> {
        self.provider.apply(&self.ctx(), &Call::Destroy { key: key(), drain }).await
    }

    async fn observe(&self) -> Vec<Replica> {
        self.provider.observe(&self.ctx(), &containers::region()).await.unwrap()
    }

    /// Waits until the one replica is as wanted.
    async fn until(&self, wanted: impl Fn(&Replica) -> bool) -> Replica {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.observe().await;
            assert_eq!(seen.len(), 1, "{seen:#?}");
            if wanted(&seen[0]) {
                return seen[0].clone();
            }
            assert!(Instant::now() < deadline, "{seen:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn container(&self) -> String {
        containers::name_of(&self.owner, &key())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        containers::remove_all_of(&self.dockerd, &self.owner);
    }
}

fn provider(config: &DockerConfig) -> DockerProvider {
    let name = ProviderName::try_from("edge").unwrap();
    DockerProvider::new(name, config, &BTreeMap::new()).unwrap()
}

fn key() -> ReplicaKey {
    ReplicaKey {
        target: TargetId {
            service: ServiceId::try_from("web").unwrap(),
            region: containers::region(),
        },
        provider: ProviderName::try_from("edge").unwrap(),
        ordinal: Ordinal(0),
    }
}

fn create(template: Template) -> Call {
    Call::Create(Box::new(conformance::launch(key(), template)))
}

#[test]
fn the_client_librarys_own_log_goes_nowhere() {
    // It writes the bodies of requests, environment and all, to the `log` facade at debug level. Nothing
    // may connect that to our own log.
    let lock = include_str!("../../../Cargo.lock");
    assert!(!lock.contains("name = \"tracing-log\""), "tracing-log would print secrets");
}
