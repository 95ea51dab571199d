//! What libgit2 keeps per process: timeouts, trusted authorities, and where it looks for the user's own
//! configuration (nowhere). Nothing else in the crate may set such options.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::{GitError, Remote};

/// The shortest timeout: libgit2 takes 0 for "wait for ever".
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timeouts {
    connect_ms: i32,
    io_ms: i32,
}

/// Held for reading by every operation on the network, and for writing while an option changes: so no
/// operation runs while libgit2's globals are written.
static TIMEOUTS: RwLock<Timeouts> = RwLock::new(Timeouts { connect_ms: 0, io_ms: 0 });
static TRUSTED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static ISOLATED: OnceLock<Result<(), String>> = OnceLock::new();

/// Permission to use the network with a remote's settings, for as long as it is held.
pub(super) type Permit = RwLockReadGuard<'static, Timeouts>;

/// Cuts libgit2 off from the user's and the system's configuration. Called before any repository is opened.
pub(super) fn isolate() -> Result<(), GitError> {
    ISOLATED
        .get_or_init(|| forget_search_paths().map_err(|e| e.message().to_owned()))
        .clone()
        .map_err(GitError::Setup)
}

/// Waits until libgit2's options are those of `remote`, and keeps them so until the permit is dropped.
pub(super) fn permit(remote: &Remote) -> Result<Permit, GitError> {
    isolate()?;
    let wanted = Timeouts {
        connect_ms: milliseconds(remote.connect_timeout),
        io_ms: milliseconds(remote.io_timeout),
    };
    let trusts =
        |file: &PathBuf| TRUSTED.lock().unwrap_or_else(PoisonError::into_inner).contains(file);
    {
        let now = TIMEOUTS.read().unwrap_or_else(PoisonError::into_inner);
        if *now == wanted && remote.ca_file.as_ref().is_none_or(trusts) {
            return Ok(now);
        }
    }
    let mut now = TIMEOUTS.write().unwrap_or_else(PoisonError::into_inner);
    set_timeouts(&wanted).map_err(|e| GitError::Setup(e.message().to_owned()))?;
    *now = wanted;
    if let Some(file) = &remote.ca_file
        && !trusts(file)
    {
        trust(file).map_err(|source| GitError::CaFile { path: file.clone(), source })?;
        TRUSTED.lock().unwrap_or_else(PoisonError::into_inner).insert(file.clone());
    }
    Ok(RwLockWriteGuard::downgrade(now))
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.max(TIMEOUT_MIN).as_millis()).unwrap_or(i32::MAX)
}

#[expect(unsafe_code, reason = "libgit2's global options have no safe binding")]
fn forget_search_paths() -> Result<(), git2::Error> {
    use git2::ConfigLevel::{Global, ProgramData, System, XDG};
    for level in [ProgramData, System, XDG, Global] {
        // SAFETY: runs once, inside a `OnceLock`, before this module lets any repository be opened.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    Ok(())
}

#[expect(unsafe_code, reason = "libgit2's global options have no safe binding")]
fn set_timeouts(timeouts: &Timeouts) -> Result<(), git2::Error> {
    // SAFETY: the caller holds the write lock, and every operation that reads these values holds a read lock.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(timeouts.connect_ms)?;
        git2::opts::set_server_timeout_in_milliseconds(timeouts.io_ms)
    }
}

#[expect(unsafe_code, reason = "libgit2's global options have no safe binding")]
fn trust(file: &std::path::Path) -> Result<(), git2::Error> {
    let text = file.to_str().ok_or_else(|| git2::Error::from_str("the path is not valid UTF-8"))?;
    // SAFETY: the caller holds the write lock, and every TLS connection is made under a read lock.
    unsafe { git2::opts::set_ssl_cert_file(text) }
}
