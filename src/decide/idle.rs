//! The last replica: it goes only where `idle` says so, and only on signals that exist at zero.
//!
//! A vote for none is not enough: a source that says zero for a moment would stop a service. Going down to
//! one is the business of the stages before; this one makes the step from one to none.

use super::draft::Draft;
use crate::model::{Count, Detail, Policy, Reason, SignalState, Stage};

/// Takes the last replica away, or keeps it.
pub(super) fn rest(draft: &mut Draft<'_>, policy: &Policy) {
    let bounds = draft.input.facts.bounds;
    let Some(idle) = policy.idle.as_ref().filter(|_| bounds.min == Count(0)) else {
        if draft.count == Count(0) && bounds.desired > Count(0) && bounds.max > Count(0) {
            let detail = Detail::Plain("without `idle` the last replica stays");
            draft.pass(Stage::Idle, Count(1), Some(Reason::AtMin), detail);
        }
        return;
    };
    let is_zero = |index: &usize| {
        let reading = draft.readings.get(*index);
        reading.map(|reading| (reading.state == SignalState::Value, reading.value == Some(0.0)))
    };
    let now = draft.now();
    let known: Vec<(bool, bool)> = idle.signals.iter().filter_map(is_zero).collect();
    if known.iter().any(|(is_value, is_zero)| *is_value && !is_zero) {
        draft.state.idle_since = None;
    } else if known.iter().all(|(is_value, is_zero)| *is_value && *is_zero) {
        draft.state.idle_since.get_or_insert(now);
    } else if draft.count == Count(0) && draft.current > Count(0) {
        // Unknown: the time goes on, and nothing stops meanwhile.
        draft.pass(
            Stage::Idle,
            Count(1),
            Some(Reason::MissingData),
            Detail::Plain("it is not known whether nothing happens, so the last replica stays"),
        );
        return;
    }
    let Some(since) = draft.state.idle_since else {
        if draft.count == Count(0) {
            let detail = Detail::Plain("something happens, so the last replica stays");
            draft.pass(Stage::Idle, Count(1), Some(Reason::Idle), detail);
        } else {
            draft.keep(Stage::Idle, "something happens");
        }
        return;
    };
    let lasted = now.since(since);
    if lasted >= idle.after && draft.count <= Count(1) && draft.current <= Count(1) {
        draft.pass(Stage::Idle, Count(0), Some(Reason::Idle), Detail::Idle { idle: lasted });
    } else if draft.current > Count(0) {
        let detail = Detail::IdleWaits { idle: lasted, after: idle.after };
        draft.pass(Stage::Idle, draft.count.max(Count(1)), None, detail);
    } else {
        draft.keep(Stage::Idle, "nothing happens and nothing runs");
    }
}
