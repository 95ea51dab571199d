//! GitHub, github.com or an Enterprise server, as a [`Forge`]: asked by REST, with a token or as a GitHub App.
//!
//! Keeps to what GitHub publishes of its API (version 2022-11-28). It decides nothing, repeats nothing and
//! follows no redirect; while a limit is known it sends nothing and says until when.

mod app;
mod checks;
mod client;
mod connection;
mod errors;
mod identity;
mod limits;
mod options;
mod pages;
mod place;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, Semaphore};

pub use limits::{Budget, WRITES_PER_HOUR, WRITES_PER_MINUTE};
pub use options::{Auth, Now, Options, OptionsError};

use self::app::AppKey;
use self::client::{Answer, Ask, Client, REQUESTS_AT_ONCE};
use self::connection::Connection;
use self::identity::Credentials;
use self::limits::Limits;
use self::pages::{PAGE_ITEMS, PAGES_MAX};
use self::place::{Place, login_segment};
use self::wire::{App, Made, Permission, User, WireComment, WirePull};
use super::{
    Check, Comment, Context, Forge, ForgeError, Listing, MergeFacts, Pull, PullState, Reported,
};
use crate::model::{CommitId, PullNumber, Secret};

/// Base branches whose last list is remembered; a controller has one.
const LISTS_MAX: usize = 16;

/// A repository on GitHub.
pub struct GitHub {
    client: Client,
    /// Our login, once known.
    login: OnceCell<String>,
    /// What was answered last to [`Forge::open_pulls`], by base branch.
    lists: Mutex<HashMap<String, Arc<[Pull]>>>,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHub").field("place", &self.client.place).finish_non_exhaustive()
    }
}

impl GitHub {
    /// A client, which has not asked anything yet.
    ///
    /// # Errors
    ///
    /// If an option makes no sense, or the file of authorities cannot be read.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        let place = Place::new(&options.api_url, &options.owner, &options.repo)?;
        let credentials = match options.auth {
            Auth::Token(token) => {
                // A file with a token ends with a line end.
                let text = token.expose().trim();
                if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
                    return Err(OptionsError::Token);
                }
                Credentials::Token(Secret::new(text))
            }
            Auth::App { id, installation_id, private_key } => Credentials::App {
                key: Box::new(AppKey::read(id.trim(), &private_key)?),
                installation_id,
                token: AsyncMutex::new(None),
            },
        };
        let connection = Connection::new(
            place.is_tls(),
            options.ca_file.as_deref(),
            options.proxy.as_deref(),
            REQUESTS_AT_ONCE,
        )?;
        let client = Client {
            place,
            connection,
            credentials,
            limits: Mutex::new(Limits::new(options.budget)),
            pages: Mutex::default(),
            requests: Semaphore::new(REQUESTS_AT_ONCE),
            now: options.now,
        };
        Ok(Self { client, login: OnceCell::new(), lists: Mutex::default() })
    }

    /// An address of the repository's part of the API.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.client.place.repo_api())
    }

    async fn get(&self, doing: &str, path: &str) -> Result<Answer, ForgeError> {
        let url = self.url(path);
        self.client
            .send(&Ask { method: Method::GET, url: &url, body: None, etag: None, doing })
            .await
    }

    async fn write(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let url = self.url(path);
        self.client.send(&Ask { method, url: &url, body, etag: None, doing }).await
    }

    async fn ask_login(&self) -> Result<String, ForgeError> {
        let doing = "find out as whom we speak";
        let api = &self.client.place.api;
        match &self.client.credentials {
            Credentials::App { key, .. } => {
                let url = format!("{api}/app");
                let ask = Ask { method: Method::GET, url: &url, body: None, etag: None, doing };
                let app: App =
                    self.client.read(doing, &self.client.send_as_app(&ask, key).await?)?;
                Ok(format!("{}[bot]", app.slug))
            }
            Credentials::Token(_) => {
                let url = format!("{api}/user");
                let ask = Ask { method: Method::GET, url: &url, body: None, etag: None, doing };
                let answer = self.client.send(&ask).await.map_err(|error| match error {
                    ForgeError::Auth { doing, forge, detail, is_for_all } => ForgeError::Auth {
                        doing,
                        forge,
                        is_for_all,
                        detail: format!(
                            "{detail}; a token of a workflow or an installation is nobody's: take one of a user, or a GitHub App"
                        ),
                    },
                    error => error,
                })?;
                let user: User = self.client.read(doing, &answer)?;
                Ok(user.login)
            }
        }
    }

    fn pull_of(&self, doing: &str, pull: WirePull) -> Result<(Pull, MergeFacts), ForgeError> {
        pull.pull().map_err(|detail| self.client.asked(doing, &[]).unavailable(&detail))
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn me(&self) -> Result<String, ForgeError> {
        self.login.get_or_try_init(|| self.ask_login()).await.cloned()
    }

    async fn open_pulls(&self, base: &str) -> Result<Listing<Pull>, ForgeError> {
        let doing = "list the open pull requests";
        let branch: String = form_urlencoded::byte_serialize(base.as_bytes()).collect();
        let url = self.url(&format!(
            "/pulls?state=open&base={branch}&sort=created&direction=desc&per_page={PAGE_ITEMS}"
        ));
        let pages = self.client.pages(&url, doing, true).await?;
        let lists = || self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lists().get(base).cloned();
        if let Some(items) = &last
            && pages.iter().all(|page| page.is_unchanged)
        {
            return Ok(Listing { items: Arc::clone(items), is_new: false });
        }
        let mut pulls = Vec::new();
        for page in &pages {
            for pull in self.client.read_page::<Vec<WirePull>>(doing, page)? {
                let (pull, _) = self.pull_of(doing, pull)?;
                if pull.base == base && pull.state == PullState::Open {
                    pulls.push(pull);
                }
            }
        }
        // What is opened or closed between two pages moves the rest: the same one may be on both.
        pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        pulls.dedup_by_key(|pull| pull.number);
        let items: Arc<[Pull]> = pulls.into();
        let is_new = last.is_none_or(|last| last != items);
        let mut lists = lists();
        if lists.len() >= LISTS_MAX && !lists.contains_key(base) {
            lists.clear();
        }
        lists.insert(base.to_owned(), Arc::clone(&items));
        Ok(Listing { items, is_new })
    }

    async fn closed_pulls(&self, base: &str, since: Timestamp) -> Result<Vec<Pull>, ForgeError> {
        let doing = "list the closed pull requests";
        let branch: String = form_urlencoded::byte_serialize(base.as_bytes()).collect();
        let mut next = Some(self.url(&format!(
            "/pulls?state=closed&base={branch}&sort=updated&direction=desc&per_page={PAGE_ITEMS}"
        )));
        let mut pulls: Vec<Pull> = Vec::new();
        let mut pages = 0;
        while let Some(url) = next.take() {
            if pages == PAGES_MAX {
                return Err(self.client.too_many(doing));
            }
            pages += 1;
            let page = self.client.page(&url, doing, true).await?;
            let mut is_older = false;
            for pull in self.client.read_page::<Vec<WirePull>>(doing, &page)? {
                let (pull, _) = self.pull_of(doing, pull)?;
                is_older |= pull.updated_at < since;
                let is_known = pulls.iter().any(|known| known.number == pull.number);
                if pull.updated_at >= since && pull.base == base && !is_known {
                    pulls.push(pull);
                }
            }
            if !is_older {
                next = page.next;
            }
        }
        Ok(pulls)
    }

    async fn pull(&self, number: PullNumber) -> Result<(Pull, MergeFacts), ForgeError> {
        let doing = format!("read pull request {number}");
        let answer = self.get(&doing, &format!("/pulls/{}", number.0)).await?;
        self.pull_of(&doing, self.client.read(&doing, &answer)?)
    }

    async fn comments(
        &self,
        number: PullNumber,
        since: Option<Timestamp>,
    ) -> Result<Vec<Comment>, ForgeError> {
        let doing = format!("list the comments of pull request {number}");
        let mut url = self.url(&format!("/issues/{}/comments?per_page={PAGE_ITEMS}", number.0));
        if let Some(since) = since {
            // Whole seconds: GitHub knows no others, and too many is better than too few.
            url = format!("{url}&since={}", since.strftime("%Y-%m-%dT%H:%M:%SZ"));
        }
        // With a time the question is another one every time.
        let pages = self.client.pages(&url, &doing, since.is_none()).await?;
        let mut comments: Vec<Comment> = Vec::new();
        for page in &pages {
            let read: Vec<WireComment> = self.client.read_page(&doing, page)?;
            comments.extend(read.into_iter().map(WireComment::comment));
        }
        comments.sort_by_key(|comment| (comment.created_at, comment.id));
        comments.dedup_by_key(|comment| comment.id);
        Ok(comments)
    }

    async fn create_comment(&self, number: PullNumber, body: &str) -> Result<u64, ForgeError> {
        let doing = format!("comment on pull request {number}");
        let path = format!("/issues/{}/comments", number.0);
        let answer =
            self.write(&doing, Method::POST, &path, Some(&json!({ "body": body }))).await?;
        let made: Made = self.client.read(&doing, &answer)?;
        Ok(made.id)
    }

    async fn edit_comment(&self, id: u64, body: &str) -> Result<(), ForgeError> {
        let path = format!("/issues/comments/{id}");
        let body = json!({ "body": body });
        self.write("edit a comment", Method::PATCH, &path, Some(&body)).await.map(drop)
    }

    async fn delete_comment(&self, id: u64) -> Result<(), ForgeError> {
        let path = format!("/issues/comments/{id}");
        self.write("delete a comment", Method::DELETE, &path, None).await.map(drop)
    }

    async fn report(&self, commit: &CommitId, check: &Check) -> Result<(), ForgeError> {
        match (&self.client.credentials, check.context) {
            (Credentials::App { .. }, Context::Plan) => self.report_run(commit, check).await,
            _ => self.report_status(commit, check).await,
        }
    }

    async fn reported(
        &self,
        commit: &CommitId,
        context: Context,
    ) -> Result<Option<Reported>, ForgeError> {
        match (&self.client.credentials, context) {
            (Credentials::App { .. }, Context::Plan) => self.reported_run(commit, context).await,
            _ => self.reported_status(commit, context).await,
        }
    }

    async fn may_write(&self, login: &str) -> Result<bool, ForgeError> {
        let Some(person) = login_segment(login) else { return Ok(false) };
        let doing = "find out whether a person may write to the repository";
        let answer = match self.get(doing, &format!("/collaborators/{person}/permission")).await {
            Err(ForgeError::NotFound { .. }) => return Ok(false),
            answer => answer?,
        };
        let permission: Permission = self.client.read(doing, &answer)?;
        let is_writer = |role: Option<&str>| matches!(role, Some("admin" | "maintain" | "write"));
        Ok(is_writer(permission.permission.as_deref())
            || is_writer(permission.role_name.as_deref()))
    }

    fn web_url(&self) -> String {
        self.client.place.repo_web()
    }

    fn pull_url(&self, number: PullNumber) -> String {
        format!("{}/pull/{}", self.client.place.repo_web(), number.0)
    }
}
