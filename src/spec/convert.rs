//! Raw documents to typed ones. Judges nothing: what cannot be converted was reported by the schema, and is
//! left out here so that the other checks still run.

use std::time::Duration;

use serde_json::Value;

use super::raw::{self, DurationText};
use super::{formats, typed_policy};
use crate::model::{
    Autoscale, Bounds, Count, CpuShare, DnsRecord, DriftMode, EnvValue, Guard, Health, HealthProbe,
    LoadBalancing, MemoryBytes, PolicyChoice, PolicyName, Port, ProviderName, Region, RegionScale,
    Resources, Routing, Scale, SecretName, Service, ServiceId, Storage, Strategy, Template,
    parse_duration,
};

/// Time between the request to stop and the kill: what container engines and orchestrators give, rounded.
const DRAIN_DEFAULT: Duration = Duration::from_secs(30);
/// Time between two probes: a replica that fails is noticed within a quarter of a minute.
const HEALTH_INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Time one probe may take: less than the interval, so that probes do not overlap.
const HEALTH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Failures in a row that make a replica unhealthy: one may be chance.
const HEALTH_FAILURES_DEFAULT: u32 = 3;
/// Time after a start during which failures do not count.
const HEALTH_START_PERIOD_DEFAULT: Duration = Duration::from_secs(30);

pub(super) fn service(id: ServiceId, raw: &raw::Service) -> Service {
    let scale = scale(raw.scale.as_ref());
    let many = scale.regions.values().any(|region| region.bounds.max > Count(1));
    Service {
        id,
        display_name: raw.display_name.clone(),
        description: raw.description.clone(),
        provider: raw
            .provider
            .as_ref()
            .and_then(|name| ProviderName::try_from(name.0.as_str()).ok()),
        scalable: raw.scalable.unwrap_or(many),
        scale,
        template: raw.template.as_ref().map(template),
        storage: raw.storage.as_ref().map(storage),
        routing: raw.routing.as_ref().map(routing),
        drift: match raw.drift {
            Some(raw::DriftMode::Off) => DriftMode::Off,
            Some(raw::DriftMode::Report) => DriftMode::Report,
            Some(raw::DriftMode::Correct) | None => DriftMode::Correct,
        },
    }
}

fn scale(raw: Option<&raw::Scale>) -> Scale {
    let regions = raw.and_then(|raw| raw.regions.as_deref()).unwrap_or_default();
    Scale {
        strategy: match raw.and_then(|raw| raw.strategy) {
            Some(raw::Strategy::Local) => Strategy::Local,
            Some(raw::Strategy::Infra) | None => Strategy::Infra,
        },
        autoscale: match raw.and_then(|raw| raw.autoscale) {
            Some(raw::Autoscale::Metrics) => Autoscale::Metrics,
            Some(raw::Autoscale::Disabled) => Autoscale::Disabled,
            Some(raw::Autoscale::Manual) | None => Autoscale::Manual,
        },
        cooldown: duration(raw.and_then(|raw| raw.cooldown.as_ref())),
        burst_ttl: duration(raw.and_then(|raw| raw.burst_ttl.as_ref())),
        max_hourly_cost: raw.and_then(|raw| raw.max_hourly_cost),
        policy: raw.and_then(|raw| raw.policy.as_ref()).and_then(policy),
        regions: regions.iter().filter_map(region).collect(),
    }
}

/// The bounds that a region states, with what it leaves out: a region that states only one number is fixed.
pub(super) fn bounds(raw: &raw::RegionScale) -> Option<Bounds> {
    let desired = raw.desired.or(raw.min)?;
    Some(Bounds {
        min: Count(raw.min.unwrap_or(desired)),
        desired: Count(desired),
        max: Count(raw.max.unwrap_or(desired)),
    })
}

fn region(raw: &raw::RegionScale) -> Option<(Region, RegionScale)> {
    let name = Region::try_from(raw.name.0.as_str()).ok()?;
    let region = RegionScale {
        bounds: bounds(raw)?,
        cooldown: duration(raw.cooldown.as_ref()),
        burst_ttl: duration(raw.burst_ttl.as_ref()),
    };
    Some((name, region))
}

fn policy(raw: &Value) -> Option<PolicyChoice> {
    match raw {
        Value::String(name) => PolicyName::try_from(name.as_str()).ok().map(PolicyChoice::Named),
        Value::Object(_) => Some(PolicyChoice::Inline(Box::new(typed_policy(raw)))),
        _ => None,
    }
}

fn template(raw: &raw::Template) -> Template {
    let ports = raw.ports.as_deref().unwrap_or_default();
    Template {
        image: raw.image.clone(),
        command: raw.command.clone().unwrap_or_default(),
        env: raw.env.iter().flatten().filter_map(env_entry).collect(),
        ports: ports.iter().map(port).collect(),
        resources: raw.resources.as_ref().map(resources).unwrap_or_default(),
        health: raw.health.as_ref().and_then(health),
        drain: duration(raw.drain.as_ref()).unwrap_or(DRAIN_DEFAULT),
    }
}

fn env_entry((name, value): (&String, &Value)) -> Option<(String, EnvValue)> {
    let value = match value {
        Value::String(text) => EnvValue::Literal(text.clone()),
        _ => EnvValue::SecretRef(secret_ref(value)?),
    };
    Some((name.clone(), value))
}

/// The secret that the value of an environment variable names.
pub(super) fn secret_ref(value: &Value) -> Option<SecretName> {
    SecretName::try_from(value.get("secretRef")?.as_str()?).ok()
}

fn port(raw: &raw::Port) -> Port {
    Port {
        name: raw.name.clone(),
        container_port: raw.container_port,
        host_port: raw.host_port,
        env: raw.env.clone(),
    }
}

fn resources(raw: &raw::Resources) -> Resources {
    Resources { cpu: raw.cpu.as_ref().and_then(cpu), memory: raw.memory.as_ref().and_then(memory) }
}

fn cpu(raw: &Value) -> Option<CpuShare> {
    match raw {
        Value::String(text) => formats::cpu(text).ok(),
        _ => formats::cpu_cores(raw.as_f64()?),
    }
}

fn memory(raw: &Value) -> Option<MemoryBytes> {
    match raw {
        Value::String(text) => formats::memory(text).ok(),
        _ => raw.as_u64().map(|bytes| MemoryBytes { bytes }),
    }
}

fn health(raw: &raw::Health) -> Option<Health> {
    let probe = match (&raw.http, &raw.tcp) {
        (Some(http), _) => HealthProbe::Http {
            path: http.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.0.clone()),
            port: http.port,
        },
        (None, Some(tcp)) => HealthProbe::Tcp { port: tcp.port },
        (None, None) => return None,
    };
    Some(Health {
        probe,
        interval: duration(raw.interval.as_ref()).unwrap_or(HEALTH_INTERVAL_DEFAULT),
        timeout: duration(raw.timeout.as_ref()).unwrap_or(HEALTH_TIMEOUT_DEFAULT),
        failures: raw.failures.unwrap_or(HEALTH_FAILURES_DEFAULT),
        start_period: duration(raw.start_period.as_ref()).unwrap_or(HEALTH_START_PERIOD_DEFAULT),
    })
}

fn storage(raw: &raw::Storage) -> Storage {
    let credentials = raw.credentials_ref.as_ref();
    Storage {
        provider: raw.provider.clone().unwrap_or_default(),
        credentials_ref: credentials.and_then(|name| SecretName::try_from(name.0.as_str()).ok()),
        buckets: raw.buckets.clone().unwrap_or_default(),
    }
}

fn routing(raw: &raw::Routing) -> Routing {
    let records = raw.dns_records.as_deref().unwrap_or_default();
    Routing {
        provider: raw.provider.clone().unwrap_or_default(),
        zone: raw.zone.clone(),
        dns_records: records.iter().map(dns_record).collect(),
        load_balancing: raw.load_balancing.as_ref().map(load_balancing),
    }
}

fn dns_record(raw: &raw::DnsRecord) -> DnsRecord {
    DnsRecord {
        name: raw.name.clone(),
        kind: raw.kind.to_ascii_uppercase(),
        ttl_s: raw.ttl,
        content: raw.content.clone(),
    }
}

fn load_balancing(raw: &raw::LoadBalancing) -> LoadBalancing {
    let path = raw.health_check.as_ref().and_then(|check| match check {
        Value::String(path) => Some(path.clone()),
        _ => check.get("path").and_then(Value::as_str).map(str::to_owned),
    });
    LoadBalancing { strategy: raw.strategy.clone(), health_check_path: path }
}

pub(super) fn guard(raw: &raw::Guard) -> Option<Guard> {
    let allow = raw.allow_destroy.iter();
    Some(Guard {
        allow_destroy: allow.filter_map(|id| ServiceId::try_from(id.0.as_str()).ok()).collect(),
        until: formats::instant(&raw.until.0).ok()?,
    })
}

fn duration(raw: Option<&DurationText>) -> Option<Duration> {
    raw.and_then(|text| parse_duration(&text.0).ok())
}
