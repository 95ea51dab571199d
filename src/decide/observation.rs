//! Holds still where the world could not be read: what is unknown is neither raised nor lowered.

use super::draft::Draft;
use crate::model::{Detail, Reason, Stage};

/// Notes whether the count may move at all.
pub(super) fn require(draft: &mut Draft<'_>) {
    match draft.input.facts.observed {
        Some(count) => draft.note(Stage::Observation, draft.count, None, Detail::Exists { count }),
        None => {
            let detail =
                Detail::Plain("the provider could not be read, so nothing is changed here");
            draft.pass(Stage::Observation, draft.count, Some(Reason::MissingData), detail);
        }
    }
    if let Some(line) = draft.trace.last_mut() {
        line.before = draft.count;
    }
}
