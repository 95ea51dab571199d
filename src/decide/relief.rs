//! Ineffective scaling: a step up that brings less than a tenth of the relief it should, twice in a row,
//! stops further steps for that rule, because the bottleneck is elsewhere.
//!
//! The measure is Flink's autoscaler's. It is for what must not be exceeded, as a latency: a total does not fall
//! when replicas are added, and a mean that stays on more replicas says that they took the more work. A load
//! that grows as fast as the replicas looks the same here too, so the stop has an end.

use super::defaults::{MEAN_LAG, RELIEF_BLOCK, RELIEF_FAILURES, RELIEF_SHARE};
use super::draft::Draft;
use crate::model::{Count, Moment, Policy, RelievedStep, Target, TargetKind};

pub(super) fn resize(draft: &mut Draft<'_>, policy: &Policy) {
    draft.state.reliefs.resize_with(policy.targets.len(), RelievedStep::default);
}

/// Judges the last step up of this rule, once its replicas have been ready for as long as a mean lags.
pub(super) fn judge(draft: &mut Draft<'_>, index: usize, target: &Target, value: f64) {
    let (now, ready) = (draft.now(), draft.input.facts.ready);
    let Some(step) = draft.state.reliefs.get_mut(index) else { return };
    if value <= target.level {
        // On target: whatever was done helped, or was not needed.
        *step = RelievedStep::default();
        return;
    }
    let Some(before) = step.value else { return };
    if ready < step.to {
        step.ready_at = None;
        return;
    }
    let ready_at = *step.ready_at.get_or_insert(now);
    if now.since(ready_at) < MEAN_LAG {
        return;
    }
    let (from, to) = (f64::from(step.from.0), f64::from(step.to.0));
    let expected = before * (to - from) / to;
    step.failures = if before - value < RELIEF_SHARE * expected { step.failures + 1 } else { 0 };
    step.value = None;
    if step.failures >= RELIEF_FAILURES {
        step.blocked_until = Some(now.after(RELIEF_BLOCK));
        step.failures = 0;
    }
}

/// Until when this rule may not ask for more.
pub(super) fn is_blocked(draft: &Draft<'_>, index: usize) -> Option<Moment> {
    let until = draft.state.reliefs.get(index)?.blocked_until?;
    (draft.now() < until).then_some(until)
}

/// Notes a step up that a rule asked for, so that its relief can be judged.
pub(super) fn stepped(draft: &mut Draft<'_>, policy: &Policy, index: usize, to: Count) {
    let Some(target) = policy.targets.get(index) else { return };
    if target.kind != TargetKind::AtMost {
        return;
    }
    let value = draft.value(target.signal);
    let from = draft.current;
    if let Some(step) = draft.state.reliefs.get_mut(index) {
        // A step while another is still judged belongs to it: the first value and the last count matter.
        if step.value.is_none() {
            step.value = value;
            step.from = from;
        }
        step.to = to;
        step.ready_at = None;
    }
}
