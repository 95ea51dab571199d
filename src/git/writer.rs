//! The status branch's single writer: commits edits on top of whatever the branch holds now, without a work
//! tree, and pushes without force and only from the commit it built on. Never makes a merge commit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Oid;
use jiff::{SignedDuration, Timestamp};

use super::bare::{Bare, Sharing, check_branch, commit_id};
use super::edit::{self, KeyIndex};
use super::error::Purpose;
use super::mirror::{read_blob, tracking};
use super::session::{self, Pushed};
use super::{Edit, GitError, Remote, housekeeping, local_push};
use crate::model::CommitId;

/// Pushes that are tried before giving up: with two writers each try is lost at most every second time.
pub const PUSH_ATTEMPTS_MAX: u32 = 10;
/// The wait after the first lost push; it doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(40);
/// The longest wait: a push takes about as long over the internet.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Commits of one writer that follow closer than this are followed only after a pause.
const RUSH: SignedDuration = SignedDuration::from_secs(1);
/// The longest such pause. The writer that won last time has nothing to fetch, and so would win every race; in
/// the pause the other one gets through.
const RUSH_PAUSE_MAX: Duration = Duration::from_millis(400);
/// Bytes of a file of the status branch that is read back: far more than the controller writes.
const READ_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Commits between two looks at whether the clone is worth packing.
const HOUSEKEEPING_COMMITS: u32 = 100;

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// What publishing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Published {
    /// The edits are on the branch at the remote, in this commit.
    Committed {
        /// The commit.
        commit: CommitId,
        /// The commit that it stands on; absent for the first of a branch.
        parent: Option<CommitId>,
        /// Pushes it took.
        attempts: u32,
    },
    /// The branch at the remote holds all the edits already: nothing was committed.
    Unchanged,
}

/// A commit to be made: of what the branch holds now, by whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub edits: Vec<Edit>,
    /// The commit's message.
    pub message: String,
}

/// The only writer of a status branch from this machine, with a bare clone of its own. Losing the clone loses
/// nothing.
pub struct StatusWriter {
    bare: Bare,
    remote: Remote,
    branch: String,
    author: Signature,
    head: Option<Oid>,
    committed_at: Option<Timestamp>,
    index: KeyIndex,
    commits_since_housekeeping: u32,
}

impl std::fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusWriter")
            .field("dir", &self.bare.dir)
            .field("remote", &self.remote)
            .field("branch", &self.branch)
            .finish_non_exhaustive()
    }
}

impl StatusWriter {
    /// Opens the writer's clone in `dir`, or makes it. Talks to nobody. `protected` is the branch that is never
    /// written to: the one with the spec.
    ///
    /// # Errors
    /// The branch is not a valid name or is the protected one; the folder cannot be used or is in use.
    pub fn open(
        dir: &Path,
        remote: Remote,
        branch: &str,
        protected: &str,
        author: Signature,
    ) -> Result<Self, GitError> {
        check_branch(branch)?;
        if branch == protected {
            return Err(GitError::Protected(branch.to_owned()));
        }
        let bare = open_clone(dir)?;
        let head = bare.repository.refname_to_id(&tracking(branch)).ok();
        Ok(Self {
            bare,
            remote,
            branch: branch.to_owned(),
            author,
            head,
            committed_at: None,
            index: KeyIndex::default(),
            commits_since_housekeeping: 0,
        })
    }

    /// Whether the remote would let this writer push: asks for the refs as one who means to. Pushes nothing.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn check_access(&self) -> Result<(), GitError> {
        session::list(&self.bare.repository, &self.remote, Purpose::Write).map(drop)
    }

    /// Where the clone that was there is now, when it was broken and this one is new.
    #[must_use]
    pub fn moved_aside(&self) -> Option<&PathBuf> {
        self.bare.moved_aside.as_ref()
    }

    /// Uses another address or other credentials from now on.
    pub fn set_remote(&mut self, remote: Remote) {
        self.remote = remote;
    }

    /// Fetches the branch and gives its present commit, if it has one.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn head(&mut self) -> Result<Option<CommitId>, GitError> {
        self.refresh()?;
        self.head.map(commit_id).transpose()
    }

    /// A file of the branch, as of the last [`Self::head`] or [`Self::publish`].
    ///
    /// # Errors
    /// The path is not a plain file, or the clone is broken.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self.head {
            Some(head) => read_blob(&self.bare, head, path, READ_BYTES_MAX),
            None => Ok(None),
        }
    }

    /// Commits the edits on top of the branch as it is at the remote, and pushes. When the remote refuses, for
    /// whatever reason, fetches, applies the edits to the new head and pushes again. `jitter` gives numbers from
    /// 0 to 1, `wait` sleeps.
    ///
    /// After an error nothing is lost or half done: the same call can be made again, also when the push had
    /// arrived and only its answer was lost.
    ///
    /// # Errors
    /// The remote cannot be reached, or refused [`PUSH_ATTEMPTS_MAX`] times; an edit cannot be applied exactly
    /// once; the clone is broken.
    pub fn publish(
        &mut self,
        edits: &[Edit],
        message: &str,
        now: Timestamp,
        jitter: &mut dyn FnMut() -> f64,
        wait: &mut dyn FnMut(Duration),
    ) -> Result<Published, GitError> {
        edits.iter().try_for_each(Edit::check)?;
        let mut build = |writer: &mut Self| writer.build(edits, message, now);
        self.publish_built(&mut build, now, jitter, wait)
    }

    /// Like [`Self::publish`], for a change that depends on what the branch holds: `make` is asked anew for each
    /// try, and can [`Self::read`] the head on which its change will stand.
    ///
    /// # Errors
    /// What `make` gives; and as [`Self::publish`].
    pub fn publish_made<E: From<GitError>>(
        &mut self,
        make: &mut dyn FnMut(&Self) -> Result<Change, E>,
        now: Timestamp,
        jitter: &mut dyn FnMut() -> f64,
        wait: &mut dyn FnMut(Duration),
    ) -> Result<Published, E> {
        let mut build = |writer: &mut Self| {
            let change = make(writer)?;
            change.edits.iter().try_for_each(Edit::check)?;
            Ok(writer.build(&change.edits, &change.message, now)?)
        };
        self.publish_built(&mut build, now, jitter, wait)
    }

    fn publish_built<E: From<GitError>>(
        &mut self,
        build: &mut dyn FnMut(&mut Self) -> Result<Option<Oid>, E>,
        now: Timestamp,
        jitter: &mut dyn FnMut() -> f64,
        wait: &mut dyn FnMut(Duration),
    ) -> Result<Published, E> {
        let is_rushing =
            self.committed_at.is_some_and(|last| now.duration_since(last).abs() < RUSH);
        if is_rushing {
            wait(RUSH_PAUSE_MAX.mul_f64(jitter().clamp(0.0, 1.0)));
        }
        let mut reason = String::new();
        for attempt in 1..=PUSH_ATTEMPTS_MAX {
            // Also on the first try: building on the head as last seen would save a request, and would let
            // the writer that won last time win every time, because the other one has to fetch first.
            self.refresh()?;
            let parent = self.head;
            let Some(commit) = build(self)? else {
                return Ok(Published::Unchanged);
            };
            match self.push(commit)? {
                Pushed::Accepted => {
                    self.adopt(Some(commit))?;
                    self.committed_at = Some(now);
                    self.keep_house()?;
                    return Ok(Published::Committed {
                        commit: commit_id(commit)?,
                        parent: parent.map(commit_id).transpose()?,
                        attempts: attempt,
                    });
                }
                Pushed::Rejected(why) => reason = why,
            }
            if attempt < PUSH_ATTEMPTS_MAX {
                wait(pause(attempt, jitter()));
            }
        }
        let attempts = PUSH_ATTEMPTS_MAX;
        Err(GitError::Rejected { branch: self.branch.clone(), attempts, reason }.into())
    }

    fn push(&self, commit: Oid) -> Result<Pushed, GitError> {
        let Bare { repository, .. } = &self.bare;
        match self.remote.url.local_path() {
            Some(path) => {
                local_push::push(repository, &self.remote, path, &self.branch, commit, self.head)
            }
            None => session::push(repository, &self.remote, &self.branch, commit, self.head),
        }
    }

    /// A commit of the edits on top of the head; `None` when they change nothing.
    fn build(
        &mut self,
        edits: &[Edit],
        message: &str,
        now: Timestamp,
    ) -> Result<Option<Oid>, GitError> {
        let repository = &self.bare.repository;
        let parent = match self.head {
            Some(head) => {
                Some(repository.find_commit(head).map_err(self.bare.failed("reading the head"))?)
            }
            None => None,
        };
        let base = match &parent {
            Some(parent) => Some(parent.tree().map_err(self.bare.failed("reading the head"))?),
            None => None,
        };
        let tree = edit::apply(repository, base.as_ref(), edits, &mut self.index)?;
        let is_same = match &base {
            Some(base) => base.id() == tree,
            None => edits.is_empty(),
        };
        if is_same {
            return Ok(None);
        }
        let commit = || -> Result<Oid, git2::Error> {
            let tree = repository.find_tree(tree)?;
            let time = git2::Time::new(now.as_second(), 0);
            let author = git2::Signature::new(&self.author.name, &self.author.email, &time)?;
            let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
            repository.commit(None, &author, &author, message, &tree, &parents)
        };
        commit().map(Some).map_err(self.bare.failed("making a commit"))
    }

    /// Fetches the branch; a branch that is not there any more, or not yet, has no head.
    fn refresh(&mut self) -> Result<(), GitError> {
        self.ensure_clone()?;
        let name = format!("refs/heads/{}", self.branch);
        let refspec = format!("+{name}:{}", tracking(&self.branch));
        let advertised = session::fetch(&self.bare.repository, &self.remote, &[refspec])?;
        // A commit on a history that is cut off would rewrite what is not seen here.
        if self.bare.repository.is_shallow() {
            return Err(GitError::Shallow(self.bare.dir.clone()));
        }
        let head = advertised.iter().find(|(advertised, _)| *advertised == name).map(|(_, id)| *id);
        self.adopt(head)
    }

    fn adopt(&mut self, head: Option<Oid>) -> Result<(), GitError> {
        let repository = &self.bare.repository;
        let name = tracking(&self.branch);
        match head {
            Some(head) => repository.reference(&name, head, true, "status").map(|_| ()),
            None => match repository.find_reference(&name) {
                Ok(mut reference) => reference.delete(),
                Err(_) => Ok(()),
            },
        }
        .map_err(self.bare.failed("keeping the head"))?;
        self.head = head;
        Ok(())
    }

    /// Makes the clone anew when its folder was removed under us.
    fn ensure_clone(&mut self) -> Result<(), GitError> {
        if self.bare.dir.join("HEAD").exists() {
            return Ok(());
        }
        self.bare = open_clone(&self.bare.dir.clone())?;
        self.head = None;
        self.index = KeyIndex::default();
        Ok(())
    }

    fn keep_house(&mut self) -> Result<(), GitError> {
        self.commits_since_housekeeping += 1;
        if self.commits_since_housekeeping < HOUSEKEEPING_COMMITS {
            return Ok(());
        }
        self.commits_since_housekeeping = 0;
        let mut changed = false;
        self.bare.while_alone(Sharing::Exclusive, |dir| {
            changed = housekeeping::consolidate(dir)?;
            Ok(())
        })?;
        if changed { self.bare.reopen() } else { Ok(()) }
    }
}

fn open_clone(dir: &Path) -> Result<Bare, GitError> {
    let bare = Bare::open(dir, Sharing::Exclusive)?;
    if bare.repository.is_shallow() {
        return Err(GitError::Shallow(dir.to_owned()));
    }
    Ok(bare)
}

/// The wait after a lost push: doubling, and of that the part that `jitter` says, so that two writers do not
/// meet again.
fn pause(attempt: u32, jitter: f64) -> Duration {
    let doubled = WAIT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(WAIT_MAX);
    doubled.mul_f64(jitter.clamp(0.0, 1.0))
}
