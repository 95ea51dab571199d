//! While replicas are being replaced, nothing goes down: the old ones are about to go, and the load of the
//! new ones is not known yet.

use super::draft::Draft;
use crate::model::{Detail, Reason, Stage};

/// Keeps the count while a rollout lasts.
pub(super) fn wait(draft: &mut Draft<'_>) {
    let facts = &draft.input.facts;
    let held = draft.current.min(facts.bounds.max);
    if facts.is_rolling_out && draft.count < held {
        let detail =
            Detail::Plain("replicas are being replaced, so no step down before that is done");
        draft.pass(Stage::Rollout, held, Some(Reason::RolloutInProgress), detail);
    }
}
