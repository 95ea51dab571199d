//! The bursts and pauses in force, as the controller knows them: taken up from the status branch when somebody
//! else wrote there, and otherwise moved by time alone.
//!
//! Costs nothing while nothing happens: the advertisement of the poll says whether the branch moved, and the
//! branch is fetched only when it did and not by this controller's own push.

use super::publish::Pushed;
use super::source::Source;
use crate::git::GitError;
use crate::model::CommitId;
use crate::record::overrides::{OVERRIDES_BYTES_MAX, OVERRIDES_PATH, OverrideSet};

/// What a look at the status branch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenUp {
    /// Nothing new.
    Unchanged,
    /// Something was set or ended.
    Changed,
    /// The file cannot be understood: the last good set stays, and [`Overrides::problem`] says why.
    Unreadable,
}

/// The bursts and pauses of the status branch.
#[derive(Debug, Default)]
pub struct Overrides {
    set: OverrideSet,
    /// The commit of the status branch whose file this is.
    known: Option<CommitId>,
    problem: Option<String>,
    is_known: bool,
}

impl Overrides {
    /// Takes note of what the controller itself pushed, so that it is not fetched back. A push that stands on
    /// somebody else's commit is not known by that: what they wrote has not been read yet.
    pub fn pushed(&mut self, pushed: &Pushed) {
        if self.known == pushed.parent {
            self.known = Some(pushed.commit.clone());
        }
    }

    /// Reads the file if the last poll saw the status branch at a commit that is not known. A branch or a file
    /// that is not there holds no overrides: what counts is what the branch says.
    ///
    /// # Errors
    /// [`GitError`] when the branch cannot be fetched: what is known stays, and the next call tries again.
    pub async fn take_up(&mut self, source: &Source, branch: &str) -> Result<TakenUp, GitError> {
        let advertised = source.status_head().cloned();
        if advertised == self.known && (advertised.is_some() || self.set == OverrideSet::default())
        {
            self.is_known = true;
            return Ok(TakenUp::Unchanged);
        }
        let read = match &advertised {
            None => Ok(OverrideSet::default()),
            Some(commit) => match read(source, branch, commit).await? {
                None => Ok(OverrideSet::default()),
                Some(bytes) => OverrideSet::parse(&bytes),
            },
        };
        self.known = advertised;
        Ok(match read {
            Ok(set) => {
                self.problem = None;
                self.is_known = true;
                if set == self.set {
                    return Ok(TakenUp::Unchanged);
                }
                if self.known.is_none() {
                    tracing::warn!(
                        branch,
                        "the status branch is gone, and with it the bursts and pauses that it held"
                    );
                }
                self.set = set;
                TakenUp::Changed
            }
            Err(error) => {
                let meanwhile = if self.is_known {
                    "until then the bursts and pauses before it stay"
                } else {
                    "until then nothing is changed"
                };
                let problem = format!("{error}; {meanwhile}");
                if self.problem.as_ref() != Some(&problem) {
                    tracing::error!(branch, "{problem}");
                }
                self.problem = Some(problem);
                TakenUp::Unreadable
            }
        })
    }

    /// What keeps the newest overrides from being in force, if anything does: a sentence for people.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// All that is on record, whether or not it is in force now.
    #[must_use]
    pub fn set(&self) -> &OverrideSet {
        &self.set
    }

    /// Whether the branch was ever read: before that, an empty set means nothing.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

async fn read(
    source: &Source,
    branch: &str,
    commit: &CommitId,
) -> Result<Option<Vec<u8>>, GitError> {
    let (branch, commit) = (branch.to_owned(), commit.clone());
    source
        .with_mirror(move |mirror| {
            let read = |mirror: &crate::git::Mirror| {
                mirror.read_file(&commit, OVERRIDES_PATH, OVERRIDES_BYTES_MAX)
            };
            // At a start the branch has just been fetched.
            match read(mirror) {
                Err(GitError::NoSuchCommit(_)) => {
                    mirror.fetch(&[&branch])?;
                    read(mirror)
                }
                result => result,
            }
        })
        .await
}

#[cfg(test)]
mod tests;
