//! Pull requests: what a forge (GitHub) is asked and told.
//!
//! Stands beside the flow: [`crate::control`] plans the merge result of every open pull request itself, from its
//! own mirror, and hands words to a [`Forge`]. Nothing here plans, and nothing a forge says is executed.
//! [`comment`] is the one comment that a pull request has for its whole life; it is pure.

pub mod comment;
pub mod github;
pub mod hooks;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{CommitId, PullNumber};

/// Characters of a status's description (GitHub's limit).
pub const DESCRIPTION_CHARS_MAX: usize = 140;

/// An open or closed pull request, as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number.
    pub number: PullNumber,
    /// Its title; a stranger's words.
    pub title: String,
    /// Login of who opened it.
    pub author: String,
    /// The commit it would merge.
    pub head: CommitId,
    /// The branch it would merge into.
    pub base: String,
    /// Whether its head is in another repository, or in one that is gone.
    pub is_fork: bool,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// When anything of it changed last, a comment included.
    pub updated_at: Timestamp,
    /// What became of it.
    pub state: PullState,
}

/// What became of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullState {
    /// It is open.
    Open,
    /// It was closed, and not merged.
    Closed,
    /// It was merged.
    Merged {
        /// The commit on the base branch: of a merge the merge, of a squash the one commit, of a rebase the
        /// last of them. `None` where the forge does not say.
        commit: Option<CommitId>,
        /// When.
        at: Timestamp,
    },
}

/// Who merged a pull request, and how many commits it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeFacts {
    /// Login of who merged it.
    pub by: Option<String>,
    /// How many commits it had: so many a rebase put on the base branch.
    pub commits: u32,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The forge's id of it.
    pub id: u64,
    /// Login of its author.
    pub author: String,
    /// Its text, with the line ends as `\n`.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was edited last.
    pub updated_at: Timestamp,
}

/// A list that is asked for again and again.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// What there is.
    pub items: Arc<[T]>,
    /// Whether this differs from what the same question was answered last; true for a first answer.
    pub is_new: bool,
}

/// The two checks that a commit can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// `tidegate/plan`, on the head of a pull request: whether it may be merged.
    Plan,
    /// `tidegate/apply`, on the merged commit: what became of it.
    Apply,
}

impl Context {
    /// The name that branch protection refers to.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "tidegate/plan",
            Self::Apply => "tidegate/apply",
        }
    }
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// Under way, or waiting.
    Pending,
    /// Good.
    Success,
    /// Not good, and somebody has to do something.
    Failure,
}

/// A check on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub context: Context,
    /// How it stands.
    pub state: CheckState,
    /// One line, cut at [`DESCRIPTION_CHARS_MAX`] where the forge wants it short.
    pub summary: String,
    /// Where more is to be read.
    pub url: Option<String>,
    /// What is wrong on which lines; shown beside the lines where the forge can, else left out.
    pub annotations: Vec<Annotation>,
}

/// A finding beside the lines it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The file, from the root of the repository.
    pub path: String,
    /// First line, from 1.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
    /// Whether it makes the spec invalid.
    pub is_error: bool,
    /// Stable code.
    pub title: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// How a check was reported last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// How it stood.
    pub state: CheckState,
    /// Its one line.
    pub summary: String,
}

/// Why a forge did not do what it was asked. No variant holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// The credentials are refused.
    #[error(
        "{doing}: {forge} refused the credentials ({detail}): check that they are current and may {doing}"
    )]
    Auth {
        /// What was being done, as an infinitive.
        doing: String,
        /// The forge's address.
        forge: String,
        /// In its words.
        detail: String,
        /// Whether nothing at all is let through with them (status 401), and not just this (status 403).
        is_for_all: bool,
    },
    /// What was asked for is not there, or may not be seen.
    #[error("{doing}: {forge} has no such thing, or the credentials may not see it")]
    NotFound {
        /// What was being done.
        doing: String,
        /// The forge's address.
        forge: String,
    },
    /// A limit is reached, the forge's or our own below it. Nothing was done; asking again at `until` may help.
    #[error("{doing}: waiting until {until}, because {why}")]
    Limited {
        /// What was being done.
        doing: String,
        /// When to ask again.
        until: Timestamp,
        /// Which limit.
        why: String,
    },
    /// The forge understood and refuses; asking again does not help.
    #[error("{doing}: {forge} refuses it with status {status} ({detail})")]
    Refused {
        /// What was being done.
        doing: String,
        /// The forge's address.
        forge: String,
        /// HTTP status.
        status: u16,
        /// In its words.
        detail: String,
    },
    /// No answer, or one that says to ask again later.
    #[error("{doing}: no usable answer from {forge} ({detail}): it is tried again")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// The forge's address.
        forge: String,
        /// What happened.
        detail: String,
    },
}

impl ForgeError {
    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Unavailable { .. } => true,
            Self::Auth { .. } | Self::NotFound { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether a write may have been done all the same, because only its answer was lost: what there is has to
    /// be read before anything is written again.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether other requests would go as badly now, so that none is to be sent for a while.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        self.is_passing() || matches!(self, Self::Auth { is_for_all: true, .. })
    }
}

/// A place where pull requests are. Every call is one question or one change; none is repeated inside. Lists
/// are complete over all pages.
#[async_trait]
pub trait Forge: Send + Sync + fmt::Debug {
    /// The login under which our own comments appear.
    async fn me(&self) -> Result<String, ForgeError>;

    /// The open pull requests of a base branch, newest (highest number) first. Costs nothing of the rate limit
    /// where nothing changed.
    async fn open_pulls(&self, base: &str) -> Result<Listing<Pull>, ForgeError>;

    /// The closed pull requests of a base branch that changed since a time, last changed first.
    async fn closed_pulls(&self, base: &str, since: Timestamp) -> Result<Vec<Pull>, ForgeError>;

    /// One pull request.
    async fn pull(&self, number: PullNumber) -> Result<(Pull, MergeFacts), ForgeError>;

    /// The comments of a pull request, oldest first; of a time those that changed since.
    async fn comments(
        &self,
        number: PullNumber,
        since: Option<Timestamp>,
    ) -> Result<Vec<Comment>, ForgeError>;

    /// Writes a new comment and gives its id.
    async fn create_comment(&self, number: PullNumber, body: &str) -> Result<u64, ForgeError>;

    /// Gives a comment another text; [`ForgeError::NotFound`] where somebody deleted it.
    async fn edit_comment(&self, id: u64, body: &str) -> Result<(), ForgeError>;

    /// Deletes a comment of ours.
    async fn delete_comment(&self, id: u64) -> Result<(), ForgeError>;

    /// Says how a check stands on a commit.
    async fn report(&self, commit: &CommitId, check: &Check) -> Result<(), ForgeError>;

    /// How we said last that a check stands on a commit.
    async fn reported(
        &self,
        commit: &CommitId,
        context: Context,
    ) -> Result<Option<Reported>, ForgeError>;

    /// Whether a person may write to the repository.
    async fn may_write(&self, login: &str) -> Result<bool, ForgeError>;

    /// The page of the repository, for people.
    fn web_url(&self) -> String;

    /// The page of a pull request, for people.
    fn pull_url(&self, number: PullNumber) -> String;
}
