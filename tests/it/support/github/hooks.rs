//! Webhooks as GitHub sends them: the saved examples, with what is of this repository in its place, signed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ring::hmac;
use serde_json::{Value, json};

use super::answers::forms;
use super::state::State;

/// How long GitHub waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

static EXAMPLES: LazyLock<Value> = LazyLock::new(|| {
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    json!({
        "push": of(include_str!("webhooks/push.json")),
        "pull_request": of(include_str!("webhooks/pull_request.json")),
        "issue_comment": of(include_str!("webhooks/issue_comment.json")),
        "ping": of(include_str!("webhooks/ping.json")),
    })
});

/// The saved payloads of an event.
pub(crate) fn examples(event: &str) -> Vec<Value> {
    EXAMPLES[event].as_array().unwrap_or_else(|| panic!("no example of {event}")).clone()
}

/// Where webhooks go, and how.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// `http://127.0.0.1:PORT/path`.
    pub(crate) url: String,
    pub(crate) secret: String,
    /// Sent as a form with a field `payload`, not as JSON.
    pub(crate) is_form: bool,
    pub(crate) deliveries: Arc<Mutex<Vec<Delivery>>>,
}

/// A webhook that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: String,
    /// `X-GitHub-Delivery`.
    pub(crate) id: String,
    /// What it was answered, or why it was not.
    pub(crate) answer: Result<u16, String>,
}

impl Hook {
    pub(crate) fn new(url: &str, secret: &str) -> Self {
        let (url, secret) = (url.to_owned(), secret.to_owned());
        Self { url, secret, is_form: false, deliveries: Arc::default() }
    }

    /// Sends a webhook and waits for the answer.
    pub(crate) fn deliver(&self, event: &str, payload: &Value) -> Delivery {
        let id = delivery_id();
        let answer = self.post(event, &id, payload).map_err(|error| error.to_string());
        let delivery = Delivery { event: event.to_owned(), id, answer };
        self.deliveries.lock().unwrap().push(delivery.clone());
        delivery
    }

    /// What was sent so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    fn deliver_aside(&self, event: &'static str, payload: Value) {
        let hook = self.clone();
        std::thread::spawn(move || hook.deliver(event, &payload));
    }

    fn post(&self, event: &str, id: &str, payload: &Value) -> std::io::Result<u16> {
        let (kind, body) = if self.is_form {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("payload", &payload.to_string());
            ("application/x-www-form-urlencoded", form.finish())
        } else {
            ("application/json", payload.to_string())
        };
        let address = self.url.strip_prefix("http://").expect("a plain address");
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let mut server = TcpStream::connect(host)?;
        server.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        write!(
            server,
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: GitHub-Hookshot/0000000\r\n\
             Accept: */*\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             X-GitHub-Event: {event}\r\nX-GitHub-Delivery: {id}\r\nX-GitHub-Hook-ID: 1\r\n\
             X-Hub-Signature-256: {}\r\n\r\n{body}",
            body.len(),
            signature(&self.secret, body.as_bytes()),
        )?;
        let mut answer = String::new();
        server.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| std::io::Error::other("no HTTP answer"))
    }
}

fn delivery_id() -> String {
    let id = fastrand::u128(..).to_be_bytes().map(|byte| format!("{byte:02x}")).concat();
    format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
}

/// `sha256=` and the HMAC of a body, in hexadecimal.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// An example of an event with this repository in it, and more in its place.
pub(crate) fn payload(state: &State, event: &str, known: &Value) -> Value {
    let mut payload = examples(event).into_iter().next().unwrap();
    put(&mut payload, &json!({ "repository": forms::repository(state) }));
    put(&mut payload, known);
    payload
}

/// Puts values in the place of others, field by field.
fn put(into: &mut Value, from: &Value) {
    match (into.as_object_mut(), from.as_object()) {
        (Some(into), Some(from)) => {
            for (key, value) in from {
                put(into.entry(key).or_insert(Value::Null), value);
            }
        }
        _ => *into = from.clone(),
    }
}

/// Tells the hook, where there is one, that a comment was written, edited or deleted.
pub(crate) fn comment_changed(state: &State, id: u64, action: &str, sender: &str) {
    let Some(hook) = &state.hook else { return };
    let comment = &state.comments[&id];
    let pull = &state.pulls[&comment.pull];
    let known = json!({
        "action": action,
        "issue": {
            "number": pull.number, "title": pull.title,
            "state": if pull.closed_at.is_some() { "closed" } else { "open" },
            "pull_request": {
                "url": format!("{}/repos/{}/{}/pulls/{}", state.place.api_url, state.place.owner, state.place.name, pull.number),
            },
        },
        "comment": {
            "id": id, "body": comment.body, "user": forms::person(&comment.author),
            "created_at": forms::time(comment.created_at), "updated_at": forms::time(comment.updated_at),
        },
        "sender": forms::person(sender),
    });
    hook.deliver_aside("issue_comment", payload(state, "issue_comment", &known));
}

/// Tells the hook, where there is one, of a pull request.
pub(crate) fn pull_changed(state: &State, number: u64, action: &str) {
    let Some(hook) = &state.hook else { return };
    let pull = &state.pulls[&number];
    let mut form = super::answers::pull_form(state, pull);
    form["merged"] = json!(pull.merged.is_some());
    let known = json!({ "action": action, "number": number, "pull_request": form });
    hook.deliver_aside("pull_request", payload(state, "pull_request", &known));
}

/// Tells the hook, where there is one, that a branch moved.
pub(crate) fn pushed(state: &State, reference: &str, before: &str, after: &str) {
    let Some(hook) = &state.hook else { return };
    let known = json!({ "ref": reference, "before": before, "after": after, "commits": [] });
    hook.deliver_aside("push", payload(state, "push", &known));
}
