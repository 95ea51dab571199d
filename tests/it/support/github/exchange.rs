//! One request from its first look to its answer, in the order in which GitHub judges: is it well, who asks,
//! may they now, is it asked as described, and then what is asked.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answers::{Refusal, Reply, answer};
use super::auth;
use super::description::{Description, Operation};
use super::faults::Fault;
use super::limits;
use super::log::Logged;
use super::server::{Answer, Asked, Outcome};
use super::state::{State, Who};

const ACCEPTED: &str = "application/vnd.github+json";
const API_VERSION: &str = "2022-11-28";
const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// Answers a request and writes down that it was made.
pub(crate) fn exchange(state: &mut State, asked: &Asked) -> Outcome {
    let path = asked.path.strip_prefix(state.place.base_path.as_str()).unwrap_or("").to_owned();
    let mut logged = Logged {
        at: Timestamp::now(),
        method: asked.method.clone(),
        path,
        query: asked.raw_query.clone(),
        operation: String::new(),
        status: 0,
        who: String::new(),
        body: serde_json::from_slice(&asked.body).ok(),
        id: None,
    };
    let fault = state.faults.befall(asked.is_write());
    let outcome = match fault {
        Some(Fault::Closed) => Outcome::Close,
        Some(Fault::Hang) => Outcome::Hang,
        Some(Fault::Page503) => Outcome::Answer(page_503()),
        Some(Fault::AnswerLost) | None => {
            let answer = judged(state, asked, &mut logged);
            logged.status = answer.status;
            if fault.is_some() { Outcome::Close } else { Outcome::Answer(answer) }
        }
    };
    if let Outcome::Answer(answer) = &outcome {
        logged.status = answer.status;
    }
    state.requests.push(logged);
    outcome
}

fn page_503() -> Answer {
    Answer {
        status: 503,
        headers: Vec::new(),
        content_type: "text/html; charset=utf-8",
        body: b"<!DOCTYPE html><html><head><title>Unicorn! &middot; GitHub</title></head><body>\
                <p>No server is currently available to service your request.</p></body></html>"
            .to_vec(),
    }
}

fn judged(state: &mut State, asked: &Asked, logged: &mut Logged) -> Answer {
    match considered(state, asked, logged) {
        Ok(answer) => answer,
        Err(refusal) => {
            if let Some(violation) = &refusal.violation {
                let line = format!("{} {}: {violation}", asked.method, asked.path);
                state.violations.push(line);
            }
            if refusal.is_counted {
                state.limits.used += 1;
            }
            let mut body = json!({
                "message": refusal.message,
                "documentation_url": DOCUMENTATION,
                "status": refusal.status.to_string(),
            });
            if !refusal.errors.is_empty() {
                body["errors"] = json!(refusal.errors);
            }
            let mut answer = Answer::json(refusal.status, Some(&body));
            if let Some(seconds) = refusal.retry_after {
                answer.headers.push(("retry-after", seconds.to_string()));
            }
            answer.headers.extend(limit_headers(state));
            answer
        }
    }
}

fn considered(state: &mut State, asked: &Asked, logged: &mut Logged) -> Result<Answer, Refusal> {
    if asked.header("user-agent").is_none_or(str::is_empty) {
        let words = "Request forbidden by administrative rules. Please make sure your request has a \
                     User-Agent header";
        return Err(Refusal::new(403, words).violating("there is no User-Agent"));
    }
    let query: Vec<(String, String)> =
        form_urlencoded::parse(asked.raw_query.as_bytes()).into_owned().collect();
    let found = Description::get().find(&asked.method, &logged.path, &query);
    let Some((operation, mut wrong)) = found else {
        return Err(Refusal::new(404, "Not Found").violating("no such operation is described"));
    };
    logged.operation.clone_from(&operation.name);
    let who = auth::who(state, asked, &operation)?;
    logged.who = state.login(&who);
    if !state.limits.has_remaining() {
        let words = format!("API rate limit exceeded for user ID 1 ({}).", logged.who);
        return Err(Refusal { is_counted: false, ..Refusal::new(403, &words) });
    }
    if let Some(secondary) = state.limits.refuses(asked.is_write()) {
        let mut refusal = Refusal::new(secondary.status, limits::SECONDARY);
        refusal.retry_after = secondary.retry_after.map(|time| time.as_secs());
        return Err(refusal);
    }
    check_headers(asked)?;
    let is_token = operation.name.ends_with("/access_tokens");
    let body = body_of(asked)?;
    wrong.extend(Description::get().body_problems(&operation, body.as_ref()));
    if !wrong.is_empty() {
        let errors = wrong.iter().map(|wrong| json!({ "code": "invalid", "message": wrong }));
        let mut refusal = Refusal::new(422, "Validation Failed").violating(&wrong.join("; "));
        refusal.errors = errors.collect();
        return Err(refusal);
    }
    if matches!(asked.method.as_str(), "POST" | "PATCH" | "PUT")
        && !is_token
        && let Some(limit) = state.limits.count_content()
    {
        let mut refusal = Refusal::new(403, limits::SECONDARY)
            .violating(&format!("secondary limit reached: {limit}"));
        refusal.retry_after = Some(60);
        return Err(refusal);
    }
    check_repository(state, &who, &operation)?;
    let reply = answer(state, &who, &operation, &body.unwrap_or(Value::Null))?;
    logged.id = reply.known.as_ref().and_then(|known| known["id"].as_u64());
    Ok(told(state, asked, &operation, reply))
}

fn check_headers(asked: &Asked) -> Result<(), Refusal> {
    if asked.header("accept") != Some(ACCEPTED) {
        let words = format!("Must accept '{ACCEPTED}'");
        return Err(Refusal::new(415, &words).violating(&words));
    }
    if asked.header("x-github-api-version") != Some(API_VERSION) {
        let words = format!("X-GitHub-Api-Version is not {API_VERSION}");
        return Err(Refusal::new(400, &words).violating(&words));
    }
    Ok(())
}

fn body_of(asked: &Asked) -> Result<Option<Value>, Refusal> {
    if asked.body.is_empty() {
        return Ok(None);
    }
    let is_json = asked.header("content-type").is_some_and(|t| t.starts_with("application/json"));
    if !is_json {
        let words = "a body is sent that is not said to be application/json";
        return Err(Refusal::new(415, words).violating(words));
    }
    serde_json::from_slice(&asked.body).map(Some).map_err(|error| {
        Refusal::new(400, "Problems parsing JSON")
            .violating(&format!("the body is no JSON: {error}"))
    })
}

/// There is one repository, and who may not read it is told that there is none.
fn check_repository(state: &State, who: &Who, operation: &Operation) -> Result<(), Refusal> {
    let (Some(owner), Some(name)) =
        (operation.path_values.get("owner"), operation.path_values.get("repo"))
    else {
        return Ok(());
    };
    let is_it = owner.eq_ignore_ascii_case(&state.place.owner)
        && name.eq_ignore_ascii_case(&state.place.name);
    if is_it && state.may_read(who) { Ok(()) } else { Err(Refusal::new(404, "Not Found")) }
}

/// The answer with its tag, its pages and its limits.
fn told(state: &mut State, asked: &Asked, operation: &Operation, reply: Reply) -> Answer {
    let mut answer = Answer::json(reply.status, None);
    answer.body = completed(state, operation, reply.status, reply.known);
    let hash = hash_of(&answer.body);
    let is_free = operation.name == "get /rate_limit";
    let mut is_unchanged = false;
    if !asked.is_write() {
        let tag = format!("W/\"{hash:016x}\"");
        is_unchanged = asked.header("if-none-match").is_some_and(|tags| {
            tags.split(',').any(|other| other.trim().trim_start_matches("W/") == &tag[2..])
        });
        answer.headers.push(("etag", tag));
        answer.headers.push(("cache-control", "private, max-age=60, s-maxage=60".to_owned()));
    }
    if let Some((page, last)) = reply.pages
        && let Some(link) = link(state, asked, page, last)
    {
        answer.headers.push(("link", link));
    }
    if is_unchanged {
        answer.status = 304;
        answer.body.clear();
    } else if !is_free {
        state.limits.used += 1;
    }
    answer.headers.extend(limit_headers(state));
    answer
}

/// An answer with everything that the description requires, and looked at whether it is as described. Both take
/// long for a long list, so they are done once for what was answered before.
fn completed(
    state: &mut State,
    operation: &Operation,
    status: u16,
    known: Option<Value>,
) -> Vec<u8> {
    let text = known.as_ref().map(Value::to_string).unwrap_or_default();
    let key = (operation.name.clone(), status, hash_of(text.as_bytes()));
    if let Some(body) = state.completed.get(&key) {
        return body.clone();
    }
    let description = Description::get();
    let body = known.map(|known| description.answer(operation, status, known));
    for problem in description.answer_problems(operation, status, body.as_ref()) {
        state.violations.push(format!("our own answer to {}: {problem}", operation.name));
    }
    let body = Answer::json(status, body.as_ref()).body;
    state.completed.insert(key, body.clone());
    body
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// `Link`, as GitHub writes it: addresses with everything that was asked, and another page.
fn link(state: &State, asked: &Asked, page: u64, last: u64) -> Option<String> {
    let path = asked.path.strip_prefix(state.place.base_path.as_str()).unwrap_or("");
    let to = |page: u64, rel: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in form_urlencoded::parse(asked.raw_query.as_bytes()) {
            if key != "page" {
                query.append_pair(&key, &value);
            }
        }
        query.append_pair("page", &page.to_string());
        format!("<{}{path}?{}>; rel=\"{rel}\"", state.place.api_url, query.finish())
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(to((page - 1).min(last), "prev"));
    }
    if page < last {
        links.push(to(page + 1, "next"));
        links.push(to(last, "last"));
    }
    if page > 1 {
        links.push(to(1, "first"));
    }
    (!links.is_empty()).then(|| links.join(", "))
}

fn limit_headers(state: &State) -> Vec<(&'static str, String)> {
    let limits = &state.limits;
    vec![
        ("x-ratelimit-limit", limits.limit.to_string()),
        ("x-ratelimit-remaining", limits.limit.saturating_sub(limits.used).to_string()),
        ("x-ratelimit-reset", limits.reset.as_second().to_string()),
        ("x-ratelimit-used", limits.used.min(limits.limit).to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
        ("x-github-media-type", "github.v3; format=json".to_owned()),
    ]
}
