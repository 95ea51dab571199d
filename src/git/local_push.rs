//! Pushing to a repository on this machine: the branch there is moved only from the expected commit, under
//! its own lock. libgit2's transport for paths compares nothing, so two writers could overwrite each other.

use std::path::Path;

use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};

use super::error::{GitError, Purpose};
use super::session::Pushed;
use super::{Remote, global};

/// Folders inside folders that are copied: the status branch has five.
const DEPTH_MAX: usize = 32;

/// Pushes `commit`, whose only parent is `expected`, to `branch` of the repository at `path`.
pub(super) fn push(
    repository: &Repository,
    remote: &Remote,
    path: &Path,
    branch: &str,
    commit: Oid,
    expected: Option<Oid>,
) -> Result<Pushed, GitError> {
    global::isolate()?;
    let run = || -> Result<(), git2::Error> {
        let there = Repository::open(path)?;
        let name = format!("refs/heads/{branch}");
        let is_checked_out = !there.is_bare()
            && there.find_reference("HEAD")?.symbolic_target().ok().flatten() == Some(&name);
        if is_checked_out {
            return Err(git2::Error::from_str("the branch is checked out there"));
        }
        copy(repository, &there, commit, expected)?;
        // The zero id stands for a branch that is not there. Creating without it looks before it locks, so
        // two first commits at once could overwrite each other.
        let old = expected.unwrap_or(Oid::ZERO_SHA1);
        there.reference_matching(&name, commit, true, old, "push").map(|_| ())
    };
    match run() {
        Ok(()) => Ok(Pushed::Accepted),
        Err(error) => match error.code() {
            ErrorCode::Modified | ErrorCode::Exists | ErrorCode::Locked => {
                Ok(Pushed::Rejected(remote.cleaned(error.message())))
            }
            // The branch was deleted there.
            ErrorCode::NotFound if expected.is_some() && path.exists() => {
                Ok(Pushed::Rejected(remote.cleaned(error.message())))
            }
            _ => Err(GitError::of_remote(&error, remote, Purpose::Write)),
        },
    }
}

/// Copies what `commit` has and its parent has not; the commit last, so that it is never there without its
/// content.
fn copy(
    from: &Repository,
    to: &Repository,
    commit: Oid,
    parent: Option<Oid>,
) -> Result<(), git2::Error> {
    let tree = from.find_commit(commit)?.tree()?;
    let old = match parent {
        Some(parent) => Some(from.find_commit(parent)?.tree()?),
        None => None,
    };
    copy_tree(from, to, &tree, old.as_ref(), DEPTH_MAX)?;
    copy_object(from, to, commit)
}

fn copy_tree(
    from: &Repository,
    to: &Repository,
    tree: &Tree<'_>,
    old: Option<&Tree<'_>>,
    depth: usize,
) -> Result<(), git2::Error> {
    if depth == 0 {
        return Err(git2::Error::from_str("folders are nested too deeply"));
    }
    for entry in tree {
        let before = old
            .and_then(|old| old.get_name_bytes(entry.name_bytes()))
            .map(|entry| (entry.id(), entry.kind()));
        if before.is_some_and(|(id, _)| id == entry.id()) {
            continue;
        }
        match entry.kind() {
            Some(ObjectType::Tree) => {
                let old = match before {
                    Some((id, Some(ObjectType::Tree))) => Some(from.find_tree(id)?),
                    _ => None,
                };
                copy_tree(from, to, &from.find_tree(entry.id())?, old.as_ref(), depth - 1)?;
            }
            Some(ObjectType::Blob) => copy_object(from, to, entry.id())?,
            // A submodule names a commit of another repository.
            _ => {}
        }
    }
    copy_object(from, to, tree.id())
}

fn copy_object(from: &Repository, to: &Repository, id: Oid) -> Result<(), git2::Error> {
    let (from, to) = (from.odb()?, to.odb()?);
    if to.exists(id) {
        return Ok(());
    }
    let object = from.read(id)?;
    to.write(object.kind(), object.data()).map(|_| ())
}
