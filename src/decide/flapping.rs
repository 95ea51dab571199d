//! Shrinks a step down that would be undone at once: before going from n to n - k, the signals are imagined
//! on the replicas that remain (`value * n / (n - k)`), as Azure's autoscaler does.
//!
//! A total does not change when replicas go, so only means and levels are scaled. Timers are not waited for:
//! a rule that would begin to hold is reason enough.

use std::sync::Arc;

use super::draft::{Draft, replicas};
use super::rules::is_beyond;
use crate::model::{Condition, Count, Detail, Effect, Policy, Reason, Stage, Target, TargetKind};

/// Shrinks the step until nothing would undo it.
pub(super) fn anticipate(draft: &mut Draft<'_>, policy: &Policy) {
    if !draft.is_down() {
        return;
    }
    // Under the minimum it does not go anyway.
    let (current, wanted) = (draft.current, draft.count.max(draft.input.facts.bounds.min));
    if wanted >= current {
        draft.keep(Stage::Flapping, "the minimum leaves no step down");
        return;
    }
    let Some(by) = undone_by(draft, policy, wanted) else {
        draft.keep(Stage::Flapping, "nothing would undo the step down");
        return;
    };
    // Fewer replicas only raise what is imagined, so the smallest count that lasts is found by halving.
    let (mut bad, mut good) = (wanted.0, current.0);
    while good.saturating_sub(bad) > 1 {
        let middle = bad + (good - bad) / 2;
        if undone_by(draft, policy, Count(middle)).is_some() {
            bad = middle;
        } else {
            good = middle;
        }
    }
    let detail = Detail::Flapping { wanted, by };
    draft.pass(Stage::Flapping, Count(good), Some(Reason::AnticipatedFlapping), detail);
}

/// What would ask for more than `count` replicas if there were `count`.
fn undone_by(draft: &Draft<'_>, policy: &Policy, count: Count) -> Option<Arc<str>> {
    let factor = f64::from(draft.current.0) / f64::from(count.0.max(1));
    let imagined = |signal: usize| {
        let is_total =
            |target: &Target| target.signal == signal && target.kind == TargetKind::PerReplica;
        let factor = if policy.targets.iter().any(is_total) { 1.0 } else { factor };
        Some(draft.value(signal)? * factor)
    };
    for rule in &policy.rules {
        let is_up = match rule.effect {
            Effect::By(by) => by > 0,
            Effect::ByPercent(percent) => percent > 0.0,
            Effect::To(to) => to > count,
        };
        if is_up && would_hold(&rule.when, &imagined) {
            return Some(format!("rule `{}`", rule.name).into());
        }
    }
    for target in policy.targets.iter().filter(|target| target.kind != TargetKind::PerReplica) {
        let Some(value) = imagined(target.signal) else { continue };
        let tolerance = policy.behavior.tolerance.unwrap_or(super::defaults::TOLERANCE);
        let wants = replicas(f64::from(count.0) * value / target.level);
        if value > target.level * (1.0 + tolerance) && wants > count {
            let name = policy.signals.get(target.signal).map(|signal| signal.name.as_str());
            return Some(format!("the target of {}", name.unwrap_or_default()).into());
        }
    }
    None
}

fn would_hold(condition: &Condition, imagined: &impl Fn(usize) -> Option<f64>) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| would_hold(part, imagined)),
        Condition::Any(parts) => parts.iter().any(|part| would_hold(part, imagined)),
        Condition::Threshold(threshold) => {
            imagined(threshold.signal).is_some_and(|value| is_beyond(threshold, value))
        }
    }
}
