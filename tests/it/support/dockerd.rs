//! A real Docker daemon for the tests: the one that `TIDEGATE_TEST_DOCKER_HOST` names, else one of our
//! own, shared by all tests of this machine and stopped some seconds after the last of them. Never a daemon
//! that somebody else started.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;

/// The image every test daemon has: busybox with `httpd`, `nc` and a few more.
pub(crate) const IMAGE: &str = "tidegate-test:1";
/// Time a daemon may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dockerd.sh");

/// A daemon, in use for as long as this lives.
#[derive(Debug)]
pub(crate) struct Dockerd {
    /// As `hosts:` of the configuration wants it.
    pub(crate) host: String,
    supervisor: Option<Child>,
    /// The supervisor stops a daemon when nobody holds its lock.
    _in_use: Option<File>,
    _dir: Option<tempfile::TempDir>,
}

impl Dockerd {
    /// The daemon that tests share. Owners tell their containers apart.
    pub(crate) async fn shared() -> Self {
        let named = std::env::var("TIDEGATE_TEST_DOCKER_HOST").ok();
        let (host, in_use) = match named {
            Some(host) => (host, None),
            None => {
                let dir = std::env::temp_dir().join("tidegate-test-dockerd");
                fs::create_dir_all(&dir).unwrap();
                let starting = open_lock(&dir, "start.lock");
                starting.lock().unwrap();
                let in_use = open_lock(&dir, "users.lock");
                in_use.lock_shared().unwrap();
                if !answers(&dir.join("docker.sock")).await {
                    let mut supervisor = serve(&dir, &[], 15);
                    wait_until_it_answers(&dir, &mut supervisor).await;
                }
                (host_of(&dir), Some(in_use))
            }
        };
        give_image(&host).await;
        Self { host, supervisor: None, _in_use: in_use, _dir: None }
    }

    /// A daemon of this test alone, that may be stopped and reconfigured.
    pub(crate) async fn private(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let in_use = open_lock(dir.path(), "users.lock");
        in_use.lock_shared().unwrap();
        let mut this = Self {
            host: host_of(dir.path()),
            supervisor: None,
            _in_use: Some(in_use),
            _dir: Some(dir),
        };
        this.start(options).await;
        give_image(&this.host).await;
        this
    }

    /// Starts a private daemon that was stopped.
    pub(crate) async fn start(&mut self, options: &[&str]) {
        let dir = self._dir.as_ref().unwrap().path().to_owned();
        let mut supervisor = serve(&dir, options, 2);
        wait_until_it_answers(&dir, &mut supervisor).await;
        self.supervisor = Some(supervisor);
    }

    /// Stops a private daemon.
    pub(crate) fn stop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            let pid = rustix::process::Pid::from_child(&supervisor);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            supervisor.wait().unwrap();
        }
    }

    /// The path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.host.strip_prefix("unix://").unwrap().into()
    }

    /// A client of the tests' own, to see what the provider did.
    pub(crate) fn client(&self) -> Docker {
        Docker::connect_with_unix(&self.host, 60, bollard::API_DEFAULT_VERSION).unwrap()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn host_of(dir: &Path) -> String {
    format!("unix://{}", dir.join("docker.sock").display())
}

fn open_lock(dir: &Path, name: &str) -> File {
    File::options().create(true).truncate(false).write(true).open(dir.join(name)).unwrap()
}

fn serve(dir: &Path, options: &[&str], linger_s: u32) -> Child {
    let log = File::create(dir.join("supervisor.log")).unwrap();
    Command::new(SCRIPT)
        .arg("serve")
        .arg(dir)
        .args(options)
        .env("LINGER", linger_s.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // The shared daemon outlives the test that starts it.
        .process_group(0)
        .spawn()
        .unwrap()
}

async fn wait_until_it_answers(dir: &Path, supervisor: &mut Child) {
    let deadline = Instant::now() + START_LIMIT;
    while !answers(&dir.join("docker.sock")).await {
        let log = || fs::read_to_string(dir.join("supervisor.log")).unwrap_or_default();
        if let Some(status) = supervisor.try_wait().unwrap() {
            panic!("dockerd did not start ({status}): {}", log());
        }
        assert!(Instant::now() < deadline, "dockerd does not answer: {}", log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn answers(socket: &Path) -> bool {
    let Some(path) = socket.to_str() else { return false };
    match Docker::connect_with_unix(path, 5, bollard::API_DEFAULT_VERSION) {
        Ok(client) => client.ping().await.is_ok(),
        Err(_) => false,
    }
}

async fn give_image(host: &str) {
    let client = Docker::connect_with_unix(host, 60, bollard::API_DEFAULT_VERSION).unwrap();
    if client.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let output = Command::new(SCRIPT).args(["image", host]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
