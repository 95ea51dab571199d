//! Programs that tests start: found or complained about, waited for, and ended with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a server may take to answer: generous, because the machine may be busy.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a condition is looked at while waiting for it.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The path of a program; fails the test, naming the package to install, when it is missing.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/lib/git-core", "/usr/local/bin", "/bin", "/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("`{name}` is missing: install the Debian package `{package}` (tests/run does)")
        })
}

/// A port of 127.0.0.1 that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a condition holds; fails the test when it does not in time.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + START_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {START_TIMEOUT:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// A program that runs as long as this value lives.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program.
    pub(crate) fn start(command: &mut Command) -> Self {
        // A group of its own, so that what it starts ends with it.
        command.process_group(0);
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?} not started: {e}")))
    }

    /// Waits until it accepts connections.
    pub(crate) fn wait_for_port(mut self, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("a server's start", || {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("a server ended at once: {status}");
            }
            TcpStream::connect(address).is_ok()
        });
        self
    }
}

impl Drop for Running {
    /// Asks it, and what it started, to end; insists when it does not.
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let signal = |signal| rustix::process::kill_process_group(group, signal);
        let _ = signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline && !matches!(self.0.try_wait(), Ok(Some(_))) {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let _ = signal(rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}
