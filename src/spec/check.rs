//! What a service means, as far as the spec alone tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::findings::Findings;
use super::load::{Known, Place, WHOLE};
use super::suggest::{COMPARED_MAX, help_of};
use super::{codes, convert, policy, raw};
use crate::model::{
    Bounds, Count, Region, Service, Severity, Strategy, format_duration, parse_duration,
};

pub(super) fn service(
    raw: &raw::Service,
    service: &Service,
    place: &Place,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) {
    regions(raw, place, findings);
    scalable(raw, place, findings);
    policy_choice(raw, place, known, findings);
    if let Some(template) = &raw.template {
        ports(template, place, findings);
        health(template, place, findings);
        durations(template, place, findings);
    }
    if service.scale.strategy == Strategy::Local {
        fixed_ports(raw, service, place, findings);
    }
}

fn regions(raw: &raw::Service, place: &Place, findings: &mut Findings<'_>) {
    let regions = raw.scale.as_ref().and_then(|scale| scale.regions.as_deref());
    let Some(regions) = regions.filter(|regions| !regions.is_empty()) else {
        let pointer = place.at(match &raw.scale {
            Some(raw::Scale { regions: Some(_), .. }) => "/scale/regions",
            Some(_) => "/scale",
            None => "",
        });
        let message = format!("the service `{}` has no region", raw.id.0);
        let help = "name at least one: `regions: [{name: local, min: 1, desired: 1, max: 2}]`";
        findings.at(
            Severity::Error,
            codes::NO_REGIONS,
            &pointer,
            WHOLE,
            message,
            Some(help.to_owned()),
        );
        return;
    };
    let mut seen = BTreeSet::new();
    for (index, region) in regions.iter().enumerate() {
        let pointer = place.at(&format!("/scale/regions/{index}"));
        if !seen.insert(region.name.0.as_str()) {
            let message = format!("the region `{}` stands twice in this service", region.name.0);
            let help = "keep one entry per region".to_owned();
            findings.error(codes::DUPLICATE_REGION, &format!("{pointer}/name"), message, help);
        }
        match convert::bounds(region) {
            Some(bounds) => bounds_order(region, bounds, &pointer, findings),
            None => findings.error(
                codes::MISSING_KEY,
                &pointer,
                "the key `desired` is missing from this region",
                "`desired`: the replicas to rest at, between `min` and `max`".to_owned(),
            ),
        }
    }
}

fn bounds_order(
    raw: &raw::RegionScale,
    bounds: Bounds,
    pointer: &str,
    findings: &mut Findings<'_>,
) {
    let Bounds { min, desired, max } = bounds;
    let key = if raw.desired.is_some() { "desired" } else { "min" };
    let help =
        format!("`min <= desired <= max` must hold; here they are {min}, {desired} and {max}");
    if min > desired {
        let message = format!("`desired` is {desired}, less than `min`, which is {min}");
        let at = format!("{pointer}/{key}");
        findings.error(codes::BOUNDS_ORDER, &at, message, help.clone());
    }
    if desired > max {
        let message = format!("`{key}` is {desired}, more than `max`, which is {max}");
        findings.error(codes::BOUNDS_ORDER, &format!("{pointer}/{key}"), message, help);
    }
}

/// The regions that may have more than one replica, with the index in the document.
fn many(raw: &raw::Service) -> impl Iterator<Item = (usize, &raw::RegionScale, Count)> {
    let regions = raw.scale.as_ref().and_then(|scale| scale.regions.as_deref());
    regions.unwrap_or_default().iter().enumerate().filter_map(|(index, region)| {
        let max = convert::bounds(region)?.max;
        (max > Count(1)).then_some((index, region, max))
    })
}

fn scalable(raw: &raw::Service, place: &Place, findings: &mut Findings<'_>) {
    if raw.scalable != Some(false) {
        return;
    }
    for (index, region, max) in many(raw) {
        let key = if region.max.is_some() { "/max" } else { "" };
        findings.error(
            codes::NOT_SCALABLE,
            &place.at(&format!("/scale/regions/{index}{key}")),
            format!("`max` is {max}, and the service says `scalable: false`"),
            "set `max: 1`, or remove `scalable: false`".to_owned(),
        );
    }
}

fn policy_choice(
    raw: &raw::Service,
    place: &Place,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) {
    let choice = raw.scale.as_ref().and_then(|scale| scale.policy.as_ref());
    match choice {
        Some(Value::String(name)) if known.policies_complete && !known.policies.contains(name) => {
            let names = known.policies.iter().map(String::as_str).take(COMPARED_MAX + 1);
            let names: Vec<&str> = names.collect();
            let help = help_of(name, &names, "the policies are")
                .unwrap_or_else(|| "add it under `policies:`".to_owned());
            let message = format!("there is no policy `{name}`");
            findings.error(codes::UNKNOWN_POLICY, &place.at("/scale/policy"), message, help);
        }
        Some(document @ Value::Object(_)) => {
            let place = Place { file: place.file, pointer: place.at("/scale/policy") };
            policy::check(document, &place, known.catalogue, findings);
        }
        _ => {}
    }
}

fn ports(template: &raw::Template, place: &Place, findings: &mut Findings<'_>) {
    let mut seen: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (index, port) in template.ports.iter().flatten().enumerate() {
        let keys = [
            ("name", port.name.clone()),
            ("containerPort", Some(port.container_port.to_string())),
            ("hostPort", port.host_port.map(|port| port.to_string())),
            ("env", port.env.clone()),
        ];
        for (key, value) in keys {
            let Some(value) = value else { continue };
            if seen.contains_key(&(key, value.clone())) {
                findings.error(
                    codes::DUPLICATE_PORT,
                    &place.at(&format!("/template/ports/{index}/{key}")),
                    format!("another port has the `{key}` `{value}` too"),
                    format!("give each port a `{key}` of its own"),
                );
            }
            seen.insert((key, value), index);
        }
    }
}

fn health(template: &raw::Template, place: &Place, findings: &mut Findings<'_>) {
    let Some(health) = &template.health else { return };
    let pointer = place.at("/template/health");
    let port = match (&health.http, &health.tcp) {
        (Some(_), Some(_)) => {
            findings.error(
                codes::CONFLICTING_KEYS,
                &format!("{pointer}/tcp"),
                "`health` has both `http` and `tcp`",
                "keep one of the two".to_owned(),
            );
            return;
        }
        (None, None) => {
            findings.at(
                Severity::Error,
                codes::MISSING_KEY,
                &pointer,
                WHOLE,
                "`health` does not say what is asked".to_owned(),
                Some("add `http: {path: /healthz}` or `tcp: {}`".to_owned()),
            );
            return;
        }
        (Some(http), None) => http.port,
        (None, Some(tcp)) => tcp.port,
    };
    if port.is_none() && template.ports.as_ref().is_none_or(Vec::is_empty) {
        findings.at(
            Severity::Error,
            codes::MISSING_KEY,
            &pointer,
            WHOLE,
            "`health` names no port, and the template has none".to_owned(),
            Some("add `ports`, or `port` to the probe".to_owned()),
        );
    }
}

/// The longest time that a template may name besides that of one probe: whoever waits longer has forgotten it.
const TIME_MAX: Duration = Duration::from_secs(3600);
/// The longest time one probe may take: a replica that needs longer serves nobody.
const PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The shortest time one probe may take: without any, none succeeds.
const PROBE_TIMEOUT_LEAST: Duration = Duration::from_millis(1);
/// The shortest time between two probes: more often is an attack on one's own replicas.
const PROBE_INTERVAL_LEAST: Duration = Duration::from_millis(100);

fn durations(template: &raw::Template, place: &Place, findings: &mut Findings<'_>) {
    let health = template.health.as_ref();
    let limits = [
        ("drain", "/drain", template.drain.as_ref(), Duration::ZERO, TIME_MAX),
        (
            "interval",
            "/health/interval",
            health.and_then(|health| health.interval.as_ref()),
            PROBE_INTERVAL_LEAST,
            TIME_MAX,
        ),
        (
            "timeout",
            "/health/timeout",
            health.and_then(|health| health.timeout.as_ref()),
            PROBE_TIMEOUT_LEAST,
            PROBE_TIMEOUT_MAX,
        ),
        (
            "startPeriod",
            "/health/startPeriod",
            health.and_then(|health| health.start_period.as_ref()),
            Duration::ZERO,
            TIME_MAX,
        ),
    ];
    for (key, at, text, least, most) in limits {
        let Some(text) = text else { continue };
        let Ok(duration) = parse_duration(&text.0) else { continue };
        let limit = if duration < least {
            format!("it must be at least {}", format_duration(least))
        } else if duration > most {
            format!("it may be at most {}", format_duration(most))
        } else {
            continue;
        };
        let message = format!("`{key}` is `{}`; {limit}", text.0);
        findings.error(codes::OUT_OF_RANGE, &place.at(&format!("/template{at}")), message, None);
    }
}

/// The guardrail: replicas on one host would fight over a port that is the same for all of them.
fn fixed_ports(raw: &raw::Service, service: &Service, place: &Place, findings: &mut Findings<'_>) {
    let Some(template) = &raw.template else { return };
    let Some(region) = most(service) else { return };
    for (index, port) in template.ports.iter().flatten().enumerate() {
        let (key, number) = match (port.host_port, &port.env) {
            (Some(number), _) => ("hostPort", number),
            (None, None) => ("containerPort", port.container_port),
            (None, Some(_)) => continue,
        };
        fixed_port(place, index, key, number, region, findings);
    }
}

/// Reports one fixed port.
pub(super) fn fixed_port(
    place: &Place,
    index: usize,
    key: &str,
    number: u16,
    (region, max): (&Region, Count),
    findings: &mut Findings<'_>,
) {
    findings.error(
        codes::FIXED_PORT,
        &place.at(&format!("/template/ports/{index}/{key}")),
        format!(
            "up to {max} replicas on one host in `{region}` would fight over the port {number}"
        ),
        "give each replica a port of its own through the environment: `env: PORT` instead of a \
         fixed port; or set `max: 1`"
            .to_owned(),
    );
}

/// The region with the most replicas, if it may have more than one.
pub(super) fn most(service: &Service) -> Option<(&Region, Count)> {
    let regions = service.scale.regions.iter();
    regions
        .map(|(name, region)| (name, region.bounds.max))
        .filter(|(_, max)| *max > Count(1))
        .max_by_key(|(_, max)| *max)
}
