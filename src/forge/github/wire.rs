//! What GitHub writes, as far as it is read here.
//!
//! These are our own few fields and not a library's models of everything: an Enterprise server is older than
//! github.com, and both add and leave out fields, so whatever is not needed is not asked for.

use jiff::Timestamp;
use serde::Deserialize;

use crate::forge::{Comment, MergeFacts, Pull, PullState};
use crate::model::{CommitId, PullNumber};

/// Who stands for the author of what a deleted account left behind, as on GitHub's own pages.
const GHOST: &str = "ghost";

#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePull {
    number: u64,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    user: Option<User>,
    head: End,
    base: End,
    #[serde(default)]
    draft: Option<bool>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
    updated_at: Timestamp,
    state: String,
    #[serde(default)]
    merged_at: Option<Timestamp>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    /// Only where one pull request was asked for.
    #[serde(default)]
    merged_by: Option<User>,
    /// Only where one pull request was asked for.
    #[serde(default)]
    commits: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    /// `null` where the fork is gone.
    #[serde(default)]
    repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    full_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Label {
    #[serde(default)]
    name: Option<String>,
}

impl WirePull {
    /// Ours; an error says which field makes no sense.
    pub(super) fn pull(self) -> Result<(Pull, MergeFacts), String> {
        let number = PullNumber(self.number);
        let commit = |sha: &str| {
            CommitId::try_from(sha).map_err(|error| {
                format!("a commit of pull request {number} is unreadable: {error}")
            })
        };
        let state = match (self.state.as_str(), self.merged_at) {
            (_, Some(at)) => PullState::Merged {
                commit: self.merge_commit_sha.as_deref().map(commit).transpose()?,
                at,
            },
            ("closed", None) => PullState::Closed,
            _ => PullState::Open,
        };
        let facts = MergeFacts {
            by: self.merged_by.map(|user| user.login),
            commits: self.commits.unwrap_or_default(),
        };
        let pull = Pull {
            number,
            title: self.title.unwrap_or_default(),
            author: login(self.user),
            head: commit(&self.head.sha)?,
            is_fork: is_fork(self.head.repo.as_ref(), self.base.repo.as_ref()),
            base: self.base.branch,
            is_draft: self.draft.unwrap_or_default(),
            labels: self.labels.into_iter().flatten().filter_map(|label| label.name).collect(),
            updated_at: self.updated_at,
            state,
        };
        Ok((pull, facts))
    }
}

/// What cannot be shown to be the same repository is another.
fn is_fork(head: Option<&Repository>, base: Option<&Repository>) -> bool {
    let (Some(head), Some(base)) = (head, base) else { return true };
    match (head.id, base.id) {
        (Some(head), Some(base)) => head != base,
        _ => head.full_name.is_none() || head.full_name != base.full_name,
    }
}

fn login(user: Option<User>) -> String {
    user.map_or_else(|| GHOST.to_owned(), |user| user.login)
}

#[derive(Debug, Deserialize)]
pub(super) struct WireComment {
    pub(super) id: u64,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    body: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl WireComment {
    pub(super) fn comment(self) -> Comment {
        Comment {
            id: self.id,
            author: login(self.user),
            // Browsers send the line ends of forms.
            body: self.body.unwrap_or_default().replace("\r\n", "\n"),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// What was made has an id.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Permission {
    #[serde(default)]
    pub(super) permission: Option<String>,
    #[serde(default)]
    pub(super) role_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct App {
    pub(super) slug: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Combined {
    #[serde(default)]
    pub(super) statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) context: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) description: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRuns {
    #[serde(default)]
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) conclusion: Option<String>,
    #[serde(default)]
    pub(super) output: Option<Output>,
    #[serde(default)]
    pub(super) app: Option<App>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output {
    #[serde(default)]
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InstallationToken {
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
}

/// A refusal, in GitHub's words.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) errors: Option<serde_json::Value>,
}
