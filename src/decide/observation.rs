//! Holds still where the world could not be read: what is unknown is neither raised nor lowered.

use crate::model::{Count, Reason, Stage, TraceLine};

/// Notes whether the count may move at all.
pub(super) fn require(wanted: Count, observed: Option<Count>) -> TraceLine {
    let (reason, sentence) = match observed {
        Some(count) => (Reason::AtDesired, format!("{count} replicas exist")),
        None => (
            Reason::MissingData,
            "the provider could not be read, so nothing is changed here".to_owned(),
        ),
    };
    TraceLine { stage: Stage::Observation, before: wanted, after: wanted, reason, sentence }
}
