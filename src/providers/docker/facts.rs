//! What only an inspection tells about a container, and when one is needed: an observation of a host where
//! nothing happened costs one list call, however many containers it runs.

use std::collections::HashMap;

use bollard::models::{
    ContainerState, ContainerStateStatusEnum as State, ContainerSummary, EventMessage,
};
use jiff::{SignedDuration, Timestamp};

use super::health::HealthMemory;
use crate::model::Exit;

/// The daemon's first wait before it starts an exited container again; it doubles with each exit…
const BACK_OFF_FIRST_MS: i64 = 100;
/// …up to this.
const BACK_OFF_MAX_MS: i64 = 60_000;
/// How far around the end of a run its event is looked for.
const EVENT_WINDOW: SignedDuration = SignedDuration::from_secs(1);
/// Exit codes over this are a signal's number plus this.
const SIGNAL_BASE: i64 = 128;
/// The highest signal number there is.
const SIGNAL_MAX: i64 = 64;
/// Exit code of shells and of the daemon's init process for a program that is not there…
const NOT_FOUND: i64 = 127;
/// …and for one that cannot be executed.
const NOT_EXECUTABLE: i64 = 126;
/// The year before which the daemon means "never".
const NEVER_BEFORE: Timestamp = Timestamp::UNIX_EPOCH;

/// What an inspection told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// When the present or last run started.
    pub(super) started_at: Option<Timestamp>,
    /// How often the daemon started it again after an exit.
    pub(super) restarts: u32,
    /// How its last run ended.
    pub(super) last_exit: Option<Exit>,
}

/// One run of a container: the ids of its network endpoints, which the daemon makes anew with every start
/// on every kind of network, and which the list tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run(String);

impl Run {
    /// The run that a listed container is in; `None` when the daemon does not tell.
    pub(super) fn of(container: &ContainerSummary) -> Option<Self> {
        let networks = container.network_settings.as_ref()?.networks.as_ref()?;
        let mut ids: Vec<&str> = networks
            .values()
            .filter_map(|network| network.endpoint_id.as_deref())
            .filter(|id| !id.is_empty())
            .collect();
        ids.sort_unstable();
        (!ids.is_empty()).then(|| Self(ids.join(" ")))
    }
}

/// What is remembered of a container between two observations.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The run in which it was inspected.
    pub(super) run: Option<Run>,
    /// What that inspection told.
    pub(super) facts: Facts,
    /// What its probes said.
    pub(super) health: HealthMemory,
}

/// Facts from an inspection. The reason of an exit is known only while the container does not run; of a
/// running one, [`super::observe`] asks the daemon's events.
pub(super) fn facts(state: &ContainerState, restart_count: Option<i64>) -> Facts {
    let at = |text: &Option<String>| {
        text.as_deref().and_then(|t| t.parse::<Timestamp>().ok()).filter(|t| *t > NEVER_BEFORE)
    };
    let runs = state.status == Some(State::RUNNING) || state.status == Some(State::PAUSED);
    let last_exit = at(&state.finished_at).map(|at| Exit {
        at,
        reason: if runs {
            "unknown".to_owned()
        } else {
            reason(state.exit_code.unwrap_or(0), state.oom_killed == Some(true))
        },
    });
    Facts {
        started_at: at(&state.started_at),
        restarts: restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        last_exit,
    }
}

/// Where to look for the event that ended a run: since and until, as the daemon's API writes times.
pub(super) fn event_window(exit: &Exit) -> (String, String) {
    let text = |at: Timestamp| format!("{}.{:09}", at.as_second(), at.subsec_nanosecond());
    (text(exit.at - EVENT_WINDOW), text(exit.at + EVENT_WINDOW))
}

/// The reason of an exit from the events around it.
pub(super) fn reason_from_events(events: &[EventMessage]) -> Option<String> {
    let oom = events.iter().any(|event| event.action.as_deref() == Some("oom"));
    let died = events.iter().rev().find(|event| event.action.as_deref() == Some("die"))?;
    let attributes: Option<&HashMap<String, String>> =
        died.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    let code = attributes?.get("exitCode")?.parse().ok()?;
    Some(reason(code, oom))
}

fn reason(exit_code: i64, out_of_memory: bool) -> String {
    if out_of_memory {
        return "out of memory".to_owned();
    }
    match exit_code {
        NOT_FOUND => format!("exit code {exit_code} (program not found)"),
        NOT_EXECUTABLE => format!("exit code {exit_code} (program cannot be executed)"),
        _ if (1..=SIGNAL_MAX).contains(&(exit_code - SIGNAL_BASE)) => {
            format!("exit code {exit_code} (killed by signal {})", exit_code - SIGNAL_BASE)
        }
        _ => format!("exit code {exit_code}"),
    }
}

/// When the daemon starts an exited container again, at the latest: its own wait begins anew after a run of
/// ten seconds, which an inspection does not tell.
pub(super) fn back_off_until(facts: &Facts, now: Timestamp) -> Timestamp {
    let Some(exit) = &facts.last_exit else { return now };
    // 2^10 times the first wait is over the longest.
    let doubled = BACK_OFF_FIRST_MS << facts.restarts.min(10);
    exit.at + SignedDuration::from_millis(doubled.min(BACK_OFF_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_inspection_of_a_crashed_and_of_a_running_container() {
        let state =
            |json: serde_json::Value| serde_json::from_value::<ContainerState>(json).unwrap();
        let crashed = state(serde_json::json!({
            "Status": "restarting", "OOMKilled": false, "ExitCode": 137,
            "StartedAt": "2026-11-21T02:02:42.313109616Z", "FinishedAt": "2026-11-21T02:02:43Z"
        }));
        let facts_of_crashed = facts(&crashed, Some(2));
        assert_eq!(facts_of_crashed.restarts, 2);
        let exit = facts_of_crashed.last_exit.as_ref().unwrap();
        assert_eq!(exit.reason, "exit code 137 (killed by signal 9)");
        assert_eq!(
            back_off_until(&facts_of_crashed, Timestamp::UNIX_EPOCH).to_string(),
            "2026-11-21T02:02:43.4Z"
        );
        let fresh = state(serde_json::json!({
            "Status": "running", "ExitCode": 0,
            "StartedAt": "2026-11-21T02:02:42Z", "FinishedAt": "0001-01-01T00:00:00Z"
        }));
        assert_eq!(facts(&fresh, Some(0)).last_exit, None);
        let oom = state(serde_json::json!({
            "Status": "exited", "OOMKilled": true, "ExitCode": 137, "FinishedAt": "2026-11-21T02:02:43Z"
        }));
        assert_eq!(facts(&oom, None).last_exit.unwrap().reason, "out of memory");
    }
}
