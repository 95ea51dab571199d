//! What people do on GitHub besides pull requests: comment, push, get tokens and permissions; and what a test
//! sees of what was said.

use std::time::{Duration, Instant};

use tidegate::model::CommitId;

use super::answers::comments;
use super::auth::{self, AppKey};
use super::state::{AppRecord, CheckRunRecord, CommentRecord, StatusRecord, Who};
use super::{Forge, git, hooks};

impl Forge {
    /// What a login may: `admin`, `maintain`, `write`, `triage`, `read`, `none`.
    pub(crate) fn permit(&self, login: &str, role: &str) {
        self.state().people.insert(login.to_owned(), role.to_owned());
    }

    /// Whether only those may read who are permitted to; so from the start.
    pub(crate) fn set_private(&self, is_private: bool) {
        self.state().is_private = is_private;
    }

    /// A new token of a person, for the API.
    pub(crate) fn token_of(&self, login: &str) -> String {
        let mut state = self.state();
        let token = format!("ghp_{:036}", state.next_id());
        state.tokens.insert(token.clone(), (Who::Person(login.to_owned()), None));
        token
    }

    /// Makes a token bad from now on.
    pub(crate) fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// Installs an App on the repository, with a key of its own.
    pub(crate) fn install_app(&self) -> AppKey {
        let (private_key, private_key_pkcs8, public_key) = auth::make_key();
        let app = AppRecord {
            id: 4_711,
            client_id: "Iv23liTESTTESTTEST".to_owned(),
            slug: "tide-app".to_owned(),
            installation: 815,
            public_key,
            token_life: auth::TOKEN_LIFE,
            tokens_given: 0,
        };
        let key = AppKey {
            id: app.id,
            client_id: app.client_id.clone(),
            installation: app.installation,
            private_key,
            private_key_pkcs8,
        };
        self.state().app = Some(app);
        key
    }

    /// For how long installation tokens are good that are given from now on.
    pub(crate) fn set_token_life(&self, life: Duration) {
        self.state().app.as_mut().expect("an App: Forge::install_app").token_life = life;
    }

    /// Ends all installation tokens now.
    pub(crate) fn expire_tokens(&self) {
        for (who, until) in self.state().tokens.values_mut() {
            if matches!(who, Who::Installation(_)) {
                *until = Some(Instant::now());
            }
        }
    }

    /// How many installation tokens were given.
    pub(crate) fn tokens_given(&self) -> u64 {
        self.state().app.as_ref().map_or(0, |app| app.tokens_given)
    }

    /// All tokens that are or were good, of people and of the App's installation.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.state().tokens.keys().cloned().collect()
    }

    /// Pushes a commit of files to a branch, without a pull request; `None` as content removes a file.
    pub(crate) fn push_to(
        &self,
        branch: &str,
        files: &[(&str, Option<&[u8]>)],
        login: &str,
    ) -> CommitId {
        let mut state = self.state();
        let (folder, at) = (state.place.folder.clone(), state.next_commit_at());
        let reference = format!("refs/heads/{branch}");
        let before = git::resolved(&folder, &reference);
        let commit =
            git::commit_files(&folder, before.as_ref(), files, "Change by hand\n", login, at);
        git::set(&folder, &reference, &commit);
        let before = before.map_or_else(|| "0".repeat(40), |before| before.to_string());
        hooks::pushed(&state, &reference, &before, commit.as_str());
        commit
    }

    /// The head of a branch.
    pub(crate) fn head_of(&self, branch: &str) -> CommitId {
        git::head(&self.repo.path, branch)
    }

    /// Writes a comment as a person and gives its id.
    pub(crate) fn comment(&self, number: u64, login: &str, body: &str) -> u64 {
        comments::add(&mut self.state(), number, login, body, false)
    }

    /// Edits any comment as a person.
    pub(crate) fn edit_comment(&self, id: u64, login: &str, body: &str) {
        comments::change(&mut self.state(), id, body, login);
    }

    /// Deletes any comment as a person.
    pub(crate) fn delete_comment(&self, id: u64, login: &str) {
        comments::remove(&mut self.state(), id, login);
    }

    /// The comments of a pull request that are there, oldest first, each with what it said before.
    pub(crate) fn comments(&self, number: u64) -> Vec<CommentRecord> {
        let mut comments = self.all_comments(number);
        comments.retain(|comment| !comment.is_deleted);
        comments
    }

    /// The comments of a pull request that ever were, oldest first.
    pub(crate) fn all_comments(&self, number: u64) -> Vec<CommentRecord> {
        let state = self.state();
        state.comments.values().filter(|comment| comment.pull == number).cloned().collect()
    }

    /// The statuses of a commit, oldest first.
    pub(crate) fn statuses(&self, commit: &CommitId) -> Vec<StatusRecord> {
        let state = self.state();
        state.statuses.iter().filter(|status| status.sha == *commit).cloned().collect()
    }

    /// The last status of a commit and context, as `(state, description)`.
    pub(crate) fn status(&self, commit: &CommitId, context: &str) -> Option<(String, String)> {
        let statuses = self.statuses(commit);
        let last = statuses.into_iter().rev().find(|status| status.context == context)?;
        Some((last.state, last.description.unwrap_or_default()))
    }

    /// The check runs of a commit, oldest first.
    pub(crate) fn check_runs(&self, commit: &CommitId) -> Vec<CheckRunRecord> {
        let state = self.state();
        state.check_runs.values().filter(|run| run.sha == *commit).cloned().collect()
    }
}
