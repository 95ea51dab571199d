//! Comments of a pull request: read, written, edited, deleted.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::description::Operation;
use super::super::hooks;
use super::super::state::{CommentRecord, State, Who};
use super::{Done, Refusal, Reply, forms, paged};

/// Characters of a comment's body.
const BODY_CHARS_MAX: usize = 65_536;

pub(super) fn list(state: &State, operation: &Operation) -> Done {
    let number = operation.number("issue_number");
    if !state.pulls.contains_key(&number) {
        return Err(Refusal::not_found());
    }
    let since: Option<Timestamp> = operation.query.get("since").map(|since| since.parse().unwrap());
    let comments = state
        .comments
        .values()
        .filter(|comment| comment.pull == number && !comment.is_deleted)
        .filter(|c| since.is_none_or(|since| c.updated_at.as_second() >= since.as_second()));
    paged(comments.map(|comment| form(state, comment)).collect(), operation)
}

pub(super) fn one(state: &State, operation: &Operation) -> Done {
    Ok(Reply::ok(form(state, there(state, operation)?)))
}

pub(super) fn create(state: &mut State, who: &Who, operation: &Operation, body: &Value) -> Done {
    let number = operation.number("issue_number");
    if !state.pulls.contains_key(&number) {
        return Err(Refusal::not_found());
    }
    let body = checked(body)?;
    let author = state.login(who);
    let id = add(state, number, &author, body, matches!(who, Who::Installation(_)));
    Ok(Reply::created(form(state, &state.comments[&id])))
}

/// Writes a comment, whoever does.
pub(crate) fn add(state: &mut State, pull: u64, author: &str, body: &str, is_by_app: bool) -> u64 {
    let (id, now) = (state.next_id(), Timestamp::now());
    let comment = CommentRecord {
        id,
        pull,
        author: author.to_owned(),
        is_by_app,
        body: body.to_owned(),
        created_at: now,
        updated_at: now,
        history: Vec::new(),
        is_deleted: false,
    };
    state.comments.insert(id, comment);
    state.touch(pull);
    hooks::comment_changed(state, id, "created", author);
    id
}

/// Gives a comment another text, whoever does.
pub(crate) fn change(state: &mut State, id: u64, body: &str, sender: &str) {
    let comment = state.comments.get_mut(&id).unwrap();
    comment.history.push(std::mem::replace(&mut comment.body, body.to_owned()));
    comment.updated_at = Timestamp::now();
    let pull = comment.pull;
    state.touch(pull);
    hooks::comment_changed(state, id, "edited", sender);
}

/// Deletes a comment, whoever does.
pub(crate) fn remove(state: &mut State, id: u64, sender: &str) {
    let comment = state.comments.get_mut(&id).unwrap();
    comment.is_deleted = true;
    let pull = comment.pull;
    state.touch(pull);
    hooks::comment_changed(state, id, "deleted", sender);
}

pub(super) fn edit(state: &mut State, who: &Who, operation: &Operation, body: &Value) -> Done {
    let id = changeable(state, who, operation)?;
    let body = checked(body)?;
    let sender = state.login(who);
    change(state, id, body, &sender);
    Ok(Reply::ok(form(state, &state.comments[&id])))
}

pub(super) fn delete(state: &mut State, who: &Who, operation: &Operation) -> Done {
    let id = changeable(state, who, operation)?;
    let sender = state.login(who);
    remove(state, id, &sender);
    Ok(Reply { status: 204, known: None, pages: None })
}

fn there<'a>(state: &'a State, operation: &Operation) -> Result<&'a CommentRecord, Refusal> {
    let comment = state.comments.get(&operation.number("comment_id"));
    comment.filter(|comment| !comment.is_deleted).ok_or_else(Refusal::not_found)
}

/// A comment is changed by its author, and by who may write to the repository; an App changes its own only.
fn changeable(state: &State, who: &Who, operation: &Operation) -> Result<u64, Refusal> {
    let comment = there(state, operation)?;
    let is_own = comment.author == state.login(who);
    if is_own || (matches!(who, Who::Person(_)) && state.may_write(who)) {
        return Ok(comment.id);
    }
    Err(Refusal::new(403, "Must have admin rights to Repository."))
}

fn checked(body: &Value) -> Result<&str, Refusal> {
    let text = body["body"].as_str().unwrap();
    let refused = |words: &str, code: &str| {
        let mut refusal = Refusal::new(422, "Validation Failed").violating(words);
        refusal.errors = vec![json!({
            "resource": "IssueComment", "code": code, "field": "body", "message": words,
        })];
        Err(refusal)
    };
    if text.trim().is_empty() {
        return refused("body cannot be blank", "missing_field");
    }
    if text.chars().count() > BODY_CHARS_MAX {
        return refused("body is too long (maximum is 65536 characters)", "custom");
    }
    Ok(text)
}

pub(crate) fn form(state: &State, comment: &CommentRecord) -> Value {
    let repository = format!("{}/{}", state.place.owner, state.place.name);
    let app = if comment.is_by_app { forms::app(state) } else { Value::Null };
    json!({
        "id": comment.id, "body": comment.body, "user": forms::person(&comment.author),
        "created_at": forms::time(comment.created_at), "updated_at": forms::time(comment.updated_at),
        "url": format!("{}/repos/{repository}/issues/comments/{}", state.place.api_url, comment.id),
        "issue_url": format!("{}/repos/{repository}/issues/{}", state.place.api_url, comment.pull),
        "html_url": format!(
            "https://github.example/{repository}/pull/{}#issuecomment-{}", comment.pull, comment.id
        ),
        "performed_via_github_app": app,
    })
}
