//! Turns a finished draft into a decision, and into the memory for the next one.

use super::defaults::{DOWN_PER, STEPS_MAX, UP_PER};
use super::draft::Draft;
use super::relief;
use crate::model::{
    CostShare, Count, Decision, Owner, Policy, Reason, Stage, StepTaken, TargetState, TraceLine,
};

/// Makes the memory fit the policy: what belongs to another one is forgotten, what the target did is not.
pub(super) fn adopt(draft: &mut Draft<'_>, policy: &Policy) {
    if draft.state.policy == policy.fingerprint {
        return;
    }
    let state = &mut *draft.state;
    state.policy = policy.fingerprint;
    state.demands.clear();
    state.schedules.clear();
    forget_measured(state);
}

/// Forgets what was measured and timed: while nobody looks, nothing is known to last.
pub(super) fn forget_measured(state: &mut TargetState) {
    state.signals.clear();
    state.timers.clear();
    state.rules.clear();
    state.reliefs.clear();
    state.idle_since = None;
}

/// Makes the decision.
pub(super) fn settle(mut draft: Draft<'_>, share: Option<CostShare>) -> Decision {
    let facts = draft.input.facts;
    let (current, count) = (draft.current, draft.count);
    let refused = refused(&draft);
    let decisive = decisive(&draft, refused);
    let reason = draft.trace.get(decisive).and_then(|line| line.reason);
    let reason = reason.unwrap_or(if count == facts.bounds.desired {
        Reason::AtDesired
    } else {
        Reason::Bounds
    });
    if facts.observed.is_some() {
        remember(&mut draft, reason);
    }
    Decision {
        target: draft.input.target.clone(),
        inputs: facts,
        current,
        wanted: draft.wanted,
        effective: facts.observed.map(|_| count),
        cost: share,
        owner: Owner::of(facts.autoscale),
        reason,
        refused: refused.and_then(|index| draft.trace.get(index)?.reason),
        decisive,
        trace: draft.trace,
    }
}

/// A line that moves the count, as opposed to one that tells or votes.
fn is_flow(line: &TraceLine) -> bool {
    !matches!(line.stage, Stage::Signals | Stage::Target | Stage::Rule | Stage::Expression)
}

/// The line of what stood in the way of what was wanted: the last that did and has the last word.
fn refused(draft: &Draft<'_>) -> Option<usize> {
    let lines = || draft.trace.iter().enumerate().rev();
    let stood_in_the_way = lines().find(|(_, line)| {
        let acted = line.before != line.after || line.reason == Some(Reason::Ineffective);
        is_flow(line) && acted && line.after == draft.count && is_refusal(line)
    });
    // Also where nothing was wanted: without data it is not known what would be. What cannot be seen of the
    // replicas is held by the plan, and told there.
    let unknown = || {
        // From zero nothing can go down, and where nothing runs little can be measured.
        let is_unknown =
            (draft.forbids_down.is_some() || draft.lost.is_some()) && draft.current > Count(0);
        lines().find(|(_, line)| {
            is_unknown
                && line.stage != Stage::Observation
                && line.reason == Some(Reason::MissingData)
        })
    };
    stood_in_the_way.or_else(unknown).map(|(index, _)| index)
}

fn is_refusal(line: &TraceLine) -> bool {
    line.reason.is_some_and(Reason::is_refusal)
}

/// The line that a person is told: of a change, what pushed it; of a count that stays, what held it.
fn decisive(draft: &Draft<'_>, refused: Option<usize>) -> usize {
    let lines = || draft.trace.iter().enumerate().rev().filter(|(_, line)| is_flow(line));
    let (current, count) = (draft.current, draft.count);
    let is_unseen = draft.input.facts.observed.is_none();
    let pushed = || {
        let towards = |line: &TraceLine| {
            line.reason.is_some() && (line.after > line.before) == (count > current)
        };
        lines().find(|(_, line)| line.before != line.after && towards(line))
    };
    let held = || lines().find(|(_, line)| line.before != line.after && line.reason.is_some());
    let rests = || lines().find(|(_, line)| matches!(line.stage, Stage::Combine | Stage::Rest));
    let sleeps = || lines().find(|(_, line)| line.reason == Some(Reason::Idle));
    let asleep = (count == Count(0)).then(sleeps).flatten();
    let found = if is_unseen {
        draft.trace.len().checked_sub(1)
    } else if asleep.is_some() {
        asleep.map(|(index, _)| index)
    } else if current != count {
        pushed().map(|(index, _)| index)
    } else {
        refused.or_else(|| held().map(|(index, _)| index))
    };
    let found = found.or_else(|| rests().map(|(index, _)| index)).unwrap_or(0);
    // The largest vote says it better than the comparison of the votes.
    let Some(line) = draft.trace.get(found).filter(|line| line.stage == Stage::Combine) else {
        return found;
    };
    let is_vote = |vote: &&TraceLine| {
        let is_said = vote.reason.is_some() && vote.reason == line.reason;
        !is_flow(vote) && is_said && vote.after == line.after
    };
    let missing = |vote: &&TraceLine| vote.stage == Stage::Signals;
    draft.trace.iter().position(|vote| is_vote(&vote) && !missing(&vote)).unwrap_or(found)
}

/// Brings the memory up to date with what was decided.
fn remember(draft: &mut Draft<'_>, reason: Reason) {
    let (now, from, to) = (draft.now(), draft.current, draft.count);
    draft.state.effective = Some(to);
    let longest = draft.input.policy.map_or(DOWN_PER, longest_period);
    draft.state.steps.retain(|step| step.at <= now && now.since(step.at) < longest);
    if from == to {
        return;
    }
    draft.state.last_change = Some(now);
    if draft.state.steps.len() >= STEPS_MAX {
        merge_oldest(&mut draft.state.steps);
    }
    draft.state.steps.push(StepTaken { at: now, from, to });
    if to > from
        && reason == Reason::Target
        && let Some(index) = draft.best.and_then(|best| best.target)
        && let Some(policy) = draft.input.policy
    {
        relief::stepped(draft, policy, index, to);
    }
}

fn longest_period(policy: &Policy) -> std::time::Duration {
    let behavior = &policy.behavior;
    behavior.up.per.unwrap_or(UP_PER).max(behavior.down.per.unwrap_or(DOWN_PER))
}

/// Makes room: the two oldest steps of the direction that has most become one of the later time, so that
/// neither is counted too little.
fn merge_oldest(steps: &mut Vec<StepTaken>) {
    let is_up = |step: &StepTaken| step.to > step.from;
    let ups = steps.iter().filter(|step| is_up(step)).count();
    let way = ups * 2 >= steps.len();
    let mut alike = (0..steps.len()).filter(|index| steps.get(*index).map(is_up) == Some(way));
    let (Some(first), Some(second)) = (alike.next(), alike.next()) else { return };
    let oldest = steps.remove(first);
    // The second is one place nearer to the front now.
    let Some(next) = steps.get_mut(second - 1) else { return };
    let moved = |step: &StepTaken| step.to.0.abs_diff(step.from.0);
    let both = moved(&oldest).saturating_add(moved(next));
    // Only the difference counts.
    let (none, all) = (Count(0), Count(both));
    *next = StepTaken {
        at: next.at,
        from: if way { none } else { all },
        to: if way { all } else { none },
    };
}
