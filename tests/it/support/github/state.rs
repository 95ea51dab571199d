//! What the server knows: one repository, its pull requests, and what was said about them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tidegate::model::CommitId;

use super::faults::Faults;
use super::hooks::Hook;
use super::limits::Limits;
use super::log::Logged;

/// Where the repository is, and who reaches it how.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) owner: String,
    pub(crate) name: String,
    /// Goes before every path: `/api/v3` at an Enterprise.
    pub(crate) base_path: String,
    /// Address of the API, with the base path.
    pub(crate) api_url: String,
    /// Address of the repository for git.
    pub(crate) git_url: String,
    /// The bare repository.
    pub(crate) folder: std::path::PathBuf,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// A person or a machine user, by a token.
    Person(String),
    /// The App itself, by a JSON web token.
    App,
    /// An installation of the App, by a token that ends.
    Installation(u64),
}

/// A pull request as it stands.
#[derive(Debug, Clone)]
pub(crate) struct PullRecord {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) author: String,
    /// The branch's name in its own repository.
    pub(crate) head_ref: String,
    pub(crate) head_repo: HeadRepo,
    pub(crate) head: CommitId,
    pub(crate) base: String,
    /// Where the base branch was when the pull request was opened or pushed to.
    pub(crate) base_sha: CommitId,
    pub(crate) is_draft: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) merged: Option<MergedRecord>,
}

/// Whose repository the head of a pull request is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadRepo {
    /// The same as the base.
    Same,
    /// This login's fork.
    Fork(String),
    /// A fork that was deleted; its owner's login.
    Gone(String),
}

/// How a pull request was merged.
#[derive(Debug, Clone)]
pub(crate) struct MergedRecord {
    pub(crate) commit: CommitId,
    pub(crate) by: String,
    /// What the merge put on the base branch, oldest first; of a merge commit only that.
    pub(crate) landed: Vec<CommitId>,
    /// The pull request's own commits, oldest first.
    pub(crate) own: Vec<CommitId>,
}

/// A comment, with what it said before.
#[derive(Debug, Clone)]
pub(crate) struct CommentRecord {
    pub(crate) id: u64,
    pub(crate) pull: u64,
    pub(crate) author: String,
    pub(crate) is_by_app: bool,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Earlier bodies, oldest first.
    pub(crate) history: Vec<String>,
    pub(crate) is_deleted: bool,
}

/// A commit status.
#[derive(Debug, Clone)]
pub(crate) struct StatusRecord {
    pub(crate) id: u64,
    pub(crate) sha: CommitId,
    pub(crate) context: String,
    pub(crate) state: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) creator: String,
    pub(crate) at: Timestamp,
}

/// A check run; fields as they were sent.
#[derive(Debug, Clone)]
pub(crate) struct CheckRunRecord {
    pub(crate) id: u64,
    pub(crate) sha: CommitId,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) details_url: Option<String>,
    pub(crate) external_id: Option<String>,
    /// All annotations: an update adds to them.
    pub(crate) annotations: Vec<Value>,
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
}

/// The App of a test.
#[derive(Debug, Clone)]
pub(crate) struct AppRecord {
    pub(crate) id: u64,
    pub(crate) client_id: String,
    pub(crate) slug: String,
    pub(crate) installation: u64,
    /// PKCS#1, DER.
    pub(crate) public_key: Vec<u8>,
    /// For how long a token is good that is given from now on.
    pub(crate) token_life: Duration,
    pub(crate) tokens_given: u64,
}

/// Everything behind the server's one lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) place: Place,
    pub(crate) is_private: bool,
    pub(crate) pulls: BTreeMap<u64, PullRecord>,
    pub(crate) comments: BTreeMap<u64, CommentRecord>,
    pub(crate) statuses: Vec<StatusRecord>,
    pub(crate) check_runs: BTreeMap<u64, CheckRunRecord>,
    /// What a login may: `admin`, `maintain`, `write`, `triage`, `read` or `none`.
    pub(crate) people: BTreeMap<String, String>,
    /// Whose a token is, and until when it is good.
    pub(crate) tokens: BTreeMap<String, (Who, Option<Instant>)>,
    pub(crate) app: Option<AppRecord>,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) hook: Option<Hook>,
    pub(crate) requests: Vec<Logged>,
    pub(crate) violations: Vec<String>,
    /// Answers that were made before, by operation, status and hash of what was known.
    pub(crate) completed: std::collections::HashMap<(String, u16, u64), Vec<u8>>,
    ids: u64,
    commits: i64,
}

/// The time of the first commit; every commit is a second later, so that ids are the same in every run.
const FIRST_COMMIT_AT: i64 = 1_700_000_000;

impl State {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            is_private: true,
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            statuses: Vec::new(),
            check_runs: BTreeMap::new(),
            people: BTreeMap::new(),
            tokens: BTreeMap::new(),
            app: None,
            limits: Limits::new(),
            faults: Faults::default(),
            hook: None,
            requests: Vec::new(),
            violations: Vec::new(),
            completed: std::collections::HashMap::new(),
            // GitHub's ids are larger than 32 bits.
            ids: 5_000_000_000,
            commits: 0,
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// The time of the next commit, in seconds.
    pub(crate) fn next_commit_at(&mut self) -> i64 {
        self.commits += 1;
        FIRST_COMMIT_AT + self.commits
    }

    /// What somebody may, as GitHub names it.
    pub(crate) fn role(&self, login: &str) -> &str {
        match self.people.get(login) {
            Some(role) => role,
            None if self.is_private => "none",
            None => "read",
        }
    }

    /// Under which login something appears that this one does.
    pub(crate) fn login(&self, who: &Who) -> String {
        match who {
            Who::Person(login) => login.clone(),
            Who::App | Who::Installation(_) => {
                let slug = self.app.as_ref().map_or("app", |app| app.slug.as_str());
                format!("{slug}[bot]")
            }
        }
    }

    pub(crate) fn may_write(&self, who: &Who) -> bool {
        match who {
            Who::Person(login) => matches!(self.role(login), "admin" | "maintain" | "write"),
            Who::App => false,
            Who::Installation(_) => true,
        }
    }

    pub(crate) fn may_read(&self, who: &Who) -> bool {
        !matches!(who, Who::Person(login) if self.role(login) == "none")
    }

    /// A change of a pull request was made now.
    pub(crate) fn touch(&mut self, number: u64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = Timestamp::now();
        }
    }
}
