//! The blast-radius guard: what is destroyed by omission or by mass is held until the spec allows it.
//!
//! Lowering a count that the spec states is explicit and goes ahead. A hold stops only what it names; the
//! plan is rendered in full and everything else in it goes ahead. There is no force: the way through is a
//! reviewed line in the spec, with an end.

use super::{Input, cost, live};
use crate::model::{
    Action, ActionKind, Count, Held, HeldReason, Owner, Phase, Replica, ServiceId, Step,
    TargetChange, TargetId, TargetPlan,
};

/// Below this many replicas, half of them is not a mass: a percentage needs something to be one of.
pub(super) const MASS_EXISTING_MIN: usize = 20;
/// A plan that destroys more than this share of all replicas is held.
const MASS_SHARE_MAX: f64 = 0.5;

/// Whether the spec's guard allows this service's replicas to be destroyed now.
fn is_allowed(input: &Input<'_>, service: &ServiceId) -> bool {
    input
        .spec
        .guard
        .as_ref()
        .is_some_and(|guard| guard.allow_destroy.contains(service) && input.now < guard.until)
}

fn permission_hint(service: &ServiceId) -> String {
    format!(
        "to allow it, add `guard: {{allowDestroy: [{service}], until: <date>}}` to the spec; to keep the \
         replicas, restore what was removed"
    )
}

/// Plans a target that has replicas and is not in the spec.
pub(super) fn vanished_target(
    input: &Input<'_>,
    target: &TargetId,
    found: &[Replica],
) -> TargetPlan {
    let before = input
        .base
        .and_then(|(base, _)| base.services.get(&target.service))
        .and_then(|service| service.scale.regions.get(&target.region));
    let ready = found.iter().filter(|replica| replica.phase == Phase::Ready).count();
    let mut plan = TargetPlan {
        schedules: Vec::new(),
        target: target.clone(),
        provider: found.first().map(|replica| replica.key.provider.clone()),
        change: if before.is_some() { TargetChange::Removed } else { TargetChange::Unchanged },
        bounds_before: before.map(|region| region.bounds),
        bounds_after: None,
        count: Some(live(found)),
        ready: Count(u32::try_from(ready).unwrap_or(u32::MAX)),
        decision: None,
        steps: Vec::new(),
        held: Vec::new(),
        cost_now: None,
        cost_after: None,
        cost_max: None,
        replicas: found.to_vec(),
    };
    cost::price(&mut plan, input.prices);
    let is_allowed = is_allowed(input, &target.service);
    let destroy = |replica: &Replica| {
        let why = match replica.phase {
            Phase::Draining => "finish its removal",
            _ if is_allowed => "gone from the spec, and the guard allows it",
            _ => return None,
        };
        let (key, why) = (replica.key.clone(), why.to_owned());
        Some(Action { key, kind: ActionKind::Destroy, why })
    };
    let actions: Vec<Action> = found.iter().filter_map(destroy).collect();
    let is_all = actions.len() == found.len();
    if !actions.is_empty() {
        plan.steps.push(Step { actions });
    }
    if is_all {
        plan.cost_after = plan.cost_now.map(|_| 0.0);
        return plan;
    }
    // What is held goes on, and goes on costing.
    plan.cost_after = plan.cost_now;
    plan.cost_max = plan.cost_now;
    let (reason, what) = if input.spec.services.contains_key(&target.service) {
        (HeldReason::VanishedRegion, format!("region `{}` of `{}`", target.region, target.service))
    } else {
        (HeldReason::VanishedService, format!("service `{}`", target.service))
    };
    let replicas = match found.len() {
        1 => "1 replica, which is left running".to_owned(),
        n => format!("{n} replicas, which are left running"),
    };
    plan.held.push(Held {
        ordinals: found
            .iter()
            .filter(|replica| replica.phase != Phase::Draining)
            .map(|replica| replica.key.ordinal)
            .collect(),
        reason,
        sentence: format!(
            "{what} is gone from the spec while it has {replicas}; {}",
            permission_hint(&target.service)
        ),
    });
    plan
}

/// Holds every destruction of a plan that would destroy more than half of all replicas.
///
/// Replacements do not count: what they destroy, they create first. Services that the guard allows are
/// neither held nor counted, and neither is what a policy lowers within the bounds of an unchanged spec, or what
/// goes with the end of a burst or of a schedule: that was reviewed when it was written, policies have limits of
/// their own, and nobody is there to allow it every evening.
pub(super) fn hold_mass_destruction(input: &Input<'_>, targets: &mut [TargetPlan]) {
    let existing: usize = targets
        .iter()
        .flat_map(|target| &target.replicas)
        .filter(|replica| replica.phase != Phase::Draining)
        .count();
    let destroyed: usize =
        targets.iter().filter(|target| is_guarded(input, target)).map(net_destroyed).sum();
    if existing < MASS_EXISTING_MIN || (destroyed as f64) <= existing as f64 * MASS_SHARE_MAX {
        return;
    }
    for target in targets {
        if net_destroyed(target) == 0 || !is_guarded(input, target) {
            continue;
        }
        let is_cut = |step: &Step| {
            step.actions.iter().any(|action| {
                action.kind == ActionKind::Destroy && !is_draining(&target.replicas, action)
            })
        };
        // What comes after builds on it: a rollout that creates and may not destroy would only add.
        let cut = target.steps.iter().position(is_cut).unwrap_or(target.steps.len());
        let ordinals = target
            .steps
            .split_off(cut)
            .into_iter()
            .flat_map(|step| step.actions)
            .filter(|action| {
                action.kind == ActionKind::Destroy
                    && target.replicas.iter().any(|replica| replica.key == action.key)
            })
            .map(|action| action.key.ordinal)
            .collect();
        target.held.push(Held {
            sentence: format!(
                "this plan would destroy {destroyed} of {existing} replicas, which is more than half; \
                 to allow it for this service, add `guard: {{allowDestroy: [{}], until: <date>}}` to the \
                 spec, or lower the counts in smaller steps",
                target.target.service
            ),
            ordinals,
            reason: HeldReason::MassDestroy,
        });
    }
}

/// Whether what this target loses counts for a mass.
fn is_guarded(input: &Input<'_>, target: &TargetPlan) -> bool {
    let is_decided = target.decision.as_ref().is_some_and(|decision| {
        let is_lowered = decision.effective.is_some_and(|effective| effective < decision.current);
        !target.change.is_stated() && (decision.owner == Owner::Policy || is_lowered)
    });
    !is_decided && !is_allowed(input, &target.target.service)
}

/// How many more replicas a target's actions destroy than create; those already draining are gone anyway.
fn net_destroyed(target: &TargetPlan) -> usize {
    let (mut created, mut destroyed) = (0usize, 0usize);
    for action in target.steps.iter().flat_map(|step| &step.actions) {
        match action.kind {
            ActionKind::Create { .. } => created += 1,
            ActionKind::Destroy if !is_draining(&target.replicas, action) => destroyed += 1,
            ActionKind::Destroy | ActionKind::Start | ActionKind::AwaitReady => {}
        }
    }
    destroyed.saturating_sub(created)
}

fn is_draining(replicas: &[Replica], action: &Action) -> bool {
    replicas.iter().any(|r| r.key == action.key && r.phase == Phase::Draining)
}
