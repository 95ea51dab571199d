//! Holds still because a person said so: a paused count does not change, whatever bounds and policy say.

use super::draft::Draft;
use crate::model::{Detail, Reason, Stage};

/// Keeps the count while a pause is in force.
pub(super) fn hold(draft: &mut Draft<'_>) {
    let Some(pause) = draft.input.pause() else { return };
    let detail = Detail::Paused {
        author: pause.author.as_str().into(),
        reason: pause.reason.as_str().into(),
        until: pause.until,
    };
    draft.pass(Stage::Pause, draft.current, Some(Reason::Paused), detail);
}
