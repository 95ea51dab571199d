//! One controller with everything around it: repository, world, clock, another writer, and its story.

#![expect(clippy::print_stdout, reason = "a failing seed tells its story")]

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use tempfile::TempDir;
use tidegate::apply::Clock;
use tidegate::config;
use tidegate::config::secrets::SecretSource;
use tidegate::control::{Controller, Purpose, Setup};
use tidegate::git::{Auth, Edit, GitError, Signature, StatusWriter};
use tidegate::model::{CommitId, Regions, TargetId};
use tidegate::providers::testing::{FakeProvider, FakeReplica};

use super::spec::{IDS, REGIONS, Spec};
use crate::support::git_servers::remote;
use crate::support::repo::Repo;

pub(super) const BRANCH: &str = "tidegate/status";
/// Prefix of the ids of the other writer's lines.
pub(super) const RACER: &str = "racer-";
/// Tries, of five milliseconds, to start while the push of a killed controller still holds the clone.
const START_TRIES_MAX: u32 = 4_000;

/// A clock that follows the runtime's paused one.
#[derive(Debug)]
struct VirtualClock {
    base: Timestamp,
    start: tokio::time::Instant,
}

#[async_trait::async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[derive(Debug)]
struct Nothing;

impl SecretSource for Nothing {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// What happened, shown when the seed fails.
pub(super) struct Story {
    seed: u64,
    is_told: bool,
    lines: Vec<String>,
}

impl Story {
    pub(super) fn tell(&mut self, line: String) {
        if self.is_told {
            println!("{line}");
        }
        self.lines.push(line);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {} failed; its story:\n{}", self.seed, self.lines.join("\n"));
            println!("run it alone with TIDEGATE_SEED={}", self.seed);
        }
    }
}

pub(super) struct Rig {
    pub(super) rng: Rng,
    pub(super) story: Story,
    pub(super) dir: TempDir,
    pub(super) repo: Repo,
    pub(super) fake: FakeProvider,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) controller: Option<Controller>,
    pub(super) spec: Spec,
    /// Whether the head of the spec branch is `spec`.
    pub(super) is_valid: bool,
    /// Replicas that are somebody else's.
    pub(super) foreign: Vec<FakeReplica>,
    /// Replicas that somebody else removed.
    pub(super) killed: BTreeMap<TargetId, i64>,
    /// The load of each service.
    pub(super) loads: BTreeMap<&'static str, f64>,
    /// Whether somebody measures it.
    pub(super) is_measured: bool,
    /// Seeds without faults and kills of the controller are held to more.
    pub(super) is_calm: bool,
    /// The newest commit that the controller was seen to adopt.
    pub(super) adopted: Option<CommitId>,
    racer_lines: u64,
}

impl Rig {
    pub(super) async fn new(seed: u64, is_told: bool) -> Self {
        let dir = folder();
        let repo = Repo::init(&dir.path().join("spec.git"));
        let mut rng = Rng::with_seed(seed);
        // Near midnight, so that many a run has two days of history.
        let base: Timestamp = "2026-11-21T23:50:00Z".parse().unwrap();
        let is_calm = seed % 4 == 1;
        let name = "fake".try_into().unwrap();
        // A provider that serves any region is asked only where something is known to be.
        let fake = if is_calm {
            FakeProvider::in_memory(name)
        } else {
            let regions = REGIONS.map(|region| region.try_into().unwrap());
            FakeProvider::in_memory_regions(name, Regions::Only(regions.into()))
        };
        let clock = VirtualClock { base, start: tokio::time::Instant::now() };
        let mut spec = Spec::default();
        for _ in 0..3 {
            spec.edit(&mut rng);
        }
        let foreign = foreign();
        fake.with_world(|world| world.replicas.clone_from(&foreign));
        let mut rig = Self {
            is_calm,
            rng,
            story: Story { seed, is_told, lines: Vec::new() },
            dir,
            repo,
            fake,
            clock: Arc::new(clock),
            controller: None,
            spec,
            is_valid: false,
            foreign,
            killed: BTreeMap::new(),
            loads: IDS.map(|id| (id, 20.0)).into(),
            is_measured: true,
            adopted: None,
            racer_lines: 0,
        };
        rig.commit_spec();
        rig
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        let now = self.clock.now();
        self.story.tell(format!("{now:.3} {}", what.into()));
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    pub(super) fn commit_spec(&mut self) {
        let yaml = self.spec.yaml();
        let commit = self.repo.commit("main", &[("controller/spec.yaml", yaml.as_bytes())]);
        self.is_valid = true;
        self.tell(format!("commit {}", commit.short()));
    }

    /// Writes the loads down, as measured now, if anybody does.
    pub(super) fn measure(&self) {
        if self.is_measured {
            let second = self.clock.now().as_second();
            let line = |(id, load): (&&str, &f64)| format!("{id} {load} {second}\n");
            let text: String = self.loads.iter().map(line).collect();
            std::fs::write(self.dir.path().join("load"), text).unwrap();
        }
    }

    pub(super) fn setup(&self) -> Setup {
        let text = format!(
            "repository: {{url: {}, pollInterval: 15s}}\nstatus: {{batch: 10s}}\n\
             providers: {{fake: {{type: fake, dir: unused}}}}\ndefaults: {{infra: fake}}\n\
             metrics: {{script: {{type: file, path: '{}'}}}}\n\
             interval: 15s\nstateDir: {}\nowner: me\n",
            self.repo.path.display(),
            self.dir.path().join("load").display(),
            self.dir.path().join("state").display(),
        );
        let (config, findings) = config::load(text.as_bytes(), "tidegate.yaml");
        let config = config.unwrap_or_else(|| panic!("{findings:?}"));
        let mut setup = Setup::build(config, Arc::new(Nothing), Path::new("/unused")).unwrap();
        let name = "fake".try_into().unwrap();
        setup.providers.insert(name, Arc::new(self.fake.clone()));
        setup
    }

    /// The running controller; starts one when there is none, once the one before is really dead.
    pub(super) async fn controller(&mut self) -> &mut Controller {
        let mut tries = 0;
        while self.controller.is_none() {
            let started =
                Controller::start(self.setup(), self.clock.clone(), Purpose::Act, Arc::new(|_| {}))
                    .await;
            match started {
                Ok(controller) => {
                    self.tell("the controller starts");
                    self.controller = Some(controller);
                }
                Err(tidegate::control::ControlError::Git(GitError::InUse(_)))
                    if tries < START_TRIES_MAX =>
                {
                    tries += 1;
                    let wait = || std::thread::sleep(Duration::from_millis(5));
                    tokio::task::spawn_blocking(wait).await.unwrap();
                }
                Err(error) => panic!("start the controller: {error}"),
            }
        }
        self.controller.as_mut().unwrap()
    }

    pub(super) fn kill(&mut self) {
        if self.controller.take().is_some() {
            self.tell("the controller is killed");
        }
    }

    /// The spec in force only ever moves on to a newer good commit.
    pub(super) fn note_adopted(&mut self) {
        let good =
            self.controller.as_ref().and_then(|c| c.source().good()).map(|g| g.commit.clone());
        if let Some(good) = good {
            self.adopted = Some(good);
        }
    }

    /// A commit of the other writer.
    pub(super) fn racer(&mut self) -> impl FnOnce() + Send + 'static {
        let mut edits = vec![Edit::Put {
            path: "other/file".to_owned(),
            content: format!("{}\n", self.racer_lines).into_bytes(),
        }];
        let now = self.clock.now();
        for _ in 0..self.rng.u32(1..4) {
            let id = format!("{RACER}{}", self.racer_lines);
            self.racer_lines += 1;
            let line = serde_json::json!({
                "v": 1, "id": id, "time": now, "target": {"service": "other", "region": "ams"},
                "kind": "change", "from": 1, "to": 1, "reason": "at-desired", "sentence": "",
                "specCommit": "a".repeat(40), "actor": "racer", "outcome": "applied",
                "durationMs": 1, "dryRun": false,
            });
            edits.push(Edit::Append {
                path_stem: tidegate::record::history_stem(now),
                lines: vec![(id, line.to_string())],
            });
        }
        let clone = self.dir.path().join("racer");
        let remote = remote(&self.repo.path.display().to_string(), Auth::None);
        move || {
            let author = Signature { name: "Racer".to_owned(), email: "r@example.com".to_owned() };
            let mut writer = StatusWriter::open(&clone, remote, BRANCH, "main", author).unwrap();
            let mut rng = Rng::new();
            let mut jitter = || rng.f64();
            while let Err(error) =
                writer.publish(&edits, "race\n", now, &mut jitter, &mut std::thread::sleep)
            {
                assert!(matches!(error, GitError::Rejected { .. }), "{error}");
            }
        }
    }

    pub(super) fn racer_lines(&self) -> u64 {
        self.racer_lines
    }
}

/// In memory where there is such a place: hundreds of runs wait for the disk otherwise.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Replicas of another owner and of another provider, with ordinals that ours have too.
fn foreign() -> Vec<FakeReplica> {
    let replica = |owner: &str, provider: &str, service: &str| FakeReplica {
        owner: owner.try_into().unwrap(),
        provider: provider.try_into().unwrap(),
        target: TargetId {
            service: service.try_into().unwrap(),
            region: "ams".try_into().unwrap(),
        },
        ordinal: tidegate::model::Ordinal(0),
        template: tidegate::model::TemplateHash::from("other"),
        spec_commit: CommitId::try_from("f".repeat(40)).unwrap(),
        running: true,
    };
    vec![replica("you", "fake", "web"), replica("you", "fake", "api"), replica("me", "else", "web")]
}

/// Runs the future for at most so many polls, and drops it then: a kill at any of its awaits.
pub(super) async fn at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
