//! Threshold rules: while its condition holds, a rule asks for a step from where the count was when it began.
//!
//! A condition is a level, not an event: holding for another minute does not step again every cycle. It
//! steps again once it has held for as long again (its longest `for`, at least [`RULE_REPEAT`]) with the
//! replicas of the last step ready. A signal without a value leaves a timer as it is: an unknown moment
//! neither begins nor ends a condition, and a rule fires only on what is known now.

use std::time::Duration;

use super::defaults::RULE_REPEAT;
use super::draft::{Draft, Vote};
use crate::model::{
    Condition, Count, Detail, Effect, FiredRule, Moment, Policy, Reason, Rule, Stage, Threshold,
};

/// Lets every rule vote.
pub(super) fn vote(draft: &mut Draft<'_>, policy: &Policy) {
    draft.state.timers.resize(policy.thresholds, None);
    draft.state.rules.resize(policy.rules.len(), None);
    for (index, rule) in policy.rules.iter().enumerate() {
        let (name, now) = (rule.name.clone(), draft.now());
        let holds = evaluate(draft, &rule.when);
        let fired = match holds {
            Holds::Yes(since) => fire(draft, index, rule, since),
            Holds::Not | Holds::NotYet | Holds::Unknown => None,
        };
        if let Some(memory) = draft.state.rules.get_mut(index) {
            // An unknown moment does not end a rule: it goes on from where it was. Nor does a short one
            // without: a level that flickers must not step more often than one that holds.
            let repeat = repeat(rule);
            let is_recent = |fired: &FiredRule| now.since(fired.at) < repeat;
            match holds {
                Holds::Unknown => {}
                Holds::Yes(_) => *memory = fired,
                Holds::Not | Holds::NotYet => *memory = memory.filter(is_recent),
            }
        }
        match (holds, fired) {
            (Holds::Yes(_), Some(fired)) => {
                let held = draft.now().since(fired.since);
                let detail = Detail::Rule { name, held, wants: fired.wants };
                draft.note(Stage::Rule, fired.wants, Some(Reason::Rule), detail);
                draft.vote(Vote {
                    count: fired.wants,
                    reason: Reason::Rule,
                    target: None,
                    remembers: false,
                    ratio: None,
                });
            }
            (Holds::NotYet, _) => {
                draft.note(Stage::Rule, draft.current, None, Detail::RuleWaits { name });
            }
            (Holds::Unknown, _) => {
                draft.note(Stage::Rule, draft.current, None, Detail::RuleUnknown { name });
            }
            (Holds::Yes(_) | Holds::Not, _) => {
                draft.note(Stage::Rule, draft.current, None, Detail::NoRule { name });
            }
        }
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Since then.
    Yes(Moment),
    /// It would, had it lasted longer.
    NotYet,
    /// It does not.
    Not,
    /// A signal that it needs has no value.
    Unknown,
}

fn evaluate(draft: &mut Draft<'_>, condition: &Condition) -> Holds {
    match condition {
        // Every part is looked at, also where the answer is clear already: their timers must run.
        Condition::All(parts) => {
            parts.iter().fold(Holds::Yes(Moment(i64::MIN)), |all, part| {
                match (all, evaluate(draft, part)) {
                    (Holds::Not, _) | (_, Holds::Not) => Holds::Not,
                    (Holds::Unknown, _) | (_, Holds::Unknown) => Holds::Unknown,
                    (Holds::NotYet, _) | (_, Holds::NotYet) => Holds::NotYet,
                    (Holds::Yes(a), Holds::Yes(b)) => Holds::Yes(a.max(b)),
                }
            })
        }
        Condition::Any(parts) => {
            parts.iter().fold(Holds::Not, |any, part| match (any, evaluate(draft, part)) {
                (Holds::Yes(a), Holds::Yes(b)) => Holds::Yes(a.min(b)),
                (Holds::Yes(a), _) | (_, Holds::Yes(a)) => Holds::Yes(a),
                (Holds::Unknown, _) | (_, Holds::Unknown) => Holds::Unknown,
                (Holds::NotYet, _) | (_, Holds::NotYet) => Holds::NotYet,
                (Holds::Not, Holds::Not) => Holds::Not,
            })
        }
        Condition::Threshold(threshold) => evaluate_threshold(draft, threshold),
    }
}

fn evaluate_threshold(draft: &mut Draft<'_>, threshold: &Threshold) -> Holds {
    let Some(value) = draft.value(threshold.signal) else { return Holds::Unknown };
    let now = draft.now();
    let Some(timer) = draft.state.timers.get_mut(threshold.timer) else { return Holds::Unknown };
    if !is_beyond(threshold, value) {
        *timer = None;
        return Holds::Not;
    }
    let since = *timer.get_or_insert(now);
    if now.since(since) >= threshold.hold { Holds::Yes(since) } else { Holds::NotYet }
}

/// Whether a value is beyond the levels of a threshold. With two levels it must be between them.
pub(super) fn is_beyond(threshold: &Threshold, value: f64) -> bool {
    threshold.above.is_none_or(|level| value > level)
        && threshold.below.is_none_or(|level| value < level)
}

/// What a rule that holds asks for: what it asked for before, or one more step.
fn fire(draft: &Draft<'_>, index: usize, rule: &Rule, since: Moment) -> Option<FiredRule> {
    let now = draft.now();
    let step = FiredRule { at: now, since, wants: moved(draft.current, rule.effect) };
    let Some(before) = draft.state.rules.get(index).copied().flatten() else { return Some(step) };
    let is_up = step.wants > draft.current;
    let has_arrived =
        if is_up { draft.current >= before.wants } else { draft.current <= before.wants };
    let is_due = now.since(before.at) >= repeat(rule);
    if has_arrived && is_due && draft.input.facts.starting == Count(0) {
        Some(step)
    } else {
        Some(FiredRule { since, ..before })
    }
}

/// The count after one step of a rule. A percentage moves at least one replica.
fn moved(from: Count, effect: Effect) -> Count {
    match effect {
        Effect::By(by) => Count(from.0.saturating_add_signed(by)),
        Effect::To(count) => count,
        Effect::ByPercent(percent) => {
            let share = f64::from(from.0) * percent.abs() / 100.0;
            if percent < 0.0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it saturates"
                )]
                let by = share.floor() as u32;
                Count(from.0.saturating_sub(by.max(1)))
            } else {
                Count(from.0.saturating_add(super::draft::replicas(share).0.max(1)))
            }
        }
    }
}

/// How long a rule that stepped waits for its next step.
fn repeat(rule: &Rule) -> Duration {
    longest_hold(&rule.when).max(RULE_REPEAT)
}

fn longest_hold(condition: &Condition) -> Duration {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().map(longest_hold).max().unwrap_or_default()
        }
        Condition::Threshold(threshold) => threshold.hold,
    }
}

/// Whether the policy has a rule of its own for going down: then the count stays between its rules.
pub(super) fn has_way_down(policy: &Policy) -> bool {
    policy.rules.iter().any(|rule| match rule.effect {
        Effect::By(by) => by < 0,
        Effect::ByPercent(percent) => percent < 0.0,
        Effect::To(_) => false,
    })
}
