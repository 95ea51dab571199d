//! Pull requests, as far as git knows them: their heads are fetched, and merged in memory.
//!
//! Nothing of a merge is written to a branch, and nothing of its files is read but the spec.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use git2::{Index, IndexEntry, MergeOptions, Oid};
use serde::{Deserialize, Serialize};

use super::GitError;
use super::bare::{check_branch, commit_id, oid};
use super::mirror::{Mirror, tracking};
use super::read;
use super::session::{self, FetchMax};
use crate::model::{CommitId, PullNumber, Sources};

/// What fetching the heads of pull requests may take: changes of a spec are kilobytes, and a stranger's branch is not
/// to fill the disk or keep the others waiting.
const HEADS_MAX: FetchMax = FetchMax { bytes: 64 * 1024 * 1024, time: Duration::from_secs(120) };
/// Files whose renames a merge looks for: as many as a person moves in one pull request, and not enough for a
/// stranger's to keep the controller busy.
const RENAMES_MAX: u32 = 200;
/// Paths in conflict that are named; the rest is counted by whoever shows them.
const CONFLICTS_MAX: usize = 1_000;

/// What merging a head onto a base gives, as far as the spec is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Merged {
    /// Paths in conflict, from the root of the repository.
    pub conflicts: Vec<String>,
    /// The spec of the merge result; `None` where files of the spec are in conflict.
    pub sources: Option<Sources>,
    /// Hash of the spec folder's content in the merge result; `None` where it has none, or a conflict.
    pub spec_tree: Option<String>,
    /// The same at the base.
    pub base_tree: Option<String>,
}

impl Merged {
    /// Whether merging changes anything of the spec, or cannot.
    #[must_use]
    pub fn touches_spec(&self) -> bool {
        self.sources.is_none() || self.spec_tree != self.base_tree
    }
}

impl Mirror {
    /// Fetches a branch and the heads of pull requests, and gives where each is now. What is not at the
    /// remote is not in the result.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn fetch_pulls(
        &self,
        branch: &str,
        pulls: &[PullNumber],
    ) -> Result<(Option<CommitId>, BTreeMap<PullNumber, CommitId>), GitError> {
        check_branch(branch)?;
        let base = format!("+refs/heads/{branch}:{}", tracking(branch));
        let advertised = session::fetch(&self.bare.repository, &self.remote, &[base])?;
        let advertised: BTreeMap<String, Oid> = advertised.into_iter().collect();
        let base = advertised.get(&format!("refs/heads/{branch}")).copied();
        let there: Vec<PullNumber> =
            pulls.iter().copied().filter(|p| advertised.contains_key(&remote_name(*p))).collect();
        let mut heads = BTreeMap::new();
        let is_new = |pull: &PullNumber| {
            let known = self.bare.repository.refname_to_id(&local_name(*pull)).ok();
            known.as_ref() != advertised.get(&remote_name(*pull))
        };
        let new: Vec<PullNumber> = there.iter().copied().filter(is_new).collect();
        if let Err(error) = self.fetch_heads(&new) {
            // Somebody's may be too large, or broken: the others are not to suffer from it.
            for pull in &new {
                match self.fetch_heads(&[*pull]) {
                    Ok(()) => {}
                    Err(error) if error.is_retryable() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%pull, %error, "could not fetch the head of a pull request");
                    }
                }
            }
            tracing::debug!(%error, "fetched pull requests one by one");
        }
        for pull in there {
            // One that could not be fetched is where it was before, or nowhere.
            match self.bare.repository.refname_to_id(&local_name(pull)) {
                Ok(id) if advertised.get(&remote_name(pull)) == Some(&id) => {
                    heads.insert(pull, commit_id(id)?);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok((base.map(commit_id).transpose()?, heads))
    }

    /// Fetches heads of pull requests, which a stranger may have made.
    fn fetch_heads(&self, pulls: &[PullNumber]) -> Result<(), GitError> {
        if pulls.is_empty() {
            return Ok(());
        }
        let refspec = |pull: &PullNumber| format!("+{}:{}", remote_name(*pull), local_name(*pull));
        let refspecs: Vec<String> = pulls.iter().map(refspec).collect();
        session::fetch_within(&self.bare.repository, &self.remote, &refspecs, HEADS_MAX).map(drop)
    }

    /// Forgets the heads of all pull requests but these, so that housekeeping need not keep them.
    ///
    /// # Errors
    /// The mirror cannot be read or written.
    pub fn keep_pulls(&self, pulls: &[PullNumber]) -> Result<(), GitError> {
        let keep: Vec<String> = pulls.iter().map(|pull| local_name(*pull)).collect();
        let forget = || -> Result<(), git2::Error> {
            for reference in self.bare.repository.references_glob(&format!("{LOCAL_FOLDER}*"))? {
                let mut reference = reference?;
                if !keep.iter().any(|name| reference.name().is_ok_and(|known| known == name)) {
                    reference.delete()?;
                }
            }
            Ok(())
        };
        forget().map_err(self.bare.failed("forgetting closed pull requests"))
    }

    /// Merges `head` onto `base` in memory, and reads the spec in folder `path` of the result.
    ///
    /// # Errors
    /// A commit is not here, or the mirror is broken.
    pub fn merge_spec(
        &self,
        base: &CommitId,
        head: &CommitId,
        path: &str,
    ) -> Result<Merged, GitError> {
        let repository = &self.bare.repository;
        let commit = |id: &CommitId| {
            repository.find_commit(oid(id)?).map_err(|_| GitError::NoSuchCommit(id.to_string()))
        };
        let (ours, theirs) = (commit(base)?, commit(head)?);
        let base_tree = self.spec_tree(base, path)?;
        let mut options = MergeOptions::new();
        options.find_renames(true).target_limit(RENAMES_MAX);
        let failed = || self.bare.failed("merging a pull request in memory");
        let mut index =
            repository.merge_commits(&ours, &theirs, Some(&options)).map_err(failed())?;
        let conflicts = take_conflicts(&mut index).map_err(failed())?;
        if conflicts.iter().any(|file| is_inside(file, path)) {
            return Ok(Merged { conflicts, sources: None, spec_tree: None, base_tree });
        }
        let root = index.write_tree_to(repository).map_err(failed())?;
        let root = repository.find_tree(root).map_err(failed())?;
        let sources = read::read_spec(repository, &root, path)
            .map_err(self.bare.failed("reading the spec of a merge result"))?;
        let entry = read::entry_at(repository, &root, path).map_err(failed())?;
        let spec_tree = entry.map(|(_, id)| id.to_string());
        Ok(Merged { conflicts, sources: Some(sources), spec_tree, base_tree })
    }

    /// Hash of what is in folder `path` at a commit; equal hashes are equal content. `None` where there is
    /// nothing.
    ///
    /// # Errors
    /// The commit is not here, or the mirror is broken.
    pub fn spec_tree(&self, commit: &CommitId, path: &str) -> Result<Option<String>, GitError> {
        let root = self.bare.tree_of(oid(commit)?)?;
        let entry = read::entry_at(&self.bare.repository, &root, path)
            .map_err(self.bare.failed("looking for the spec"))?;
        Ok(entry.map(|(_, id)| id.to_string()))
    }
}

const LOCAL_FOLDER: &str = "refs/remotes/refs/pull/";

fn remote_name(pull: PullNumber) -> String {
    format!("refs/pull/{}/head", pull.0)
}

fn local_name(pull: PullNumber) -> String {
    format!("{LOCAL_FOLDER}{}/head", pull.0)
}

/// Takes what is in conflict out of a merge, so that the rest can be written, and names it.
fn take_conflicts(index: &mut Index) -> Result<Vec<String>, git2::Error> {
    let mut paths: Vec<Vec<u8>> = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let sides = [conflict.our, conflict.their, conflict.ancestor];
        paths.extend(sides.into_iter().flatten().map(|entry: IndexEntry| entry.path));
    }
    paths.sort_unstable();
    paths.dedup();
    for path in &paths {
        index.conflict_remove(Path::new(OsStr::from_bytes(path)))?;
    }
    paths.truncate(CONFLICTS_MAX);
    Ok(paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

fn is_inside(file: &str, folder: &str) -> bool {
    folder == "."
        || file == folder
        || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
