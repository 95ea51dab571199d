//! One run of a replica's own process: its start, its end, and that of everything it started.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};
use tokio::signal::unix::Signal as SignalStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::logs::{RotatedFile, carry};
use crate::providers::process::environment::Environment;
use crate::providers::process::identity::ProcessIdentity;
use crate::providers::process::layout::WORK_FOLDER;
use crate::providers::process::program;
use crate::providers::process::record::Record;

/// Time for the last output to reach the log once the process has ended. Only a process that left the
/// group can hold the pipe open longer.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);
/// Time between two looks at whether the rest of a group is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A replica's process, leader of a process group of its own.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    group: Pid,
    logs: JoinSet<io::Result<()>>,
}

impl Child {
    /// Starts the replica's command.
    ///
    /// # Errors
    /// In words that fit after "cannot start".
    pub(super) fn start(
        record: &Record,
        environment: &Environment,
        folder: &Path,
        own_program: &Path,
    ) -> Result<Self, String> {
        let cwd = record.cwd.clone().unwrap_or_else(|| folder.join(WORK_FOLDER));
        let (name, arguments) =
            record.command.split_first().ok_or_else(|| "the command: it is empty".to_owned())?;
        let file = program::find(name, own_program, &cwd, environment.get("PATH"))
            .ok_or_else(|| format!("`{name}`: there is no such program"))?;
        let mut process = Command::new(&file)
            .arg0(name)
            .args(arguments)
            .current_dir(&cwd)
            .env_clear()
            .envs(environment.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("`{name}` in {}: {error}", cwd.display()))?;
        let group = Pid::from_child(&process);
        let mut logs = JoinSet::new();
        let pipes: [(Option<OwnedFd>, &str); 2] = [
            (process.stdout.take().map(OwnedFd::from), "stdout.log"),
            (process.stderr.take().map(OwnedFd::from), "stderr.log"),
        ];
        for (pipe, name) in pipes {
            if let Some(pipe) = pipe {
                let file = RotatedFile::new(folder.join(name), record.log_bytes_max);
                logs.spawn(carry(pipe, file));
            }
        }
        Ok(Self { process, group, logs })
    }

    /// Who it is, for the state file.
    pub(super) fn identity(&self) -> Option<ProcessIdentity> {
        // It is not reaped yet, so that its number cannot belong to another.
        ProcessIdentity::of(self.group.as_raw_pid()).ok().flatten()
    }

    /// Whether the process itself has ended. It is not reaped by asking.
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.group), options) {
            Ok(status) => status.is_some(),
            Err(rustix::io::Errno::CHILD) => true,
            Err(_) => false,
        }
    }

    /// Asks the group to end, waits up to `drain`, kills what is left.
    pub(super) async fn end(mut self, drain: Duration, child_signals: &mut SignalStream) -> String {
        let deadline = Instant::now() + drain;
        self.signal_group(Signal::TERM);
        while !self.has_ended() {
            if timeout_at(deadline, child_signals.recv()).await.is_err() {
                self.signal_group(Signal::KILL);
                break;
            }
        }
        while !self.has_ended() {
            child_signals.recv().await;
        }
        let status = self.process.wait();
        // The leader may end before those it started; they have the rest of the drain time. As long as
        // one of them lives, the group's number cannot be given to another.
        while test_kill_process_group(self.group).is_ok() {
            if Instant::now() >= deadline {
                self.signal_group(Signal::KILL);
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        self.last_words().await;
        describe(status)
    }

    /// Cleans up after a process that ended by itself: kills what it started and left.
    pub(super) async fn bury(mut self) -> String {
        // Before the leader is reaped, because until then the group's number is certainly its own.
        self.signal_group(Signal::KILL);
        let status = self.process.wait();
        self.last_words().await;
        describe(status)
    }

    fn signal_group(&self, signal: Signal) {
        // The one possible failure is a group that is gone, which is what the signal is for.
        let _gone = kill_process_group(self.group, signal);
    }

    async fn last_words(&mut self) {
        let all = async { while self.logs.join_next().await.is_some() {} };
        let _held_open = timeout(LAST_WORDS_WAIT, all).await;
    }
}

/// How a run ended, in words.
fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}{}", signal_name(signal)),
            (None, None) => "ended in an unknown way".to_owned(),
        },
        Err(error) => format!("ended in an unknown way ({error})"),
    }
}

fn signal_name(signal: i32) -> &'static str {
    let names = [
        (Signal::HUP, " (SIGHUP)"),
        (Signal::INT, " (SIGINT)"),
        (Signal::QUIT, " (SIGQUIT)"),
        (Signal::ILL, " (SIGILL)"),
        (Signal::ABORT, " (SIGABRT)"),
        (Signal::BUS, " (SIGBUS)"),
        (Signal::FPE, " (SIGFPE)"),
        (Signal::KILL, " (SIGKILL)"),
        (Signal::SEGV, " (SIGSEGV)"),
        (Signal::PIPE, " (SIGPIPE)"),
        (Signal::TERM, " (SIGTERM)"),
        (Signal::XCPU, " (SIGXCPU)"),
    ];
    names.iter().find(|(known, _)| known.as_raw() == signal).map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let words = |raw| describe(Ok(ExitStatus::from_raw(raw)));
        assert_eq!(words(3 << 8), "exit code 3");
        assert_eq!(words(9), "killed by signal 9 (SIGKILL)");
        assert_eq!(words(40), "killed by signal 40");
    }
}
