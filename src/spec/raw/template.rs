//! `template:` of a service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::texts::{CpuText, DurationText, EnvName, MemoryText, SecretNameText, UrlPath};

/// What one replica is. Each provider documents which keys it uses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Template {
    /// Container image.
    #[schemars(length(min = 1), example = &"registry.example.com/web:1.4.2")]
    pub(crate) image: Option<String>,
    /// Program and arguments. Default for containers: the image's.
    #[schemars(length(min = 1), example = ["/web", "--port", "8080"])]
    pub(crate) command: Option<Vec<String>>,
    /// Environment variables: each a text, or `{secretRef: name}` for a secret of the controller's
    /// configuration.
    #[schemars(with = "Option<EnvMap>", example = serde_json::json!({"LOG_LEVEL": "info", "DATABASE_URL": {"secretRef": "web/database-url"}}))]
    pub(crate) env: Option<BTreeMap<String, Value>>,
    /// Ports a replica listens on.
    pub(crate) ports: Option<Vec<Port>>,
    /// Limits of one replica. Default: none.
    pub(crate) resources: Option<Resources>,
    /// How to tell that a replica serves. Default: a replica that runs is ready.
    pub(crate) health: Option<Health>,
    /// Time between the request to stop and the kill, at most `1h`. Default: `30s`.
    pub(crate) drain: Option<DurationText>,
}

/// Environment variables by name.
#[derive(Debug)]
pub(crate) struct EnvMap;

impl JsonSchema for EnvMap {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EnvMap".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<EnvName>(),
            "additionalProperties": generator.subschema_for::<EnvValue>(),
        })
    }
}

/// The value of an environment variable.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) enum EnvValue {
    /// As written; numbers and booleans need quotes.
    Literal(String),
    /// A secret of the controller's configuration.
    Secret(SecretRefObject),
}

/// A secret of the controller's configuration, by name.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) struct SecretRefObject {
    /// Its name under `secrets` of the controller's configuration.
    secret_ref: SecretNameText,
}

/// A port a replica listens on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Port {
    /// A name, unique in the template.
    pub(crate) name: Option<String>,
    /// The port inside the replica, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) container_port: u16,
    /// A fixed port on the host, 1 to 65535; only one replica per host can have it. Default: a free one.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) host_port: Option<u16>,
    /// The environment variable by which each replica is given a port of its own. Processes on one host
    /// need it as soon as there may be two of them.
    #[schemars(with = "Option<EnvName>")]
    pub(crate) env: Option<String>,
}

/// Limits of one replica.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Resources {
    /// Share of processor cores: `0.5` or `500m` is half a core.
    #[schemars(with = "Option<Cpu>", example = 0.5)]
    pub(crate) cpu: Option<Value>,
    /// Memory: `512Mi`, `1Gi` (powers of 1024), `1G` (powers of 1000), or a number of bytes.
    #[schemars(with = "Option<Memory>", example = &"512Mi")]
    pub(crate) memory: Option<Value>,
}

/// A share of processor cores.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) enum Cpu {
    /// Cores.
    Cores(#[schemars(range(min = 0.001, max = 10000.0))] f64),
    /// Cores, or thousandths of a core with the suffix `m`.
    Text(CpuText),
}

/// An amount of memory.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(crate) enum Memory {
    /// An amount with a unit.
    Text(MemoryText),
    /// Bytes.
    Bytes(#[schemars(range(min = 1))] u64),
}

/// How to tell that a replica serves: exactly one of `http` and `tcp`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct Health {
    /// `GET path` answers with a 2xx or 3xx status.
    pub(crate) http: Option<HttpProbe>,
    /// A TCP connection is accepted.
    pub(crate) tcp: Option<TcpProbe>,
    /// Time between two probes, `100ms` to `1h`. Default: `5s`.
    pub(crate) interval: Option<DurationText>,
    /// Time one probe may take, `1ms` to `1m`. Default: `2s`.
    pub(crate) timeout: Option<DurationText>,
    /// Failures in a row that make a replica unhealthy. Default: 3.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) failures: Option<u32>,
    /// Time after a start during which failures do not count, at most `1h`. Default: `30s`.
    pub(crate) start_period: Option<DurationText>,
}

/// A probe by HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct HttpProbe {
    /// Absolute path. Default: `/`.
    pub(crate) path: Option<UrlPath>,
    /// Port inside the replica. Default: its first.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<u16>,
}

/// A probe by a TCP connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(crate) struct TcpProbe {
    /// Port inside the replica. Default: its first.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<u16>,
}
