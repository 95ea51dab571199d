//! What a policy means for the services that use it.

use std::collections::BTreeSet;

use crate::model::{
    Autoscale, Count, Policy, PolicyChoice, PolicyName, Region, Service, Severity, Spec,
};
use crate::spec::codes;
use crate::spec::findings::{Findings, Part};
use crate::spec::load::{Place, WHOLE};

/// Checks a service's policy against its regions.
pub(crate) fn service(service: &Service, spec: &Spec, place: &Place, findings: &mut Findings<'_>) {
    let Some(policy) = spec.policy_of(service) else { return };
    if service.scale.autoscale == Autoscale::Disabled {
        return;
    }
    if service.scale.autoscale == Autoscale::Metrics && !votes(policy) {
        let message = "this policy never votes: the count would rest at `desired`";
        let help = "add `targets`, `rules`, an `expression` or `schedules` to the policy";
        findings.error(codes::NEVER_VOTES, &place.at("/scale/policy"), message, help.to_owned());
    }
    let is_inline = matches!(service.scale.policy, Some(PolicyChoice::Inline(_)));
    for (index, schedule) in policy.schedules.iter().enumerate() {
        let at = match is_inline {
            true => format!("/scale/policy/schedules/{index}/replicas"),
            false => "/scale/policy".to_owned(),
        };
        let regions = &service.scale.regions;
        let below: Vec<(&Region, Count)> = regions
            .iter()
            .map(|(name, region)| (name, region.bounds.max))
            .filter(|(_, max)| *max < schedule.replicas)
            .collect();
        let Some((region, max)) = below.first() else { continue };
        let severity =
            if below.len() == regions.len() { Severity::Error } else { Severity::Warning };
        let others = match below.len() - 1 {
            0 => String::new(),
            1 => " and too low in 1 more region".to_owned(),
            more => format!(" and too low in {more} more regions"),
        };
        let message = format!(
            "the schedule `{}` asks for {} replicas, and `max` is {max} in `{region}`{others}",
            schedule.name, schedule.replicas
        );
        let help = "raise `max`, or lower `replicas` of the schedule".to_owned();
        findings.at(
            severity,
            codes::SCHEDULE_ABOVE_MAX,
            &place.at(&at),
            Part::Value,
            message,
            Some(help),
        );
    }
    if is_inline && policy.idle.is_some() && !may_be_zero(service) {
        idle_without_zero(&place.at("/scale/policy/idle"), findings);
    }
}

/// Checks a policy of `policies` against all services that use it.
pub(crate) fn named(
    name: &PolicyName,
    policy: &Policy,
    spec: &Spec,
    place: &Place,
    findings: &mut Findings<'_>,
) {
    let users = spec.services.values().filter(|service| match &service.scale.policy {
        Some(PolicyChoice::Named(used)) => used == name,
        Some(PolicyChoice::Inline(_)) | None => false,
    });
    let users: Vec<&Service> = users.collect();
    if users.is_empty() {
        findings.at(
            Severity::Warning,
            codes::UNUSED_POLICY,
            &place.at("/name"),
            Part::Value,
            format!("no service uses the policy `{name}`"),
            Some("name it in `scale.policy` of a service, or remove it".to_owned()),
        );
    } else if policy.idle.is_some() && !users.iter().any(|service| may_be_zero(service)) {
        idle_without_zero(&place.at("/idle"), findings);
    }
}

/// Whether a policy has anything that moves a count. The document is asked: what of it cannot be read is
/// reported as that.
fn votes(policy: &Policy) -> bool {
    ["targets", "rules", "expression", "schedules", "idle"].iter().any(|key| {
        policy
            .document
            .get(key)
            .is_some_and(|part| part.as_array().is_none_or(|list| !list.is_empty()))
    })
}

fn may_be_zero(service: &Service) -> bool {
    let mins: BTreeSet<Count> =
        service.scale.regions.values().map(|region| region.bounds.min).collect();
    mins.is_empty() || mins.contains(&Count(0))
}

fn idle_without_zero(pointer: &str, findings: &mut Findings<'_>) {
    findings.at(
        Severity::Warning,
        codes::IDLE_WITHOUT_ZERO,
        pointer,
        WHOLE,
        "`idle` goes to zero, and no region has `min: 0`".to_owned(),
        Some("set `min: 0` where zero replicas are enough, or remove `idle`".to_owned()),
    );
}
