//! What the asker of a burst should know, besides that it is accepted: what will keep it from having an effect.

use crate::model::{
    Autoscale, Burst, Catalogue, Count, Region, RegionScale, Service, Spec, TargetId,
};

use super::OverrideSet;

/// What the asker of a burst should know.
pub(super) fn warnings(
    burst: &Burst,
    service: &Service,
    regions: &[(&Region, &RegionScale)],
    spec: &Spec,
    catalogue: &Catalogue,
    set: &OverrideSet,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let replicas = burst.replicas;
    for (name, region) in regions {
        let target = TargetId { service: service.id.clone(), region: (*name).clone() };
        if region.bounds.max < replicas {
            warnings.push(format!(
                "{target} has `max: {}`, and gets no more than that",
                region.bounds.max
            ));
        }
        let (least, why) = least_without(burst, &target, service, region, spec, set);
        if replicas.min(region.bounds.max) <= least {
            warnings.push(format!(
                "{target} has at least {least} without it ({why}): it makes no difference while that lasts"
            ));
        }
        let pause = set.pauses().iter().find(|p| p.is_about(&target) && p.is_in_force(burst.from));
        if let Some(pause) = pause {
            warnings.push(format!(
                "{target} is paused until {} by {}: the count stays as it is until then, or `tidegate resume {}`",
                pause.until, pause.author, service.id
            ));
        }
    }
    warnings.extend(cost_warning(burst, service, catalogue));
    warnings
}

/// The least replicas that a target has at the beginning of a burst without it, and why.
fn least_without(
    burst: &Burst,
    target: &TargetId,
    service: &Service,
    region: &RegionScale,
    spec: &Spec,
    set: &OverrideSet,
) -> (Count, String) {
    let mut floors = vec![(region.bounds.min, "its `min`".to_owned())];
    if service.scale.autoscale == Autoscale::Manual {
        floors.push((region.bounds.desired, "its `desired`".to_owned()));
    }
    for schedule in spec.policy_of(service).into_iter().flat_map(|policy| &policy.schedules) {
        if let Some(window) = schedule.windows.open_at(burst.from) {
            let why = format!("schedule {} until {}", schedule.name, window.to);
            floors.push((schedule.replicas, why));
        }
    }
    for other in set.bursts() {
        if other.id != burst.id && other.is_about(target) && other.is_in_force(burst.from) {
            let why = format!("burst {} by {} until {}", other.id, other.author, other.until);
            floors.push((other.replicas, why));
        }
    }
    let (least, why) = floors.into_iter().max_by_key(|(least, _)| *least).unwrap_or_default();
    (least.min(region.bounds.max), why)
}

/// Whether the cost cap of the service stands in the way, as far as prices are known.
fn cost_warning(burst: &Burst, service: &Service, catalogue: &Catalogue) -> Option<String> {
    let cap = service.scale.max_hourly_cost?;
    let provider =
        service.provider.as_ref().or_else(|| catalogue.default_for(service.scale.strategy))?;
    let price = catalogue.prices.of(provider)?;
    let least = |(name, region): (&Region, &RegionScale)| {
        let is_meant = burst.region.as_ref().is_none_or(|meant| meant == name);
        let bounds = region.bounds;
        let count =
            if is_meant { burst.replicas.clamp(bounds.min, bounds.max) } else { bounds.min };
        f64::from(count.0)
    };
    let cost = price * service.scale.regions.iter().map(least).sum::<f64>();
    let currency = &catalogue.prices.currency;
    (cost > cap).then(|| {
        format!(
            "{} would cost at least {cost:.2} {currency} per hour, and has `maxHourlyCost: {cap:.2}`: the cap \
             holds it lower",
            service.id
        )
    })
}
