//! Commit statuses and check runs.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::model::CommitId;

use super::super::description::Operation;
use super::super::git;
use super::super::state::{CheckRunRecord, State, StatusRecord, Who};
use super::{Done, Refusal, Reply, forms, page, paged};

/// Statuses that a commit can have of one context.
const PER_CONTEXT_MAX: usize = 1_000;
/// Characters of a status's description.
const DESCRIPTION_CHARS_MAX: usize = 140;

fn refused(words: &str) -> Refusal {
    let mut refusal = Refusal::new(422, "Validation Failed").violating(words);
    refusal.errors = vec![json!({ "resource": "Status", "code": "custom", "message": words })];
    refusal
}

pub(super) fn set_status(
    state: &mut State,
    who: &Who,
    operation: &Operation,
    body: &Value,
) -> Done {
    if !state.may_write(who) {
        return Err(Refusal::not_found());
    }
    let sha = commit(state, operation.at("sha"))?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let context = text("context").unwrap_or_else(|| "default".to_owned());
    let description = text("description");
    if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(refused("description is too long (maximum is 140 characters)"));
    }
    let same =
        state.statuses.iter().filter(|status| status.sha == sha && status.context == context);
    if same.count() >= PER_CONTEXT_MAX {
        let words = "This SHA and context has reached the maximum number of statuses.";
        return Err(refused(words));
    }
    let status = StatusRecord {
        id: state.next_id(),
        sha,
        context,
        state: text("state").unwrap(),
        description,
        target_url: text("target_url"),
        creator: state.login(who),
        at: Timestamp::now(),
    };
    state.statuses.push(status.clone());
    Ok(Reply::created(status_form(&status)))
}

fn commit(state: &State, sha: &str) -> Result<CommitId, Refusal> {
    let refusal = || Refusal::new(422, &format!("No commit found for SHA: {sha}"));
    if !git::has_commit(&state.place.folder, sha) {
        return Err(refusal());
    }
    CommitId::try_from(sha.to_owned()).map_err(|_| refusal())
}

fn of(state: &State, operation: &Operation) -> Result<CommitId, Refusal> {
    let name = operation.at("ref");
    let sha = git::resolved(&state.place.folder, name);
    sha.ok_or_else(|| Refusal::new(422, &format!("No commit found for SHA: {name}")))
}

fn status_form(status: &StatusRecord) -> Value {
    json!({
        "id": status.id, "state": status.state, "context": status.context,
        "description": status.description, "target_url": status.target_url,
        "creator": forms::person(&status.creator),
        "created_at": forms::time(status.at), "updated_at": forms::time(status.at),
    })
}

pub(super) fn statuses(state: &State, operation: &Operation) -> Done {
    let sha = of(state, operation)?;
    let newest_first = state.statuses.iter().rev().filter(|status| status.sha == sha);
    paged(newest_first.map(status_form).collect(), operation)
}

pub(super) fn combined_status(state: &State, operation: &Operation) -> Done {
    let sha = of(state, operation)?;
    let mut latest: Vec<&StatusRecord> = Vec::new();
    for status in state.statuses.iter().rev().filter(|status| status.sha == sha) {
        if latest.iter().all(|other| other.context != status.context) {
            latest.push(status);
        }
    }
    let is = |wanted: &[&str]| latest.iter().any(|status| wanted.contains(&status.state.as_str()));
    let combined = if is(&["failure", "error"]) {
        "failure"
    } else if latest.is_empty() || is(&["pending"]) {
        "pending"
    } else {
        "success"
    };
    let count = latest.len();
    let forms = latest.into_iter().map(|status| {
        let mut form = status_form(status);
        // This list has no creators.
        form.as_object_mut().unwrap().remove("creator");
        form
    });
    let (items, pages) = page(forms.collect(), operation);
    let known = json!({
        "state": combined, "sha": sha.as_str(), "total_count": count, "statuses": items,
        "repository": forms::repository(state),
    });
    Ok(Reply { status: 200, known: Some(known), pages: Some(pages) })
}

fn only_apps(who: &Who) -> Result<(), Refusal> {
    match who {
        Who::Installation(_) => Ok(()),
        _ => Err(Refusal::new(403, "You must authenticate via a GitHub App.")),
    }
}

pub(super) fn create_run(state: &mut State, who: &Who, body: &Value) -> Done {
    only_apps(who)?;
    let sha = commit(state, body["head_sha"].as_str().unwrap())?;
    let mut run = CheckRunRecord {
        id: state.next_id(),
        sha,
        name: String::new(),
        status: "queued".to_owned(),
        conclusion: None,
        title: None,
        summary: None,
        text: None,
        details_url: None,
        external_id: None,
        annotations: Vec::new(),
        started_at: Timestamp::now(),
        completed_at: None,
    };
    update(&mut run, body)?;
    let form = run_form(state, &run);
    state.check_runs.insert(run.id, run);
    Ok(Reply::created(form))
}

pub(super) fn update_run(
    state: &mut State,
    who: &Who,
    operation: &Operation,
    body: &Value,
) -> Done {
    only_apps(who)?;
    let id = operation.number("check_run_id");
    let mut run = state.check_runs.get(&id).ok_or_else(Refusal::not_found)?.clone();
    update(&mut run, body)?;
    let form = run_form(state, &run);
    state.check_runs.insert(id, run);
    Ok(Reply::ok(form))
}

fn update(run: &mut CheckRunRecord, body: &Value) -> Result<(), Refusal> {
    let text = |value: &Value, field: &mut Option<String>| {
        if let Some(text) = value.as_str() {
            *field = Some(text.to_owned());
        }
    };
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut run.name);
    }
    if let Some(status) = body["status"].as_str() {
        status.clone_into(&mut run.status);
    }
    text(&body["details_url"], &mut run.details_url);
    text(&body["external_id"], &mut run.external_id);
    text(&body["output"]["title"], &mut run.title);
    text(&body["output"]["summary"], &mut run.summary);
    text(&body["output"]["text"], &mut run.text);
    run.annotations.extend(body["output"]["annotations"].as_array().into_iter().flatten().cloned());
    if body["conclusion"].is_string() {
        text(&body["conclusion"], &mut run.conclusion);
        "completed".clone_into(&mut run.status);
        run.completed_at = Some(Timestamp::now());
    } else if body["status"] == "completed" {
        return Err(refused("a completed check run needs a conclusion"));
    } else if body["status"].is_string() {
        // Started again.
        (run.conclusion, run.completed_at) = (None, None);
    }
    Ok(())
}

fn run_form(state: &State, run: &CheckRunRecord) -> Value {
    let repository = format!("{}/{}", state.place.owner, state.place.name);
    let url = format!("{}/repos/{repository}/check-runs/{}", state.place.api_url, run.id);
    json!({
        "id": run.id, "head_sha": run.sha.as_str(), "name": run.name, "status": run.status,
        "conclusion": run.conclusion, "details_url": run.details_url,
        "external_id": run.external_id.clone().unwrap_or_default(),
        "started_at": forms::time(run.started_at), "completed_at": run.completed_at.map(forms::time),
        "output": {
            "title": run.title, "summary": run.summary, "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "url": url, "app": forms::app(state), "pull_requests": [],
    })
}

pub(super) fn run(state: &State, operation: &Operation) -> Done {
    let run = state.check_runs.get(&operation.number("check_run_id"));
    Ok(Reply::ok(run_form(state, run.ok_or_else(Refusal::not_found)?)))
}

pub(super) fn runs(state: &State, operation: &Operation) -> Done {
    let sha = of(state, operation)?;
    let query = &operation.query;
    let mut runs: Vec<&CheckRunRecord> = Vec::new();
    for run in state.check_runs.values().rev().filter(|run| run.sha == sha) {
        let is_latest = runs.iter().all(|other| other.name != run.name);
        if (is_latest || query["filter"] == "all")
            && query.get("check_name").is_none_or(|name| *name == run.name)
            && query.get("status").is_none_or(|status| *status == run.status)
        {
            runs.push(run);
        }
    }
    let count = runs.len();
    let (items, pages) =
        page(runs.into_iter().map(|run| run_form(state, run)).collect(), operation);
    let known = json!({ "total_count": count, "check_runs": items });
    Ok(Reply { status: 200, known: Some(known), pages: Some(pages) })
}
