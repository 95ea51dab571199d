//! How people, repositories and times are written.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::state::{HeadRepo, State};

/// GitHub tells times in whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap().to_string()
}

/// A small number that is the same for the same name.
fn id(name: &str) -> u64 {
    name.bytes().fold(1_000_003, |id, byte| (id * 31 + u64::from(byte)) % 900_000_007)
}

pub(crate) fn person(login: &str) -> Value {
    let (kind, page) = match login.strip_suffix("[bot]") {
        Some(slug) => ("Bot", format!("apps/{slug}")),
        None => ("User", login.to_owned()),
    };
    json!({
        "login": login, "id": id(login), "type": kind, "gravatar_id": "",
        "html_url": format!("https://github.example/{page}"),
    })
}

pub(crate) fn repository(state: &State) -> Value {
    repository_of(state, &state.place.owner, false)
}

fn repository_of(state: &State, owner: &str, is_fork: bool) -> Value {
    let full_name = format!("{owner}/{}", state.place.name);
    json!({
        "id": id(&full_name), "name": state.place.name, "full_name": full_name,
        "owner": person(owner), "private": state.is_private, "fork": is_fork,
        "html_url": format!("https://github.example/{full_name}"),
        "url": format!("{}/repos/{full_name}", state.place.api_url),
        "clone_url": if is_fork { format!("https://github.example/{full_name}.git") } else { state.place.git_url.clone() },
        "default_branch": "main",
    })
}

/// The repository that the head of a pull request is in; null when it is gone.
pub(crate) fn head_repository(state: &State, head: &HeadRepo) -> Value {
    match head {
        HeadRepo::Same => repository(state),
        HeadRepo::Fork(owner) => repository_of(state, owner, true),
        HeadRepo::Gone(_) => Value::Null,
    }
}

pub(crate) fn app(state: &State) -> Value {
    let Some(app) = &state.app else { return Value::Null };
    json!({
        "id": app.id, "slug": app.slug, "name": app.slug, "client_id": app.client_id,
        "owner": person(&state.place.owner),
        "permissions": permissions(),
        "html_url": format!("https://github.example/apps/{}", app.slug),
    })
}

pub(crate) fn permissions() -> Value {
    json!({ "checks": "write", "contents": "read", "metadata": "read", "pull_requests": "write", "statuses": "write" })
}
