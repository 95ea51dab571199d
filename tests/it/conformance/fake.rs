//! The kit against the fake world, which other tests believe.

use async_trait::async_trait;
use tidegate::model::{
    OwnerId, ProviderName, Region, ReplicaKey, Resources, Template, TemplateHash,
};
use tidegate::providers::Provider;
use tidegate::providers::testing::{FakeProvider, FakeReplica, Fault, FaultKind};

use super::Subject;

/// A world in memory.
struct FakeSubject(FakeProvider);

impl FakeSubject {
    #[expect(clippy::unused_async, reason = "the kit waits for every subject alike")]
    async fn new() -> Self {
        Self(FakeProvider::in_memory("edge".try_into().unwrap()))
    }
}

#[async_trait]
impl Subject for FakeSubject {
    fn provider(&self, name: &ProviderName) -> Box<dyn Provider> {
        Box::new(self.0.named(name.clone()))
    }

    fn region(&self) -> Region {
        Region::try_from("iad").unwrap()
    }

    fn owner(&self) -> OwnerId {
        OwnerId::try_from("kit").unwrap()
    }

    fn template(&self) -> Template {
        Template {
            image: None,
            command: Vec::new(),
            env: std::collections::BTreeMap::new(),
            ports: Vec::new(),
            resources: Resources::default(),
            health: None,
            drain: std::time::Duration::ZERO,
        }
    }

    async fn plant_foreign(&self, key: &ReplicaKey) {
        let replica = FakeReplica {
            owner: "somebody-else".try_into().unwrap(),
            provider: key.provider.clone(),
            target: key.target.clone(),
            ordinal: key.ordinal,
            template: TemplateHash::from("theirs"),
            spec_commit: "d".repeat(40).try_into().unwrap(),
            running: true,
        };
        self.0.with_world(|world| world.replicas.push(replica));
    }

    async fn foreign_is_untouched(&self) -> bool {
        self.0.with_world(|world| {
            world.replicas.iter().any(|replica| replica.owner.as_str() == "somebody-else")
        })
    }

    fn names_clash(&self) -> bool {
        false
    }

    async fn set_backend(&self, up: bool) -> bool {
        let away = ["observe", "create", "destroy"]
            .map(|op| Fault { op: op.to_owned(), kind: FaultKind::Unavailable });
        self.0.with_world(|world| {
            world.faults.clear();
            if !up {
                world.faults.extend(away);
            }
        });
        true
    }
}

super::conformance!(FakeSubject::new());
