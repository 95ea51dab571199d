//! Policy, state and signals in, a decision with its trace out.
//!
//! Pure: no clock, randomness, I/O or map order. Each stage is a function in a file of its own that takes
//! the count of the stage before, and leaves a line in the trace, also when it changes nothing. Deciding
//! cannot fail: what is unknown makes a decision that moves nothing.

mod bounds;
mod observation;
mod rest;

use std::collections::BTreeMap;

use crate::model::{
    Count, Decision, DecisionInputs, Gap, Observed, Owner, Phase, ProviderName, Region,
    RegionScale, Replica, Service, Spec, TargetId, TraceLine,
};

/// What is known about a target's replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Replicas that exist and are not draining; `None` where the world could not be read.
    pub count: Option<Count>,
    /// Those of them that are ready.
    pub ready: Count,
}

/// Decides every target of the spec, in the order of the spec's ids.
pub fn decide_all(spec: &Spec, observed: &Observed) -> Vec<Decision> {
    let supplies = Supplies::of(observed);
    let mut decisions = Vec::new();
    for service in spec.services.values() {
        for (region, scale) in &service.scale.regions {
            let target = TargetId { service: service.id.clone(), region: region.clone() };
            let supply = supplies.get(&target, service.provider.as_ref());
            decisions.push(decide(service, scale, target, supply));
        }
    }
    decisions
}

/// Decides one target.
pub fn decide(
    service: &Service,
    scale: &RegionScale,
    target: TargetId,
    supply: Supply,
) -> Decision {
    let inputs = DecisionInputs {
        bounds: scale.bounds,
        autoscale: service.scale.autoscale,
        observed: supply.count,
        ready: supply.ready,
    };
    let rest = rest::rest(&inputs);
    let wanted = rest.after;
    let bounded = bounds::clamp(wanted, &inputs.bounds);
    let settled = observation::require(bounded.after, supply.count);
    let effective = supply.count.map(|_| bounded.after);

    let trace = vec![rest, bounded, settled];
    let (reason, sentence) = last_word(&trace);
    Decision {
        target,
        owner: Owner::of(inputs.autoscale),
        inputs,
        wanted,
        effective,
        reason,
        sentence,
        trace,
    }
}

/// The reason a person is told: that of the last stage that changed the count, else that of the first.
fn last_word(trace: &[TraceLine]) -> (crate::model::Reason, String) {
    trace
        .iter()
        .rev()
        .find(|line| line.before != line.after || line.reason == crate::model::Reason::MissingData)
        .or_else(|| trace.first())
        .map_or((crate::model::Reason::AtDesired, String::new()), |line| {
            (line.reason, line.sentence.clone())
        })
}

/// How many of a target's replicas count, and how many of these are ready.
fn count(found: &[Replica]) -> (Count, Count) {
    let (mut count, mut ready) = (Count(0), Count(0));
    for replica in found {
        match replica.phase {
            Phase::Draining => {}
            Phase::Ready => {
                count.0 += 1;
                ready.0 += 1;
            }
            Phase::Starting | Phase::Unhealthy { .. } | Phase::BackOff { .. } | Phase::Stopped => {
                count.0 += 1;
            }
        }
    }
    (count, ready)
}

/// Counts of all targets, gathered in one pass over what was observed.
#[derive(Debug)]
struct Supplies<'a> {
    counts: BTreeMap<&'a TargetId, (Count, Count)>,
    gaps: &'a [Gap],
}

impl<'a> Supplies<'a> {
    fn of(observed: &'a Observed) -> Self {
        let counts = observed.by_target().map(|(target, found)| (target, count(found)));
        Self { counts: counts.collect(), gaps: &observed.gaps }
    }

    fn get(&self, target: &TargetId, provider: Option<&ProviderName>) -> Supply {
        let (count, ready) = self.counts.get(target).copied().unwrap_or_default();
        let unknown = provider.is_none_or(|provider| self.has_gap(provider, &target.region));
        Supply { count: (!unknown).then_some(count), ready }
    }

    fn has_gap(&self, provider: &ProviderName, region: &Region) -> bool {
        self.gaps.iter().any(|gap| gap.provider == *provider && gap.region == *region)
    }
}

#[cfg(test)]
mod tests;
