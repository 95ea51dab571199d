//! The largest vote wins; what has no value forbids going down.

use std::sync::Arc;

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
        None if draft.state.effective.is_some()
            && let Some(detail) = unknown(draft, policy) =>
        {
            // Not known whether anything would vote: that is no vote for `desired`.
            let (current, reason) = (draft.current, Some(Reason::MissingData));
            draft.pass(Stage::Combine, current, reason, detail);
        }
        None if rules::has_way_down(policy) && draft.has_value => {
            let detail = Detail::Plain("no rule holds, and between its rules the count stays");
            // What a floor lifted is not what the policy asked for.
            let own = draft.state.own.unwrap_or(draft.current);
            draft.pass(Stage::Combine, own, Some(Reason::WithinTolerance), detail);
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
    draft.wanted = draft.count;
    if draft.is_down() {
        hold(draft, policy);
    }
}

/// Why it is not known what the policy asks for, where nothing votes.
fn unknown(draft: &Draft<'_>, policy: &Policy) -> Option<Detail> {
    if let Some(index) = draft.forbids_down {
        let signal = policy.signals.get(index)?.name.clone();
        let state = draft.readings.get(index)?.state;
        let why = why(draft, index);
        return Some(Detail::Unknown { signal, state, why });
    }
    draft.lost.map(Detail::Plain)
}

/// What is wrong with a signal: its line, the first ones of the trace are those of the signals.
fn why(draft: &Draft<'_>, index: usize) -> Option<Arc<str>> {
    match &draft.trace.get(index)?.detail {
        Detail::Signal { why, .. } => why.clone(),
        _ => None,
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
        let why = why(draft, missing.unwrap_or(0));
        let detail = Detail::Missing { signal, state, why, wanted };
        draft.pass(Stage::Combine, current, Some(Reason::MissingData), detail);
    } else if let Some(sentence) = draft.lost {
        let detail = Detail::Plain(sentence);
        draft.pass(Stage::Combine, current, Some(Reason::MissingData), detail);
    }
}
