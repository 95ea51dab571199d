//! `tidegate.yaml` as operators write it: the source of its JSON Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::forge::{RawApi, RawForge};
use super::formats::{BranchText, CurrencyText, EmailText, SecretRefText};
use super::metrics::raw::SourceEntry;
use crate::providers::docker::config::DockerConfig;
use crate::providers::process::config::ProcessConfig;
use crate::spec::raw::texts::{DurationText, Label, Name};

/// The controller's own configuration: `tidegate.yaml`. Every credential in it is a reference: `env/NAME`,
/// `file/PATH` or `vault/PATH#KEY`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Document {
    /// The repository with the spec.
    pub(super) repository: Repository,
    /// The branch where status and history are committed.
    pub(super) status: Option<Status>,
    /// The providers of services that name none, by strategy.
    pub(super) defaults: Option<Defaults>,
    /// The providers, by the name that specs use.
    #[schemars(with = "Option<BTreeMap<Name, ProviderEntry>>")]
    pub(super) providers: Option<BTreeMap<String, Map<String, Value>>>,
    /// The secrets that a spec's `secretRef` and `credentialsRef` may name, and where each is kept.
    #[schemars(with = "Option<BTreeMap<Name, SecretRefText>>", example = serde_json::json!({"web/database-url": "env/DATABASE_URL"}))]
    pub(super) secrets: Option<BTreeMap<String, SecretRefText>>,
    /// What replicas cost.
    pub(super) prices: Option<Prices>,
    /// Time between decisions, at least `1s`. Default: `15s`.
    pub(super) interval: Option<DurationText>,
    /// Whether to plan only, and change nothing. Default: false.
    pub(super) dry_run: Option<bool>,
    /// Folder for the mirror and the writer's clone. Default: `/var/lib/tidegate`. A relative path starts
    /// at this file's folder.
    #[schemars(length(min = 1))]
    pub(super) state_dir: Option<String>,
    /// Which controller a replica belongs to: two controllers with different owners never see each other's
    /// replicas. Default: derived from the repository, its branch and path.
    pub(super) owner: Option<Label>,
    /// Pull requests: their plan is a comment, and merging deploys.
    pub(super) forge: Option<RawForge>,
    /// Metric sources, by the name that policies use; `provider` and `proxy` are built in.
    #[schemars(with = "Option<BTreeMap<Name, SourceEntry>>")]
    pub(super) metrics: Option<BTreeMap<String, Map<String, Value>>>,
    /// The HTTP interface.
    pub(super) api: Option<RawApi>,
    /// The store of signals and events.
    pub(super) store: Option<super::store::RawStore>,
}

/// The repository with the spec.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Repository {
    /// Its address: https, ssh (also `user@host:path`), `file://` or a path. http only on this machine. No
    /// credentials inside.
    #[schemars(example = &"https://github.com/acme/infra.git")]
    pub(super) url: String,
    /// The branch. Default: `main`.
    pub(super) branch: Option<BranchText>,
    /// The folder with `spec.yaml`, inside the repository. Default: `controller`.
    #[schemars(length(min = 1))]
    pub(super) path: Option<String>,
    /// Time between two looks at the repository, at least `1s`. Default: `15s`.
    pub(super) poll_interval: Option<DurationText>,
    /// How to be let in. Default: as anyone.
    pub(super) credentials: Option<Credentials>,
    /// PEM file with certificate authorities to trust besides the system's.
    #[schemars(length(min = 1))]
    pub(super) ca_file: Option<String>,
    /// HTTP proxy for https repositories.
    #[schemars(length(min = 1), example = &"http://proxy.example.com:3128")]
    pub(super) proxy: Option<String>,
    /// Signatures that commits must have. This version supports `mode: off` only.
    pub(super) verify: Option<Verify>,
}

/// How to be let into a repository: exactly one of `tokenRef`, `sshKeyRef` with `knownHosts`, `username` with
/// `passwordRef`, and `githubApp`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Credentials {
    /// An access token, for https.
    pub(super) token_ref: Option<SecretRefText>,
    /// A user name, for https, with `passwordRef`.
    pub(super) username: Option<String>,
    /// A password, for https, with `username`.
    pub(super) password_ref: Option<SecretRefText>,
    /// A private key, for ssh, with `knownHosts`.
    pub(super) ssh_key_ref: Option<SecretRefText>,
    /// File with the host keys that the ssh server may have, in the format of `known_hosts`.
    #[schemars(length(min = 1))]
    pub(super) known_hosts: Option<String>,
    /// A GitHub App. Not supported by this version.
    pub(super) github_app: Option<Map<String, Value>>,
}

/// Signatures that commits must have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Verify {
    /// Which commits must be signed. Default: `off`.
    pub(super) mode: Option<VerifyMode>,
    /// File with the keys that may sign.
    pub(super) allowed_signers: Option<String>,
}

impl Verify {
    /// Whether whoever wrote this counts on signatures, although no mode is named.
    pub(super) fn expects_signatures(&self) -> bool {
        self.mode.is_none() && self.allowed_signers.is_some()
    }
}

/// Which commits must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum VerifyMode {
    /// None.
    Off,
    /// The newest. Not supported by this version.
    Head,
}

/// The branch where status and history are committed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Status {
    /// The branch. Default: `tidegate/status`.
    pub(super) branch: Option<BranchText>,
    /// Time over which changes are gathered into one commit. Default: `10s`.
    pub(super) batch: Option<DurationText>,
    /// The author of the commits.
    pub(super) author: Option<Author>,
    /// How to be let in to write. Default: the repository's.
    pub(super) credentials: Option<Credentials>,
}

/// The author of commits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Author {
    /// Name. Default: `Tidegate`.
    #[schemars(regex(pattern = r"^[^<>\r\n]+$"), example = &"Tidegate")]
    pub(super) name: Option<String>,
    /// Address. Default: `tidegate@localhost`.
    pub(super) email: Option<EmailText>,
}

/// The providers of services that name none, by strategy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Defaults {
    /// The provider of services with `strategy: infra`.
    pub(super) infra: Option<Name>,
    /// The provider of services with `strategy: local`.
    pub(super) local: Option<Name>,
}

/// What replicas cost.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Prices {
    /// Currency code, shown beside every amount. Default: `USD`.
    pub(super) currency: Option<CurrencyText>,
    /// Price of a replica for an hour, by provider; `default` is for the others.
    #[schemars(with = "Option<BTreeMap<String, Price>>", example = serde_json::json!({"default": 0.01, "edge": 0.02}))]
    pub(super) per_replica_hour: Option<BTreeMap<String, f64>>,
}

/// A price.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
pub(super) struct Price(#[schemars(range(min = 0.0))] f64);

/// One provider: its type, and the keys of that type.
#[derive(Debug)]
pub(super) struct ProviderEntry;

impl JsonSchema for ProviderEntry {
    fn schema_name() -> Cow<'static, str> {
        "Provider".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let branches = [
            tagged("process", ProcessConfig::json_schema(generator)),
            tagged("docker", DockerConfig::json_schema(generator)),
        ];
        json_schema!({"oneOf": branches})
    }
}

/// Where providers, which know no form of a reference, expect one: as JSON pointers in the schema.
const PROVIDER_SECRETS: &[&str] = &["/$defs/RegistryLogin/properties/passwordRef"];

/// Makes what providers resolve as a reference to a secret one in the schema, too.
pub(super) fn refer_to_secrets(schema: &mut Value) {
    let form = SecretRefText::json_schema(&mut SchemaGenerator::default()).to_value();
    for pointer in PROVIDER_SECRETS {
        if let (Some(Value::Object(place)), Value::Object(form)) =
            (schema.pointer_mut(pointer), &form)
        {
            place.extend(form.clone());
        }
    }
}

/// The types that `type:` of a provider may name.
pub(super) const PROVIDER_TYPES: &[&str] = &[
    "process",
    "docker",
    #[cfg(feature = "testing")]
    "fake",
];

/// Adds the type that only tests have: it is checked, and not published.
#[cfg(feature = "testing")]
pub(super) fn add_fake(schema: &mut Value) {
    let fake = SchemaGenerator::default().into_root_schema_for::<super::FakeConfig>();
    if let Some(Value::Array(branches)) = schema.pointer_mut("/$defs/Provider/oneOf") {
        branches.push(tagged("fake", fake));
    }
}

/// Adds `type:` and the keys that every type accepts.
fn tagged(kind: &str, mut schema: Schema) -> Value {
    let object = schema.ensure_object();
    let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(properties) = properties {
        properties.insert(
            "type".to_owned(),
            serde_json::json!({"const": kind, "description": "The type of the provider."}),
        );
        properties.insert(
            "proxy".to_owned(),
            serde_json::json!({
                "type": "object",
                "description": "The proxy in front of the replicas. Not acted on by this version.",
            }),
        );
    }
    let required = object.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(required) = required {
        required.push("type".into());
    }
    schema.to_value()
}
