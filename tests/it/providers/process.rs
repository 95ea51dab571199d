//! The `process` provider with the real binary as supervisor and, mostly, as worker.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate::model::{
    CommitId, FailureKind, Health, HealthProbe, Next, Ordinal, OwnerId, Phase, ProviderName,
    Region, Replica, ReplicaKey, Resources, Secret, ServiceId, TargetId, Template, TemplateHash,
};
use tidegate::providers::process::ProcessProvider;
use tidegate::providers::process::config::ProcessConfig;
use tidegate::providers::{Applied, Call, Ctx, Launch, Provider as _, ProviderError};

/// The longest wait for a condition: far beyond what any takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host folder, and the provider of one controller after another on it.
struct World {
    dir: TempDir,
    ports: String,
    owner: OwnerId,
}

impl World {
    /// Each test has ports of its own: tests run side by side on one host.
    fn new(first_port: u16, ports: u16) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ports: format!("{first_port}-{}", first_port + ports - 1),
            owner: OwnerId::try_from("acme").unwrap(),
        }
    }

    fn provider(&self) -> ProcessProvider {
        let config = ProcessConfig {
            dir: self.dir.path().join("host").to_str().unwrap().to_owned(),
            ports: self.ports.clone(),
            region: "local".to_owned(),
            cwd: None,
            log_bytes_max: 16 * 1024,
        };
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
        ProcessProvider::new(ProviderName::try_from("host").unwrap(), &config, exe).unwrap()
    }

    fn ctx(&self) -> Ctx {
        Ctx { now: Timestamp::now(), owner: self.owner.clone() }
    }

    async fn apply(&self, call: Call) -> Result<Applied, ProviderError> {
        self.provider().apply(&self.ctx(), &call).await
    }

    async fn create(&self, launch: &Launch) -> Result<Applied, ProviderError> {
        self.apply(Call::Create(Box::new(launch.clone()))).await
    }

    async fn start(&self, launch: &Launch) -> Result<Applied, ProviderError> {
        self.apply(Call::Start(Box::new(launch.clone()))).await
    }

    async fn destroy(&self, launch: &Launch) -> Result<Applied, ProviderError> {
        let (key, drain) = (launch.key.clone(), launch.template.drain);
        self.apply(Call::Destroy { key, drain }).await
    }

    async fn observe(&self) -> Result<Vec<Replica>, ProviderError> {
        self.provider().observe(&self.ctx(), &Region::try_from("local").unwrap()).await
    }

    /// The only replica.
    async fn one(&self) -> Replica {
        let mut all = self.observe().await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The only replica, once it is as wanted.
    async fn one_that(&self, what: &str, wanted: impl Fn(&Replica) -> bool) -> Replica {
        let found = async || Some(self.one().await).filter(|replica| wanted(replica));
        match until(found).await {
            Some(replica) => replica,
            None => panic!("not {what}: {:?}", self.one().await),
        }
    }

    async fn ready(&self) -> Replica {
        self.one_that("ready", |replica| replica.phase == Phase::Ready).await
    }

    fn folder(&self, launch: &Launch) -> PathBuf {
        let TargetId { service, region } = &launch.key.target;
        let host = self.dir.path().join("host/replicas/host").join(self.owner.as_str());
        host.join(service.as_str()).join(region.as_str()).join(launch.key.ordinal.to_string())
    }

    fn state(&self, launch: &Launch) -> serde_json::Value {
        let text = std::fs::read(self.folder(launch).join("state.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn supervisor(&self, launch: &Launch) -> i32 {
        i32::try_from(self.state(launch)["supervisor"]["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for World {
    /// Nothing outlives its test, also not a failed one.
    fn drop(&mut self) {
        for word in ["TIDEGATE_REPLICA", "supervise"] {
            for pid in processes_that_name(self.dir.path(), word) {
                kill(pid, Signal::KILL);
            }
        }
    }
}

/// Live processes below this folder: replicas name it in their environment, supervisors as an argument.
fn processes_that_name(dir: &Path, word: &str) -> Vec<i32> {
    let dir = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        for file in ["environ", "cmdline"] {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(word) && text.contains(dir) {
                found.push(pid);
            }
        }
    }
    found
}

fn replica_processes(world: &World) -> usize {
    processes_that_name(world.dir.path(), "TIDEGATE_REPLICA=").len()
}

fn kill(pid: i32, signal: Signal) {
    let _gone = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// Asks again and again until there is an answer, or patience ends.
async fn until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

async fn until_true(what: &str, ask: impl Fn() -> bool) {
    assert!(until(async || ask().then_some(())).await.is_some(), "{what}");
}

fn launch(ordinal: u32, command: &[&str]) -> Launch {
    Launch {
        key: ReplicaKey {
            target: TargetId {
                service: ServiceId::try_from("web").unwrap(),
                region: Region::try_from("local").unwrap(),
            },
            provider: ProviderName::try_from("host").unwrap(),
            ordinal: Ordinal(ordinal),
        },
        template: Template {
            image: None,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: BTreeMap::new(),
            ports: Vec::new(),
            resources: Resources::default(),
            health: None,
            drain: Duration::from_secs(5),
        },
        env: Vec::new(),
        template_hash: TemplateHash::from("0123456789ab"),
        spec_commit: CommitId::try_from("0123456789012345678901234567890123456789").unwrap(),
    }
}

/// The built-in worker with a health check.
fn worker(ordinal: u32, options: &[&str]) -> Launch {
    let mut launch = launch(ordinal, &[&["tidegate", "worker"], options].concat());
    launch.template.health = Some(Health {
        probe: HealthProbe::Http { path: "/healthz".to_owned(), port: None },
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(2),
        failures: 2,
        start_period: Duration::ZERO,
    });
    launch
}

fn shell(ordinal: u32, script: &str) -> Launch {
    launch(ordinal, &["sh", "-c", script])
}

async fn get(address: &str) -> String {
    reqwest::get(format!("http://{address}/")).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_replica_lives_from_create_to_destroy_and_every_call_can_be_repeated() {
    let world = World::new(21000, 10);
    let web = worker(0, &[]);
    assert_eq!(world.observe().await.unwrap(), []);
    assert_eq!(world.destroy(&web).await, Ok(Applied::AlreadySo));
    assert_eq!(world.start(&web).await.unwrap_err().kind, FailureKind::NotFound);

    assert_eq!(world.create(&web).await, Ok(Applied::Done));
    let replica = world.ready().await;
    assert_eq!(replica.key, web.key);
    assert_eq!(replica.template, web.template_hash);
    assert_eq!(replica.spec_commit, web.spec_commit);
    assert_eq!(replica.address.as_deref(), Some("127.0.0.1:21000"));
    assert!(replica.started_at.is_some());
    assert_eq!((replica.restarts, replica.last_exit.clone()), (0, None));
    let said = get(replica.address.as_deref().unwrap()).await;
    assert_eq!(said, format!("web/local#0 pid {}\n", replica.instance));

    // Each call is made by a provider that knows nothing of the one before, as after a restart.
    assert_eq!(world.create(&web).await, Ok(Applied::AlreadySo));
    assert_eq!(world.start(&web).await, Ok(Applied::AlreadySo));
    assert_eq!(world.one().await, replica);
    let other = Launch { template_hash: TemplateHash::from("ba9876543210"), ..web.clone() };
    let refused = world.create(&other).await.unwrap_err();
    assert_eq!((refused.kind, refused.next), (FailureKind::Conflict, Next::GiveUp));

    // What is sent to the controller's terminal or process group does not reach the supervisor.
    let supervisor = world.supervisor(&web);
    let pid = Pid::from_raw(supervisor);
    assert_eq!(rustix::process::getsid(pid).ok(), pid);
    assert_eq!(world.destroy(&web).await, Ok(Applied::Done));
    let entry = format!("/proc/{supervisor}");
    until_true("the supervisor is gone and reaped", || !Path::new(&entry).exists()).await;
    assert_eq!(replica_processes(&world), 0);
    assert_eq!(world.observe().await.unwrap(), []);
    assert!(!world.dir.path().join("host/replicas/host").exists());
    assert_eq!(world.destroy(&web).await, Ok(Applied::AlreadySo));
}

#[tokio::test]
async fn a_killed_process_is_started_again_and_the_reason_is_told() {
    let world = World::new(21010, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    let first = world.ready().await;
    kill(first.instance.parse().unwrap(), Signal::KILL);
    let waiting = world.one_that("in back-off", |r| matches!(r.phase, Phase::BackOff { .. })).await;
    assert_eq!(waiting.last_exit.unwrap().reason, "killed by signal 9 (SIGKILL)");
    let second = world.ready().await;
    assert_ne!(second.instance, first.instance);
    assert_eq!(second.restarts, 1);
    assert_eq!(second.address, first.address);
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn a_killed_supervisor_leaves_a_stopped_replica_that_a_start_does_not_double() {
    let world = World::new(21020, 10);
    // The shell has a child of its own, in the same group but not the leader.
    let web = shell(0, "sleep 1000 & wait");
    world.create(&web).await.unwrap();
    let first = world.ready().await;
    until_true("both run", || replica_processes(&world) == 2).await;
    kill(world.supervisor(&web), Signal::KILL);
    let stopped = world.one_that("stopped", |r| r.phase == Phase::Stopped).await;
    assert_eq!(stopped.started_at, None);
    assert_eq!(replica_processes(&world), 2);

    assert_eq!(world.start(&web).await, Ok(Applied::Done));
    assert!(!is_alive(first.instance.parse().unwrap()));
    let second = world.ready().await;
    assert_ne!(second.instance, first.instance);
    assert!(second.last_exit.unwrap().reason.contains("its supervisor was killed"));
    until_true("both run again", || replica_processes(&world) == 2).await;

    // A destroy finds and ends what is left just as well; and here only a grandchild is.
    kill(world.supervisor(&web), Signal::KILL);
    world.one_that("stopped", |r| r.phase == Phase::Stopped).await;
    kill(second.instance.parse().unwrap(), Signal::KILL);
    until_true("the shell is gone", || replica_processes(&world) == 1).await;
    assert_eq!(world.destroy(&web).await, Ok(Applied::Done));
    assert_eq!(replica_processes(&world), 0);
}

#[tokio::test]
async fn a_crash_between_record_and_supervisor_leaves_a_replica_that_can_be_started() {
    let world = World::new(21030, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    kill(world.supervisor(&web), Signal::TERM);
    world.one_that("stopped", |r| r.phase == Phase::Stopped).await;
    for file in ["state.json", "supervisor.log"] {
        std::fs::remove_file(world.folder(&web).join(file)).unwrap();
    }
    assert_eq!(world.one().await.phase, Phase::Stopped);
    assert_eq!(world.create(&web).await, Ok(Applied::Done));
    world.ready().await;
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn a_crash_loop_is_slowed_down() {
    let world = World::new(21040, 10);
    let web = shell(0, "echo going down >&2; exit 3");
    world.create(&web).await.unwrap();
    let third_wait = |r: &Replica| r.restarts == 2 && matches!(r.phase, Phase::BackOff { .. });
    let replica = world.one_that("waiting for the third time", third_wait).await;
    let Phase::BackOff { until } = replica.phase else { unreachable!() };
    assert_eq!(replica.last_exit.as_ref().unwrap().reason, "exit code 3");
    let wait = until.duration_since(replica.last_exit.unwrap().at).as_secs_f64();
    assert!((3.0..5.0).contains(&wait), "{wait}");
    let log = std::fs::read_to_string(world.folder(&web).join("stderr.log")).unwrap();
    assert_eq!(log, "going down\n".repeat(3));
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn an_unhealthy_replica_is_stopped_and_started_again() {
    let world = World::new(21050, 10);
    let web = worker(0, &["--unhealthy"]);
    world.create(&web).await.unwrap();
    let replica = world.one_that("restarted", |r| r.restarts == 1).await;
    let reason = replica.last_exit.unwrap().reason;
    assert_eq!(reason, "stopped as unhealthy (GET /healthz: status 503): exit code 0");
    let failure = &world.state(&web)["lastHealthFailure"]["reason"];
    assert_eq!(failure, "GET /healthz: status 503");
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn a_process_id_that_belongs_to_another_by_now_is_not_signalled() {
    let world = World::new(21060, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    kill(world.supervisor(&web), Signal::TERM);
    world.one_that("stopped", |r| r.phase == Phase::Stopped).await;

    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let mut state = world.state(&web);
    let mut forged = state["supervisor"].clone();
    forged["pid"] = stranger.id().into();
    state["supervisor"] = forged.clone();
    state["child"] = forged;
    std::fs::write(world.folder(&web).join("state.json"), state.to_string()).unwrap();
    assert_eq!(world.start(&web).await, Ok(Applied::Done));
    assert!(stranger.try_wait().unwrap().is_none());

    kill(world.supervisor(&web), Signal::KILL);
    world.one_that("stopped", |r| r.phase == Phase::Stopped).await;
    std::fs::write(world.folder(&web).join("state.json"), state.to_string()).unwrap();
    assert_eq!(world.destroy(&web).await, Ok(Applied::Done));
    assert!(stranger.try_wait().unwrap().is_none());
    assert_eq!(replica_processes(&world), 0);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn replicas_made_at_once_have_ports_of_their_own_and_a_full_range_is_told() {
    let world = World::new(21070, 5);
    // A port that somebody else listens on is not given.
    let _taken = std::net::TcpListener::bind("0.0.0.0:21071").unwrap();
    let made: Vec<Launch> = (0..4).map(|ordinal| worker(ordinal, &[])).collect();
    let calls = made.iter().map(|launch| world.create(launch));
    for applied in futures_util::future::join_all(calls).await {
        assert_eq!(applied, Ok(Applied::Done));
    }
    let replicas = world.observe().await.unwrap();
    assert!(replicas.is_sorted_by(|a, b| a.key < b.key));
    let addresses: BTreeSet<String> = replicas.into_iter().filter_map(|r| r.address).collect();
    let expected = [21070, 21072, 21073, 21074].map(|port| format!("127.0.0.1:{port}"));
    assert_eq!(addresses, BTreeSet::from(expected));

    let refused = world.create(&worker(4, &[])).await.unwrap_err();
    assert_eq!(refused.next, Next::GiveUp);
    assert!(refused.message.contains("21070 to 21074"), "{refused}");
    assert_eq!(world.observe().await.unwrap().len(), 4);
    for launch in &made {
        world.destroy(launch).await.unwrap();
    }
}

#[tokio::test]
async fn a_process_that_ignores_the_request_to_stop_is_killed_after_its_drain_time() {
    let world = World::new(21080, 10);
    let mut web = shell(0, "trap '' TERM; sleep 1000 & while :; do sleep 0.05; done");
    web.template.drain = Duration::from_millis(500);
    world.create(&web).await.unwrap();
    until_true("it runs", || replica_processes(&world) >= 2).await;
    let begun = Instant::now();
    // Whoever asks may not know it any more.
    let call = Call::Destroy { key: web.key.clone(), drain: Duration::ZERO };
    assert_eq!(world.apply(call).await, Ok(Applied::Done));
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(replica_processes(&world), 0);
}

#[tokio::test]
async fn a_replica_is_stopped_also_where_nothing_can_be_written() {
    let world = World::new(21160, 10);
    let web = shell(0, "exec sleep 1000");
    world.create(&web).await.unwrap();
    // In the way of the order to stop, for root too.
    std::fs::create_dir(world.folder(&web).join("stop.json")).unwrap();
    assert_eq!(world.destroy(&web).await, Ok(Applied::Done));
    assert_eq!(replica_processes(&world), 0);
}

#[tokio::test]
async fn files_that_cannot_be_removed_fail_no_destroy() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new(21150, 10);
    let web = shell(0, "exec sleep 1000");
    world.create(&web).await.unwrap();
    let kept = world.folder(&web).join("work/kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("file"), "mine").unwrap();
    let inside = std::fs::File::open(&kept).unwrap();
    // Keeps out users; of root, an attribute asks the same where the file system knows it.
    let chattr = |change: &str, path: &Path| {
        let _not_everywhere = std::process::Command::new("chattr").arg(change).arg(path).output();
    };
    inside.set_permissions(std::fs::Permissions::from_mode(0o500)).unwrap();
    chattr("+i", &kept);
    let destroyed = world.destroy(&web).await;
    let other = shell(1, "exec sleep 1000");
    world.create(&other).await.unwrap();
    let destroyed_other = world.destroy(&other).await;
    for removed in std::fs::read_dir(world.dir.path().join("host/outgoing")).unwrap() {
        chattr("-i", &removed.unwrap().path().join("work/kept"));
    }
    inside.set_permissions(std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!((destroyed, destroyed_other), (Ok(Applied::Done), Ok(Applied::Done)));
    assert_eq!(world.observe().await.unwrap(), []);
}

#[tokio::test]
async fn logs_cannot_fill_the_disk() {
    let world = World::new(21090, 10);
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000";
    let web = shell(0, script);
    world.create(&web).await.unwrap();
    let log = world.folder(&web).join("stdout.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    until_true("all is printed", || read().ends_with("line 19999\n")).await;
    let before = std::fs::read(log.with_extension("log.1")).unwrap();
    assert!(before.len() <= 16 * 1024 && read().len() <= 16 * 1024);
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn a_secret_reaches_the_replica_and_no_file() {
    const CANARY: &str = "canary-5f0c2a";
    let world = World::new(21100, 10);
    let mut web = shell(0, "echo $((${#TOKEN} + 1000)); env | cut -d= -f1 | sort; exec sleep 1000");
    web.env = vec![("TOKEN".to_owned(), Secret::new(CANARY))];
    assert!(!format!("{web:?} {:?}", world.provider()).contains(CANARY));
    world.create(&web).await.unwrap();
    world.ready().await;
    let seen = std::fs::read_to_string(world.folder(&web).join("stdout.log")).unwrap();
    assert!(seen.starts_with("1013\n"), "{seen}");
    // Nothing of the controller's own environment but these; `PWD` and `_` are the shell's own.
    let allowed = [
        "HOME",
        "LANG",
        "OLDPWD",
        "PATH",
        "PORT",
        "PWD",
        "SHLVL",
        "TIDEGATE_ORDINAL",
        "TIDEGATE_REGION",
        "TIDEGATE_REPLICA",
        "TIDEGATE_SERVICE",
        "TOKEN",
        "TZ",
        "_",
    ];
    assert!(seen.lines().skip(1).all(|name| allowed.contains(&name)), "{seen}");

    let found = std::process::Command::new("grep")
        .args(["-r", CANARY])
        .arg(world.dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let record = std::fs::read_to_string(world.folder(&web).join("replica.json")).unwrap();
    assert!(record.contains("TOKEN"));

    // The supervisor still has it for the next run.
    kill(world.one().await.instance.parse().unwrap(), Signal::KILL);
    world.one_that("back", |r| r.restarts == 1 && r.phase == Phase::Ready).await;
    let seen = std::fs::read_to_string(world.folder(&web).join("stdout.log")).unwrap();
    assert_eq!(seen.matches("1013\n").count(), 2);
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn replicas_of_other_owners_are_neither_seen_nor_touched() {
    let mut world = World::new(21110, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    let mine = world.ready().await;

    world.owner = OwnerId::try_from("other").unwrap();
    assert_eq!(world.observe().await.unwrap(), []);
    assert_eq!(world.destroy(&web).await, Ok(Applied::AlreadySo));
    world.create(&web).await.unwrap();
    assert_eq!(world.ready().await.address.as_deref(), Some("127.0.0.1:21111"));
    world.destroy(&web).await.unwrap();

    world.owner = OwnerId::try_from("acme").unwrap();
    assert_eq!(world.one().await, mine);
    world.destroy(&web).await.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_and_a_foreign_folder_is_not() {
    let world = World::new(21120, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    world.ready().await;
    let siblings = world.folder(&web).parent().unwrap().to_owned();
    std::fs::create_dir(siblings.join("notes")).unwrap();
    std::fs::write(siblings.join("notes/todo.txt"), "water the plants").unwrap();
    assert_eq!(world.one().await.key, web.key);

    let copy = siblings.join("1");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(world.folder(&web).join("replica.json"), copy.join("replica.json")).unwrap();
    assert!(world.observe().await.unwrap_err().message.contains("must not be copied"));
    std::fs::write(copy.join("replica.json"), "{").unwrap();
    assert!(world.observe().await.unwrap_err().message.contains("replica.json"));
    std::fs::remove_dir_all(&copy).unwrap();
    world.destroy(&web).await.unwrap();
    assert!(siblings.join("notes/todo.txt").exists());
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_refused_before_anything_is_made() {
    let world = World::new(21130, 10);
    let refused = world.create(&launch(0, &["no-such-program"])).await.unwrap_err();
    assert_eq!((refused.kind, refused.next), (FailureKind::Invalid, Next::GiveUp));
    assert!(refused.message.contains("`no-such-program`"), "{refused}");
    assert_eq!(world.observe().await.unwrap(), []);
}

#[tokio::test]
async fn a_supervisor_whose_folder_was_removed_by_hand_does_not_live_on() {
    let world = World::new(21140, 10);
    let web = worker(0, &[]);
    world.create(&web).await.unwrap();
    world.ready().await;
    let supervisor = world.supervisor(&web);
    std::fs::remove_dir_all(world.folder(&web)).unwrap();
    until_true("the supervisor ends", || !is_alive(supervisor)).await;
    until_true("the replica ends", || replica_processes(&world) == 0).await;
}

#[tokio::test]
async fn kills_at_any_moment_leave_no_orphan_and_no_double() {
    const SEED: u64 = 7;
    const ROUNDS: u32 = 40;
    let world = World::new(21150, 10);
    let mut random = fastrand::Rng::with_seed(SEED);
    let web = worker(0, &[]);
    for round in 0..ROUNDS {
        // The controller goes away in the middle of a create, and the supervisor is killed soon after.
        let cut_short = Duration::from_micros(random.u64(0..40_000));
        let _cut = tokio::time::timeout(cut_short, world.create(&web)).await;
        tokio::time::sleep(Duration::from_micros(random.u64(0..20_000))).await;
        for pid in processes_that_name(world.dir.path(), "supervise") {
            kill(pid, Signal::KILL);
            until_true("the supervisor is gone", || !is_alive(pid)).await;
        }
        let created = async || world.create(&web).await.ok();
        until(created).await.unwrap();
        let replica = world.ready().await;
        assert_eq!(replica_processes(&world), 1, "seed {SEED}, round {round}");
        assert_eq!(replica.address.as_deref(), Some("127.0.0.1:21150"));
        if random.bool() {
            let cut_short = Duration::from_micros(random.u64(0..20_000));
            let _cut = tokio::time::timeout(cut_short, world.destroy(&web)).await;
            assert!(until(async || world.destroy(&web).await.ok()).await.is_some());
            assert_eq!(replica_processes(&world), 0, "seed {SEED}, round {round}");
            assert_eq!(world.observe().await.unwrap(), []);
        }
    }
    world.destroy(&web).await.unwrap();
}
