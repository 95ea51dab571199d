//! What each measurement is worth: only a `Value` may lower a count.
//!
//! A number can still be no value: `NaN`, infinite, negative where that cannot be, too old, from the future,
//! or a sudden zero of a load, which is what a restarted source and a reset counter read.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use super::defaults::{CLOCK_SKEW, SILENCE_MAX, ZERO_DOUBT};
use super::draft::{Draft, Reading};
use crate::model::{
    Count, Detail, Measured, Moment, OnMissing, Policy, Reason, Signal, SignalMemory, SignalState,
    Stage, TargetKind,
};

/// Sentences about a number that is no value; shared, because the same is said every cycle.
static NOT_FINITE: LazyLock<Arc<str>> = LazyLock::new(|| "the value is not a number".into());
static NEGATIVE: LazyLock<Arc<str>> =
    LazyLock::new(|| "the value is negative, which this signal cannot be".into());
static FUTURE: LazyLock<Arc<str>> =
    LazyLock::new(|| "its time stamp is in the future: compare the clocks".into());
static SUDDEN_ZERO: LazyLock<Arc<str>> = LazyLock::new(|| {
    "it fell to exactly zero at once, as after a restart or a counter reset; doubted for a minute"
        .into()
});
static NOT_MEASURED: LazyLock<Arc<str>> = LazyLock::new(|| "nothing measures it".into());

/// Judges every signal.
pub(super) fn judge(draft: &mut Draft<'_>, policy: &Policy) {
    draft.state.signals.resize_with(policy.signals.len(), SignalMemory::default);
    for (index, signal) in policy.signals.iter().enumerate() {
        let measured = draft.input.measured.get(index);
        let judged = judge_one(draft, policy, index, signal, measured);
        let mut value = (judged.state == SignalState::Value).then_some(judged.value).flatten();
        if judged.state == SignalState::Value {
            draft.has_value = true;
        } else {
            value = missing(draft, index, signal);
        }
        draft.readings.push(Reading { state: judged.state, value });
        let reason = (judged.state != SignalState::Value).then_some(Reason::MissingData);
        let detail = Detail::Signal {
            name: signal.name.clone(),
            state: judged.state,
            value: judged.value.filter(|value| value.is_finite()),
            age: judged.age,
            why: judged.why,
        };
        draft.note(Stage::Signals, draft.current, reason, detail);
    }
}

struct Judged {
    state: SignalState,
    value: Option<f64>,
    age: Duration,
    why: Option<Arc<str>>,
}

fn judge_one(
    draft: &mut Draft<'_>,
    policy: &Policy,
    index: usize,
    signal: &Signal,
    measured: Option<&Measured>,
) -> Judged {
    let now = draft.now();
    let judged = |state, value, age, why| Judged { state, value, age, why };
    let (value, at) = match measured {
        Some(Measured::Value { value, at }) => (*value, *at),
        Some(Measured::Absent) => {
            return judged(SignalState::Absent, None, Duration::ZERO, None);
        }
        Some(Measured::Failed(why)) => {
            return judged(SignalState::Error, None, Duration::ZERO, Some(why.clone()));
        }
        None => {
            let why = Some(NOT_MEASURED.clone());
            return judged(SignalState::Absent, None, Duration::ZERO, why);
        }
    };
    let age = now.since(at);
    let wrong = |why: &Arc<str>| judged(SignalState::Error, Some(value), age, Some(why.clone()));
    if !value.is_finite() {
        return wrong(&NOT_FINITE);
    }
    if value < 0.0 && is_amount(policy, index) {
        return wrong(&NEGATIVE);
    }
    if at.since(now) > CLOCK_SKEW {
        return wrong(&FUTURE);
    }
    if age > signal.max_age() {
        return judged(SignalState::Stale, Some(value), age, None);
    }
    let Some(memory) = draft.state.signals.get_mut(index) else { return wrong(&NOT_MEASURED) };
    if is_load(policy, index) && is_sudden_zero(memory, value, now) {
        return wrong(&SUDDEN_ZERO);
    }
    let is_anew =
        memory.value.is_some() && at.since(memory.at) > SILENCE_MAX.max(signal.max_age() * 2);
    memory.value = Some(value);
    memory.at = at;
    if is_anew {
        forget(draft, policy, index);
    }
    judged(SignalState::Value, Some(value), age, None)
}

/// After a long silence nobody knows what was meanwhile: timers that wait for this signal begin anew.
fn forget(draft: &mut Draft<'_>, policy: &Policy, index: usize) {
    let state = &mut *draft.state;
    for rule in &policy.rules {
        rule.when.each_threshold(&mut |threshold| {
            if threshold.signal == index
                && let Some(timer) = state.timers.get_mut(threshold.timer)
            {
                *timer = None;
            }
        });
    }
    if policy.idle.as_ref().is_some_and(|idle| idle.signals.contains(&index)) {
        state.idle_since = None;
    }
}

/// Whether a zero is to be doubted: the last good value was more, and it has not read zero for long enough.
fn is_sudden_zero(memory: &mut SignalMemory, value: f64, now: Moment) -> bool {
    if value != 0.0 {
        memory.zero_since = None;
        return false;
    }
    if memory.value.is_none_or(|last| last == 0.0) {
        return false;
    }
    let since = *memory.zero_since.get_or_insert(now);
    now.since(since) < ZERO_DOUBT
}

/// A signal that a proportional rule divides cannot be negative.
fn is_amount(policy: &Policy, index: usize) -> bool {
    policy.targets.iter().any(|target| target.signal == index)
}

/// A total over all replicas, as a rate of a counter is.
fn is_load(policy: &Policy, index: usize) -> bool {
    let is_total = |target: &crate::model::Target| {
        target.signal == index && target.kind == TargetKind::PerReplica
    };
    policy.targets.iter().any(is_total)
}

/// What the policy wants for a signal without a value: the number to vote by, if any.
fn missing(draft: &mut Draft<'_>, index: usize, signal: &Signal) -> Option<f64> {
    let mut floor = None;
    let mut last = None;
    match signal.on_missing {
        OnMissing::Ignore => return None,
        OnMissing::Hold => {}
        OnMissing::Floor(count) => floor = Some(count),
        OnMissing::LastValue(time) => {
            let memory = draft.state.signals.get(index);
            last =
                memory.filter(|memory| draft.now().since(memory.at) <= time).and_then(|m| m.value);
        }
    }
    if let Some(count) = floor {
        let more = draft.missing_floor.is_none_or(|(_, most): (usize, Count)| count > most);
        if more {
            draft.missing_floor = Some((index, count));
        }
    }
    draft.forbids_down = draft.forbids_down.or(Some(index));
    last
}
