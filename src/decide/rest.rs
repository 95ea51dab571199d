//! What the count rests at where nobody votes: the spec's `desired`.

use super::draft::Draft;
use crate::model::{Autoscale, Detail, Reason, Stage};

/// `manual` and `disabled` services rest at `desired` by definition.
pub(super) fn rest(draft: &mut Draft<'_>) {
    let facts = &draft.input.facts;
    let desired = facts.bounds.desired;
    let is_disabled = facts.autoscale == Autoscale::Disabled;
    let detail = Detail::Desired { desired, is_disabled };
    draft.wanted = desired;
    draft.pass(Stage::Rest, desired, Some(Reason::AtDesired), detail);
}
