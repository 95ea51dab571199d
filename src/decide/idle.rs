//! The last replica: it goes only where `idle` says so, and only on signals that exist at zero.
//!
//! A vote for none is not enough: a source that says zero for a moment would stop a service. Going down to
//! one is the business of the stages before; this one makes the step from one to none.

use std::time::Duration;

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
    let is_quiet = known.iter().all(|(is_value, is_zero)| *is_value && *is_zero);
    let is_active = known.iter().any(|(is_value, is_zero)| *is_value && !is_zero);
    if is_quiet && !known.is_empty() {
        let since = *draft.state.idle_since.get_or_insert(now);
        sleep(draft, now.since(since), idle.after);
    } else if is_active {
        draft.state.idle_since = None;
        stay(draft);
    } else if draft.count == Count(0) && draft.current > Count(0) {
        // Unknown: the time goes on, and nothing stops meanwhile.
        draft.pass(
            Stage::Idle,
            Count(1),
            Some(Reason::MissingData),
            Detail::Plain("it is not known whether anything happens, so the last replica stays"),
        );
    } else {
        draft.keep(Stage::Idle, "it is not known whether anything happens");
    }
}

/// Something happens: one replica at least.
fn stay(draft: &mut Draft<'_>) {
    if draft.count > Count(0) {
        draft.keep(Stage::Idle, "something happens");
    } else {
        let detail = Detail::Plain("something happens, so there is one replica at least");
        draft.pass(Stage::Idle, Count(1), Some(Reason::AtMin), detail);
    }
}

/// Nothing happens: for long enough, or not yet.
fn sleep(draft: &mut Draft<'_>, lasted: Duration, after: Duration) {
    // Where nothing votes the count would rest at `desired` for ever; sleep is deeper than rest.
    let may_go = draft.count <= Count(1) || draft.best.is_none();
    let is_unknown = draft.forbids_down.is_some() || draft.lost.is_some();
    if is_unknown && draft.current > Count(0) {
        let sentence = "nothing happens, but without all values the last replica stays";
        draft.pass(Stage::Idle, draft.count.max(Count(1)), None, Detail::Plain(sentence));
    } else if lasted >= after && may_go && draft.current <= Count(1) {
        draft.pass(Stage::Idle, Count(0), Some(Reason::Idle), Detail::Idle { idle: lasted });
    } else if lasted >= after && may_go && draft.count > Count(1) {
        // The last one is for the next decision, as from any other count.
        let detail = Detail::IdleWaits { idle: lasted, after };
        draft.pass(Stage::Idle, Count(1), Some(Reason::Idle), detail);
    } else if draft.current > Count(0) {
        let kept = draft.count.max(Count(1));
        let waits = (kept > draft.count).then_some(Reason::Stabilizing);
        draft.pass(Stage::Idle, kept, waits, Detail::IdleWaits { idle: lasted, after });
    } else {
        draft.keep(Stage::Idle, "nothing happens and nothing runs");
    }
}
