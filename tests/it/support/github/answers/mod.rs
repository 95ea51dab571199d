//! What is answered to a request that is well: one function for every operation.

mod accounts;
mod checks;
pub(crate) mod comments;
pub(crate) mod forms;
mod pulls;

use serde_json::Value;

use super::description::Operation;
use super::state::{State, Who};

/// What is known of an answer; the description adds the rest.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) known: Option<Value>,
    /// This page and the last one, of a list.
    pub(crate) pages: Option<(u64, u64)>,
}

impl Reply {
    pub(crate) fn ok(known: Value) -> Self {
        Self { status: 200, known: Some(known), pages: None }
    }

    pub(crate) fn created(known: Value) -> Self {
        Self { status: 201, known: Some(known), pages: None }
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Vec<Value>,
    pub(crate) retry_after: Option<u64>,
    /// What the client should have known better.
    pub(crate) violation: Option<String>,
    /// Whether it counts as a request.
    pub(crate) is_counted: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: &str) -> Self {
        let message = message.to_owned();
        Self {
            status,
            message,
            errors: Vec::new(),
            retry_after: None,
            violation: None,
            is_counted: true,
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "Not Found")
    }

    pub(crate) fn violating(mut self, what: &str) -> Self {
        self.violation = Some(what.to_owned());
        self
    }
}

/// A pull request as lists have it.
pub(crate) fn pull_form(state: &State, pull: &super::state::PullRecord) -> Value {
    pulls::form(state, pull)
}

type Done = Result<Reply, Refusal>;

/// Does what is asked.
pub(crate) fn answer(state: &mut State, who: &Who, operation: &Operation, body: &Value) -> Done {
    let (method, path) = operation.name.split_once(' ').unwrap();
    match (method, path.strip_prefix("/repos/{owner}/{repo}").unwrap_or(path)) {
        ("get", "/user") => accounts::user(state, who),
        ("get", "/app") => accounts::app(state),
        ("get", "/app/installations") => accounts::installations(state, operation),
        ("get", "/installation") => accounts::installation(state),
        (_, "/app/installations/{installation_id}/access_tokens") => {
            accounts::token(state, operation)
        }
        ("get", "/rate_limit") => accounts::rate_limit(state),
        ("get", "") => Ok(Reply::ok(forms::repository(state))),
        ("get", "/collaborators/{username}/permission") => {
            accounts::permission(state, who, operation)
        }
        ("get", "/pulls") => pulls::list(state, operation),
        ("get", "/pulls/{pull_number}") => pulls::one(state, operation),
        ("get", "/commits/{commit_sha}/pulls") => pulls::of_commit(state, operation),
        ("get", "/issues/{issue_number}/comments") => comments::list(state, operation),
        ("post", "/issues/{issue_number}/comments") => {
            comments::create(state, who, operation, body)
        }
        ("get", "/issues/comments/{comment_id}") => comments::one(state, operation),
        ("patch", "/issues/comments/{comment_id}") => comments::edit(state, who, operation, body),
        ("delete", "/issues/comments/{comment_id}") => comments::delete(state, who, operation),
        ("post", "/statuses/{sha}") => checks::set_status(state, who, operation, body),
        ("get", "/commits/{ref}/status") => checks::combined_status(state, operation),
        ("get", "/commits/{ref}/statuses") => checks::statuses(state, operation),
        ("post", "/check-runs") => checks::create_run(state, who, body),
        ("get", "/check-runs/{check_run_id}") => checks::run(state, operation),
        ("patch", "/check-runs/{check_run_id}") => checks::update_run(state, who, operation, body),
        ("get", "/commits/{ref}/check-runs") => checks::runs(state, operation),
        _ => unreachable!("{} is in the extract and has no answer", operation.name),
    }
}

/// The page that is asked for, and which it is of how many.
fn page(items: Vec<Value>, operation: &Operation) -> (Vec<Value>, (u64, u64)) {
    let number = |name: &str| operation.query[name].parse::<usize>().unwrap().max(1);
    let (size, page) = (number("per_page"), number("page"));
    let last = items.len().div_ceil(size).max(1);
    let items = items.into_iter().skip((page - 1) * size).take(size).collect();
    (items, (page as u64, last as u64))
}

/// A list, by pages.
fn paged(items: Vec<Value>, operation: &Operation) -> Done {
    let (items, pages) = page(items, operation);
    Ok(Reply { status: 200, known: Some(Value::Array(items)), pages: Some(pages) })
}
