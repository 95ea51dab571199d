//! The desired state, typed: what `controller/spec.yaml` says once it has been found valid.
//!
//! `Serialize` here has one use: the canonical effects under a plan digest and a template hash. Files and
//! wires have types of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    Bounds, Policy, PolicyName, ProviderName, Region, SecretName, ServiceId, TemplateHash,
};

/// Everything a spec repository says at one commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spec {
    /// The services, by id.
    pub services: BTreeMap<ServiceId, Service>,
    /// The named policies.
    pub policies: BTreeMap<PolicyName, Policy>,
    /// The reviewed permission to destroy, if there is one.
    pub guard: Option<Guard>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// Unique id.
    pub id: ServiceId,
    /// A name for people.
    pub display_name: Option<String>,
    /// What the service is, for people.
    pub description: Option<String>,
    /// The provider that runs it: as the spec names it, else the controller's default for the strategy;
    /// `None` only when the spec was read without a controller configuration.
    pub provider: Option<ProviderName>,
    /// Whether the service may have more than one replica.
    pub scalable: bool,
    /// How it scales.
    pub scale: Scale,
    /// What one replica is; without it nothing can be created.
    pub template: Option<Template>,
    /// Where its data is replicated to.
    pub storage: Option<Storage>,
    /// How traffic reaches it.
    pub routing: Option<Routing>,
    /// What to do about a difference that no commit made.
    pub drift: DriftMode,
}

/// How a service scales.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scale {
    /// More hosts, or more processes on one host.
    pub strategy: Strategy,
    /// Who moves the count within the bounds.
    pub autoscale: Autoscale,
    /// Time after any change before a step down.
    #[serde(serialize_with = "millis")]
    pub cooldown: Option<Duration>,
    /// The longest, and default, time to live of a burst.
    #[serde(serialize_with = "millis")]
    pub burst_ttl: Option<Duration>,
    /// Cap on the hourly cost of all regions together, in the price table's currency.
    pub max_hourly_cost: Option<f64>,
    /// The policy by which load moves the count.
    pub policy: Option<PolicyChoice>,
    /// The regions, by name.
    pub regions: BTreeMap<Region, RegionScale>,
}

/// What "more replicas" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// More hosts, containers or machines.
    Infra,
    /// More processes on one host.
    Local,
}

/// Who moves the count within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Autoscale {
    /// Commits, and bursts.
    Manual,
    /// The policy.
    Metrics,
    /// Commits only.
    Disabled,
}

/// One region's bounds and overrides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionScale {
    /// Least, desired and most replicas.
    pub bounds: Bounds,
    /// Overrides [`Scale::cooldown`].
    #[serde(serialize_with = "millis")]
    pub cooldown: Option<Duration>,
    /// Overrides [`Scale::burst_ttl`].
    #[serde(serialize_with = "millis")]
    pub burst_ttl: Option<Duration>,
}

/// A policy by name or in place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PolicyChoice {
    /// One of [`Spec::policies`].
    Named(PolicyName),
    /// Written inside the service.
    Inline(Box<Policy>),
}

/// What one replica is. Each provider documents which keys it uses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Template {
    /// Container image.
    pub image: Option<String>,
    /// Program and arguments; a container without it runs its image's.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, EnvValue>,
    /// Ports a replica listens on.
    pub ports: Vec<Port>,
    /// Limits of one replica.
    pub resources: Resources,
    /// How to tell that a replica serves; without it a replica that runs is ready.
    pub health: Option<Health>,
    /// Time between the request to stop and the kill.
    #[serde(serialize_with = "millis_exact")]
    pub drain: Duration,
}

impl Spec {
    /// The policy of a service, be it named or in place.
    #[must_use]
    pub fn policy_of<'a>(&'a self, service: &'a Service) -> Option<&'a Policy> {
        match service.scale.policy.as_ref()? {
            PolicyChoice::Named(name) => self.policies.get(name),
            PolicyChoice::Inline(policy) => Some(policy),
        }
    }
}

impl Template {
    /// Hash of everything that makes one replica differ from another. Times, names for people and values
    /// of secrets are not part of it.
    #[must_use]
    pub fn hash(&self) -> TemplateHash {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        drop_absent(&mut value);
        let mut canonical = value.to_string().into_bytes();
        canonical.push(TEMPLATE_HASH_VERSION);
        let digest = Sha256::digest(&canonical);
        let digits = digest.iter().take(TEMPLATE_HASH_BYTES).map(|b| format!("{b:02x}"));
        digits.collect::<String>().into()
    }
}

/// Removes the keys whose values say nothing, so that a field which a later version adds changes no hash of
/// a template without it: every replica would be made anew. Entries of lists stay, since their order counts.
fn drop_absent(value: &mut serde_json::Value) {
    use serde_json::Value;

    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_absent);
            fields.retain(|_, field| match field {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
            });
            fields.sort_keys();
        }
        Value::Array(items) => items.iter_mut().for_each(drop_absent),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Bytes of the digest that are kept: 48 bits tell a service's templates apart, and fit into a label.
const TEMPLATE_HASH_BYTES: usize = 6;
/// Raised when the meaning of a template changes, so that replicas are made anew.
const TEMPLATE_HASH_VERSION: u8 = 1;

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum EnvValue {
    /// As written.
    Literal(String),
    /// A secret of the controller's configuration, by name.
    SecretRef(SecretName),
}

/// A port a replica listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// A name, unique in the template.
    pub name: Option<String>,
    /// The port inside the replica.
    pub container_port: u16,
    /// A fixed port on the host; without it the provider picks a free one.
    pub host_port: Option<u16>,
    /// The environment variable by which each replica is given its own port.
    pub env: Option<String>,
}

/// Limits of one replica.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resources {
    /// Share of a core: 0.5 is half a core.
    pub cpu: Option<CpuShare>,
    /// Memory.
    pub memory: Option<MemoryBytes>,
}

/// Share of processor cores, in thousandths of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CpuShare {
    /// Thousandths of one core.
    pub millicores: u32,
}

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryBytes {
    /// Bytes.
    pub bytes: u64,
}

/// How to tell that a replica serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What is asked.
    pub probe: HealthProbe,
    /// Time between two probes.
    #[serde(serialize_with = "millis_exact")]
    pub interval: Duration,
    /// Time one probe may take.
    #[serde(serialize_with = "millis_exact")]
    pub timeout: Duration,
    /// Failures in a row that make a replica unhealthy.
    pub failures: u32,
    /// Time after a start during which failures do not count.
    #[serde(serialize_with = "millis_exact")]
    pub start_period: Duration,
}

/// One health probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum HealthProbe {
    /// `GET path` answers with a 2xx or 3xx status. Without a port: the replica's first.
    Http {
        /// Absolute path.
        path: String,
        /// Port inside the replica.
        port: Option<u16>,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// Port inside the replica.
        port: Option<u16>,
    },
}

/// Where a service's data is replicated to. Validated and carried; acted on by storage providers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Storage {
    /// The storage provider's name.
    pub provider: String,
    /// The secret with its credentials.
    pub credentials_ref: Option<SecretName>,
    /// Bucket names by use.
    pub buckets: BTreeMap<String, String>,
}

/// How traffic reaches a service. Validated and carried; acted on by routing providers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Routing {
    /// The routing provider's name.
    pub provider: String,
    /// The DNS zone.
    pub zone: Option<String>,
    /// The records.
    pub dns_records: Vec<DnsRecord>,
    /// How load is spread over the regions.
    pub load_balancing: Option<LoadBalancing>,
}

/// One DNS record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DnsRecord {
    /// Name inside the zone.
    pub name: String,
    /// Record type, in capitals.
    pub kind: String,
    /// Time to live, in seconds.
    pub ttl_s: Option<u32>,
    /// What it points to; without it, the provider's address of the service.
    pub content: Option<String>,
}

/// How load is spread over the regions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadBalancing {
    /// The steering method.
    pub strategy: Option<String>,
    /// The path that health checks ask for.
    pub health_check_path: Option<String>,
}

/// What to do about a difference between spec and world that no commit made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftMode {
    /// Neither report nor correct it.
    Off,
    /// Report it in plan and status, and leave it.
    Report,
    /// Correct it.
    #[default]
    Correct,
}

/// A reviewed permission to destroy, with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Services whose replicas may be destroyed by omission or by mass; they may be gone from the spec.
    pub allow_destroy: Vec<ServiceId>,
    /// The instant at which the permission ends; a date means its first instant in UTC.
    pub until: Timestamp,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn millis<S: serde::Serializer>(duration: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_millis() as u64).serialize(out)
}

fn millis_exact<S: serde::Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
    (duration.as_millis() as u64).serialize(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Template {
        Template {
            image: None,
            command: vec!["/web".to_owned()],
            env: BTreeMap::new(),
            ports: Vec::new(),
            resources: Resources::default(),
            health: None,
            drain: Duration::from_secs(30),
        }
    }

    /// A change of these digits replaces every replica at an upgrade.
    #[test]
    fn the_hash_of_a_template_stays() {
        assert_eq!(small().hash().to_string(), "5af985e353ae");
        let secret = SecretName::try_from("web/database-url").expect("a name");
        let full = Template {
            image: Some("registry.example.com/web:1.4.2".to_owned()),
            env: [
                ("EMPTY".to_owned(), EnvValue::Literal(String::new())),
                ("DATABASE_URL".to_owned(), EnvValue::SecretRef(secret)),
            ]
            .into(),
            ports: vec![Port {
                name: Some("http".to_owned()),
                container_port: 8080,
                host_port: None,
                env: Some("PORT".to_owned()),
            }],
            resources: Resources {
                cpu: Some(CpuShare { millicores: 500 }),
                memory: Some(MemoryBytes { bytes: 1 << 29 }),
            },
            health: Some(Health {
                probe: HealthProbe::Http { path: "/healthz".to_owned(), port: None },
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                failures: 3,
                start_period: Duration::from_secs(30),
            }),
            ..small()
        };
        assert_eq!(full.hash().to_string(), "ae7494a508d6");
    }

    #[test]
    fn what_a_template_does_not_say_is_not_hashed() {
        let mut value = serde_json::to_value(small()).expect("a value");
        drop_absent(&mut value);
        assert_eq!(value, serde_json::json!({"command": ["/web"], "drain": 30_000}));
    }
}
