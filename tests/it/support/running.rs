//! A controller that runs as a child process: waited for, asked to end, or killed.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest wait for a condition: far beyond what any takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// A running controller. It is killed with the test; its replicas go with the bench.
#[derive(Debug)]
pub(crate) struct Controller {
    child: Child,
    log: PathBuf,
}

impl Controller {
    /// Takes care of a controller that was started, and logs to this file.
    pub(crate) fn new(child: Child, log: PathBuf) -> Self {
        Self { child, log }
    }

    /// What it, and those that ran before it on this bench, logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until a condition holds, and shows the log when it does not.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the controller ended with {status} before {what}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "{what} did not happen:\n{}", self.log());
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until the log has this text.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        let log = self.log.clone();
        self.wait(&format!("a log line with {text:?}"), || {
            fs::read_to_string(&log).unwrap().contains(text)
        });
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Kills it without warning, and goes on with another one.
    pub(crate) fn restart(&mut self, start: impl FnOnce() -> Self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
        *self = start();
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end, and fails the test unless it does so in peace.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.ask_to_end();
        self.wait_for_end();
    }

    /// Fails the test unless it ends in peace.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log());
            std::thread::sleep(LOOK_INTERVAL);
        };
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
