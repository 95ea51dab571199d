//! The kit against real processes of this host, supervised by the real binary.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tidegate::model::{
    Health, HealthProbe, OwnerId, Port, ProviderName, Region, ReplicaKey, Resources, Template,
};
use tidegate::providers::Provider;
use tidegate::providers::process::ProcessProvider;
use tidegate::providers::process::config::ProcessConfig;

use super::Subject;

/// Ports that one test needs at most, with room for those whose sockets linger.
const PORTS_EACH: u16 = 100;
/// Below the range from which the kernel gives out ports by itself.
const PORTS_FROM: u16 = 23_000;
/// How many tests may run side by side without meeting.
const SLOTS: u16 = 90;

/// A host folder of its own, and a bystander that is nobody's replica.
struct ProcessSubject {
    dir: TempDir,
    bystander: Mutex<Option<Child>>,
}

impl ProcessSubject {
    #[expect(clippy::unused_async, reason = "the kit waits for every subject alike")]
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bystander: Mutex::new(None) }
    }
}

#[async_trait]
impl Subject for ProcessSubject {
    fn provider(&self, name: &ProviderName) -> Box<dyn Provider> {
        let slot = u16::try_from(std::process::id() % u32::from(SLOTS)).unwrap();
        let first = PORTS_FROM + slot * PORTS_EACH;
        let config = ProcessConfig {
            dir: self.dir.path().join("host").to_str().unwrap().to_owned(),
            ports: format!("{first}-{}", first + PORTS_EACH - 1),
            region: "local".to_owned(),
            cwd: None,
            log_bytes_max: 64 * 1024,
        };
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
        Box::new(ProcessProvider::new(name.clone(), &config, exe).unwrap())
    }

    fn region(&self) -> Region {
        Region::try_from("local").unwrap()
    }

    fn owner(&self) -> OwnerId {
        OwnerId::try_from("kit").unwrap()
    }

    fn template(&self) -> Template {
        Template {
            image: None,
            command: vec!["tidegate".to_owned(), "worker".to_owned()],
            env: std::collections::BTreeMap::new(),
            ports: vec![Port {
                name: Some("http".to_owned()),
                container_port: 8080,
                host_port: None,
                env: Some("PORT".to_owned()),
            }],
            resources: Resources::default(),
            health: Some(Health {
                probe: HealthProbe::Http { path: "/healthz".to_owned(), port: None },
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(2),
                failures: 3,
                start_period: Duration::from_secs(20),
            }),
            drain: Duration::from_secs(1),
        }
    }

    async fn plant_foreign(&self, _key: &ReplicaKey) {
        let child = Command::new("sleep").arg("300").spawn().unwrap();
        *self.bystander.lock().unwrap() = Some(child);
    }

    async fn foreign_is_untouched(&self) -> bool {
        let mut bystander = self.bystander.lock().unwrap();
        bystander.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn names_clash(&self) -> bool {
        false
    }

    async fn set_backend(&self, _up: bool) -> bool {
        // This host cannot be away from itself.
        false
    }
}

impl Drop for ProcessSubject {
    fn drop(&mut self) {
        if let Some(child) = self.bystander.lock().unwrap().as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A supervisor whose folder is gone ends by itself; a test that failed must not leave it waiting.
        for state in crate::support::files_named(self.dir.path(), "state.json") {
            let text = std::fs::read_to_string(state).unwrap_or_default();
            let Ok(state) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            let pid = state.pointer("/supervisor/pid").and_then(serde_json::Value::as_i64);
            let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, Signal::TERM);
            }
        }
    }
}

super::conformance!(ProcessSubject::new());
