//! Who one is, what one may, and the App with its installation.

use serde_json::{Value, json};

use super::super::auth;
use super::super::description::Operation;
use super::super::state::{State, Who};
use super::{Done, Refusal, Reply, forms, paged};

pub(super) fn user(state: &State, who: &Who) -> Done {
    match who {
        Who::Person(login) => {
            let mut user = forms::person(login);
            user["user_view_type"] = json!("private");
            Ok(Reply::ok(user))
        }
        Who::App | Who::Installation(_) => {
            let _ = state;
            Err(Refusal::new(403, "Resource not accessible by integration"))
        }
    }
}

pub(super) fn app(state: &State) -> Done {
    Ok(Reply::ok(forms::app(state)))
}

fn installation_form(state: &State) -> Value {
    let app = state.app.as_ref().unwrap();
    json!({
        "id": app.installation, "app_id": app.id, "app_slug": app.slug,
        "account": forms::person(&state.place.owner),
        "target_type": "Organization", "repository_selection": "all",
        "permissions": forms::permissions(),
    })
}

pub(super) fn installations(state: &State, operation: &Operation) -> Done {
    paged(vec![installation_form(state)], operation)
}

pub(super) fn installation(state: &State) -> Done {
    Ok(Reply::ok(installation_form(state)))
}

pub(super) fn token(state: &mut State, operation: &Operation) -> Done {
    if operation.number("installation_id") != state.app.as_ref().unwrap().installation {
        return Err(Refusal::not_found());
    }
    let (token, until) = auth::give_token(state);
    Ok(Reply::created(json!({
        "token": token, "expires_at": forms::time(until),
        "permissions": forms::permissions(), "repository_selection": "all",
    })))
}

pub(super) fn rate_limit(state: &State) -> Done {
    let limits = &state.limits;
    let core = json!({
        "limit": limits.limit, "used": limits.used.min(limits.limit),
        "remaining": limits.limit.saturating_sub(limits.used),
        "reset": limits.reset.as_second(),
    });
    Ok(Reply::ok(json!({ "resources": { "core": core, "search": core }, "rate": core })))
}

pub(super) fn permission(state: &State, who: &Who, operation: &Operation) -> Done {
    if !state.may_write(who) {
        let words = "Must have push access to view collaborator permission.";
        return Err(Refusal::new(403, words));
    }
    let login = operation.at("username");
    let role = state.role(login);
    let permission = match role {
        "maintain" => "write",
        "triage" => "read",
        same => same,
    };
    let mut user = forms::person(login);
    user["role_name"] = json!(role);
    Ok(Reply::ok(json!({ "permission": permission, "role_name": role, "user": user })))
}
