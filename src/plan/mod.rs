//! Desired, observed and decided in, a complete plan out.
//!
//! Pure: does no I/O and reads no clock. The plan is so complete that applying it needs no choice: which
//! replica is created, started or destroyed, in which order, and what is held back and why, all stand in
//! it. It is born guarded: nothing that the guard holds is ever among its actions.

mod cost;
mod digest;
mod guard;
pub mod render;
mod steps;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use digest::{DIGEST_VERSION, digest};

use crate::model::{
    CommitId, Count, Decision, DriftMode, Held, HeldReason, Observed, Owner, Phase, Plan,
    PlanTotals, Prices, Reason, Replica, Service, ServiceId, Spec, TargetChange, TargetId,
    TargetPlan, Template, TemplateHash, Warning,
};
use steps::Wanted;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The spec to realise.
    pub spec: &'a Spec,
    /// Its commit.
    pub spec_commit: &'a CommitId,
    /// The spec that was last applied in full, and its commit.
    pub base: Option<(&'a Spec, &'a CommitId)>,
    /// Hash of each service's template, computed once when the spec was loaded.
    pub templates: &'a BTreeMap<ServiceId, TemplateHash>,
    /// The world.
    pub observed: &'a Observed,
    /// One decision per target of the spec.
    pub decisions: &'a [Decision],
    /// Targets whose part of this commit was done in full: what differs there since is not asked for by the
    /// commit.
    pub done: &'a BTreeSet<TargetId>,
    /// What replicas cost.
    pub prices: &'a Prices,
    /// The time: the end of a `guard` permission depends on it, and which windows of schedules come next.
    pub now: Timestamp,
}

/// Hash of every service's template: the input that is worth computing once per commit.
#[must_use]
pub fn template_hashes(spec: &Spec) -> BTreeMap<ServiceId, TemplateHash> {
    spec.services
        .values()
        .filter_map(|service| Some((service.id.clone(), service.template.as_ref()?.hash())))
        .collect()
}

/// Makes the plan.
pub fn plan(input: &Input<'_>) -> Plan {
    let replicas: BTreeMap<&TargetId, &[Replica]> = input.observed.by_target().collect();
    let mut targets = Vec::with_capacity(input.decisions.len());
    let mut warnings = Vec::new();
    let mut planned: BTreeSet<&TargetId> = BTreeSet::new();
    for decision in input.decisions {
        let Some(service) = input.spec.services.get(&decision.target.service) else { continue };
        planned.insert(&decision.target);
        let found = replicas.get(&decision.target).copied().unwrap_or_default();
        let target = spec_target(input, service, decision, found);
        clamp_warning(&target, &mut warnings);
        targets.push(target);
    }
    for (target, found) in &replicas {
        if !planned.contains(target) {
            targets.push(guard::vanished_target(input, target, found));
        }
    }
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    windows::once_per_service(&mut targets);
    guard::hold_mass_destruction(input, &mut targets);
    gap_warnings(input.observed, &mut warnings);

    let totals = totals(&targets, input.prices);
    Plan {
        spec_commit: input.spec_commit.clone(),
        base_commit: input.base.map(|(_, commit)| commit.clone()),
        digest: digest(input.base.map(|(spec, _)| spec), input.spec),
        observed_at: input.observed.at,
        targets,
        warnings,
        totals,
    }
}

/// Plans one target that the spec has.
fn spec_target(
    input: &Input<'_>,
    service: &Service,
    decision: &Decision,
    found: &[Replica],
) -> TargetPlan {
    let region = &decision.target.region;
    let before = input
        .base
        .and_then(|(base, _)| base.services.get(&service.id))
        .filter(|before| before.scale.regions.contains_key(region));
    let change = match before {
        None => TargetChange::Added,
        Some(before) if same_effects(input, before, service, region) => TargetChange::Unchanged,
        Some(_) => TargetChange::Changed,
    };
    let change =
        if input.done.contains(&decision.target) { TargetChange::Unchanged } else { change };
    let mut target = TargetPlan {
        target: decision.target.clone(),
        provider: service.provider.clone(),
        change,
        bounds_before: before.and_then(|s| s.scale.regions.get(region)).map(|r| r.bounds),
        bounds_after: Some(decision.inputs.bounds),
        count: decision.inputs.observed,
        ready: decision.inputs.ready,
        decision: Some(decision.clone()),
        steps: Vec::new(),
        held: Vec::new(),
        cost_now: None,
        cost_after: None,
        cost_max: None,
        replicas: found.to_vec(),
        schedules: Vec::new(),
    };
    if change.is_stated() {
        target.schedules = windows::schedules(input, before, service);
    }
    cost::price(&mut target, input.prices);
    let (Some(effective), Some(provider)) = (decision.effective, &service.provider) else {
        target.held.push(Held {
            ordinals: Vec::new(),
            reason: HeldReason::ProviderGap,
            sentence: gap_sentence(input.observed, &target),
        });
        return target;
    };
    // A policy or a floor asks for it, and nothing was lost that would have to be restored.
    let is_decided_anew = effective != decision.current
        && (decision.owner == Owner::Policy || decision.reason != Reason::AtDesired);
    let wanted = Wanted {
        target: &decision.target,
        provider,
        template: input.templates.get(&service.id),
        effective,
        has_fixed_port: service.template.as_ref().is_some_and(has_fixed_port),
        is_stated: change.is_stated() || is_decided_anew,
    };
    let (steps, held) = steps::steps(&wanted, found);
    target.steps = steps;
    target.held = held;
    apply_drift_mode(service, decision.owner, change, &mut target);
    target
}

/// Whether replicas of this template want a port of the host that no two can have: one fixed by `hostPort`,
/// or, for a process, which shares the host's ports, one that it is not told through its environment.
fn has_fixed_port(template: &Template) -> bool {
    let is_process = template.image.is_none();
    template.ports.iter().any(|port| port.host_port.is_some() || (is_process && port.env.is_none()))
}

/// Where a service only reports drift, what no commit and no policy asks for is shown and not done.
fn apply_drift_mode(
    service: &Service,
    owner: Owner,
    change: TargetChange,
    target: &mut TargetPlan,
) {
    let is_drift = !change.is_stated() && owner == Owner::Spec && !target.steps.is_empty();
    if !is_drift {
        return;
    }
    match service.drift {
        DriftMode::Correct => {}
        DriftMode::Off => target.steps.clear(),
        DriftMode::Report => {
            let actions = target.steps.drain(..).flat_map(|step| step.actions);
            let ordinals = actions.map(|action| action.key.ordinal).collect();
            target.held.push(Held {
                ordinals,
                reason: HeldReason::DriftReported,
                sentence: "this differs from the spec and is left so, because the service says \
                           `drift: report`"
                    .to_owned(),
            });
        }
    }
}

/// Whether nothing that matters to this region's replicas differs.
fn same_effects(
    input: &Input<'_>,
    before: &Service,
    after: &Service,
    region: &crate::model::Region,
) -> bool {
    let base = input.base.map(|(spec, _)| spec);
    before.provider == after.provider
        && before.template == after.template
        && before.routing == after.routing
        && before.storage == after.storage
        && before.drift == after.drift
        && before.scale.autoscale == after.scale.autoscale
        && before.scale.max_hourly_cost == after.scale.max_hourly_cost
        && before.scale.cooldown == after.scale.cooldown
        && before.scale.burst_ttl == after.scale.burst_ttl
        && before.scalable == after.scalable
        && before.scale.regions.get(region) == after.scale.regions.get(region)
        && base.and_then(|base| base.policy_of(before)) == input.spec.policy_of(after)
}

/// A merge that lowers a live count because of its new bounds names it.
fn clamp_warning(target: &TargetPlan, warnings: &mut Vec<Warning>) {
    let (Some(count), Some(bounds)) = (target.count, target.bounds_after) else { return };
    let is_policy = target.decision.as_ref().is_some_and(|d| d.owner == Owner::Policy);
    if target.change == TargetChange::Changed && is_policy && count > bounds.max {
        warnings.push(Warning {
            target: Some(target.target.clone()),
            sentence: format!(
                "{} has {count} replicas now and the new maximum is {}: merging removes {}",
                target.target,
                bounds.max,
                count.0 - bounds.max.0
            ),
        });
    }
}

fn gap_warnings(observed: &Observed, warnings: &mut Vec<Warning>) {
    for gap in &observed.gaps {
        warnings.push(Warning {
            target: None,
            sentence: format!(
                "provider `{}` could not be read in region `{}`, so nothing is changed there: {}",
                gap.provider, gap.region, gap.error
            ),
        });
    }
}

fn gap_sentence(observed: &Observed, target: &TargetPlan) -> String {
    let gap = observed.gaps.iter().find(|gap| {
        Some(&gap.provider) == target.provider.as_ref() && gap.region == target.target.region
    });
    match (gap, &target.provider) {
        (Some(gap), _) => format!("held until the provider can be read again: {}", gap.error),
        (None, Some(provider)) => format!("held until provider `{provider}` can be read"),
        (None, None) => "held because no provider runs this service".to_owned(),
    }
}

fn totals(targets: &[TargetPlan], prices: &Prices) -> PlanTotals {
    let mut totals = PlanTotals { currency: prices.currency.clone(), ..PlanTotals::default() };
    for target in targets {
        for action in target.steps.iter().flat_map(|step| &step.actions) {
            match action.kind {
                crate::model::ActionKind::Create { .. } => totals.create += 1,
                crate::model::ActionKind::Start => totals.start += 1,
                crate::model::ActionKind::Destroy => totals.destroy += 1,
                crate::model::ActionKind::AwaitReady => {}
            }
        }
        totals.held += target.held.len();
        totals.existing += target.replicas.iter().filter(|r| r.phase != Phase::Draining).count();
        cost::add(&mut totals.cost_now, target.cost_now);
        cost::add(&mut totals.cost_after, target.cost_after);
        cost::add(&mut totals.cost_max, target.cost_max);
    }
    totals
}

/// The number of replicas among these that count: all but those on their way out.
fn live(replicas: &[Replica]) -> Count {
    let live = replicas.iter().filter(|replica| replica.phase != Phase::Draining).count();
    Count(u32::try_from(live).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
