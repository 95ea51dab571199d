//! Clamps the count to `[min, max]`.

use crate::model::{Bounds, Count, Reason, Stage, TraceLine};

/// No stage after this one may lift the count over `max` or push it under `min`.
pub(super) fn clamp(wanted: Count, bounds: &Bounds) -> TraceLine {
    // Not `Ord::clamp`: that panics where `min > max`, and deciding must not be able to fail.
    let after = wanted.max(bounds.min).min(bounds.max);
    let sentence = if after == wanted {
        format!("{wanted} is within {} to {}", bounds.min, bounds.max)
    } else if after < wanted {
        format!("{wanted} is over the maximum, so {after}")
    } else {
        format!("{wanted} is under the minimum, so {after}")
    };
    TraceLine { stage: Stage::Bounds, before: wanted, after, reason: Reason::Bounds, sentence }
}
