//! Sends one request and says what its answer means: credentials, headers, limits, time and size.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LINK,
    USER_AGENT,
};
use hyper::http::request::Builder;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::app::{AppKey, Token};
use super::connection::Connection;
use super::errors::{Asked, harmless, is_html, words};
use super::limits::{Limits, Wait};
use super::pages::Pages;
use super::wire::{InstallationToken, Made};
use super::{Now, Place};
use crate::forge::ForgeError;
use crate::model::Secret;

/// Requests at once: GitHub allows 100 of all that an account does, and a pull request needs one at a time.
pub(super) const REQUESTS_AT_ONCE: usize = 4;
/// Time for a request and its whole answer. GitHub itself gives up after ten seconds.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of an answer: a page of a hundred comments of the greatest length in the longest characters.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of an answer that is an error: enough for its reason.
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// The version of the API whose contract this keeps to.
const API_VERSION: &str = "2022-11-28";

/// How requests are signed.
#[derive(Debug)]
pub(super) enum Credentials {
    Token(Secret),
    App { key: AppKey, installation_id: Option<u64>, token: AsyncMutex<Option<Token>> },
}

/// A request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The whole address.
    pub(super) url: &'a str,
    pub(super) body: Option<&'a Value>,
    /// The tag of what is already known.
    pub(super) etag: Option<&'a str>,
    /// What it is for, as an infinitive.
    pub(super) doing: &'a str,
}

/// A good answer, or "not modified" where a tag was sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) link: Option<String>,
    pub(super) body: Bytes,
    is_html: bool,
}

struct Failed {
    status: Option<StatusCode>,
    error: ForgeError,
}

impl From<ForgeError> for Failed {
    fn from(error: ForgeError) -> Self {
        Self { status: None, error }
    }
}

/// One GitHub, as one identity.
pub(super) struct Client {
    pub(super) place: Place,
    pub(super) connection: Connection,
    pub(super) credentials: Credentials,
    pub(super) limits: Mutex<Limits>,
    pub(super) pages: Mutex<Pages>,
    pub(super) requests: Semaphore,
    pub(super) now: Now,
}

impl Client {
    /// Sends a request as the configured identity. A token of an App that is refused is changed once.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, ForgeError> {
        let (key, token) = match &self.credentials {
            Credentials::Token(token) => {
                return self.send_as(ask, token).await.map_err(|failed| failed.error);
            }
            Credentials::App { key, token, .. } => (key, token),
        };
        let first = self.installation_token(key, token, None).await?;
        match self.send_as(ask, &first).await {
            Err(failed) if failed.status == Some(StatusCode::UNAUTHORIZED) => {
                let second = self.installation_token(key, token, Some(&first)).await?;
                self.send_as(ask, &second).await.map_err(|failed| failed.error)
            }
            answer => answer.map_err(|failed| failed.error),
        }
    }

    /// Sends a request as the App itself, which may ask only about itself.
    pub(super) async fn send_as_app(
        &self,
        ask: &Ask<'_>,
        key: &AppKey,
    ) -> Result<Answer, ForgeError> {
        let statement = key.statement((self.now)()).ok_or_else(|| {
            self.asked(ask.doing, &[])
                .unavailable("the system gives no random numbers to sign with")
        })?;
        self.send_as(ask, &statement).await.map_err(|failed| failed.error)
    }

    /// The token of the installation; `refused` is one that GitHub no longer takes.
    async fn installation_token(
        &self,
        key: &AppKey,
        held: &AsyncMutex<Option<Token>>,
        refused: Option<&Secret>,
    ) -> Result<Secret, ForgeError> {
        // Held while asking, so that many requests that need a token ask for one.
        let mut held = held.lock().await;
        if let Some(token) = held.as_ref()
            && token.is_good((self.now)())
            && Some(&token.value) != refused
        {
            return Ok(token.value.clone());
        }
        *held = None;
        let id = self.installation_id(key).await?;
        let doing = "get a token of the App's installation";
        let url = format!("{}/app/installations/{id}/access_tokens", self.place.api);
        // No more than this one repository, whatever else the App is installed on.
        let body = serde_json::json!({ "repositories": [self.place.repo] });
        let ask = Ask { method: Method::POST, url: &url, body: Some(&body), etag: None, doing };
        let answer = self.send_as_app(&ask, key).await?;
        let token: InstallationToken = self.read(doing, &answer)?;
        let value = Secret::new(token.token);
        *held = Some(Token { value: value.clone(), expires_at: token.expires_at });
        Ok(value)
    }

    async fn installation_id(&self, key: &AppKey) -> Result<u64, ForgeError> {
        if let Credentials::App { installation_id: Some(id), .. } = &self.credentials {
            return Ok(*id);
        }
        let doing = "find the App's installation on the repository";
        let url = format!("{}/installation", self.place.repo_api());
        let ask = Ask { method: Method::GET, url: &url, body: None, etag: None, doing };
        let made: Made = self.read(doing, &self.send_as_app(&ask, key).await?)?;
        Ok(made.id)
    }

    /// Reads an answer's body.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        doing: &str,
        answer: &Answer,
    ) -> Result<T, ForgeError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let secrets = self.secrets();
            let asked = self.asked(doing, &secrets);
            if answer.is_html {
                return asked.unavailable(
                    "a page for people in place of data: is the API's address right?",
                );
            }
            asked.unavailable(&format!("the answer cannot be read: {error}"))
        })
    }

    pub(super) fn asked<'a>(&'a self, doing: &'a str, secrets: &'a [Secret]) -> Asked<'a> {
        Asked { doing, forge: &self.place.api, secrets }
    }

    /// What must not be repeated, but for the secret of the request itself.
    fn secrets(&self) -> Vec<Secret> {
        match &self.credentials {
            Credentials::Token(token) => vec![token.clone()],
            Credentials::App { token, .. } => token
                .try_lock()
                .ok()
                .and_then(|token| token.as_ref().map(|token| token.value.clone()))
                .into_iter()
                .collect(),
        }
    }

    async fn send_as(&self, ask: &Ask<'_>, credential: &Secret) -> Result<Answer, Failed> {
        let secrets = std::slice::from_ref(credential);
        let asked = self.asked(ask.doing, secrets);
        let headers = headers(ask, credential).ok_or_else(|| {
            asked.auth("the credentials cannot be sent in a header: is there a line end in them?")
        })?;
        let _place = self
            .requests
            .acquire()
            .await
            .map_err(|_| asked.unavailable("the client is being closed"))?;
        let is_write = ask.method != Method::GET && !ask.url.ends_with("/access_tokens");
        self.limits().admit((self.now)(), is_write).map_err(|wait| limited(ask.doing, wait))?;
        let (status, headers, body) =
            tokio::time::timeout(REQUEST_LIMIT, self.exchange(ask, headers, &asked))
                .await
                .map_err(|_| {
                    asked.unavailable(&format!(
                        "no whole answer within {} s",
                        REQUEST_LIMIT.as_secs()
                    ))
                })??;
        let said = if status.is_success() { String::new() } else { words(&body) };
        let wait = self.limits().learn((self.now)(), status, &headers, &said);
        if let Some(wait) = wait {
            return Err(limited(ask.doing, wait).into());
        }
        let is_known = status == StatusCode::NOT_MODIFIED && ask.etag.is_some();
        if !status.is_success() && !is_known {
            let error = asked.refusal(status, &headers, &body);
            return Err(Failed { status: Some(status), error });
        }
        Ok(Answer {
            status,
            etag: text(&headers, &ETAG),
            link: text(&headers, &LINK),
            is_html: is_html(&headers),
            body,
        })
    }

    async fn exchange(
        &self,
        ask: &Ask<'_>,
        headers: HeaderMap,
        asked: &Asked<'_>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ForgeError> {
        let octocrab = self.connection.octocrab();
        let request = Builder::new().method(ask.method.clone()).uri(ask.url);
        let mut request = octocrab
            .build_request(request, ask.body)
            .map_err(|error| asked.unavailable(&cause(&error)))?;
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        let response =
            octocrab.execute(request).await.map_err(|error| asked.unavailable(&cause(&error)))?;
        let (head, mut body) = response.into_parts();
        let is_good = head.status.is_success();
        let bytes_max = if is_good { ANSWER_BYTES_MAX } else { ERROR_BYTES_MAX };
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                asked.unavailable(&format!("the answer broke off: {}", cause(&error)))
            })?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
            if bytes.len() > bytes_max {
                if is_good {
                    return Err(
                        asked.unavailable(&format!("the answer has over {bytes_max} bytes"))
                    );
                }
                bytes.truncate(bytes_max);
                break;
            }
        }
        Ok((head.status, head.headers, bytes.into()))
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limited(doing: &str, wait: Wait) -> ForgeError {
    let until: Timestamp = wait.until;
    ForgeError::Limited { doing: doing.to_owned(), until, why: harmless(&wait.why, &[]) }
}

fn headers(ask: &Ask<'_>, credential: &Secret) -> Option<HeaderMap> {
    let mut authorization =
        HeaderValue::from_str(&format!("Bearer {}", credential.expose())).ok()?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert(
        HeaderName::from_static("x-github-api-version"),
        HeaderValue::from_static(API_VERSION),
    );
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(etag) = ask.etag {
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(etag).ok()?);
    }
    Some(headers)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The innermost reasons of an error of octocrab, whose own words hold a backtrace.
fn cause(error: &octocrab::Error) -> String {
    let mut next: Option<&(dyn Error + 'static)> = Some(error.source().unwrap_or(error));
    let mut texts: Vec<String> = Vec::new();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Many layers repeat the words of the one below.
        if !texts.iter().any(|outer| outer.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ")
}
