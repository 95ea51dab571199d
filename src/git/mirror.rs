//! The read side: a bare mirror of the spec repository, one advertisement per idle poll, blobs on demand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::bare::{Bare, Sharing, check_branch, commit_id, oid};
use super::error::Purpose;
use super::read::{self, Kind};
use super::{GitError, Remote, housekeeping, session};
use crate::model::{CommitId, Sources};

/// Hexadecimal digits that a shortened commit id must have: below, too many commits match.
const SHORT_ID_DIGITS_MIN: usize = 4;
/// Commits that a log has at most: a log is for people.
const LOG_COMMITS_MAX: usize = 10_000;

/// What a remote has, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Full name of every reference, and the object it points at.
    pub refs: BTreeMap<String, CommitId>,
}

impl Advertisement {
    /// The commit of a branch; `None` when the remote has no such branch.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&CommitId> {
        self.refs.get(&format!("refs/heads/{name}"))
    }

    /// The names of all branches.
    pub fn branches(&self) -> impl Iterator<Item = &str> {
        self.refs.keys().filter_map(|name| name.strip_prefix("refs/heads/"))
    }
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The commits it stands on, the one of its branch first.
    pub parents: Vec<CommitId>,
    /// Name of its author; what is not UTF-8 is replaced.
    pub author: String,
    /// Address of its author.
    pub email: String,
    /// When its committer made it, by the committer's clock.
    pub time: jiff::Timestamp,
    /// First line of its message.
    pub subject: String,
    /// All of its message, trailers included.
    pub message: String,
}

/// A bare mirror of a remote repository. A cache: what it holds can always be fetched again.
pub struct Mirror {
    pub(super) bare: Bare,
    pub(super) remote: Remote,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("dir", &self.bare.dir).field("remote", &self.remote).finish()
    }
}

impl Mirror {
    /// Opens the mirror in `dir`, or makes it. Talks to nobody. Several processes may share one.
    ///
    /// # Errors
    /// The folder cannot be used, or holds something that is not a mirror of ours.
    pub fn open(dir: &Path, remote: Remote) -> Result<Self, GitError> {
        let mut mirror = Self { bare: Bare::open(dir, Sharing::Shared)?, remote };
        mirror.housekeep()?;
        Ok(mirror)
    }

    /// Where the mirror that was there is now, when it was broken and this one is new. Worth a warning; pins
    /// are lost with it.
    #[must_use]
    pub fn moved_aside(&self) -> Option<&PathBuf> {
        self.bare.moved_aside.as_ref()
    }

    /// Uses another address or other credentials from now on.
    pub fn set_remote(&mut self, remote: Remote) {
        self.remote = remote;
    }

    /// Packs loose objects and small packs when there are many; nothing while another process uses the mirror.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn housekeep(&mut self) -> Result<(), GitError> {
        let mut changed = false;
        self.bare.while_alone(Sharing::Shared, |dir| {
            changed = housekeeping::consolidate(dir)?;
            Ok(())
        })?;
        if changed { self.bare.reopen() } else { Ok(()) }
    }

    /// Asks the remote what it has: one advertisement, and nothing else.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn advertise(&self) -> Result<Advertisement, GitError> {
        let mut refs = BTreeMap::new();
        for (name, id) in session::list(&self.bare.repository, &self.remote, Purpose::Read)? {
            // `^{}` names the commit behind a tag object; the tag's own line is there too.
            if name.starts_with("refs/") && !name.ends_with("^{}") {
                refs.insert(name, commit_id(id)?);
            }
        }
        Ok(Advertisement { refs })
    }

    /// Fetches these branches and nothing else, wherever they moved to. Branches that are not at the remote are
    /// forgotten here (their commits stay), and reported after the others were fetched.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses, or lacks a branch.
    pub fn fetch(&self, branches: &[&str]) -> Result<(), GitError> {
        let mut refspecs = Vec::new();
        for branch in branches {
            check_branch(branch)?;
            refspecs.push(format!("+refs/heads/{branch}:{}", tracking(branch)));
        }
        if refspecs.is_empty() {
            return Ok(());
        }
        let advertised = session::fetch(&self.bare.repository, &self.remote, &refspecs)?;
        let mut missing = None;
        for branch in branches {
            let name = format!("refs/heads/{branch}");
            if !advertised.iter().any(|(advertised, _)| *advertised == name) {
                self.forget(branch)?;
                missing.get_or_insert(*branch);
            }
        }
        match missing {
            None => Ok(()),
            Some(branch) => Err(GitError::BranchMissing {
                remote: self.remote.url.to_string(),
                branch: branch.to_owned(),
            }),
        }
    }

    /// Fetches one reference by its full name (a tag, a pull request's merge), and gives the commit behind it.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses, or lacks the reference.
    pub fn fetch_ref(&self, name: &str) -> Result<CommitId, GitError> {
        let short = name.strip_prefix("refs/").unwrap_or_default();
        check_branch(short)?;
        let local = format!("refs/remotes/refs/{short}");
        session::fetch(&self.bare.repository, &self.remote, &[format!("+{name}:{local}")])?;
        let missing = || GitError::BranchMissing {
            remote: self.remote.url.to_string(),
            branch: name.to_owned(),
        };
        let mut reference = self.bare.repository.find_reference(&local).map_err(|_| missing())?;
        if let Ok(commit) = reference.peel_to_commit() {
            return commit_id(commit.id());
        }
        reference.delete().map_err(self.bare.failed("forgetting what is no commit"))?;
        Err(missing())
    }

    /// The commit that a full id, a fetched branch or a shortened id (in this order) stands for; `None` when the
    /// mirror has none or several.
    ///
    /// # Errors
    /// The mirror cannot be read.
    pub fn resolve(&self, revision: &str) -> Result<Option<CommitId>, GitError> {
        if CommitId::try_from(revision).is_err() {
            if check_branch(revision).is_err() {
                return Ok(None);
            }
            if let Some(commit) = self.tracked(revision)? {
                return Ok(Some(commit));
            }
        }
        self.resolve_id(revision)
    }

    /// The commit that a name means at the remote now: one of its branches, a tag, the full name of a reference
    /// (`refs/pull/7/head`), or the full or shortened id of a commit that is on any of its branches. Asks the
    /// remote first, so that what was fetched long ago is never mistaken for what is there; fetches what it
    /// needs for the answer.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn find(&self, revision: &str) -> Result<Option<CommitId>, GitError> {
        let advertised = self.advertise()?;
        if advertised.branch(revision).is_some() {
            self.fetch(&[revision])?;
            return self.tracked(revision);
        }
        let names = [format!("refs/tags/{revision}"), revision.to_owned()];
        if let Some(name) = names.iter().find(|name| advertised.refs.contains_key(*name)) {
            return self.fetch_ref(name).map(Some);
        }
        if !is_id(revision) {
            return Ok(None);
        }
        // A commit can only be had through a branch that contains it.
        let usable = |branch: &&str| check_branch(branch).is_ok();
        let branches: Vec<&str> = advertised.branches().filter(usable).collect();
        match self.fetch(&branches) {
            // One that went meanwhile is no reason to forgo the others, which were fetched.
            Ok(()) | Err(GitError::BranchMissing { .. }) => self.resolve_id(revision),
            Err(error) => Err(error),
        }
    }

    /// The commit that a branch was at when it was last fetched.
    fn tracked(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        let Ok(reference) = self.bare.repository.find_reference(&tracking(branch)) else {
            return Ok(None);
        };
        let commit = reference.peel_to_commit().map_err(self.bare.failed("reading a branch"))?;
        commit_id(commit.id()).map(Some)
    }

    /// The commit of a full or shortened id; `None` when the mirror has none or several.
    fn resolve_id(&self, id: &str) -> Result<Option<CommitId>, GitError> {
        let repository = &self.bare.repository;
        if let Ok(id) = CommitId::try_from(id) {
            return Ok(repository.find_commit(oid(&id)?).is_ok().then_some(id));
        }
        if !is_id(id) {
            return Ok(None);
        }
        match repository.find_commit_by_prefix(id) {
            Ok(commit) => commit_id(commit.id()).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The files of the spec in folder `path` at a commit, and every hazard on the way as a finding.
    ///
    /// # Errors
    /// The commit is not here, or the mirror is broken: neither says anything about the spec.
    pub fn read_spec(&self, commit: &CommitId, path: &str) -> Result<Sources, GitError> {
        let root = self.bare.tree_of(oid(commit)?)?;
        read::read_spec(&self.bare.repository, &root, path)
            .map_err(self.bare.failed("reading the spec"))
    }

    /// One file at a commit; `None` when there is nothing at the path.
    ///
    /// # Errors
    /// What is there is no plain file, or has more than `max_bytes`; or the mirror is broken.
    pub fn read_file(
        &self,
        commit: &CommitId,
        path: &str,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, GitError> {
        read_blob(&self.bare, oid(commit)?, path, max_bytes)
    }

    /// What a commit says about itself.
    ///
    /// # Errors
    /// The commit is not here.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        let found = self
            .bare
            .repository
            .find_commit(oid(commit)?)
            .map_err(|_| GitError::NoSuchCommit(commit.to_string()))?;
        info(&found)
    }

    /// The history of first parents from a commit back, newest first, at most `max` commits.
    ///
    /// # Errors
    /// The commit is not here.
    pub fn log(&self, from: &CommitId, max: usize) -> Result<Vec<CommitInfo>, GitError> {
        let mut log = Vec::new();
        let mut next = Some(oid(from)?);
        while let Some(id) = next.filter(|_| log.len() < max.min(LOG_COMMITS_MAX)) {
            let commit = self
                .bare
                .repository
                .find_commit(id)
                .map_err(|_| GitError::NoSuchCommit(id.to_string()))?;
            log.push(info(&commit)?);
            next = commit.parent_id(0).ok();
        }
        Ok(log)
    }

    /// Keeps a commit under a name, so that it survives whatever happens to its branch.
    ///
    /// # Errors
    /// The commit is not here, or the mirror cannot be written.
    pub fn pin(&self, name: &str, commit: &CommitId) -> Result<(), GitError> {
        check_branch(name)?;
        let id = oid(commit)?;
        self.bare.tree_of(id)?;
        self.bare
            .repository
            .reference(&pinned_name(name), id, true, "pin")
            .map(|_| ())
            .map_err(self.bare.failed("pinning a commit"))
    }

    /// The commit kept under a name.
    #[must_use]
    pub fn pinned(&self, name: &str) -> Option<CommitId> {
        check_branch(name).ok()?;
        let id = self.bare.repository.refname_to_id(&pinned_name(name)).ok()?;
        commit_id(id).ok()
    }

    /// Whether `old` is in the history of `new`, or is `new`; not when either is not here.
    #[must_use]
    pub fn is_in_history_of(&self, old: &CommitId, new: &CommitId) -> bool {
        let (Ok(old), Ok(new)) = (oid(old), oid(new)) else { return false };
        old == new || self.bare.repository.graph_descendant_of(new, old).unwrap_or(false)
    }

    fn forget(&self, branch: &str) -> Result<(), GitError> {
        match self.bare.repository.find_reference(&tracking(branch)) {
            Ok(mut reference) => {
                reference.delete().map_err(self.bare.failed("forgetting a deleted branch"))
            }
            Err(_) => Ok(()),
        }
    }
}

/// Whether a text can be the id of a commit, in full or shortened.
fn is_id(text: &str) -> bool {
    text.len() >= SHORT_ID_DIGITS_MIN && text.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(super) fn tracking(branch: &str) -> String {
    format!("refs/remotes/origin/{branch}")
}

fn pinned_name(name: &str) -> String {
    format!("refs/tidegate/{name}")
}

pub(super) fn read_blob(
    bare: &Bare,
    commit: Oid,
    path: &str,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, GitError> {
    let root = bare.tree_of(commit)?;
    let found =
        read::entry_at(&bare.repository, &root, path).map_err(bare.failed("looking for a file"))?;
    let id = match found {
        None => return Ok(None),
        Some((Kind::File, id)) => id,
        Some((kind @ (Kind::Folder | Kind::Link | Kind::Submodule), _)) => {
            return Err(GitError::NotAFile { path: path.to_owned(), kind: kind.word() });
        }
    };
    let odb = bare.repository.odb().map_err(bare.failed("reading a file"))?;
    let (size, _) = odb.read_header(id).map_err(bare.failed("reading a file"))?;
    if size > max_bytes {
        return Err(GitError::FileTooLarge { path: path.to_owned(), size, max: max_bytes });
    }
    let object = odb.read(id).map_err(bare.failed("reading a file"))?;
    Ok(Some(object.data().to_vec()))
}

fn info(commit: &git2::Commit<'_>) -> Result<CommitInfo, GitError> {
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = text(commit.message_bytes());
    Ok(CommitInfo {
        id: commit_id(commit.id())?,
        parents: commit.parent_ids().map(commit_id).collect::<Result<_, _>>()?,
        author: text(author.name_bytes()),
        email: text(author.email_bytes()),
        // A time that no calendar has is a lie of the committer; the epoch shows it as one.
        time: jiff::Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
        subject: message.lines().next().unwrap_or_default().to_owned(),
        message,
    })
}
