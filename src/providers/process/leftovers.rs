//! Ends what a killed supervisor left running, so that no replica ever runs twice.
//!
//! Only whoever holds the replica's lock may call this. Two signs tell a leftover: the identity that the
//! supervisor wrote down, and the replica's folder in the process's environment; the second also finds a
//! process that was started but not yet written down, and grandchildren.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::identity::ProcessIdentity;
use super::record::{FileError, State, StoredPhase};

/// The environment variable that marks every process of a replica: the replica's folder.
pub(super) const MARK: &str = "TIDEGATE_REPLICA";
/// Time between two looks at whether a process is gone: short beside the time a process takes to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time a killed process may take to be gone; only one that hangs inside the kernel takes longer.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Asks what an earlier supervisor left running to stop, and kills it after the drain time.
///
/// `before` is the state as the last supervisor left it. One that ended by itself left nothing, which
/// spares the search; one that cannot be read says nothing, and the search still finds what is marked.
/// Returns whether there was anything.
///
/// # Errors
/// When a process could not be signalled or does not go away even when killed.
pub(super) async fn end(
    folder: &Path,
    before: &Result<Option<State>, FileError>,
    drain: Duration,
) -> io::Result<bool> {
    let before = match before {
        Ok(None) => return Ok(false),
        Ok(Some(state)) if state.phase == StoredPhase::Stopped && state.child.is_none() => {
            return Ok(false);
        }
        Ok(Some(state)) => Some(state),
        Err(_) => None,
    };
    let leftovers = find(folder, before)?;
    if leftovers.is_empty() {
        return Ok(false);
    }
    for leftover in &leftovers {
        leftover.signal_group(Signal::TERM)?;
    }
    if !gone_within(&leftovers, drain).await {
        for leftover in &leftovers {
            leftover.signal_group(Signal::KILL)?;
        }
    }
    // What its parent kept away from the first signal, or started since, ends without further notice.
    for leftover in find(folder, before)? {
        leftover.signal(Signal::KILL)?;
    }
    let rest = find(folder, before)?;
    if gone_within(&rest, KILL_WAIT).await {
        return Ok(true);
    }
    let pids: Vec<String> = rest.iter().map(|p| p.pid.to_string()).collect();
    Err(io::Error::other(format!("process {} does not end even when killed", pids.join(", "))))
}

async fn gone_within(processes: &[ProcessIdentity], time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if processes.iter().all(|p| !p.is_alive()) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn find(folder: &Path, before: Option<&State>) -> io::Result<Vec<ProcessIdentity>> {
    let mut found = marked(folder)?;
    if let Some(child) = before.and_then(|state| state.child.as_ref())
        && child.is_alive()
        && !found.contains(child)
    {
        found.push(child.clone());
    }
    Ok(found)
}

/// The live processes whose environment names the replica's folder. Processes of other users, whose
/// environment may not be read, are not ours.
#[cfg(target_os = "linux")]
fn marked(folder: &Path) -> io::Result<Vec<ProcessIdentity>> {
    use std::os::unix::ffi::OsStrExt as _;

    let mut mark = format!("{MARK}=").into_bytes();
    mark.extend_from_slice(folder.as_os_str().as_bytes());
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == own_pid {
            continue;
        }
        let Ok(Some(process)) = ProcessIdentity::of(pid) else { continue };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark)
            && process.is_alive()
        {
            found.push(process);
        }
    }
    Ok(found)
}

#[cfg(not(target_os = "linux"))]
fn marked(_folder: &Path) -> io::Result<Vec<ProcessIdentity>> {
    Ok(Vec::new())
}
