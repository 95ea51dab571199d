//! Policy, memory and signals in, a decision with its trace out, and the memory for the next one.
//!
//! Pure: no clock, randomness, I/O or map order. The controller, back-tests, replays and explanations call the
//! same functions. Each stage is a function in a file of its own that takes the count of the stage before,
//! and leaves a line in the trace, also when it changes nothing. Deciding cannot fail: what is unknown makes
//! a decision that moves nothing.
//!
//! The stages, in order: `signals` (what a measurement is worth) → `targets`, `rules`, `expression`
//! (votes) → `combine` (the largest; what is missing forbids going down) → `tolerance` →
//! `stabilization` → `rate` → `flapping` → `idle` → `schedules`, `bursts` (floors) → `bounds` →
//! `cooldown` → `rollout` → `cost` → `pause` → `observation`. The cost cap comes after the waits,
//! because it is a hard bound: no wait may exceed it.

mod bounds;
mod bursts;
mod clock;
mod combine;
mod cooldown;
mod cost;
mod defaults;
mod demand;
mod draft;
mod expression;
mod flapping;
mod idle;
mod observation;
mod pause;
mod rate;
mod relief;
mod rest;
mod rollout;
mod rules;
mod schedules;
mod settle;
mod signals;
mod stabilization;
mod supply;
mod targets;
mod tolerance;

use std::collections::BTreeMap;
use std::time::Duration;

pub use demand::FULL_USE;
use supply::Supplies;
pub use supply::Supply;

use crate::model::{
    Autoscale, Burst, CostShare, Count, Decision, DecisionInputs, Measured, Moment, Observed,
    Pause, Policy, Prices, RegionScale, Service, ServiceId, Spec, TargetId, TargetState,
    TemplateHash,
};
use draft::Draft;

/// Everything one decision is made from, besides the memory.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The target.
    pub target: &'a TargetId,
    /// Instant, bounds, mode, supply.
    pub facts: DecisionInputs,
    /// The service's policy.
    pub policy: Option<&'a Policy>,
    /// What was measured, in the order of the policy's signals.
    pub measured: &'a [Measured],
    /// Bursts; those that are not in force or about other targets do nothing.
    pub bursts: &'a [Burst],
    /// Pauses; likewise.
    pub pauses: &'a [Pause],
}

impl<'a> Input<'a> {
    /// The pause in force: the one that lasts longest.
    pub(crate) fn pause(&self) -> Option<&'a Pause> {
        let in_force =
            |pause: &&Pause| pause.is_in_force(self.facts.now) && pause.is_about(self.target);
        self.pauses.iter().filter(in_force).max_by_key(|pause| pause.until)
    }
}

/// The world that all targets of a spec are decided in.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The instant.
    pub now: Moment,
    /// The spec.
    pub spec: &'a Spec,
    /// Hash of each service's template: tells which replicas are being replaced.
    pub templates: &'a BTreeMap<ServiceId, TemplateHash>,
    /// What exists.
    pub observed: &'a Observed,
    /// What was measured, by target, in the order of its policy's signals.
    pub measured: &'a BTreeMap<TargetId, Vec<Measured>>,
    /// Bursts.
    pub bursts: &'a [Burst],
    /// Pauses.
    pub pauses: &'a [Pause],
    /// What replicas cost.
    pub prices: &'a Prices,
}

/// Decides every target of the spec, in the order of the spec's ids, and brings the memories up to date.
/// Targets without a memory get one.
pub fn decide_all(
    world: &World<'_>,
    states: &mut BTreeMap<TargetId, TargetState>,
) -> Vec<Decision> {
    let supplies = Supplies::of(world.observed, world.templates);
    let mut decisions = Vec::new();
    for service in world.spec.services.values() {
        let policy = world.spec.policy_of(service);
        let mut targets: Vec<(TargetId, DecisionInputs)> = Vec::new();
        let mut memories: Vec<TargetState> = Vec::new();
        for (region, scale) in &service.scale.regions {
            let target = TargetId { service: service.id.clone(), region: region.clone() };
            let supply = supplies.get(&target, service.provider.as_ref());
            memories.push(states.get_mut(&target).map(std::mem::take).unwrap_or_default());
            targets.push((target, facts(world.now, service, scale, supply)));
        }
        let price = service.provider.as_ref().and_then(|provider| world.prices.of(provider));
        let cap = service.scale.max_hourly_cost.zip(price).map(|(cap, price)| Cap { cap, price });
        let inputs: Vec<Input<'_>> = targets
            .iter()
            .map(|(target, facts)| Input {
                target,
                facts: *facts,
                policy,
                measured: world.measured.get(target).map(Vec::as_slice).unwrap_or_default(),
                bursts: world.bursts,
                pauses: world.pauses,
            })
            .collect();
        decisions.extend(decide_service(&inputs, &mut memories, cap));
        for ((target, _), memory) in targets.into_iter().zip(memories) {
            states.insert(target, memory);
        }
    }
    decisions
}

/// What a service may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cap {
    /// The most per hour, in the currency of the price table.
    pub cap: f64,
    /// The price of one replica-hour.
    pub price: f64,
}

/// Decides all regions of one service together, because they share its cost cap.
pub fn decide_service(
    inputs: &[Input<'_>],
    states: &mut [TargetState],
    cap: Option<Cap>,
) -> Vec<Decision> {
    let mut drafts: Vec<Draft<'_>> =
        inputs.iter().zip(states).map(|(input, state)| begin(input, state)).collect();
    // What costs nothing has no cap.
    let shares = cap.filter(|cap| cap.price > 0.0).map(|cap| {
        let asks: Vec<cost::Ask> = drafts.iter().map(ask).collect();
        (cap.cap, cost::share(&asks, cap.price, cap.cap))
    });
    drafts
        .drain(..)
        .enumerate()
        .map(|(index, draft)| {
            let share = shares.as_ref().and_then(|(cap, shares)| {
                Some(CostShare { cap: *cap, allowed: *shares.get(index)? })
            });
            finish(draft, share)
        })
        .collect()
}

/// Decides one target whose share of the service's cost cap is known.
pub fn decide(input: &Input<'_>, state: &mut TargetState, share: Option<CostShare>) -> Decision {
    finish(begin(input, state), share)
}

/// What is known of a target when it is decided.
fn facts(now: Moment, service: &Service, scale: &RegionScale, supply: Supply) -> DecisionInputs {
    DecisionInputs {
        now,
        bounds: scale.bounds,
        autoscale: service.scale.autoscale,
        observed: supply.count,
        ready: supply.ready,
        starting: supply.starting,
        is_rolling_out: supply.is_rolling_out,
        cooldown: scale.cooldown.or(service.scale.cooldown).unwrap_or(Duration::ZERO),
    }
}

/// What a target asks of the service's cost cap.
fn ask(draft: &Draft<'_>) -> cost::Ask {
    let facts = &draft.input.facts;
    if draft.input.pause().is_some() || facts.observed.is_none() {
        // It stays as it is, so what it costs is spent already.
        let current = draft.current;
        return cost::Ask { least: current, current, wanted: current };
    }
    cost::Ask { least: facts.bounds.min, current: draft.current, wanted: draft.count }
}

/// The stages up to the ones that need the whole service.
fn begin<'a>(input: &'a Input<'a>, state: &'a mut TargetState) -> Draft<'a> {
    let mut draft = Draft::new(input, state);
    let is_metrics = input.facts.autoscale == Autoscale::Metrics;
    clock::set_back(&mut draft);
    if let Some(policy) = input.policy {
        settle::adopt(&mut draft, policy);
    }
    match input.policy.filter(|_| is_metrics) {
        Some(policy) => {
            signals::judge(&mut draft, policy);
            targets::vote(&mut draft, policy);
            rules::vote(&mut draft, policy);
            expression::vote(&mut draft, policy);
            combine::combine(&mut draft, policy);
            tolerance::stay(&mut draft, policy);
            stabilization::wait(&mut draft, policy);
            rate::limit(&mut draft, policy);
            flapping::anticipate(&mut draft, policy);
            idle::rest(&mut draft, policy);
            draft.state.own = Some(draft.count);
        }
        None => {
            settle::forget_measured(draft.state);
            rest::rest(&mut draft);
        }
    }
    if let Some(policy) = input.policy
        && input.facts.autoscale != Autoscale::Disabled
    {
        schedules::lift(&mut draft, policy);
    }
    bursts::lift(&mut draft);
    bounds::clamp(&mut draft);
    if is_metrics {
        cooldown::wait(&mut draft);
        rollout::wait(&mut draft);
    }
    draft
}

/// The rest of the stages, and the decision.
fn finish(mut draft: Draft<'_>, share: Option<CostShare>) -> Decision {
    if draft.input.pause().is_none() {
        cost::cap(&mut draft, share);
    }
    pause::hold(&mut draft);
    observation::require(&mut draft);
    settle::settle(draft, share)
}

/// Replaces what is known of the replicas, after a plan was applied: the decision stands, the world moved.
pub fn refresh(
    decisions: &mut [Decision],
    spec: &Spec,
    observed: &Observed,
    templates: &BTreeMap<ServiceId, TemplateHash>,
) {
    let supplies = Supplies::of(observed, templates);
    for decision in decisions {
        let provider =
            spec.services.get(&decision.target.service).and_then(|s| s.provider.as_ref());
        let supply = supplies.get(&decision.target, provider);
        let decided = decision.trace.last().map_or(Count(0), |line| line.after);
        decision.inputs.observed = supply.count;
        decision.inputs.ready = supply.ready;
        decision.inputs.starting = supply.starting;
        decision.effective = supply.count.map(|_| decided);
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
