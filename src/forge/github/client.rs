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
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::errors::{Asked, harmless, is_html, words};
use super::identity::Credentials;
use super::limits::{Limits, Wait};
use super::pages::Pages;
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

/// Why there is no good answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Where there was one at all, and it was no limit.
    pub(super) status: Option<StatusCode>,
    pub(super) error: ForgeError,
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

    /// Sends a request with a credential. A content write is one that the budget counts.
    pub(super) async fn send_as(
        &self,
        ask: &Ask<'_>,
        credential: &Secret,
        is_content: bool,
    ) -> Result<Answer, Failed> {
        let secrets = std::slice::from_ref(credential);
        let asked = self.asked(ask.doing, secrets);
        let headers = headers(ask, credential).ok_or_else(|| {
            let why = "the credentials cannot be sent in a header: is there a line end in them?";
            asked.auth(why, true)
        })?;
        let _place = self
            .requests
            .acquire()
            .await
            .map_err(|_| asked.unavailable("the client is being closed"))?;
        self.limits().admit((self.now)(), is_content).map_err(|wait| limited(ask.doing, wait))?;
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
