//! Pull requests as they are read.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::super::description::Operation;
use super::super::git;
use super::super::state::{HeadRepo, PullRecord, State};
use super::{Done, Refusal, Reply, forms, paged};

pub(super) fn list(state: &State, operation: &Operation) -> Done {
    let query = &operation.query;
    let mut pulls: Vec<&PullRecord> = state
        .pulls
        .values()
        .filter(|pull| match query["state"].as_str() {
            "open" => pull.closed_at.is_none(),
            "closed" => pull.closed_at.is_some(),
            _ => true,
        })
        .filter(|pull| query.get("base").is_none_or(|base| *base == pull.base))
        .filter(|pull| query.get("head").is_none_or(|head| *head == label(state, pull)))
        .collect();
    match query["sort"].as_str() {
        "updated" => pulls.sort_by_key(|pull| (pull.updated_at, pull.number)),
        _ => pulls.sort_by_key(|pull| pull.number),
    }
    // Newest first, unless a sort is asked for; then oldest first.
    let is_descending = match query.get("direction") {
        Some(direction) => direction == "desc",
        None => query["sort"] == "created",
    };
    if is_descending {
        pulls.reverse();
    }
    paged(pulls.into_iter().map(|pull| form(state, pull)).collect(), operation)
}

pub(super) fn one(state: &State, operation: &Operation) -> Done {
    let pull = state.pulls.get(&operation.number("pull_number")).ok_or_else(Refusal::not_found)?;
    let mut known = form(state, pull);
    let own = git::own_commits(&state.place.folder, pull);
    known["merged"] = json!(pull.merged.is_some());
    known["merged_by"] = json!(pull.merged.as_ref().map(|merged| forms::person(&merged.by)));
    known["commits"] = json!(own.len());
    let comments = state.comments.values();
    let comments = comments.filter(|c| c.pull == pull.number && !c.is_deleted).count();
    known["comments"] = json!(comments);
    known["mergeable_state"] = json!("unknown");
    Ok(Reply::ok(known))
}

/// The pull requests that a commit belongs to: merged ones that put it on their base branch, and those that
/// have it among their own commits.
pub(super) fn of_commit(state: &State, operation: &Operation) -> Done {
    let sha = operation.at("commit_sha");
    if !git::has_commit(&state.place.folder, sha) {
        return Err(Refusal::new(422, &format!("No commit found for SHA: {sha}")));
    }
    let pulls = state.pulls.values().filter(|pull| {
        let landed = pull.merged.iter().flat_map(|merged| &merged.landed);
        let is_landed = landed.into_iter().any(|commit| commit.as_str() == sha);
        is_landed
            || git::own_commits(&state.place.folder, pull).iter().any(|own| own.as_str() == sha)
    });
    paged(pulls.map(|pull| form(state, pull)).collect(), operation)
}

fn head_owner<'a>(state: &'a State, pull: &'a PullRecord) -> &'a str {
    match &pull.head_repo {
        HeadRepo::Same => &state.place.owner,
        HeadRepo::Fork(owner) | HeadRepo::Gone(owner) => owner,
    }
}

fn label(state: &State, pull: &PullRecord) -> String {
    format!("{}:{}", head_owner(state, pull), pull.head_ref)
}

/// A pull request as lists have it.
pub(crate) fn form(state: &State, pull: &PullRecord) -> Value {
    let repository = format!("{}/{}", state.place.owner, state.place.name);
    let labels: Vec<Value> = pull.labels.iter().map(|name| json!({ "name": name })).collect();
    let association = if state.role(&pull.author) == "read" { "NONE" } else { "MEMBER" };
    json!({
        "number": pull.number, "id": 1_000_000 + pull.number,
        "title": pull.title, "body": pull.body, "user": forms::person(&pull.author),
        "state": if pull.closed_at.is_some() { "closed" } else { "open" },
        "draft": pull.is_draft, "labels": labels, "author_association": association,
        "html_url": format!("https://github.example/{repository}/pull/{}", pull.number),
        "url": format!("{}/repos/{repository}/pulls/{}", state.place.api_url, pull.number),
        "created_at": forms::time(pull.created_at), "updated_at": forms::time(pull.updated_at),
        "closed_at": pull.closed_at.map(forms::time),
        "merged_at": pull.merged.as_ref().and(pull.closed_at).map(forms::time),
        "merge_commit_sha": merge_commit_sha(pull),
        "head": {
            "label": label(state, pull), "ref": pull.head_ref, "sha": pull.head.as_str(),
            "user": forms::person(head_owner(state, pull)),
            "repo": forms::head_repository(state, &pull.head_repo),
        },
        "base": {
            "label": format!("{}:{}", state.place.owner, pull.base), "ref": pull.base,
            "sha": pull.base_sha.as_str(), "user": forms::person(&state.place.owner),
            "repo": forms::repository(state),
        },
    })
}

/// Of a pull request that is not merged, GitHub gives the commit of a merge it tried, which is on no branch.
fn merge_commit_sha(pull: &PullRecord) -> String {
    if let Some(merged) = &pull.merged {
        return merged.commit.to_string();
    }
    let tried =
        Sha1::digest(format!("merge {} into {}", pull.head.as_str(), pull.base_sha.as_str()));
    tried.iter().map(|byte| format!("{byte:02x}")).collect()
}
