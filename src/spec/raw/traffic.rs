//! `storage:` and `routing:` of a service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::texts::{DurationText, SecretNameText, UrlPath};

/// Where a service's data is replicated to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Storage {
    /// The storage provider.
    #[schemars(example = &"cloudflare-r2")]
    pub(crate) provider: Option<String>,
    /// The secret with its credentials: a name under `secrets` of the controller's configuration.
    pub(crate) credentials_ref: Option<SecretNameText>,
    /// Bucket names by use.
    #[schemars(example = serde_json::json!({"assets": "web-assets"}))]
    pub(crate) buckets: Option<BTreeMap<String, String>>,
}

/// How traffic reaches a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Routing {
    /// The routing provider.
    #[schemars(example = &"cloudflare")]
    pub(crate) provider: Option<String>,
    /// The DNS zone.
    #[schemars(example = &"example.com")]
    pub(crate) zone: Option<String>,
    /// The DNS records.
    pub(crate) dns_records: Option<Vec<DnsRecord>>,
    /// How load is spread over the regions.
    pub(crate) load_balancing: Option<LoadBalancing>,
}

/// One DNS record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct DnsRecord {
    /// Name inside the zone; `@` is the zone itself.
    #[schemars(length(min = 1), example = &"shop")]
    pub(crate) name: String,
    /// Type of the record.
    #[serde(rename = "type")]
    #[schemars(regex(pattern = "^[A-Za-z]{1,10}$"), example = &"CNAME")]
    pub(crate) kind: String,
    /// Time to live, in seconds. Default: the routing provider's.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub(crate) ttl: Option<u32>,
    /// What it points to. Default: the provider's address of the service.
    pub(crate) content: Option<String>,
}

/// How load is spread over the regions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct LoadBalancing {
    /// The steering method, as the routing provider knows it.
    #[schemars(example = &"latency")]
    pub(crate) strategy: Option<String>,
    /// How the load balancer tells that a region serves: a path, or `{path: /healthz}`.
    #[schemars(with = "Option<HealthCheck>")]
    pub(crate) health_check: Option<Value>,
}

/// A health check of a load balancer.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) enum HealthCheck {
    /// The path that is asked for.
    Path(UrlPath),
    /// The path, and how often it is asked for.
    Object(HealthCheckObject),
}

/// A health check of a load balancer.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) struct HealthCheckObject {
    /// The path that is asked for.
    path: Option<UrlPath>,
    /// Time between two checks.
    interval: Option<DurationText>,
    /// Time one check may take.
    timeout: Option<DurationText>,
}
