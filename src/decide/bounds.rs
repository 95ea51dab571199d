//! Clamps the count to `[min, max]`.

use super::draft::Draft;
use crate::model::{Detail, Reason, Stage};

/// No stage after this one may lift the count over `max` or push it under `min`, except a pause.
pub(super) fn clamp(draft: &mut Draft<'_>) {
    let bounds = draft.input.facts.bounds;
    // Not `Ord::clamp`: that panics where `min > max`, and deciding must not be able to fail.
    let after = draft.count.max(bounds.min).min(bounds.max);
    let reason = if after < draft.count {
        // A count that is over the maximum already is moved by the bounds; else they are in the way.
        Some(if after < draft.current { Reason::Bounds } else { Reason::AtMax })
    } else if after > draft.count {
        Some(if after > draft.current { Reason::Bounds } else { Reason::AtMin })
    } else {
        None
    };
    let detail = Detail::Clamped { wanted: draft.count, min: bounds.min, max: bounds.max };
    draft.pass(Stage::Bounds, after, reason, detail);
}
