//! A forge of a test's own: a server that behaves like GitHub's REST API, built from GitHub's own description,
//! over a real git repository that a real git server serves.
//!
//! A request goes through [`server`] (the line), [`exchange`] (everything that holds for all requests) and
//! [`answers`] (what is asked). The description ([`description`], cut by [`extract`]) decides which requests
//! are refused, and completes and checks what is answered. [`people`] and [`pulls`] is what others do on
//! GitHub, for tests to call. Whatever a client does that the description does not allow is a violation,
//! and fails the test when the forge ends: [`Forge::finish`], or its drop.

#![allow(
    dead_code,
    unused_imports,
    reason = "what people do on GitHub, as a whole: every theme of tests uses a part of it"
)]

pub(crate) mod answers;
pub(crate) mod auth;
pub(crate) mod description;
pub(crate) mod exchange;
pub(crate) mod extract;
pub(crate) mod faults;
pub(crate) mod git;
pub(crate) mod hooks;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod people;
pub(crate) mod pulls;
pub(crate) mod server;
pub(crate) mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::server::Server;
use self::state::{Place, State};
use crate::support::git_servers::GitHttp;
use crate::support::repo::Repo;

pub(crate) use self::auth::AppKey;
pub(crate) use self::faults::{Fault, For};
pub(crate) use self::git::Conflict;
pub(crate) use self::hooks::{Delivery, Hook};
pub(crate) use self::limits::Secondary;
pub(crate) use self::log::{Counts, Logged};
pub(crate) use self::pulls::{Merge, Proposal};
pub(crate) use self::state::{CheckRunRecord, CommentRecord, PullRecord, StatusRecord};

/// Items on a page at most.
pub(crate) const PER_PAGE_MAX: u64 = 100;
/// The login whose token [`Forge::token`] is: may write.
pub(crate) const BOT: &str = "tide-bot";

/// What a forge is started as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) owner: &'static str,
    pub(crate) name: &'static str,
    /// Goes before every path: `/api/v3` at an Enterprise.
    pub(crate) base_path: &'static str,
    /// Whether the repository is served by a real git server too; else it is a folder only.
    pub(crate) is_served: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { owner: "acme", name: "infra", base_path: "", is_served: false }
    }
}

/// A forge with one repository, `acme/infra` with a branch `main`, until it is dropped.
#[derive(Debug)]
pub(crate) struct Forge {
    /// The bare repository.
    pub(crate) repo: Repo,
    /// A token of [`BOT`], for the API.
    pub(crate) token: String,
    git: Option<GitHttp>,
    state: Arc<Mutex<State>>,
    server: Option<Server>,
    is_finished: bool,
    _folder: Option<tempfile::TempDir>,
}

impl Forge {
    /// Starts one whose repository is served by a git server.
    pub(crate) fn start() -> Self {
        Self::start_with(Options { is_served: true, ..Options::default() })
    }

    /// Starts one whose repository is a folder only: without nginx, where no git server is needed.
    pub(crate) fn start_api() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts one.
    pub(crate) fn start_with(options: Options) -> Self {
        let path = format!("{}/{}.git", options.owner, options.name);
        let (git, folder, repo) = if options.is_served {
            let git = GitHttp::start();
            let repo = git.repo(&path);
            (Some(git), None, repo)
        } else {
            let folder = tempfile::TempDir::new().unwrap();
            let repo = Repo::init(&folder.path().join(&path));
            (None, Some(folder), repo)
        };
        let (server, listener) = Server::listen();
        let place = Place {
            owner: options.owner.to_owned(),
            name: options.name.to_owned(),
            base_path: options.base_path.to_owned(),
            api_url: format!("http://127.0.0.1:{}{}", server.port, options.base_path),
            git_url: git
                .as_ref()
                .map_or_else(|| repo.path.display().to_string(), |git| git.url(&path)),
            folder: repo.path.clone(),
        };
        let state = Arc::new(Mutex::new(State::new(place)));
        server.serve(listener, &state);
        let (server, token) = (Some(server), String::new());
        let mut forge =
            Self { repo, token, git, state, server, is_finished: false, _folder: folder };
        forge.permit(options.owner, "admin");
        forge.permit(BOT, "write");
        forge.token = forge.token_of(BOT);
        forge.push_to("main", &[("README.md", Some(b"# infra\n"))], options.owner);
        forge
    }

    /// The address of the API: what `forge.apiUrl` is in a configuration.
    pub(crate) fn api_url(&self) -> String {
        self.state().place.api_url.clone()
    }

    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        let state = self.state();
        format!("{}/{}", state.place.owner, state.place.name)
    }

    /// The address of the repository for git: of the git server, or the folder.
    pub(crate) fn git_url(&self) -> String {
        self.state().place.git_url.clone()
    }

    /// The git server, with its users and its token.
    pub(crate) fn git(&self) -> &GitHttp {
        self.git.as_ref().expect("a forge with a git server: Forge::start")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves so many requests of the primary limit, until it resets.
    pub(crate) fn limit_primary(&self, remaining: u64, resets_in: Duration) {
        self.state().limits.leave(remaining, resets_in);
    }

    /// Sets a secondary limit.
    pub(crate) fn limit_secondary(&self, secondary: Secondary) {
        self.state().limits.secondary = Some(secondary);
    }

    /// Lifts the limits that were set, and forgets what was used.
    pub(crate) fn lift_limits(&self) {
        self.state().limits = limits::Limits::new();
    }

    /// Requests that counted against the primary limit since it was last reset.
    pub(crate) fn used(&self) -> u64 {
        self.state().limits.used
    }

    /// Lets something go wrong.
    pub(crate) fn fail(&self, fault: Fault, length: For) {
        self.state().faults.set(fault, length);
    }

    /// Ends what goes wrong.
    pub(crate) fn recover(&self) {
        self.state().faults.lift();
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Logged> {
        self.state().requests.clone()
    }

    /// Requests so far, counted.
    pub(crate) fn counts(&self) -> Counts {
        Counts::of(&self.state().requests)
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_requests(&self) {
        self.state().requests.clear();
    }

    /// A line for every write that was done, the same in every run.
    pub(crate) fn transcript(&self) -> String {
        log::transcript(&self.state().requests)
    }

    /// What clients did so far that the description does not allow; they are forgiven.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.state().violations)
    }

    /// Sends webhooks by itself from now on: pull requests, comments, pushes.
    pub(crate) fn set_hook(&self, hook: Option<Hook>) {
        self.state().hook = hook;
    }

    /// Sends one webhook with this repository in it, and waits for its answer.
    pub(crate) fn deliver(&self, hook: &Hook, event: &str, known: &serde_json::Value) -> Delivery {
        let payload = hooks::payload(&self.state(), event, known);
        hook.deliver(event, &payload)
    }

    /// Ends it; fails the test where a client did what the description does not allow.
    pub(crate) fn finish(mut self) {
        self.check();
    }

    fn check(&mut self) {
        self.server = None;
        let was_finished = std::mem::replace(&mut self.is_finished, true);
        let violations = self.take_violations();
        if !was_finished && !violations.is_empty() && !std::thread::panicking() {
            panic!("GitHub's description does not allow:\n- {}", violations.join("\n- "));
        }
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.check();
    }
}
