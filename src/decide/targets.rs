//! Proportional rules: each votes for the count at which its signal would be at its level.
//!
//! `perReplica` divides a total: `ceil(value / level)` (Kubernetes' averaged external metric). `average` and
//! `atMost` scale the ready replicas: `ceil(ready * value / level)`. A mean over replicas still shows the
//! replicas of a moment ago, so the fewest and the most ready ones of [`MEAN_LAG`] bound what it was
//! measured over: replicas that start count as supply, and the same signal does not buy twice.

use super::defaults::MEAN_LAG;
use super::draft::{Draft, Vote, replicas};
use super::relief;
use crate::model::{Count, Detail, Policy, Reason, Stage, Target, TargetKind, Wish};

/// Lets every proportional rule vote.
pub(super) fn vote(draft: &mut Draft<'_>, policy: &Policy) {
    if policy.targets.is_empty() {
        return;
    }
    note_ready(draft);
    relief::resize(draft, policy);
    for (index, target) in policy.targets.iter().enumerate() {
        let name = policy.signals.get(target.signal).map(|signal| signal.name.clone());
        let Some(name) = name else { continue };
        let counted = draft.value(target.signal).and_then(|value| {
            let (wants, ready) = wants(draft, target, value)?;
            Some((value, wants, ready))
        });
        let Some((value, wants, ready)) = counted else {
            if draft.value(target.signal).is_some() && draft.current > Count(0) {
                draft.lost = Some(
                    "a mean over no ready replicas says nothing, so the count does not go down",
                );
            }
            draft.note(Stage::Target, draft.current, None, Detail::NoTarget { signal: name });
            continue;
        };
        relief::judge(draft, index, target, value);
        if let Some(until) = relief::is_blocked(draft, index).filter(|_| wants > draft.current) {
            let detail = Detail::Ineffective { signal: name, wants, until };
            draft.note(Stage::Target, draft.current, Some(Reason::Ineffective), detail);
            draft.vote(Vote {
                count: draft.current,
                reason: Reason::Ineffective,
                target: Some(index),
                ratio: None,
            });
            continue;
        }
        let detail = Detail::Target {
            signal: name,
            kind: target.kind,
            level: target.level,
            value,
            outlook: value,
            ready,
            wants,
        };
        draft.note(Stage::Target, wants, Some(Reason::Target), detail);
        let ratio = ratio(draft, target, value);
        draft.vote(Vote { count: wants, reason: Reason::Target, target: Some(index), ratio });
    }
}

/// The count a rule asks for, and the ready replicas that were counted with. `None` where a mean is over no
/// replicas.
fn wants(draft: &Draft<'_>, target: &Target, value: f64) -> Option<(Count, Count)> {
    match target.kind {
        TargetKind::PerReplica => Some((replicas(value / target.level), Count(0))),
        TargetKind::Average | TargetKind::AtMost => {
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
    }
}

/// The load as a share of what the count before is meant for.
fn ratio(draft: &Draft<'_>, target: &Target, value: f64) -> Option<f64> {
    let current = f64::from(draft.current.0);
    let meant = match target.kind {
        TargetKind::PerReplica => target.level * current,
        TargetKind::Average | TargetKind::AtMost => {
            let (fewest, most) = ready_of_late(draft);
            let share = value / target.level;
            let ready = if share >= 1.0 { fewest } else { most };
            return (draft.current > Count(0)).then(|| share * f64::from(ready.0) / current);
        }
    };
    (meant > 0.0).then(|| value / meant)
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
