//! Floors of the bursts in force: the largest counts, all are named.

use std::sync::Arc;

use super::draft::Draft;
use crate::model::{Autoscale, Count, Detail, Reason, Stage};

/// Lifts the count to the largest floor of the bursts in force. Only time ends a burst, so it is gone with
/// the first decision after its end.
pub(super) fn lift(draft: &mut Draft<'_>) {
    let (input, now) = (draft.input, draft.now());
    let about =
        input.bursts.iter().filter(|burst| burst.is_in_force(now) && burst.is_about(input.target));
    let mut floor = Count(0);
    let mut names: Vec<Arc<str>> = Vec::new();
    for burst in about {
        floor = floor.max(burst.replicas);
        names.push(format!("the burst of {} ({})", burst.author, burst.reason).into());
    }
    if names.is_empty() {
        return;
    }
    if input.facts.autoscale == Autoscale::Disabled {
        draft.keep(Stage::Burst, "a burst is refused, because autoscaling is disabled");
        return;
    }
    let after = draft.count.max(floor);
    draft.wanted = draft.wanted.max(floor);
    let reason = (after > draft.count || floor >= draft.current).then_some(Reason::Burst);
    let detail = Detail::Floors { floor, names: names.into() };
    draft.pass(Stage::Burst, after, reason, detail);
}
