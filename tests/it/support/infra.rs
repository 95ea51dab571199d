//! Where the replicas of a test run, looked at without the product's help: a fake world, processes, or
//! containers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use rustix::process::{Pid, Signal, kill_process};
use tidegate::model::Regions;
use tidegate::providers::testing::{FakeProvider, World};

use super::dockerd::{Dockerd, IMAGE};

/// Ports of this host for one test's replicas: above those that other tests have for themselves, and below
/// those that the kernel gives to clients.
const PORTS_FIRST: u32 = 22_000;
const PORTS_PER_TEST: u32 = 20;
const PORT_RANGES: u32 = 500;

/// One kind of infrastructure, this test's own.
#[derive(Debug)]
pub(crate) enum Infra {
    /// A world in a file.
    Fake(PathBuf),
    /// Processes of this host.
    Process(PathBuf),
    /// Containers of the tests' daemon.
    Docker { daemon: Dockerd, runtime: tokio::runtime::Runtime },
}

/// A replica as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) owner: String,
    /// As `service/region`.
    pub(crate) target: String,
    pub(crate) ordinal: u32,
    pub(crate) template: String,
    /// Differs from run to run of the same replica.
    pub(crate) instance: String,
    /// Whether it runs, and nothing of it is missing or there twice.
    pub(crate) is_whole: bool,
}

impl Infra {
    pub(crate) fn fake(dir: &Path) -> Self {
        Self::Fake(dir.join("world"))
    }

    pub(crate) fn process(dir: &Path) -> Self {
        Self::Process(dir.join("host"))
    }

    pub(crate) fn docker(_dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let daemon = runtime.block_on(Dockerd::shared());
        Self::Docker { daemon, runtime }
    }

    /// The provider's configuration, in flow form.
    pub(crate) fn config(&self) -> String {
        match self {
            Self::Fake(dir) => format!("{{type: fake, dir: {}, regions: [local]}}", dir.display()),
            Self::Process(dir) => {
                let first = PORTS_FIRST + std::process::id() % PORT_RANGES * PORTS_PER_TEST;
                let last = first + PORTS_PER_TEST - 1;
                format!("{{type: process, dir: {}, ports: {first}-{last}}}", dir.display())
            }
            Self::Docker { daemon, .. } => {
                format!("{{type: docker, hosts: {{local: \"{}\"}}}}", daemon.host)
            }
        }
    }

    /// A template, in flow form, whose replicas start and stop quickly.
    pub(crate) fn template(&self, version: &str) -> String {
        match self {
            Self::Fake(_) => {
                format!("{{image: a, env: {{VERSION: \"{version}\"}}, drain: 1s}}")
            }
            Self::Process(_) => format!(
                "{{command: [{}, worker], env: {{VERSION: \"{version}\"}}, drain: 1s, \
                 ports: [{{containerPort: 8080, env: PORT}}], \
                 health: {{http: {{path: /healthz}}, interval: 100ms}}}}",
                env!("CARGO_BIN_EXE_tidegate")
            ),
            Self::Docker { .. } => format!(
                "{{image: {IMAGE}, env: {{VERSION: \"{version}\"}}, drain: 1s, command: \
                 [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]}}"
            ),
        }
    }

    /// Looks at the fake world, or changes it as somebody else would.
    pub(crate) fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let Self::Fake(dir) = self else { panic!("there is no fake world here") };
        let name = "host".try_into().unwrap();
        FakeProvider::in_dir(name, dir.clone(), Regions::Any).with_world(act)
    }

    /// Every replica of every owner, sorted.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut seen = match self {
            Self::Fake(_) => self.with_world(|world| world.replicas.iter().map(fake).collect()),
            Self::Process(dir) => processes(dir),
            Self::Docker { daemon, runtime } => runtime.block_on(containers(daemon)),
        };
        seen.sort();
        seen
    }

    /// Ends whatever runs.
    pub(crate) fn clear(&self, owner: &str) {
        match self {
            Self::Fake(_) => {}
            Self::Process(dir) => {
                // Supervisors first, because they bring back what ends under them.
                for marked in [Mark::Supervisor, Mark::Replica] {
                    for (_, mark, pid) in marked_processes(dir) {
                        if mark == marked {
                            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
                        }
                    }
                }
            }
            Self::Docker { daemon, runtime } => runtime.block_on(async {
                let client = daemon.client();
                for seen in containers(daemon).await {
                    if seen.owner.starts_with(owner) {
                        let force = RemoveContainerOptionsBuilder::new().force(true).build();
                        let _ = client.remove_container(&seen.instance, Some(force)).await;
                    }
                }
            }),
        }
    }
}

fn fake(replica: &tidegate::providers::testing::FakeReplica) -> Seen {
    Seen {
        owner: replica.owner.to_string(),
        target: replica.target.to_string(),
        ordinal: replica.ordinal.0,
        template: replica.template.to_string(),
        instance: String::new(),
        is_whole: replica.running,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Has the folder as an argument.
    Supervisor,
    /// Has the folder in its environment.
    Replica,
}

/// Processes that name a replica's folder below this one.
fn marked_processes(dir: &Path) -> Vec<(PathBuf, Mark, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let words = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.split('\0').map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let arguments = words("cmdline");
        if arguments.get(1).is_some_and(|word| word == "supervise")
            && let Some(folder) = arguments.get(2).map(PathBuf::from)
            && folder.starts_with(dir)
        {
            found.push((folder, Mark::Supervisor, pid));
        }
        for word in words("environ") {
            if let Some(folder) = word.strip_prefix("TIDEGATE_REPLICA=").map(PathBuf::from)
                && folder.starts_with(dir)
            {
                found.push((folder, Mark::Replica, pid));
            }
        }
    }
    found
}

/// Folders `provider/owner/service/region/ordinal` and what runs for each. A process without a folder and
/// a folder without a process are replicas too, and not whole.
fn processes(dir: &Path) -> Vec<Seen> {
    let replicas = dir.join("replicas");
    let mut folders: BTreeSet<PathBuf> = BTreeSet::from([replicas.clone()]);
    for _level in ["provider", "owner", "service", "region", "ordinal"] {
        folders = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.is_dir())
            .collect();
    }
    let mut running: BTreeMap<PathBuf, (Vec<i32>, Vec<i32>)> =
        folders.into_iter().map(|folder| (folder, Default::default())).collect();
    for (folder, mark, pid) in marked_processes(dir) {
        let (supervisors, workers) = running.entry(folder).or_default();
        match mark {
            Mark::Supervisor => supervisors.push(pid),
            Mark::Replica => workers.push(pid),
        }
    }
    running
        .into_iter()
        .map(|(folder, (supervisors, workers))| {
            let text = fs::read(folder.join("replica.json")).unwrap_or_default();
            let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let mut parts = folder.strip_prefix(&replicas).unwrap_or(&folder).iter().skip(1);
            let mut part = || parts.next().unwrap_or_default().to_string_lossy().into_owned();
            Seen {
                owner: part(),
                target: format!("{}/{}", part(), part()),
                ordinal: part().parse().unwrap_or(u32::MAX),
                template: record["templateHash"].as_str().unwrap_or_default().to_owned(),
                is_whole: record.is_object() && supervisors.len() == 1 && workers.len() == 1,
                instance: format!("supervisors {supervisors:?}, workers {workers:?}"),
            }
        })
        .collect()
}

async fn containers(daemon: &Dockerd) -> Vec<Seen> {
    let owned = HashMap::from([("label", vec!["dev.tidegate.owner"])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&owned).build();
    let listed = daemon.client().list_containers(Some(options)).await.unwrap();
    listed
        .into_iter()
        .map(|container| {
            let labels = container.labels.unwrap_or_default();
            // Other tests share the daemon, and some plant containers with odd labels.
            let label = |name: &str| {
                labels.get(&format!("dev.tidegate.{name}")).cloned().unwrap_or_default()
            };
            Seen {
                owner: label("owner"),
                target: format!("{}/{}", label("service"), label("region")),
                ordinal: label("ordinal").parse().unwrap_or(u32::MAX),
                template: label("template"),
                instance: container.id.unwrap(),
                is_whole: container.state.is_some_and(|state| state.to_string() == "running"),
            }
        })
        .collect()
}
