//! A decision in the making: what the stages hand to each other.

use std::time::Duration;

use super::Input;
use crate::model::{
    Autoscale, Count, Detail, Moment, Policy, Reason, SignalState, Stage, TargetState, TraceLine,
};

/// A decision in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) state: &'a mut TargetState,
    /// The count before: what was decided last, else what exists, else `desired`.
    pub(super) current: Count,
    /// What the stages so far ask for.
    pub(super) count: Count,
    /// What the votes and floors asked for, before bounds and guards.
    pub(super) wanted: Count,
    /// What each measurement is worth, in the policy's order.
    pub(super) readings: Vec<Reading>,
    /// The largest vote so far.
    pub(super) best: Option<Vote>,
    /// The largest vote of a rule or the expression: no tolerance is about it.
    pub(super) firm: Option<Count>,
    /// The largest vote of those that do not remember by themselves what was wanted.
    pub(super) forgetful: Option<Count>,
    /// How many votes there are.
    pub(super) votes: u32,
    /// Whether any signal has a value.
    pub(super) has_value: bool,
    /// The first signal, by index, whose state forbids going down.
    pub(super) forbids_down: Option<usize>,
    /// What could not be computed although its signals have values, and what follows: a sentence.
    pub(super) lost: Option<&'static str>,
    /// The largest floor that a missing signal asks for, with that signal's index.
    pub(super) missing_floor: Option<(usize, Count)>,
    pub(super) trace: Vec<TraceLine>,
}

/// What a measurement is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub(super) state: SignalState,
    /// The number to vote by: also the last good one, where the policy allows that.
    pub(super) value: Option<f64>,
}

/// A vote for a count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Vote {
    pub(super) count: Count,
    pub(super) reason: Reason,
    /// For a proportional rule: its index.
    pub(super) target: Option<usize>,
    /// Whether it is made with a memory of its own of what was wanted.
    pub(super) remembers: bool,
    /// The load as a share of what the count before is meant for: 1 is exactly on target.
    pub(super) ratio: Option<f64>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: &'a Input<'a>, state: &'a mut TargetState) -> Self {
        let facts = &input.facts;
        let current = state.effective.or(facts.observed).unwrap_or(facts.bounds.desired);
        let is_metrics = facts.autoscale == Autoscale::Metrics;
        let voting = input.policy.filter(|_| is_metrics);
        let lines = voting.map_or(LINES_RESTING, |policy| LINES_FIXED + lines_of(policy));
        Self {
            input,
            state,
            current,
            count: current,
            wanted: current,
            readings: Vec::with_capacity(input.measured.len()),
            best: None,
            firm: None,
            forgetful: None,
            votes: 0,
            has_value: false,
            forbids_down: None,
            lost: None,
            missing_floor: None,
            trace: Vec::with_capacity(lines),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.input.facts.now
    }

    /// Leaves a line and passes `after` on.
    pub(super) fn pass(
        &mut self,
        stage: Stage,
        after: Count,
        reason: Option<Reason>,
        detail: Detail,
    ) {
        self.trace.push(TraceLine { stage, before: self.count, after, reason, detail });
        self.count = after;
    }

    /// Leaves a line and passes the count on as it is.
    pub(super) fn keep(&mut self, stage: Stage, sentence: &'static str) {
        self.pass(stage, self.count, None, Detail::Plain(sentence));
    }

    /// Leaves a line for something that only tells or votes.
    pub(super) fn note(
        &mut self,
        stage: Stage,
        asks: Count,
        reason: Option<Reason>,
        detail: Detail,
    ) {
        self.trace.push(TraceLine { stage, before: self.current, after: asks, reason, detail });
    }

    pub(super) fn vote(&mut self, vote: Vote) {
        self.votes += 1;
        if vote.target.is_none() {
            self.firm = self.firm.max(Some(vote.count));
        }
        if !vote.remembers {
            self.forgetful = self.forgetful.max(Some(vote.count));
        }
        if self.best.is_none_or(|best| vote.count > best.count) {
            self.best = Some(vote);
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.count < self.current
    }

    pub(super) fn value(&self, signal: usize) -> Option<f64> {
        self.readings.get(signal)?.value
    }

    /// The longest wait before a step down that this policy's stabilization means.
    pub(super) fn down_window(&self) -> Duration {
        let policy = self.input.policy;
        let stated = policy.and_then(|policy| policy.behavior.down.stabilization);
        stated.unwrap_or(super::defaults::DOWN_STABILIZATION)
    }
}

/// Lines of a decision that nothing votes in: rest, bounds, observation, and a floor.
const LINES_RESTING: usize = 4;
/// Lines that every decision by a policy has.
const LINES_FIXED: usize = 14;

fn lines_of(policy: &Policy) -> usize {
    policy.signals.len() + policy.targets.len() + policy.rules.len() + 1
}

/// A number of replicas from a quotient: the next whole number, forgiving rounding dust, never negative.
pub(super) fn replicas(quotient: f64) -> Count {
    let whole = (quotient - DUST).ceil();
    // `as` saturates: what is too large for a count is the largest count, and bounds follow.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    Count(whole as u32)
}

/// How many whole replicas a quotient pays for, forgiving rounding dust.
pub(super) fn floor_replicas(quotient: f64) -> Count {
    let whole = (quotient + DUST).floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    Count(whole as u32)
}

/// Rounding dust of a quotient: far below any share of a replica that matters.
const DUST: f64 = 1e-9;
