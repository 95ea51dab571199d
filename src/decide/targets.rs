//! Proportional rules: each votes for the count at which its signal would be at its level.
//!
//! `perReplica` is about a total, which does not change with the replicas: see [`demand`]. `average` and `atMost`
//! scale the ready replicas: `ceil(ready * value / level)`, as Kubernetes does. A mean over replicas still shows
//! the replicas of a moment ago, so the fewest and the most ready ones of [`MEAN_LAG`] bound what it was
//! measured over: replicas that start count as supply, and the same signal does not buy twice.

use std::time::Duration;

use super::defaults::MEAN_LAG;
use super::demand::{self, Load, Stated};
use super::draft::{Draft, Vote, replicas};
use super::relief;
use crate::model::{
    Count, DemandMemory, DemandWhy, Detail, Policy, Reason, SignalName, Stage, Target, TargetKind,
    Wish,
};

/// Lets every proportional rule vote.
pub(super) fn vote(draft: &mut Draft<'_>, policy: &Policy) {
    if policy.targets.is_empty() {
        return;
    }
    note_ready(draft);
    relief::resize(draft, policy);
    draft.state.demands.resize_with(policy.targets.len(), DemandMemory::default);
    for (index, target) in policy.targets.iter().enumerate() {
        let Some(signal) = policy.signals.get(target.signal) else { continue };
        let name = signal.name.clone();
        let Some(value) = draft.value(target.signal) else {
            draft.note(Stage::Target, draft.current, None, Detail::NoTarget { signal: name });
            continue;
        };
        match target.kind {
            TargetKind::PerReplica => vote_total(draft, policy, index, target, name, value),
            TargetKind::Average | TargetKind::AtMost => {
                vote_mean(draft, index, target, name, value);
            }
        }
    }
}

/// The vote of a rule over a total.
fn vote_total(
    draft: &mut Draft<'_>,
    policy: &Policy,
    index: usize,
    target: &Target,
    name: SignalName,
    value: f64,
) {
    let have = draft.current;
    let bounds = draft.input.facts.bounds;
    let behavior = &policy.behavior;
    let stated =
        Stated { tolerance: behavior.tolerance, has_window: behavior.down.stabilization.is_some() };
    let at = draft.state.signals.get(target.signal).map_or(draft.now(), |signal| signal.at);
    let window = policy.signals.get(target.signal).map_or(Duration::ZERO, |signal| signal.window);
    let reading = Load {
        now: draft.now(),
        at,
        window,
        // No count is larger; and sums of such loads stay numbers that can be written down.
        load: (value / target.level).min(f64::from(u32::MAX)),
        have,
        bounds: (bounds.min, bounds.max),
    };
    let Some(memory) = draft.state.demands.get_mut(index) else { return };
    let demand = demand::demand(memory, stated, reading);
    let wants = demand.wants;
    let reason = match demand.why {
        DemandWhy::Load => Reason::Target,
        // On target is no tolerance: nothing else was ever wanted.
        DemandWhy::Near if replicas(reading.load) == have => Reason::Target,
        DemandWhy::Near => Reason::WithinTolerance,
        DemandWhy::Waits | DemandWhy::Returns => Reason::Stabilizing,
    };
    let detail = Detail::Demand {
        signal: name,
        level: target.level,
        value,
        outlook: demand.outlook * target.level,
        upper: demand.upper * target.level * f64::from(have.0),
        have,
        wants,
        why: demand.why,
    };
    draft.note(Stage::Target, wants, Some(reason), detail);
    draft.vote(Vote {
        count: wants,
        reason,
        target: Some(index),
        remembers: !stated.has_window,
        ratio: None,
    });
}

/// The vote of a rule over a mean.
fn vote_mean(draft: &mut Draft<'_>, index: usize, target: &Target, name: SignalName, value: f64) {
    let Some((wants, ready)) = wants(draft, target, value) else {
        if draft.current > Count(0) {
            let sentence =
                "a mean over no ready replicas says nothing, so the count does not go down";
            draft.lost = Some(sentence);
        }
        draft.note(Stage::Target, draft.current, None, Detail::NoTarget { signal: name });
        return;
    };
    relief::judge(draft, index, target, value);
    if let Some(until) = relief::is_blocked(draft, index).filter(|_| wants > draft.current) {
        let detail = Detail::Ineffective { signal: name, wants, until };
        let count = draft.current;
        draft.note(Stage::Target, count, Some(Reason::Ineffective), detail);
        let reason = Reason::Ineffective;
        draft.vote(Vote { count, reason, target: Some(index), remembers: false, ratio: None });
        return;
    }
    let Target { kind, level, .. } = *target;
    let detail = Detail::Target { signal: name, kind, level, value, ready, wants };
    draft.note(Stage::Target, wants, Some(Reason::Target), detail);
    let ratio = ratio(draft, target, value);
    let reason = Reason::Target;
    draft.vote(Vote { count: wants, reason, target: Some(index), remembers: false, ratio });
}

/// The count a rule over a mean asks for, and the ready replicas that were counted with. `None` where the mean is
/// over no replicas.
fn wants(draft: &Draft<'_>, target: &Target, value: f64) -> Option<(Count, Count)> {
    let (fewest, most) = ready_of_late(draft);
    let over = |ready: Count| replicas(f64::from(ready.0) * value / target.level);
    let (low, high) = (over(fewest), over(most));
    if draft.input.facts.ready == Count(0) {
        None
    } else if low > draft.current {
        Some((low, fewest))
    } else if high < draft.current {
        Some((high, most))
    } else {
        // In between. The one that the count follows from explains it.
        let ready = draft.input.facts.ready;
        let explains = [(low, fewest), (high, most)];
        let explains = explains.into_iter().find(|(count, _)| *count == draft.current);
        Some((draft.current, explains.map_or(ready, |(_, ready)| ready)))
    }
}

/// The mean as a share of what it is meant to be on the count before.
fn ratio(draft: &Draft<'_>, target: &Target, value: f64) -> Option<f64> {
    let (fewest, most) = ready_of_late(draft);
    let share = value / target.level;
    let ready = if share >= 1.0 { fewest } else { most };
    let current = f64::from(draft.current.0);
    (draft.current > Count(0)).then(|| share * f64::from(ready.0) / current)
}

/// Remembers how many replicas are ready, for as long as a mean may still be over them.
fn note_ready(draft: &mut Draft<'_>) {
    let (now, ready) = (draft.now(), draft.input.facts.ready);
    let known = &mut draft.state.ready;
    if known.last().is_none_or(|last| last.count != ready) {
        known.push(Wish { at: now, count: ready });
    }
    // The one before the window's start says what was ready at that start.
    let horizon = now.before(MEAN_LAG);
    let old = known.iter().take_while(|wish| wish.at <= horizon).count();
    known.drain(..old.saturating_sub(1));
}

/// The fewest and the most ready replicas of the last [`MEAN_LAG`].
fn ready_of_late(draft: &Draft<'_>) -> (Count, Count) {
    let ready = draft.input.facts.ready;
    let counts = draft.state.ready.iter().map(|wish| wish.count);
    let (fewest, most) =
        counts.fold((ready, ready), |(low, high), count| (low.min(count), high.max(count)));
    // None ready a moment ago says nothing about a mean that has a value now.
    (if fewest == Count(0) { ready } else { fewest }, most)
}
