//! The commits that GitHub makes, made by git's own program: another merge than the product's.

use std::path::Path;
use std::process::Command;

use git2::{Oid, Repository, Signature, Time, build::TreeUpdateBuilder};
use tidegate::model::CommitId;

use super::state::PullRecord;
use crate::support::programs::program;

/// A merge that git does not make by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict;

fn open(folder: &Path) -> Repository {
    Repository::open_bare(folder).unwrap()
}

pub(crate) fn id(oid: Oid) -> CommitId {
    CommitId::try_from(oid.to_string()).unwrap()
}

pub(crate) fn oid(commit: &CommitId) -> Oid {
    Oid::from_str(commit.as_str()).unwrap()
}

/// Whether a full id is a commit that is there.
pub(crate) fn has_commit(folder: &Path, sha: &str) -> bool {
    sha.len() == 40 && Oid::from_str(sha).is_ok_and(|oid| open(folder).find_commit(oid).is_ok())
}

/// The commit that a branch, a tag or a commit's id names.
pub(crate) fn resolved(folder: &Path, name: &str) -> Option<CommitId> {
    let repository = open(folder);
    let object = repository.revparse_single(name).ok()?;
    Some(id(object.peel_to_commit().ok()?.id()))
}

/// The head of a branch.
pub(crate) fn head(folder: &Path, branch: &str) -> CommitId {
    resolved(folder, &format!("refs/heads/{branch}"))
        .unwrap_or_else(|| panic!("there is no branch {branch}"))
}

/// Moves a reference anywhere.
pub(crate) fn set(folder: &Path, reference: &str, commit: &CommitId) {
    open(folder).reference(reference, oid(commit), true, "push").unwrap();
}

/// The commits of a range, oldest first.
pub(crate) fn between(folder: &Path, from: &CommitId, to: &CommitId) -> Vec<CommitId> {
    let repository = open(folder);
    let mut walk = repository.revwalk().unwrap();
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE).unwrap();
    walk.push(oid(to)).unwrap();
    walk.hide(oid(from)).unwrap();
    walk.map(|commit| id(commit.unwrap())).collect()
}

/// The pull request's own commits, oldest first.
pub(crate) fn own_commits(folder: &Path, pull: &PullRecord) -> Vec<CommitId> {
    match &pull.merged {
        Some(merged) => merged.own.clone(),
        None => between(folder, &pull.base_sha, &pull.head),
    }
}

pub(crate) fn merge_base(folder: &Path, one: &CommitId, other: &CommitId) -> CommitId {
    id(open(folder).merge_base(oid(one), oid(other)).unwrap())
}

/// A commit of files on top of another; `None` as content removes a file.
pub(crate) fn commit_files(
    folder: &Path,
    parent: Option<&CommitId>,
    files: &[(&str, Option<&[u8]>)],
    message: &str,
    author: &str,
    at: i64,
) -> CommitId {
    let repository = open(folder);
    let parent = parent.map(|parent| repository.find_commit(oid(parent)).unwrap());
    let base = match &parent {
        Some(parent) => parent.tree().unwrap(),
        None => {
            let empty = repository.treebuilder(None).unwrap().write().unwrap();
            repository.find_tree(empty).unwrap()
        }
    };
    let mut update = TreeUpdateBuilder::new();
    for (path, content) in files {
        match content {
            Some(content) => {
                let blob = repository.blob(content).unwrap();
                update.upsert(*path, blob, git2::FileMode::Blob);
            }
            None => {
                update.remove(*path);
            }
        }
    }
    let tree = update.create_updated(&repository, &base).unwrap();
    let tree = repository.find_tree(tree).unwrap();
    let who = signature(author, at);
    let parents: Vec<_> = parent.iter().collect();
    id(repository.commit(None, &who, &who, message, &tree, &parents).unwrap())
}

fn signature(login: &str, at: i64) -> Signature<'static> {
    let email = format!("{login}@users.noreply.github.example");
    Signature::new(login, &email, &Time::new(at, 0)).unwrap()
}

/// Who signs what the web page makes.
fn web_flow(at: i64) -> Signature<'static> {
    Signature::new("GitHub", "noreply@github.com", &Time::new(at, 0)).unwrap()
}

/// The tree of two commits merged by git itself, from a base or from where they parted.
fn merged_tree(
    folder: &Path,
    base: Option<&CommitId>,
    ours: &CommitId,
    theirs: &CommitId,
) -> Result<Oid, Conflict> {
    // Git before 2.40 finds the base itself only: from there on, two commits that are nowhere else part.
    let parted = |commit: &CommitId, base: &CommitId| {
        let repository = open(folder);
        let tree = repository.find_commit(oid(commit)).unwrap().tree_id();
        let nobody = signature("nobody", 0);
        write(folder, tree, &[base], "a side of a merge\n", &nobody, &nobody)
    };
    let (ours, theirs) = match base {
        Some(base) => (parted(ours, base), parted(theirs, base)),
        None => (ours.clone(), theirs.clone()),
    };
    let out = Command::new(program("git", "git"))
        .arg("-C")
        .arg(folder)
        .args(["merge-tree", "--write-tree", "--no-messages", ours.as_str(), theirs.as_str()])
        .output()
        .unwrap();
    match out.status.code() {
        Some(0) => Ok(Oid::from_str(String::from_utf8(out.stdout).unwrap().trim()).unwrap()),
        Some(1) => Err(Conflict),
        _ => panic!("git merge-tree: {}", String::from_utf8_lossy(&out.stderr)),
    }
}

/// A merge commit of two parents.
pub(crate) fn merge(
    folder: &Path,
    onto: &CommitId,
    head: &CommitId,
    message: &str,
    by: &str,
    at: i64,
) -> Result<CommitId, Conflict> {
    let tree = merged_tree(folder, None, onto, head)?;
    Ok(write(folder, tree, &[onto, head], message, &signature(by, at), &web_flow(at)))
}

/// One commit of everything.
pub(crate) fn squash(
    folder: &Path,
    onto: &CommitId,
    head: &CommitId,
    message: &str,
    author: &str,
    at: i64,
) -> Result<CommitId, Conflict> {
    let tree = merged_tree(folder, None, onto, head)?;
    Ok(write(folder, tree, &[onto], message, &signature(author, at), &web_flow(at)))
}

/// Copies of the commits on top of another, oldest first: GitHub copies also what could stay as it is.
pub(crate) fn rebase(
    folder: &Path,
    onto: &CommitId,
    commits: &[CommitId],
    by: &str,
    at: i64,
) -> Result<Vec<CommitId>, Conflict> {
    let repository = open(folder);
    let mut tip = onto.clone();
    let mut copies = Vec::new();
    for commit in commits {
        let original = repository.find_commit(oid(commit)).unwrap();
        if original.parent_count() != 1 {
            // Merges are left out of a rebase.
            continue;
        }
        let before = id(original.parent_id(0).unwrap());
        let tree = merged_tree(folder, Some(&before), &tip, commit)?;
        let message = original.message().unwrap().to_owned();
        let author = original.author().to_owned();
        tip = write(folder, tree, &[&tip], &message, &author, &signature(by, at));
        copies.push(tip.clone());
    }
    Ok(copies)
}

/// A commit that undoes another's difference to its first parent.
pub(crate) fn revert(
    folder: &Path,
    onto: &CommitId,
    commit: &CommitId,
    message: &str,
    by: &str,
    at: i64,
) -> Result<CommitId, Conflict> {
    let before = id(open(folder).find_commit(oid(commit)).unwrap().parent_id(0).unwrap());
    let tree = merged_tree(folder, Some(commit), onto, &before)?;
    Ok(write(folder, tree, &[onto], message, &signature(by, at), &web_flow(at)))
}

fn write(
    folder: &Path,
    tree: Oid,
    parents: &[&CommitId],
    message: &str,
    author: &Signature<'_>,
    committer: &Signature<'_>,
) -> CommitId {
    let repository = open(folder);
    let tree = repository.find_tree(tree).unwrap();
    let parents: Vec<_> =
        parents.iter().map(|parent| repository.find_commit(oid(parent)).unwrap()).collect();
    let parents: Vec<_> = parents.iter().collect();
    id(repository.commit(None, author, committer, message, &tree, &parents).unwrap())
}
