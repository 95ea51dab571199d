//! After any change of a target, a step down waits. Up is never blocked, and bounds are not waited for.

use super::draft::Draft;
use crate::model::{Detail, Reason, Stage};

/// Keeps the count while the cooldown lasts.
pub(super) fn wait(draft: &mut Draft<'_>) {
    let facts = &draft.input.facts;
    if facts.cooldown.is_zero() {
        return;
    }
    let until = draft.state.last_change.map(|at| at.after(facts.cooldown));
    // A change in the future was before a clock was set back: waiting for it could take forever.
    let is_past = draft.state.last_change.is_some_and(|at| at <= draft.now());
    let held = draft.current.min(facts.bounds.max);
    match until.filter(|until| is_past && draft.now() < *until) {
        Some(until) if draft.count < held => {
            draft.pass(Stage::Cooldown, held, Some(Reason::Cooldown), Detail::Cooldown { until });
        }
        _ => draft.keep(Stage::Cooldown, "no step down waits for a cooldown"),
    }
}
