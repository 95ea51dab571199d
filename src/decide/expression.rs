//! The expression: one more vote, where all signals that it names have a value.

use std::sync::Arc;

use super::draft::{Draft, Vote, replicas};
use crate::model::{Detail, Policy, Reason, Stage, Variables};

/// Lets the expression vote.
pub(super) fn vote(draft: &mut Draft<'_>, policy: &Policy) {
    let Some(expression) = &policy.expression else { return };
    for &index in expression.signals() {
        let Some(signal) = policy.signals.get(index) else { continue };
        if draft.value(index).is_none() {
            let detail = Detail::NoTarget { signal: signal.name.clone() };
            // Also of a signal that may be ignored: what the others ask for alone is not what is written.
            draft.lost = Some("the expression lacks a value, so the count does not go down");
            draft.note(Stage::Expression, draft.current, Some(Reason::MissingData), detail);
            return;
        }
    }
    let facts = &draft.input.facts;
    let variables = Variables {
        count: draft.current.0,
        ready: facts.ready.0,
        min: facts.bounds.min.0,
        max: facts.bounds.max.0,
    };
    match expression.value_at(|index| draft.value(index), variables) {
        Ok(value) => {
            let wants = replicas(value);
            draft.note(
                Stage::Expression,
                wants,
                Some(Reason::Expression),
                Detail::Expression { value, wants },
            );
            draft.vote(Vote {
                count: wants,
                reason: Reason::Expression,
                target: None,
                remembers: false,
                ratio: None,
            });
        }
        Err(error) => {
            // It has values and no result: as little known as a signal without a value.
            draft.lost = Some("the expression has no value, so the count does not go down");
            let why = Arc::from(error.to_string());
            draft.note(
                Stage::Expression,
                draft.current,
                Some(Reason::MissingData),
                Detail::NoExpression { why },
            );
        }
    }
}
