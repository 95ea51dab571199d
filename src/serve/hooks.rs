//! Takes deliveries of the forge's webhook: verified first, each once, answered before anything is done.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::problem;
use crate::forge::hooks::{Hook, HookError, read, verify};
use crate::model::Secret;

/// Bytes of a delivery: those that matter here have some ten thousand; a push of thousands of commits can have
/// more, and is found by the next poll.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Time for a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Deliveries that are remembered, to take each once: more than a busy repository has in an hour.
const REMEMBERED_MAX: usize = 1024;
/// Characters of a delivery's id or an event's name; both are short.
const NAME_CHARS_MAX: usize = 64;

/// What there is to webhooks.
#[derive(Clone)]
pub struct HookSetup {
    /// What the forge signs with.
    pub secret: Secret,
    /// Told of every delivery that matters, at once and without blocking.
    pub wake: Arc<dyn Fn(Hook) + Send + Sync>,
}

impl fmt::Debug for HookSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookSetup").finish_non_exhaustive()
    }
}

pub(super) struct Hooks {
    setup: HookSetup,
    seen: Mutex<Seen>,
}

impl Hooks {
    pub(super) fn new(setup: HookSetup) -> Self {
        Self { setup, seen: Mutex::default() }
    }
}

/// Ids of deliveries, oldest first.
#[derive(Default)]
struct Seen {
    order: VecDeque<String>,
    ids: HashSet<String>,
}

impl Seen {
    /// Whether this id is here for the first time.
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// Takes one delivery.
pub(super) async fn receive(State(hooks): State<Arc<Hooks>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let signature = header(&head.headers, "x-hub-signature-256");
    if signature.is_none() {
        return problem(StatusCode::UNAUTHORIZED);
    }
    let announced = header(&head.headers, CONTENT_LENGTH.as_str())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return problem(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = match tokio::time::timeout(BODY_LIMIT, to_bytes(body, BODY_BYTES_MAX)).await {
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(error)) => return problem(broken(&error)),
        Ok(Ok(body)) => body,
    };
    if let Err(error) = verify(&hooks.setup.secret, signature, &body) {
        // Anybody can cause this line: nothing of theirs is in it.
        tracing::debug!("refuse a delivery: {error}");
        return problem(StatusCode::UNAUTHORIZED);
    }
    let event = name(&head.headers, "x-github-event");
    let delivery = name(&head.headers, "x-github-delivery");
    let (Some(event), Some(delivery)) = (event, delivery) else {
        tracing::warn!("refuse a delivery without a usable event or id in its headers");
        return problem(StatusCode::BAD_REQUEST);
    };
    let kind = header(&head.headers, CONTENT_TYPE.as_str());
    let hook = match read(event, kind, &body) {
        Ok(hook) => hook,
        Err(HookError::NoSignature | HookError::BadSignature | HookError::Unreadable) => {
            tracing::warn!(event, delivery, "refuse a delivery that cannot be read");
            return problem(StatusCode::BAD_REQUEST);
        }
    };
    let is_new = hooks.seen.lock().unwrap_or_else(PoisonError::into_inner).is_new(delivery);
    tracing::info!(event, delivery, is_new, "delivery");
    if !is_new || matches!(hook, Hook::Ping | Hook::Other) {
        return empty(StatusCode::NO_CONTENT);
    }
    (hooks.setup.wake)(hook);
    empty(StatusCode::ACCEPTED)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What to say of a body that did not come whole: it was too long, or it broke off.
fn broken(error: &axum::Error) -> StatusCode {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<http_body_util::LengthLimitError>() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        next = cause.source();
    }
    StatusCode::BAD_REQUEST
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A header that may be logged.
fn name<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    header(headers, name).filter(|value| {
        !value.is_empty()
            && value.len() <= NAME_CHARS_MAX
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_remembered_up_to_a_bound() {
        let mut seen = Seen::default();
        for n in 0..=REMEMBERED_MAX {
            assert!(seen.is_new(&n.to_string()));
        }
        assert_eq!((seen.order.len(), seen.ids.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!seen.is_new(&REMEMBERED_MAX.to_string()));
        assert!(seen.is_new("0"), "the oldest is forgotten");
    }
}
