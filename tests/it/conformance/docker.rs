//! The kit against a real Docker daemon.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use tidegate::model::{OwnerId, ProviderName, Region, ReplicaKey, Template};
use tidegate::providers::Provider;
use tidegate::providers::docker::DockerProvider;

use super::Subject;
use crate::support::containers;
use crate::support::dockerd::{Dockerd, IMAGE};
use crate::support::fault_proxy::{Fault, FaultProxy};

/// Docker behind a proxy that can take it away.
struct DockerSubject {
    dockerd: Dockerd,
    proxy: FaultProxy,
    owner: OwnerId,
}

impl DockerSubject {
    async fn new() -> Self {
        let dockerd = Dockerd::shared().await;
        let proxy = FaultProxy::start(dockerd.socket());
        Self { dockerd, proxy, owner: containers::unique_owner() }
    }

    fn planted(&self) -> String {
        format!("planted-{}", self.owner)
    }
}

#[async_trait]
impl Subject for DockerSubject {
    fn provider(&self, name: &ProviderName) -> Box<dyn Provider> {
        let config = containers::config(&self.proxy.host);
        Box::new(DockerProvider::new(name.clone(), &config, &BTreeMap::new()).unwrap())
    }

    fn region(&self) -> Region {
        containers::region()
    }

    fn owner(&self) -> OwnerId {
        self.owner.clone()
    }

    fn template(&self) -> Template {
        containers::web()
    }

    async fn plant_foreign(&self, key: &ReplicaKey) {
        // Labels as ours would have them, all but the provider's.
        let labels = [
            ("dev.tidegate.owner", self.owner.to_string()),
            ("dev.tidegate.service", key.target.service.to_string()),
            ("dev.tidegate.region", key.target.region.to_string()),
            ("dev.tidegate.ordinal", key.ordinal.to_string()),
        ];
        let body = || ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            entrypoint: Some(vec!["sleep".to_owned(), "3600".to_owned()]),
            labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()),
            ..ContainerCreateBody::default()
        };
        let client = self.dockerd.client();
        for name in [self.planted(), containers::name_of(&self.owner, key)] {
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            client.create_container(Some(options), body()).await.unwrap();
        }
    }

    async fn foreign_is_untouched(&self) -> bool {
        self.dockerd.client().inspect_container(&self.planted(), None).await.is_ok()
    }

    fn names_clash(&self) -> bool {
        true
    }

    async fn set_backend(&self, up: bool) -> bool {
        self.proxy.break_all((!up).then_some(Fault::CutBefore));
        true
    }
}

impl Drop for DockerSubject {
    fn drop(&mut self) {
        containers::remove_all_of(&self.dockerd, &self.owner);
    }
}

super::conformance!(DockerSubject::new());
