//! What went wrong with a call to a Docker host, and what to do next: the one place where the daemon's
//! answers are understood. Does no I/O.

use std::error::Error as _;
use std::time::Duration;

use bollard::errors::Error as ClientError;

use crate::model::{FailureKind, Next, Secret};
use crate::providers::ProviderError;

/// Longest part of a daemon's message that is passed on, in characters: it may quote whole commands.
const MESSAGE_CHARS_MAX: usize = 500;
/// Wait before asking again where the daemon is in the middle of removing or starting something.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(1);

/// How a call failed, before it is known what was being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The daemon answered with an error.
    Status {
        /// HTTP status.
        code: u16,
        /// Its message.
        message: String,
    },
    /// No answer within the limit.
    Timeout(Duration),
    /// The daemon could not be reached, or went away before it answered.
    Unreachable(String),
    /// Anything else: an answer that makes no sense.
    Unexpected(String),
}

impl Failure {
    /// Sorts a client library's error.
    pub(super) fn of(error: &ClientError, limit: Duration) -> Self {
        match error {
            ClientError::DockerResponseServerError { status_code, message } => {
                Self::Status { code: *status_code, message: message.clone() }
            }
            ClientError::RequestTimeoutError => Self::Timeout(limit),
            ClientError::SocketNotFoundError(path) => {
                Self::Unreachable(format!("there is no socket {path}; is the daemon running?"))
            }
            ClientError::DockerStreamError { error } => {
                Self::Status { code: 500, message: error.clone() }
            }
            ClientError::IOError { .. }
            | ClientError::HyperResponseError { .. }
            | ClientError::HyperLegacyError { .. } => Self::Unreachable(innermost(error)),
            other => Self::Unexpected(innermost(other)),
        }
    }

    /// The HTTP status, where the daemon answered.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Timeout(_) | Self::Unreachable(_) | Self::Unexpected(_) => None,
        }
    }

    /// The error for whoever called the provider. `doing` fits after "failed to "; no value of `secrets`
    /// is left in the message.
    pub(super) fn into_error(self, doing: &str, secrets: &[&Secret]) -> ProviderError {
        let (kind, next, what) = match self {
            Self::Status { code, message } => {
                let (kind, next) = classify(code, &message);
                (kind, next, message)
            }
            Self::Timeout(limit) => (
                FailureKind::Timeout,
                Next::Retry { after: None },
                format!("no answer within {} s", limit.as_secs()),
            ),
            Self::Unreachable(why) => (FailureKind::Unavailable, Next::Retry { after: None }, why),
            Self::Unexpected(why) => (FailureKind::Unexpected, Next::Retry { after: None }, why),
        };
        let what = shorten(&redact(&what, secrets));
        ProviderError { kind, next, message: format!("{doing}: {what}") }
    }
}

/// Texts of a daemon's 5xx and 4xx answers that stay so until the spec changes.
const LASTING: [&str; 6] = [
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "is a directory",
    "minimum memory limit",
];
/// Texts that say that a port of the host is taken.
const PORT_TAKEN: [&str; 2] = ["port is already allocated", "address already in use"];
/// Texts by which a registry says that the image is not there. Most registries say "denied" for an image
/// that does not exist, so as not to tell which do.
const IMAGE_MISSING: [&str; 4] =
    ["manifest unknown", "not found: manifest", "repository does not exist", "no such image"];
/// Texts by which a registry refuses the login.
const IMAGE_DENIED: [&str; 4] =
    ["unauthorized", "access denied", "denied: requested", "no basic auth credentials"];

/// What a daemon's error answer means and what to do next.
fn classify(code: u16, message: &str) -> (FailureKind, Next) {
    let retry = Next::Retry { after: None };
    let lower = message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    match code {
        _ if says(&IMAGE_MISSING) => (FailureKind::NotFound, Next::GiveUp),
        _ if says(&IMAGE_DENIED) => (FailureKind::Denied, Next::GiveUp),
        _ if says(&PORT_TAKEN) => (FailureKind::Conflict, Next::GiveUp),
        // Seen after the daemon was replaced by an older one; the next call negotiates again.
        400 if lower.contains("client version") => (FailureKind::Unavailable, retry),
        400..500 if says(&LASTING) => (FailureKind::Invalid, Next::GiveUp),
        400 | 413 | 422 => (FailureKind::Invalid, Next::GiveUp),
        401 | 403 => (FailureKind::Denied, Next::GiveUp),
        404 => (FailureKind::NotFound, Next::GiveUp),
        408 | 504 => (FailureKind::Timeout, retry),
        409 => (FailureKind::Conflict, Next::Retry { after: Some(BUSY_RETRY) }),
        429 => (FailureKind::RateLimited, retry),
        500 if lower.contains("runtime create failed") && says(&LASTING) => {
            (FailureKind::Invalid, Next::GiveUp)
        }
        502 | 503 => (FailureKind::Unavailable, retry),
        _ => (FailureKind::Unexpected, retry),
    }
}

/// The last cause of an error, which is the one that tells: the outer ones say "client error (Connect)".
fn innermost(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// Replaces every value of `secrets` in `text`: a daemon quotes parts of what it refuses.
pub(super) fn redact(text: &str, secrets: &[&Secret]) -> String {
    let mut out = text.to_owned();
    // Longest first, so that no secret that contains another is left in part.
    let mut values: Vec<&str> =
        secrets.iter().map(|secret| secret.expose()).filter(|value| !value.is_empty()).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        out = out.replace(value, "<secret>");
    }
    out
}

fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_what_daemons_and_registries_say() {
        use FailureKind::{
            Conflict, Denied, Invalid, NotFound, RateLimited, Timeout, Unavailable, Unexpected,
        };
        let retries = |code, message: &str| {
            let (kind, next) = classify(code, message);
            (kind, next != Next::GiveUp)
        };
        for (code, message, expected) in [
            (404, "No such image: web:1", (NotFound, false)),
            (404, "manifest for x/web:1 not found: manifest unknown", (NotFound, false)),
            (
                404,
                "pull access denied for web, repository does not exist or may require 'docker login'",
                (NotFound, false),
            ),
            (500, "Head \"https://r/v2/web\": unauthorized: wrong password", (Denied, false)),
            (500, "Get \"https://r/v2/\": dial tcp: lookup r: no such host", (Unexpected, true)),
            (
                400,
                "client version 1.53 is too new. Maximum supported API version is 1.41",
                (Unavailable, true),
            ),
            (400, "invalid environment variable: =x", (Invalid, false)),
            (
                500,
                "driver failed programming external connectivity on endpoint x: Bind for \
                 127.0.0.1:80 failed: port is already allocated",
                (Conflict, false),
            ),
            (
                400,
                "failed to create shim task: OCI runtime create failed: exec: \"/x\": stat /x: no such \
                 file or directory: unknown",
                (Invalid, false),
            ),
            (409, "removal of container x is already in progress", (Conflict, true)),
            (429, "too many requests", (RateLimited, true)),
            (504, "", (Timeout, true)),
            (503, "", (Unavailable, true)),
            (500, "no space left on device", (Unexpected, true)),
        ] {
            assert_eq!(retries(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_quoted_secret_does_not_leave() {
        let (whole, part) = (Secret::new("hunter2-and-more"), Secret::new("hunter2"));
        let message = "invalid environment variable: hunter2-and-more, hunter2".to_owned();
        let error = Failure::Status { code: 400, message }.into_error("create x", &[&part, &whole]);
        assert_eq!(error.message, "create x: invalid environment variable: <secret>, <secret>");
    }
}
