//! The documents as users write them: the source of the JSON Schema, and what a spec is read into before it
//! becomes typed.
//!
//! No meaning is checked here. Where a value may have one of several forms, the field is a
//! [`serde_json::Value`] with the schema of a union, so that the schema alone judges the form.

mod policy;
mod template;
pub(crate) mod texts;
mod traffic;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use policy::Policy;
pub(crate) use template::{Health, Port, Resources, Template};
pub(crate) use texts::{DurationText, InstantText, Label, Name};
pub(crate) use traffic::{DnsRecord, LoadBalancing, Routing, Storage};

/// Replicas that one target may have: more than any provider runs, and a guard against a slip of the pen.
pub(crate) const REPLICAS_MAX: u32 = 10_000;

/// The desired state of everything Tidegate runs: `controller/spec.yaml`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the type exists for its schema; the document is read part by part")]
pub(crate) struct Document {
    /// Version of the format. Default: `tidegate.dev/v1`.
    api_version: Option<ApiVersion>,
    /// The services. They may also stand in `services/*.yaml` beside this file, one per file.
    services: Option<Vec<Service>>,
    /// Policies that services refer to by name. They may also stand in `policies/*.yaml` beside this file,
    /// one per file.
    policies: Option<Vec<Policy>>,
    /// A reviewed permission to destroy what would otherwise be held: see `allowDestroy`.
    guard: Option<Guard>,
}

/// A version of the format.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "the type exists for its schema")]
#[schemars(inline)]
pub(crate) enum ApiVersion {
    #[schemars(rename = "tidegate.dev/v1")]
    V1,
}

/// One service: what is scaled, where, and within which bounds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Service {
    /// Unique id: a DNS label of at most 63 characters.
    pub(crate) id: Label,
    /// A name for people.
    pub(crate) display_name: Option<String>,
    /// What the service is, for people.
    pub(crate) description: Option<String>,
    /// The provider that runs it: a name from the controller's configuration. Default: the controller's
    /// default provider for the service's strategy.
    pub(crate) provider: Option<Name>,
    /// Whether it may have more than one replica. Default: true if some region's `max` is over 1.
    pub(crate) scalable: Option<bool>,
    /// How it scales.
    pub(crate) scale: Option<Scale>,
    /// What one replica is. Each provider documents which keys it uses.
    pub(crate) template: Option<Template>,
    /// Where its data is replicated to.
    pub(crate) storage: Option<Storage>,
    /// How traffic reaches it.
    pub(crate) routing: Option<Routing>,
    /// What to do about a difference between spec and world that no commit made. Default: `correct`.
    pub(crate) drift: Option<DriftMode>,
}

/// How a service scales.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Scale {
    /// What more replicas means. Default: `infra`.
    pub(crate) strategy: Option<Strategy>,
    /// Who moves the count within the bounds. Default: `manual`.
    pub(crate) autoscale: Option<Autoscale>,
    /// Time after any change of a target before a step down. Default: none.
    pub(crate) cooldown: Option<DurationText>,
    /// The longest, and default, time to live of a burst.
    #[serde(rename = "burstTTL")]
    pub(crate) burst_ttl: Option<DurationText>,
    /// Cap on the hourly cost of all regions together, in the currency of the controller's price table.
    /// Default: none.
    #[schemars(range(min = 0.0), example = 1.20)]
    pub(crate) max_hourly_cost: Option<f64>,
    /// The policy by which load moves the count: the name of one of `policies`, or a policy in place.
    #[schemars(with = "Option<policy::PolicyChoice>")]
    pub(crate) policy: Option<Value>,
    /// The regions, each with its bounds; at least one.
    pub(crate) regions: Option<Vec<RegionScale>>,
}

/// The bounds of one region.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, example = serde_json::json!({"name": "iad", "min": 1, "desired": 2, "max": 6}))]
pub(crate) struct RegionScale {
    /// Name of the region, as the provider knows it: a DNS label, unique in the service.
    pub(crate) name: Label,
    /// The least replicas. Default: `desired`.
    #[schemars(range(max = REPLICAS_MAX))]
    pub(crate) min: Option<u32>,
    /// The replicas to rest at, between `min` and `max`. Default: `min`.
    #[schemars(range(max = REPLICAS_MAX))]
    pub(crate) desired: Option<u32>,
    /// The most replicas. Default: `desired`.
    #[schemars(range(max = REPLICAS_MAX))]
    pub(crate) max: Option<u32>,
    /// Overrides the service's `cooldown` in this region.
    pub(crate) cooldown: Option<DurationText>,
    /// Overrides the service's `burstTTL` in this region.
    #[serde(rename = "burstTTL")]
    pub(crate) burst_ttl: Option<DurationText>,
}

/// What more replicas means.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Strategy {
    /// More hosts, containers or machines.
    Infra,
    /// More processes on one host.
    Local,
}

/// Who moves the count within its bounds.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Autoscale {
    /// Commits, and bursts.
    Manual,
    /// The policy.
    Metrics,
    /// Commits only: bursts are refused.
    Disabled,
}

/// What to do about a difference that no commit made.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum DriftMode {
    /// Neither report nor correct it.
    Off,
    /// Report it in plan and status, and leave it.
    Report,
    /// Correct it.
    Correct,
}

/// A reviewed permission to destroy, with an end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, example = serde_json::json!({"allowDestroy": ["web"], "until": "2026-12-01"}))]
pub(crate) struct Guard {
    /// Services whose replicas may be destroyed because they, or a region of theirs, are gone from the
    /// spec, or because many are destroyed at once.
    #[schemars(length(min = 1))]
    pub(crate) allow_destroy: Vec<Label>,
    /// When the permission ends: a date (its first instant in UTC) or an RFC 3339 timestamp.
    pub(crate) until: InstantText,
}
