//! What every provider must do, whatever it runs replicas on.
//!
//! A provider joins with one short file: a [`Subject`] that knows how to make the provider and how to
//! upset its backend, and one line `conformance!(TheSubject::new())`, which becomes one test per promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod docker;
mod fake;
mod process;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use tidegate::model::{
    CommitId, Next, Ordinal, OwnerId, Phase, ProviderName, Region, Replica, ReplicaKey, Secret,
    ServiceId, TargetId, Template, TemplateHash,
};
use tidegate::providers::{Applied, Call, Ctx, Launch, Provider, ProviderError};

/// In the environment of every replica of the kit; must not be found anywhere else.
const CANARY: &str = "canary-9f27c1d0-in-a-coal-mine";
/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Replicas that are created at once.
const MANY: u32 = 6;

/// A provider under test, with a backend of its own or a corner of one.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// A new instance under this name, as after a restart of the controller.
    fn provider(&self, name: &ProviderName) -> Box<dyn Provider>;
    /// The region to work in.
    fn region(&self) -> Region;
    /// The owner to work as; unlike that of any other test.
    fn owner(&self) -> OwnerId;
    /// A replica that runs until it is stopped and is ready soon.
    fn template(&self) -> Template;
    /// Plants something that no controller made; where names can clash, under this replica's name.
    async fn plant_foreign(&self, key: &ReplicaKey);
    /// Whether what was planted is untouched.
    async fn foreign_is_untouched(&self) -> bool;
    /// Whether a planted thing makes creating that replica a conflict.
    fn names_clash(&self) -> bool;
    /// Takes the backend away, or brings it back; `false` where that cannot be done.
    async fn set_backend(&self, up: bool) -> bool;
}

/// One test per promise.
macro_rules! conformance {
    ($subject:expr) => {
        $crate::conformance::conformance!(@ $subject;
            creates_and_shows, repeats_calls_without_effect, scales_up_and_to_zero,
            leaves_foreign_things_alone, survives_cancellation, survives_a_restart,
            says_when_the_backend_is_away, keeps_secrets);
    };
    (@ $subject:expr; $($promise:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::conformance::$promise(&$subject.await).await;
            }
        )*
    };
}
pub(crate) use conformance;

struct Kit<'a> {
    subject: &'a dyn Subject,
    provider: Box<dyn Provider>,
    ctx: Ctx,
}

impl<'a> Kit<'a> {
    fn new(subject: &'a dyn Subject) -> Self {
        let ctx = Ctx { now: Timestamp::now(), owner: subject.owner() };
        Self { subject, provider: subject.provider(&name("edge")), ctx }
    }

    fn key(&self, service: &str, ordinal: u32) -> ReplicaKey {
        ReplicaKey {
            target: TargetId {
                service: ServiceId::try_from(service).unwrap(),
                region: self.subject.region(),
            },
            provider: name("edge"),
            ordinal: Ordinal(ordinal),
        }
    }

    fn launch(&self, service: &str, ordinal: u32) -> Launch {
        launch(self.key(service, ordinal), self.subject.template())
    }

    fn create(&self, service: &str, ordinal: u32) -> Call {
        Call::Create(Box::new(self.launch(service, ordinal)))
    }

    fn destroy(&self, service: &str, ordinal: u32) -> Call {
        Call::Destroy { key: self.key(service, ordinal), drain: Duration::from_secs(1) }
    }

    async fn apply(&self, call: &Call) -> Result<Applied, ProviderError> {
        self.provider.apply(&self.ctx, call).await
    }

    async fn observe(&self) -> Vec<Replica> {
        let ctx = Ctx { now: Timestamp::now(), ..self.ctx.clone() };
        self.provider.observe(&ctx, &self.subject.region()).await.unwrap()
    }

    /// Waits until exactly these ordinals of `web` are there and all are ready.
    async fn ready(&self, ordinals: &[u32]) -> Vec<Replica> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.observe().await;
            let keys: Vec<ReplicaKey> = seen.iter().map(|replica| replica.key.clone()).collect();
            let wanted: Vec<ReplicaKey> = ordinals.iter().map(|o| self.key("web", *o)).collect();
            assert_eq!(keys, wanted);
            if seen.iter().all(|replica| replica.phase == Phase::Ready) {
                return seen;
            }
            assert!(Instant::now() < deadline, "not ready: {seen:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Repeats a call for as long as the provider says so.
    async fn settle(&self, call: &Call) -> Applied {
        settle(&*self.provider, &self.ctx, call).await
    }
}

/// Repeats a call for as long as the provider says so.
pub(crate) async fn settle(provider: &dyn Provider, ctx: &Ctx, call: &Call) -> Applied {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match provider.apply(ctx, call).await {
            Ok(applied) => return applied,
            Err(error) => {
                let Next::Retry { after } = error.next else { panic!("gave up: {error:?}") };
                assert!(Instant::now() < deadline, "still failing: {error:?}");
                tokio::time::sleep(after.unwrap_or(Duration::from_millis(50))).await;
            }
        }
    }
}

fn name(text: &str) -> ProviderName {
    ProviderName::try_from(text).unwrap()
}

/// A launch with the canary in its environment.
pub(crate) fn launch(key: ReplicaKey, template: Template) -> Launch {
    Launch {
        key,
        template,
        env: vec![("CANARY".to_owned(), Secret::new(CANARY))],
        template_hash: TemplateHash::from("0123456789ab"),
        spec_commit: CommitId::try_from("c".repeat(40)).unwrap(),
    }
}

pub(crate) async fn creates_and_shows(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    assert_eq!(kit.apply(&kit.create("web", 0)).await, Ok(Applied::Done));
    let seen = kit.ready(&[0]).await;
    let replica = &seen[0];
    let launch = kit.launch("web", 0);
    assert_eq!(replica.template, launch.template_hash);
    assert_eq!(replica.spec_commit, launch.spec_commit);
    assert!(!replica.instance.is_empty());
    assert!(replica.started_at.is_some());
    assert_eq!((replica.restarts, &replica.last_exit), (0, &None));
    assert_eq!(kit.observe().await, seen, "observing twice shows the same");
    assert_eq!(kit.settle(&kit.destroy("web", 0)).await, Applied::Done);
    assert_eq!(kit.observe().await, []);
}

pub(crate) async fn repeats_calls_without_effect(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    let start = Call::Start(Box::new(kit.launch("web", 0)));
    assert_eq!(kit.apply(&kit.destroy("web", 0)).await, Ok(Applied::AlreadySo));
    assert_eq!(kit.apply(&kit.create("web", 0)).await, Ok(Applied::Done));
    let first = kit.ready(&[0]).await;
    assert_eq!(kit.apply(&kit.create("web", 0)).await, Ok(Applied::AlreadySo));
    assert_eq!(kit.apply(&start).await, Ok(Applied::AlreadySo));
    assert_eq!(kit.ready(&[0]).await, first, "repeating a create changed something");
    assert_eq!(kit.apply(&kit.destroy("web", 0)).await, Ok(Applied::Done));
    assert_eq!(kit.apply(&kit.destroy("web", 0)).await, Ok(Applied::AlreadySo));
    assert!(kit.apply(&start).await.is_err(), "started what is not there");
    assert_eq!(kit.observe().await, []);
}

pub(crate) async fn scales_up_and_to_zero(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    let ordinals: Vec<u32> = (0..MANY).collect();
    let creates: Vec<Call> = ordinals.iter().map(|ordinal| kit.create("web", *ordinal)).collect();
    let ups = join_all(creates.iter().map(|call| kit.settle(call))).await;
    assert!(ups.iter().all(|applied| *applied == Applied::Done));
    let seen = kit.ready(&ordinals).await;
    let mut instances: Vec<&String> = seen.iter().map(|replica| &replica.instance).collect();
    instances.sort();
    instances.dedup();
    assert_eq!(instances.len(), ordinals.len(), "two replicas share an instance");
    let mut addresses: Vec<&String> = seen.iter().filter_map(|r| r.address.as_ref()).collect();
    let with_address = addresses.len();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), with_address, "two replicas share an address");
    let destroys: Vec<Call> = ordinals.iter().map(|ordinal| kit.destroy("web", *ordinal)).collect();
    join_all(destroys.iter().map(|call| kit.settle(call))).await;
    assert_eq!(kit.observe().await, []);
}

pub(crate) async fn leaves_foreign_things_alone(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    let key = kit.key("web", 0);
    subject.plant_foreign(&kit.key("planted", 0)).await;
    // Another controller, and another provider of this one, with a replica of the same service each.
    let stranger = Ctx {
        owner: OwnerId::try_from(format!("{}-x", kit.ctx.owner)).unwrap(),
        ..kit.ctx.clone()
    };
    let neighbour = subject.provider(&name("neighbour"));
    let neighbours_key = ReplicaKey { provider: name("neighbour"), ..key.clone() };
    let neighbours = launch(neighbours_key.clone(), subject.template());
    settle(&*kit.provider, &stranger, &kit.create("web", 0)).await;
    settle(&*neighbour, &kit.ctx, &Call::Create(Box::new(neighbours))).await;

    assert_eq!(kit.observe().await, []);
    assert_eq!(kit.apply(&kit.destroy("web", 0)).await, Ok(Applied::AlreadySo));
    assert_eq!(kit.apply(&kit.destroy("planted", 0)).await, Ok(Applied::AlreadySo));
    assert_eq!(kit.settle(&kit.create("web", 0)).await, Applied::Done);
    kit.ready(&[0]).await;
    assert_eq!(kit.settle(&kit.destroy("web", 0)).await, Applied::Done);
    if subject.names_clash() {
        let error = kit.apply(&kit.create("planted", 0)).await.unwrap_err();
        assert_eq!(error.next, Next::GiveUp, "{error}");
    }
    assert!(subject.foreign_is_untouched().await);
    let region = subject.region();
    assert_eq!(kit.provider.observe(&stranger, &region).await.unwrap().len(), 1);
    assert_eq!(neighbour.observe(&kit.ctx, &region).await.unwrap().len(), 1);

    settle(&*kit.provider, &stranger, &kit.destroy("web", 0)).await;
    let drain = Duration::from_secs(1);
    settle(&*neighbour, &kit.ctx, &Call::Destroy { key: neighbours_key, drain }).await;
}

pub(crate) async fn survives_cancellation(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    for millis in [0, 1, 3, 10, 30, 60, 100, 200, 400] {
        let limit = Duration::from_millis(millis);
        let _ = tokio::time::timeout(limit, kit.apply(&kit.create("web", 0))).await;
        kit.settle(&kit.create("web", 0)).await;
        kit.ready(&[0]).await;
        let _ = tokio::time::timeout(limit, kit.apply(&kit.destroy("web", 0))).await;
        kit.settle(&kit.destroy("web", 0)).await;
        assert_eq!(kit.observe().await, [], "after a destroy cut off at {millis} ms");
    }
}

pub(crate) async fn survives_a_restart(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    for ordinal in [0, 1] {
        kit.settle(&kit.create("web", ordinal)).await;
    }
    let before = kit.ready(&[0, 1]).await;
    let kit = Kit::new(subject);
    assert_eq!(kit.ready(&[0, 1]).await, before);
    for ordinal in [0, 1] {
        assert_eq!(kit.settle(&kit.destroy("web", ordinal)).await, Applied::Done);
    }
    assert_eq!(kit.observe().await, []);
}

pub(crate) async fn says_when_the_backend_is_away(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    kit.settle(&kit.create("web", 0)).await;
    let before = kit.ready(&[0]).await;
    if subject.set_backend(false).await {
        let region = subject.region();
        kit.provider.observe(&kit.ctx, &region).await.unwrap_err();
        for call in [kit.create("web", 1), kit.destroy("web", 0)] {
            let error = kit.apply(&call).await.unwrap_err();
            assert!(matches!(error.next, Next::Retry { .. }), "{error:?}");
        }
        subject.set_backend(true).await;
    }
    assert_eq!(kit.ready(&[0]).await, before);
    kit.settle(&kit.destroy("web", 0)).await;
}

pub(crate) async fn keeps_secrets(subject: &dyn Subject) {
    let kit = Kit::new(subject);
    let clean = |what: String| assert!(!what.contains(CANARY), "{what}");
    // A program that is not there fails late; a variable without a name is refused early.
    let mut late = kit.launch("web", 0);
    late.template.command = vec!["/no/such/program".to_owned(), "-v".to_owned()];
    let mut early = kit.launch("web", 1);
    early.env.push((String::new(), Secret::new(CANARY)));
    for launch in [late, early] {
        let call = Call::Create(Box::new(launch));
        clean(format!("{call:?}"));
        if let Err(error) = kit.apply(&call).await {
            clean(format!("{error} {error:?}"));
        }
    }
    kit.settle(&kit.create("web", 2)).await;
    clean(format!("{:?} {:?}", kit.provider, kit.observe().await));
    for ordinal in 0..3 {
        kit.settle(&kit.destroy("web", ordinal)).await;
    }
    assert_eq!(kit.observe().await, []);
}
