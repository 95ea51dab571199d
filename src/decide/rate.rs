//! A step may only be so large in a period, counted from where the count was when the period began.

use std::time::Duration;

use super::defaults::{DOWN_LIMITS, DOWN_PER, UP_LIMITS, UP_PER};
use super::draft::{Draft, replicas};
use crate::model::{Count, Detail, Direction, Limit, Policy, Reason, Stage, StepTaken};

/// Cuts the step to what the limits leave.
pub(super) fn limit(draft: &mut Draft<'_>, policy: &Policy) {
    let (current, wanted) = (draft.current, draft.count);
    if wanted == current {
        draft.keep(Stage::RateLimit, "there is no step to limit");
        return;
    }
    let is_up = wanted > current;
    let behavior = &policy.behavior;
    let (limits, per) = if is_up {
        of(&behavior.up, UP_LIMITS, UP_PER)
    } else {
        of(&behavior.down, DOWN_LIMITS, DOWN_PER)
    };
    let began = count_at_start(draft, per, is_up);
    let sizes = limits.iter().map(|limit| size(*limit, began));
    let most = sizes.max().unwrap_or(0);
    let allowed = if is_up {
        wanted.min(Count(began.0.saturating_add(most))).max(current)
    } else {
        wanted.max(Count(began.0.saturating_sub(most))).min(current)
    };
    if allowed == wanted {
        draft.keep(Stage::RateLimit, "the step is within the limits");
    } else {
        let detail = Detail::Limited { wanted, allowed, per };
        draft.pass(Stage::RateLimit, allowed, Some(Reason::RateLimited), detail);
    }
}

fn of<'a>(stated: &'a Direction, limits: &'a [Limit], per: Duration) -> (&'a [Limit], Duration) {
    (stated.limits.as_deref().unwrap_or(limits), stated.per.unwrap_or(per))
}

/// Where the count was before the steps of this direction that the period has seen (as Kubernetes counts).
fn count_at_start(draft: &Draft<'_>, per: Duration, is_up: bool) -> Count {
    let now = draft.now();
    let is_recent = |step: &&StepTaken| step.at <= now && now.since(step.at) < per;
    let recent = draft.state.steps.iter().filter(is_recent);
    let current = draft.current.0;
    let moved: u32 = recent
        .map(|step| {
            let (from, to) = (step.from.0, step.to.0);
            if is_up { to.saturating_sub(from) } else { from.saturating_sub(to) }
        })
        .fold(0, u32::saturating_add);
    Count(if is_up { current.saturating_sub(moved) } else { current.saturating_add(moved) })
}

/// Replicas that a limit allows. A percentage allows one at least: else nothing would ever leave zero.
fn size(limit: Limit, began: Count) -> u32 {
    match limit {
        Limit::Replicas(count) => count,
        Limit::Percent(percent) if percent <= 0.0 => 0,
        Limit::Percent(percent) => replicas(f64::from(began.0) * percent / 100.0).0.max(1),
    }
}
