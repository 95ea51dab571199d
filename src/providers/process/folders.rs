//! Comings and goings of replica folders: each appears whole and disappears whole.
//!
//! A new folder is filled where nobody looks and renamed into place; an old one is renamed away and then
//! emptied. Both happen under the provider-wide lock, which is held for moments only. Blocks its thread.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::layout::{LOCK_FILE, Layout, RECORD_FILE, STATE_FILE, WORK_FOLDER};
use super::record::{FileError, Record};
use super::text;

/// Time to wait for the provider-wide lock: thousands of times what its holders need.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Time between two attempts at the provider-wide lock.
const LOCK_RETRY_EVERY: Duration = Duration::from_millis(2);
/// Records and logs are nobody else's business.
const FOLDER_MODE: u32 = 0o700;
/// Folders above a replica's that are removed with the last replica in them: region, service, owner,
/// provider.
const LEVELS_ABOVE: usize = 4;

/// Why a folder could not be read, made or removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("make {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("list {path}")]
    List { path: PathBuf, source: io::Error },
    #[error("move {path} into place")]
    Move { path: PathBuf, source: io::Error },
    #[error("remove {path}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("lock {path}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("lock {path}: another controller held it for {LOCK_WAIT:?}")]
    LockBusy { path: PathBuf },
    #[error(
        "read {path}: the folder belongs to a replica, but its record is gone; stop its process, then remove the folder"
    )]
    NoRecord { path: PathBuf },
    #[error(transparent)]
    File(#[from] FileError),
}

/// The right to move folders and to give out ports, until dropped.
#[derive(Debug)]
pub(super) struct WideLock {
    _file: File,
}

impl Layout {
    /// Takes the provider-wide lock, and makes the provider's folder if it is missing.
    pub(super) fn lock_wide(&self) -> Result<WideLock, FolderError> {
        make_folder(&self.replicas())?;
        let path = self.lock();
        let failed = |source| FolderError::Lock { path: path.clone(), source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(WideLock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_RETRY_EVERY);
                }
                Err(TryLockError::WouldBlock) => return Err(FolderError::LockBusy { path }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Ports in the records of all owners and providers that share the folder.
    pub(super) fn ports_given(&self, _lock: &WideLock) -> Result<BTreeSet<u16>, FolderError> {
        let mut level = vec![self.replicas()];
        for _ in 0..=LEVELS_ABOVE {
            let mut below = Vec::new();
            for folder in level {
                below.extend(sub_folders(&folder)?.into_iter().map(|(_, path)| path));
            }
            level = below;
        }
        let mut ports = BTreeSet::new();
        for folder in level {
            if let Some(record) = read_record(&folder)? {
                ports.extend(record.ports.iter().map(|given| given.port));
            }
        }
        Ok(ports)
    }

    /// Makes a replica's folder with its record, in one step.
    pub(super) fn bring_in(
        &self,
        _lock: &WideLock,
        folder: &Path,
        record: &Record,
    ) -> Result<(), FolderError> {
        let incoming = self.incoming();
        // Only the holder of the lock is ever in there: what lies there, somebody was killed over.
        remove_whole(&incoming)?;
        make_folder(&incoming.join(WORK_FOLDER))?;
        record.write(&incoming)?;
        let lock = incoming.join(LOCK_FILE);
        File::create(&lock).map_err(|source| FolderError::Make { path: lock, source })?;
        let moved = |source| FolderError::Move { path: folder.to_owned(), source };
        if let Some(parent) = folder.parent() {
            make_folder(parent)?;
            fs::rename(&incoming, folder).map_err(moved)?;
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(moved)?;
        }
        Ok(())
    }

    /// Takes a replica's folder out of sight in one step; [`Self::empty_outgoing`] does the rest.
    pub(super) fn take_out(&self, _lock: &WideLock, folder: &Path) -> Result<(), FolderError> {
        let outgoing = self.outgoing();
        make_folder(&outgoing)?;
        let aside = outgoing.join(format!("{:016x}", fastrand::u64(..)));
        fs::rename(folder, &aside)
            .map_err(|source| FolderError::Remove { path: folder.to_owned(), source })?;
        for above in folder.ancestors().skip(1).take(LEVELS_ABOVE) {
            if fs::remove_dir(above).is_err() {
                break; // Not empty: others live there.
            }
        }
        Ok(())
    }

    /// Removes what was taken out of sight, also what a killed controller left there, as far as it can be
    /// removed: its replicas are gone, and a file that is in the way fails nobody's call.
    pub(super) fn empty_outgoing(&self) {
        let folders = sub_folders(&self.outgoing()).unwrap_or_else(|error| {
            tracing::warn!(error = %text::chain(&error), "cannot look for removed replicas' files");
            Vec::new()
        });
        for (_, path) in folders {
            if let Err(error) = remove_whole(&path) {
                tracing::warn!(
                    error = %text::chain(&error),
                    "a removed replica's files stay behind; remove them by hand"
                );
            }
        }
    }
}

/// The record of a folder that may be a replica's; `None` for one that is not, or is gone by now.
pub(super) fn read_record(folder: &Path) -> Result<Option<Record>, FolderError> {
    if let Some(record) = Record::read(folder)? {
        return Ok(Some(record));
    }
    let is_ours = [LOCK_FILE, STATE_FILE].iter().any(|name| folder.join(name).exists());
    // It may have been on its way out between the two looks: then it is not there at all.
    if is_ours && !folder.join(RECORD_FILE).exists() {
        return Err(FolderError::NoRecord { path: folder.to_owned() });
    }
    Ok(None)
}

/// Names and paths of the folders in a folder, links not followed, sorted by name; none if it is missing.
pub(super) fn sub_folders(path: &Path) -> Result<Vec<(String, PathBuf)>, FolderError> {
    let failed = |source| FolderError::List { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(name) = entry.file_name().into_string()
        {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn make_folder(path: &Path) -> Result<(), FolderError> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(|source| FolderError::Make { path: path.to_owned(), source })
}

fn remove_whole(path: &Path) -> Result<(), FolderError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FolderError::Remove { path: path.to_owned(), source }),
    }
}
