use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::model::testing::{bounds, commit, service};
use crate::model::{Autoscale, Observed, Prices};
use crate::providers::testing::{FakeProvider, Fault, FaultKind};
use crate::{decide, observe, plan};

/// A clock that is where its sleepers want it to be.
#[derive(Debug)]
struct TurnedClock(Mutex<Timestamp>);

#[async_trait::async_trait]
impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    async fn sleep(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(duration).unwrap();
    }
}

#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn get(&self, name: &SecretName) -> Result<Secret, String> {
        Err(format!("secret `{name}` is not configured"))
    }
}

struct Bench {
    fake: FakeProvider,
    providers: Providers,
    spec: Spec,
    owner: OwnerId,
    stop: StopSign,
    clock: TurnedClock,
}

impl Bench {
    /// Services on the fake provider `host`, each with its desired count.
    fn new(services: &[(&str, u32)]) -> Self {
        let fake = FakeProvider::in_memory("host".try_into().unwrap());
        let services = services
            .iter()
            .map(|(id, desired)| service(id, Autoscale::Manual, bounds(0, *desired, 100)));
        Self {
            providers: BTreeMap::from([(
                "host".try_into().unwrap(),
                Arc::new(fake.clone()) as Arc<dyn crate::providers::Provider>,
            )]),
            fake,
            spec: Spec {
                services: services.map(|s| (s.id.clone(), s)).collect(),
                ..Spec::default()
            },
            owner: "me".try_into().unwrap(),
            stop: StopSign::default(),
            clock: TurnedClock(Mutex::new(Timestamp::UNIX_EPOCH)),
        }
    }

    async fn observe(&self) -> Observed {
        let ctx = Ctx { now: self.clock.now(), owner: self.owner.clone() };
        let scope = observe::scope(Some(&self.spec), &self.providers, []);
        observe::collect(&ctx, &self.providers, &scope).await
    }

    async fn plan(&self) -> Plan {
        let observed = self.observe().await;
        plan::plan(&plan::Input {
            spec: &self.spec,
            spec_commit: &commit('b'),
            base: None,
            templates: &plan::template_hashes(&self.spec),
            observed: &observed,
            decisions: &decide::testing::decided(&self.spec, &observed),
            done: &std::collections::BTreeSet::new(),
            prices: &Prices::default(),
            now: self.clock.now(),
        })
    }

    async fn apply(&self, plan: &Plan) -> Vec<TargetOutcome> {
        execute(
            plan,
            World {
                providers: &self.providers,
                spec: &self.spec,
                secrets: &NoSecrets,
                owner: &self.owner,
                clock: &self.clock,
                stop: &self.stop,
                progress: &|_| {},
            },
        )
        .await
    }

    fn order(&self, op: &str, kinds: &[FaultKind]) {
        self.fake.with_world(|world| {
            world.faults.extend(kinds.iter().map(|kind| Fault { op: op.to_owned(), kind: *kind }));
        });
    }

    fn count(&self) -> usize {
        self.fake.with_world(|world| world.replicas.len())
    }
}

#[tokio::test(start_paused = true)]
async fn passing_faults_are_ridden_out() {
    use FaultKind::{DoneButCut, DoneButSilent, RateLimited, Unavailable};
    let bench = Bench::new(&[("web", 3)]);
    bench.order("create", &[Unavailable, RateLimited, DoneButCut, DoneButSilent]);
    let outcomes = bench.apply(&bench.plan().await).await;
    assert_eq!((outcomes[0].from, outcomes[0].to), (Count(0), Count(3)));
    assert_eq!(bench.count(), 3);
    assert!(bench.plan().await.targets[0].steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lasting_fault_is_reported_and_stops_no_other_target() {
    let bench = Bench::new(&[("api", 1), ("web", 1)]);
    bench.order("create", &[FaultKind::Denied]);
    let outcomes = bench.apply(&bench.plan().await).await;
    let failed: Vec<_> = outcomes.iter().filter(|o| o.to == Count(0)).collect();
    assert_eq!((failed.len(), bench.count()), (1, 1));
    let results: Vec<_> = failed[0].outcomes.iter().map(|o| o.result.clone()).collect();
    assert!(matches!(&results[0], OutcomeResult::Failed { error, .. } if error.contains("403")));
    assert_eq!(results[1], OutcomeResult::Skipped, "what waits for it is not tried");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_too_long_and_endless_faults_end_in_the_next_cycle() {
    let bench = Bench::new(&[("web", 1)]);
    bench.order("create", &[FaultKind::Unavailable; 6]);
    let outcomes = bench.apply(&bench.plan().await).await;
    assert!(matches!(outcomes[0].outcomes[0].result, OutcomeResult::Failed { .. }));
    assert_eq!(bench.fake.with_world(|world| world.faults.len()), 0, "six attempts, no more");
    let outcomes = bench.apply(&bench.plan().await).await;
    assert_eq!(outcomes[0].to, Count(1));
}

#[tokio::test(start_paused = true)]
async fn a_raised_sign_leaves_the_rest_for_the_newer_commit() {
    let bench = Bench::new(&[("web", 2)]);
    let plan = bench.plan().await;
    bench.stop.raise();
    let outcomes = bench.apply(&plan).await;
    assert!(outcomes[0].outcomes.iter().all(|o| o.result == OutcomeResult::Superseded));
    assert_eq!(bench.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_makes_no_double() {
    let bench = Bench::new(&[("web", 2)]);
    bench.apply(&bench.plan().await).await;
    // The world before the last create: one replica. The plan creates what exists already.
    bench.order("observe", &[FaultKind::Stale]);
    let outcomes = bench.apply(&bench.plan().await).await;
    assert_eq!(outcomes[0].outcomes[0].result, OutcomeResult::AlreadySo);
    assert_eq!(bench.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_used_again_is_not_taken_for_the_replica_that_had_it() {
    let mut bench = Bench::new(&[("web", 2)]);
    bench.apply(&bench.plan().await).await;
    bench.fake.with_world(|world| world.replicas.iter_mut().for_each(|r| r.running = false));
    let web = bench.spec.services.values_mut().next().unwrap();
    web.template.as_mut().unwrap().command.push("--new".to_owned());
    let outcomes = bench.apply(&bench.plan().await).await;
    let ended = &outcomes[0].outcomes;
    assert!(ended.iter().all(|o| o.result == OutcomeResult::Applied), "{ended:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_fails_the_create_and_names_the_secret() {
    let mut bench = Bench::new(&[("web", 1)]);
    let web = bench.spec.services.values_mut().next().unwrap();
    let value = EnvValue::SecretRef("db/url".try_into().unwrap());
    web.template.as_mut().unwrap().env.insert("URL".to_owned(), value);
    let outcomes = bench.apply(&bench.plan().await).await;
    let OutcomeResult::Failed { error, .. } = &outcomes[0].outcomes[0].result else { panic!() };
    assert_eq!(error, "create web/local#0: secret `db/url` is not configured");
}
