//! The lock that a supervisor holds while it lives, and with it the right to run a replica.
//!
//! The kernel releases the lock when its holder ends, however it ends: a held lock means that a
//! supervisor runs, a free one that none does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::layout::LOCK_FILE;

/// Who has the lock of a folder.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The caller, until it drops the file.
    Mine(File),
    /// Somebody else.
    Theirs,
    /// The folder is gone.
    NoFolder,
}

/// Takes the lock of a replica's folder if it is free. Never makes the folder.
pub(super) fn try_take(folder: &Path) -> io::Result<Attempt> {
    let path = folder.join(LOCK_FILE);
    let file = match OpenOptions::new().write(true).create(true).truncate(false).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Attempt::NoFolder),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        // Whoever removes a folder holds its lock; the lock of a removed folder guards nothing.
        Ok(()) if is_file_at(&file, &path)? => Ok(Attempt::Mine(file)),
        Ok(()) => Ok(Attempt::NoFolder),
        Err(TryLockError::WouldBlock) => Ok(Attempt::Theirs),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether somebody holds the lock of a replica's folder.
///
/// Asks with a shared lock, so that two who ask do not take each other for a supervisor; a supervisor
/// that starts in this moment tries again.
pub(super) fn is_held(folder: &Path) -> io::Result<bool> {
    let file = match File::open(folder.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the path still leads to this file.
pub(super) fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok(there.ino() == own.ino() && there.dev() == own.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
