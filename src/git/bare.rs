//! The bare repositories that mirror and writer keep: made, locked, checked, and made anew when broken. They
//! are caches, so a broken one is moved aside, never repaired; a folder that is not ours is never touched.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository, RepositoryInitOptions};

use super::{GitError, global};
use crate::model::CommitId;

/// Marks a folder as ours, and is locked while it is in use.
const MARKER: &str = "tidegate-cache";
/// What is added to the name of a folder that was moved aside.
const ASIDE_SUFFIX: &str = ".broken";
/// Levels of folders under `refs/` that are searched for locks left behind by a killed process.
const REFS_DEPTH_MAX: usize = 16;

/// Who else may use the folder at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody: a writer.
    Exclusive,
    /// Others of the same kind: a mirror is safe to share between processes.
    Shared,
}

/// A bare repository in a folder of ours.
pub(super) struct Bare {
    pub(super) dir: PathBuf,
    pub(super) repository: Repository,
    /// Set when the folder held a broken repository: where that is now.
    pub(super) moved_aside: Option<PathBuf>,
    lock: File,
}

impl Bare {
    /// Opens the repository in `dir`, making it when there is none.
    pub(super) fn open(dir: &Path, sharing: Sharing) -> Result<Self, GitError> {
        global::isolate()?;
        let mut moved_aside = None;
        let mut lock = lock_folder(dir, sharing)?;
        let repository = match open_checked(dir) {
            Ok(repository) => repository,
            Err(error) if error.code() == ErrorCode::Owner => {
                return Err(GitError::Owner(dir.display().to_string()));
            }
            Err(_) => {
                if dir.join("HEAD").exists() {
                    moved_aside = Some(move_aside(dir)?);
                    lock = lock_folder(dir, sharing)?;
                }
                create(dir).map_err(storage("creating it", dir))?
            }
        };
        Ok(Self { dir: dir.to_owned(), repository, moved_aside, lock })
    }

    /// Runs `work` while no other process uses the folder; does nothing when one does.
    pub(super) fn while_alone(
        &mut self,
        sharing: Sharing,
        work: impl FnOnce(&Path) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        if sharing == Sharing::Exclusive {
            return work(&self.dir);
        }
        if self.lock.try_lock().is_err() {
            return self.lock.lock_shared().map_err(io(&self.dir));
        }
        let result = work(&self.dir);
        self.lock.lock_shared().map_err(io(&self.dir))?;
        result
    }

    /// Opens the same folder again, after its files changed under the open repository.
    pub(super) fn reopen(&mut self) -> Result<(), GitError> {
        self.repository =
            Repository::open_bare(&self.dir).map_err(storage("opening it again", &self.dir))?;
        Ok(())
    }

    /// An error of the local repository.
    pub(super) fn failed(&self, doing: &'static str) -> impl FnOnce(git2::Error) -> GitError {
        storage(doing, &self.dir)
    }

    /// The tree of a commit.
    pub(super) fn tree_of(&self, commit: Oid) -> Result<git2::Tree<'_>, GitError> {
        self.repository
            .find_commit(commit)
            .and_then(|commit| commit.tree())
            .map_err(|_| GitError::NoSuchCommit(commit.to_string()))
    }
}

pub(super) fn storage(doing: &'static str, path: &Path) -> impl FnOnce(git2::Error) -> GitError {
    let path = path.to_owned();
    move |source| GitError::Storage { doing, path, source }
}

pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> GitError {
    let path = path.to_owned();
    move |source| GitError::Io { path, source }
}

/// A commit's id as the rest of the program knows it.
pub(super) fn commit_id(id: Oid) -> Result<CommitId, GitError> {
    CommitId::try_from(id.to_string()).map_err(|_| GitError::NoSuchCommit(id.to_string()))
}

/// A commit's id as libgit2 knows it.
pub(super) fn oid(id: &CommitId) -> Result<Oid, GitError> {
    Oid::from_str(id.as_str()).map_err(|_| GitError::NoSuchCommit(id.to_string()))
}

/// Whether `name` can be a branch, and cannot be taken for an option or a pattern.
pub(super) fn check_branch(name: &str) -> Result<(), GitError> {
    let ok = !name.starts_with(['-', '+'])
        && name.len() <= 255
        && git2::Reference::is_valid_name(&format!("refs/heads/{name}"));
    if ok { Ok(()) } else { Err(GitError::BranchName(name.to_owned())) }
}

fn lock_folder(dir: &Path, sharing: Sharing) -> Result<File, GitError> {
    fs::create_dir_all(dir).map_err(io(dir))?;
    let marker = dir.join(MARKER);
    if !marker.exists() && fs::read_dir(dir).map_err(io(dir))?.next().is_some() {
        return Err(GitError::ForeignFolder(dir.to_owned()));
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&marker)
        .map_err(io(&marker))?;
    match file.try_lock() {
        // Nobody else is in here, so every lock file inside is one that a killed process left.
        Ok(()) => remove_stale_locks(dir),
        Err(TryLockError::WouldBlock) if sharing == Sharing::Exclusive => {
            return Err(GitError::InUse(dir.to_owned()));
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => return Err(GitError::Io { path: marker, source }),
    }
    if sharing == Sharing::Shared {
        file.lock_shared().map_err(io(&marker))?;
    }
    Ok(file)
}

fn remove_stale_locks(dir: &Path) {
    fn walk(dir: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "lock") {
                // One that cannot be removed shows as an error of the operation it blocks.
                let _ = fs::remove_file(&path);
            } else if depth > 0 && entry.file_type().is_ok_and(|t| t.is_dir()) {
                walk(&path, depth - 1);
            }
        }
    }
    walk(dir, 0);
    walk(&dir.join("refs"), REFS_DEPTH_MAX);
}

/// Opens a repository and reads what every reference points at, so that damage shows now and not later.
fn open_checked(dir: &Path) -> Result<Repository, git2::Error> {
    let repository = Repository::open_bare(dir)?;
    for reference in repository.references()? {
        reference?.peel_to_commit()?.tree()?;
    }
    harden(&repository)?;
    Ok(repository)
}

fn create(dir: &Path) -> Result<Repository, git2::Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("none");
    let repository = Repository::init_opts(dir, &options)?;
    harden(&repository)?;
    Ok(repository)
}

/// Settings that a listing of refs takes from nowhere else.
fn harden(repository: &Repository) -> Result<(), git2::Error> {
    let mut config = repository.config()?;
    if config.get_string("http.followRedirects").ok().as_deref() != Some("false") {
        config.set_bool("http.followRedirects", false)?;
    }
    Ok(())
}

fn move_aside(dir: &Path) -> Result<PathBuf, GitError> {
    let mut name = dir.as_os_str().to_owned();
    name.push(ASIDE_SUFFIX);
    let aside = PathBuf::from(name);
    if aside.exists() {
        if !aside.join(MARKER).exists() {
            return Err(GitError::ForeignFolder(aside));
        }
        fs::remove_dir_all(&aside).map_err(io(&aside))?;
    }
    fs::rename(dir, &aside).map_err(io(dir))?;
    Ok(aside)
}
