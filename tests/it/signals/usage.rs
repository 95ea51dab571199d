//! The built-in source `provider`: what real replicas use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::model::{
    Gap, Measured, Moment, Observed, Ordinal, OwnerId, Phase, ProviderName, Region, Replica,
    ReplicaKey, Spec, TargetId, Template,
};
use tidegate::observe;
use tidegate::observe::signals::{Signals, Sources};
use tidegate::providers::docker::DockerProvider;
use tidegate::providers::process::ProcessProvider;
use tidegate::providers::process::config::ProcessConfig;
use tidegate::providers::registry::Providers;
use tidegate::providers::{Call, Ctx, Provider};

use super::{PATIENCE, spec_of};
use crate::conformance::launch;
use crate::support::containers;
use crate::support::dockerd::Dockerd;
use crate::support::infra::Infra;

/// A child of the replica's process burns one core.
const BURN: &str = "sh -c 'while :; do :; done' & wait";
/// Nothing burns.
const IDLE: &str = "sleep 1000 & wait";

/// A provider with two services of one replica each: `busy` and `idle`.
struct World {
    provider: Arc<dyn Provider>,
    name: ProviderName,
    region: Region,
    owner: OwnerId,
    spec: Spec,
}

impl World {
    async fn new(provider: Arc<dyn Provider>, name: &str, region: Region, owner: OwnerId) -> Self {
        let service = |id: &str| {
            format!(
                "  - {{id: {id}, provider: {name}, scale: {{autoscale: metrics, policy: it, regions: [{{name: \
                 {region}, min: 1, desired: 1, max: 3}}]}}, template: {{image: a, command: [a], resources: \
                 {{cpu: 2, memory: 1Gi}}}}}}\n"
            )
        };
        let signal = |name: &str| format!("      {name}: {{source: provider, metric: {name}}}\n");
        let signals = ["cpuPercent", "memoryBytes", "memoryPercent", "ready"].map(signal).concat();
        let spec = spec_of(&format!(
            "services:\n{}{}{}policies:\n  - name: it\n    signals:\n{signals}    targets: [{{signal: cpuPercent, average: 70}}]\n",
            service("busy"),
            service("idle"),
            service("none"),
        ));
        let world = Self { provider, name: name.try_into().unwrap(), region, owner, spec };
        for (service, line) in [("busy", BURN), ("idle", IDLE)] {
            let key = ReplicaKey {
                target: world.target(service),
                provider: world.name.clone(),
                ordinal: Ordinal(0),
            };
            let template = Template { drain: Duration::ZERO, ..containers::shell(line) };
            let create = Call::Create(Box::new(launch(key, template)));
            world.provider.apply(&world.ctx(), &create).await.unwrap();
        }
        world
    }

    fn target(&self, service: &str) -> TargetId {
        TargetId { service: service.try_into().unwrap(), region: self.region.clone() }
    }

    fn ctx(&self) -> Ctx {
        Ctx { now: Timestamp::now(), owner: self.owner.clone() }
    }

    /// The loads of the two replicas, as a controller samples them, against the kernel's own counts. However
    /// little of a busy machine the replica is given: what it is given is what is measured.
    async fn tells_busy_from_idle(&self, process_of: impl Fn(&Replica) -> i32) {
        let providers: Providers = [(self.name.clone(), Arc::clone(&self.provider))].into();
        let scope = observe::scope(Some(&self.spec), &providers, []);
        let ctx = self.ctx();
        let mut signals = Signals::new(Sources::new(), Duration::from_secs(15));
        let deadline = Instant::now() + PATIENCE;
        let observed = loop {
            let observed = observe::collect(&ctx, &providers, &scope).await;
            if observed.replicas.iter().filter(|replica| replica.phase == Phase::Ready).count() == 2
            {
                break observed;
            }
            assert!(Instant::now() < deadline, "{observed:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let busy = &observed.replicas[0];
        let (busy, begun) = (process_of(busy), Instant::now());
        let look = || (cpu_s(busy), begun.elapsed().as_secs_f64());
        let mut sample = async || {
            let before = look();
            let ctx = self.ctx();
            let measured = signals.sample(&ctx, &self.spec, &providers, &observed).await;
            (before, measured, look(), ctx.now)
        };
        let (start, first, first_end, _) = sample().await;
        assert_eq!(first.of(&self.target("busy"))[0], Measured::Absent, "one reading is no rate");
        while cpu_s(busy) < first_end.0 + 0.3 {
            assert!(begun.elapsed() < PATIENCE, "it does not burn");
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        let (second, measured, end, now) = sample().await;
        let of = |service: &str| match &measured.of(&self.target(service))[0] {
            Measured::Value { value, at } => {
                assert_eq!(*at, Moment::from(now));
                *value
            }
            other => panic!("{service}: {other:?}"),
        };
        // Between the latest and the earliest instants at which it can have been read, in percent of two
        // cores; the kernel counts in hundredths of a second.
        let percent = |cpu_s: f64, time_s: f64| cpu_s / time_s / 2.0 * 100.0;
        let least = percent(second.0 - first_end.0 - 0.03, end.1 - start.1);
        let most = percent(end.0 - start.0 + 0.03, second.1 - first_end.1);
        assert!((least..=most).contains(&of("busy")), "{least} {} {most}", of("busy"));
        assert!(of("idle") < of("busy") / 5.0, "{} {}", of("idle"), of("busy"));
        self.check_the_rest(measured.of(&self.target("busy")), observed).await;
    }

    async fn check_the_rest(&self, busy: &[Measured], observed: Observed) {
        let [
            _,
            Measured::Value { value: bytes, .. },
            Measured::Value { value: percent, .. },
            ready,
        ] = busy
        else {
            panic!("{busy:?}")
        };
        assert!((50_000.0..1e9).contains(bytes), "{bytes}");
        assert!((percent - bytes / (1u64 << 30) as f64 * 100.0).abs() < 1e-9, "{percent} {bytes}");
        let at = observed.at.into();
        assert_eq!(*ready, Measured::Value { value: 1.0, at });

        // One that is not ready does not count, and none is not nothing.
        let providers: Providers = [(self.name.clone(), Arc::clone(&self.provider))].into();
        let mut signals = Signals::new(Sources::new(), Duration::from_secs(15));
        let mut starting = observed.clone();
        starting.replicas.iter_mut().for_each(|replica| replica.phase = Phase::Starting);
        let measured = signals.sample(&self.ctx(), &self.spec, &providers, &starting).await;
        let absent = Measured::Absent;
        let expected = [absent.clone(), absent.clone(), absent, Measured::Value { value: 0.0, at }];
        assert_eq!(measured.of(&self.target("busy")), expected);
        assert_eq!(measured.of(&self.target("none")), expected);

        // A region that could not be read is not one without replicas.
        let gap = Gap {
            provider: self.name.clone(),
            region: self.region.clone(),
            error: "gone".to_owned(),
        };
        let unread = Observed { gaps: vec![gap], replicas: Vec::new(), ..observed };
        let measured = signals.sample(&self.ctx(), &self.spec, &providers, &unread).await;
        let failed = Measured::Failed("the replicas could not be read: gone".into());
        assert_eq!(measured.of(&self.target("busy")), vec![failed; 4]);
    }

    async fn end(self) {
        for service in ["busy", "idle"] {
            let key = ReplicaKey {
                target: self.target(service),
                provider: self.name.clone(),
                ordinal: Ordinal(0),
            };
            let destroy = Call::Destroy { key, drain: Duration::ZERO };
            self.provider.apply(&self.ctx(), &destroy).await.unwrap();
        }
        assert_eq!(self.provider.measure(&self.ctx(), &self.region).await, Ok(Vec::new()));
    }
}

/// Processor time of a process and its descendants, in seconds.
fn cpu_s(root: i32) -> f64 {
    let mut sum = 0.0;
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Ok(stat) = std::fs::read_to_string(entry.unwrap().path().join("stat")) else {
            continue;
        };
        let (pid, rest) = stat.split_once(' ').unwrap();
        let fields: Vec<&str> = rest.rsplit_once(')').unwrap().1.split_whitespace().collect();
        if pid.parse() == Ok(root) {
            sum += fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>();
        } else if fields[1].parse() == Ok(root) {
            sum += cpu_s(pid.parse().unwrap()) * 100.0;
        }
    }
    sum / 100.0
}

/// Nothing outlives its test, also not a failed one.
struct Cleanup<F: FnMut()>(F);

impl<F: FnMut()> Drop for Cleanup<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_measured_with_all_their_descendants() {
    let dir = tempfile::tempdir().unwrap();
    let infra = Infra::process(dir.path());
    let _cleanup = Cleanup(|| infra.clear("acme"));
    let config = ProcessConfig {
        dir: dir.path().join("host").display().to_string(),
        ports: "21990-21999".to_owned(),
        region: "local".to_owned(),
        cwd: None,
        log_bytes_max: 16 * 1024,
    };
    let exe = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
    let provider = ProcessProvider::new("host".try_into().unwrap(), &config, exe).unwrap();
    let owner = OwnerId::try_from("acme").unwrap();
    let world = World::new(Arc::new(provider), "host", "local".try_into().unwrap(), owner).await;
    world.tells_busy_from_idle(|replica| replica.instance.parse().unwrap()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_measured() {
    let dockerd = Dockerd::shared().await;
    let config = containers::config(&dockerd.host);
    let provider =
        DockerProvider::new("edge".try_into().unwrap(), &config, &BTreeMap::new()).unwrap();
    let owner = containers::unique_owner();
    let _cleanup = Cleanup(|| containers::remove_all_of(&dockerd, &owner));
    let world = World::new(Arc::new(provider), "edge", containers::region(), owner.clone()).await;
    let process_of = |replica: &Replica| {
        let arguments =
            ["--host", &dockerd.host, "inspect", "--format={{.State.Pid}}", &replica.instance];
        let output = Command::new("docker").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    world.tells_busy_from_idle(process_of).await;
    world.end().await;
}
