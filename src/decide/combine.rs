//! The largest vote wins; what has no value forbids going down.

use super::draft::Draft;
use super::rules;
use crate::model::{Count, Detail, Policy, Reason, Stage};

/// Turns the votes into one count.
pub(super) fn combine(draft: &mut Draft<'_>, policy: &Policy) {
    let desired = draft.input.facts.bounds.desired;
    match draft.best {
        Some(best) => {
            let votes = draft.votes;
            draft.pass(Stage::Combine, best.count, Some(best.reason), Detail::Largest { votes });
        }
        None if rules::has_way_down(policy) && draft.has_value => {
            draft.keep(Stage::Combine, "no rule holds, and between its rules the count stays");
        }
        None => {
            draft.pass(Stage::Rest, desired, Some(Reason::AtDesired), Detail::NoVote { desired });
        }
    }
    if let Some((index, floor)) = draft.missing_floor
        && draft.count < floor
        && let Some(signal) = policy.signals.get(index)
    {
        let detail = Detail::MissingFloor { signal: signal.name.clone(), floor };
        draft.pass(Stage::Combine, floor, Some(Reason::MissingData), detail);
    }
    if draft.is_down() {
        hold(draft, policy);
    }
}

/// Only values may lower a count: of every signal that is not to be ignored, and of one at least.
fn hold(draft: &mut Draft<'_>, policy: &Policy) {
    let missing = draft.forbids_down.or_else(|| (!draft.has_value).then_some(0));
    let told = missing.and_then(|index| {
        Some((policy.signals.get(index)?.name.clone(), draft.readings.get(index)?.state))
    });
    let (wanted, current): (Count, Count) = (draft.count, draft.current);
    if let Some((signal, state)) = told {
        let detail = Detail::Missing { signal, state, wanted };
        draft.pass(Stage::Combine, current, Some(Reason::MissingData), detail);
    } else if draft.is_expression_lost {
        let detail = Detail::Plain("the expression has no value, so the count does not go down");
        draft.pass(Stage::Combine, current, Some(Reason::MissingData), detail);
    }
}
