//! Which process a process id meant when it was written down.
//!
//! A number alone may by now belong to somebody else's process. The number, the instant at which the
//! process started and the boot it started in belong to one process only; nothing in this provider
//! signals a process before all three were found to agree.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, getpgid, kill_process_group};
use serde::{Deserialize, Serialize};

/// One process, of all that ever ran on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProcessIdentity {
    /// Process id.
    pub(super) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// The kernel's id of that boot.
    pub(super) boot_id: String,
}

impl ProcessIdentity {
    /// The process that has this id now, dead but not yet reaped ones included; `None` without one.
    pub(super) fn of(pid: i32) -> io::Result<Option<Self>> {
        let Some(stat) = read_stat(pid)? else { return Ok(None) };
        Ok(Some(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id().to_owned() }))
    }

    /// Whether it still runs. A process that ended and waits to be reaped does not.
    pub(super) fn is_alive(&self) -> bool {
        self.boot_id == boot_id()
            && matches!(
                read_stat(self.pid),
                Ok(Some(stat)) if stat.runs && stat.start_ticks == self.start_ticks
            )
    }

    /// Sends a signal to it, and to no other process: `false` if it does not run any more.
    #[cfg(target_os = "linux")]
    pub(super) fn signal(&self, signal: Signal) -> io::Result<bool> {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        // The descriptor names one process for good, so that between check and signal no other process
        // can take its place.
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(process, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Without start times no process is known well enough to signal it.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn signal(&self, _signal: Signal) -> io::Result<bool> {
        Ok(false)
    }

    /// Sends a signal to it and, if it leads a process group, to the whole group.
    pub(super) fn signal_group(&self, signal: Signal) -> io::Result<bool> {
        if !self.is_alive() {
            return Ok(false);
        }
        match Pid::from_raw(self.pid) {
            Some(pid) if getpgid(Some(pid)) == Ok(pid) => match kill_process_group(pid, signal) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::SRCH) => Ok(false),
                Err(error) => Err(error.into()),
            },
            _ => self.signal(signal),
        }
    }
}

struct Stat {
    runs: bool,
    start_ticks: u64,
}

#[cfg(target_os = "linux")]
fn read_stat(pid: i32) -> io::Result<Option<Stat>> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => parse_stat(&text).map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has another form"))
        }),
        // A process that ends while it is read gives ESRCH.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_stat(_pid: i32) -> io::Result<Option<Stat>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "process start times are read on Linux only"))
}

/// Reads state (field 3) and start time (field 22); the name before them may hold spaces and brackets.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some(Stat { runs: !matches!(state, "Z" | "X" | "x"), start_ticks })
}

fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_its_start_time() {
        let stat = parse_stat("7 (a) R 1 2) S 1 7 7 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 1 0 9876 0")
            .unwrap();
        assert!(stat.runs);
        assert_eq!(stat.start_ticks, 9876);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = ProcessIdentity::of(std::process::id().try_into().unwrap()).unwrap().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "another".to_owned(), ..own }.is_alive());
    }
}
