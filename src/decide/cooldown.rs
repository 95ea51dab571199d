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
    let held = draft.current.min(facts.bounds.max);
    match until.filter(|until| draft.now() < *until) {
        Some(until) if draft.count < held => {
            draft.pass(Stage::Cooldown, held, Some(Reason::Cooldown), Detail::Cooldown { until });
        }
        _ => draft.keep(Stage::Cooldown, "no cooldown is in the way"),
    }
}
