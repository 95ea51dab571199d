//! `metrics:` of `tidegate.yaml` as operators write it: the source of its part of the JSON Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::formats::SecretRefText;
use crate::spec::raw::texts::DurationText;

/// The types that `type:` of a metric source may name.
pub(super) const TYPES: &[&str] = &["prometheus", "http", "fixed", "file"];

/// One metric source: its type, and the keys of that type.
#[derive(Debug)]
pub(in crate::config) struct SourceEntry;

impl JsonSchema for SourceEntry {
    fn schema_name() -> Cow<'static, str> {
        "MetricSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let branches = [
            tagged("prometheus", Prometheus::json_schema(generator)),
            tagged("http", Http::json_schema(generator)),
            tagged("fixed", Fixed::json_schema(generator)),
            tagged("file", File::json_schema(generator)),
        ];
        json_schema!({"oneOf": branches})
    }
}

/// Adds `type:`.
fn tagged(kind: &str, mut schema: Schema) -> Value {
    let object = schema.ensure_object();
    let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(properties) = properties {
        let kind = serde_json::json!({"const": kind, "description": "The type of the source."});
        properties.insert("type".to_owned(), kind);
    }
    let required = object.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(required) = required {
        required.push("type".into());
    }
    schema.to_value()
}

/// A Prometheus server, or what speaks its HTTP API. Signals of it have a `query`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Prometheus {
    /// Its address, without `/api/v1`. No credentials inside.
    #[schemars(example = &"https://prometheus.example.com")]
    pub(super) url: String,
    /// A bearer token.
    pub(super) token_ref: Option<SecretRefText>,
    /// A user name, with `passwordRef`.
    pub(super) username: Option<String>,
    /// A password, with `username`.
    pub(super) password_ref: Option<SecretRefText>,
    /// Headers sent with every request, as for a tenant. No secrets.
    #[schemars(example = serde_json::json!({"X-Scope-OrgID": "shop"}))]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are secrets.
    #[schemars(example = serde_json::json!({"X-Api-Key": "env/METRICS_API_KEY"}))]
    pub(super) header_refs: Option<BTreeMap<String, SecretRefText>>,
    /// PEM file with certificate authorities to trust besides the system's.
    #[schemars(length(min = 1))]
    pub(super) ca_file: Option<String>,
    /// Time for one answer, at most `interval`. Default: `5s`.
    pub(super) timeout: Option<DurationText>,
    /// Queries at once, from 1 to 100. Default: 8.
    #[schemars(range(min = 1, max = 100))]
    pub(super) concurrency: Option<u32>,
}

/// A JSON document that a server gives. Signals of it name a `metric`: a key of `metrics`, or a JSON pointer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Http {
    /// Where the document is. No credentials inside.
    #[schemars(example = &"http://127.0.0.1:8222/varz")]
    pub(super) url: String,
    /// JSON pointer (RFC 6901) to the number, for signals that name no metric.
    #[schemars(example = &"/queue/depth")]
    pub(super) pointer: Option<String>,
    /// JSON pointers by name. When there are any, signals can name no others.
    #[schemars(example = serde_json::json!({"depth": "/queue/depth"}))]
    pub(super) metrics: Option<BTreeMap<String, String>>,
    /// JSON pointer to the time of the numbers: seconds or milliseconds since 1970, or RFC 3339. Default: the
    /// time of the answer.
    #[schemars(example = &"/measuredAt")]
    pub(super) timestamp_pointer: Option<String>,
    /// A bearer token.
    pub(super) token_ref: Option<SecretRefText>,
    /// A user name, with `passwordRef`.
    pub(super) username: Option<String>,
    /// A password, with `username`.
    pub(super) password_ref: Option<SecretRefText>,
    /// Headers sent with every request. No secrets.
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are secrets.
    pub(super) header_refs: Option<BTreeMap<String, SecretRefText>>,
    /// PEM file with certificate authorities to trust besides the system's.
    #[schemars(length(min = 1))]
    pub(super) ca_file: Option<String>,
    /// Time for one answer, at most `interval`. Default: `5s`.
    pub(super) timeout: Option<DurationText>,
    /// Questions at once, from 1 to 100. Default: 8.
    #[schemars(range(min = 1, max = 100))]
    pub(super) concurrency: Option<u32>,
}

/// Numbers from this file, always fresh: for trying out a policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Fixed {
    /// The numbers, by metric.
    #[schemars(extend("minProperties" = 1), example = serde_json::json!({"requestsPerSecond": 120}))]
    pub(super) values: BTreeMap<String, f64>,
}

/// A file that a script writes, read again for every sample: JSON (`{"depth": 12}` or
/// `{"depth": {"value": 12, "at": 1795226784}}`), or lines of `name value [time]`. Without a time, a number is
/// as old as the last change of the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    /// The file.
    #[schemars(length(min = 1), example = &"/var/lib/tidegate/metrics.txt")]
    pub(super) path: String,
    /// Time for one reading, at most `interval`. Default: `5s`.
    pub(super) timeout: Option<DurationText>,
}
