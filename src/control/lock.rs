//! One controller for one state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::apply::{Clock, elapsed};

/// Why the state folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another controller has it.
    #[error(
        "lock the state folder `{folder}`: another Tidegate uses it (process {holder}); stop it, or give this one a `stateDir` of its own"
    )]
    Held {
        /// The folder.
        folder: String,
        /// The other's process id.
        holder: String,
    },
    /// The lock file cannot be opened or written.
    #[error("lock the state folder `{folder}`: {source}; check that it exists and is writable")]
    Unusable {
        /// The folder.
        folder: String,
        /// What happened.
        source: std::io::Error,
    },
}

/// Held until dropped, or until this process ends in any way.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

/// How long a lock is waited for: one that was just killed, or is just ending, may hold it a moment longer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Pause between two tries.
const TRY_EVERY: Duration = Duration::from_millis(100);

impl StateLock {
    /// Takes the lock; waits a moment for one that is about to be let go.
    pub(super) async fn take(state_dir: &Path, clock: &dyn Clock) -> Result<Self, LockError> {
        let begun = clock.now();
        loop {
            match Self::try_take(state_dir) {
                Err(LockError::Held { .. }) if elapsed(begun, clock.now()) < WAIT_MAX => {
                    clock.sleep(TRY_EVERY).await;
                }
                result => return result,
            }
        }
    }

    fn try_take(state_dir: &Path) -> Result<Self, LockError> {
        let folder = state_dir.display().to_string();
        let unusable =
            |source: std::io::Error| LockError::Unusable { folder: folder.clone(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(state_dir.join("lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(unusable)?;
                return Err(LockError::Held { folder, holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let pid = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(pid.as_bytes()))
            .map_err(unusable)?;
        Ok(Self { _file: file })
    }
}
