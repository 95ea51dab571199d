//! Configuration of the `docker` provider, as the operator writes it. Reads nothing and connects to
//! nothing: the provider judges the addresses when it is made.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

/// Replicas are containers; each region is one Docker host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DockerConfig {
    /// The Docker host of each region: `unix:///var/run/docker.sock` or `tcp://host:2376`.
    pub hosts: BTreeMap<String, String>,
    /// The TLS files of each region whose host is `tcp://`.
    #[serde(default)]
    pub tls: BTreeMap<String, DockerTls>,
    /// Regions whose `tcp://` host may be spoken to without TLS although it is not this machine. Whoever
    /// can reach such a host owns it.
    #[serde(default)]
    pub insecure_hosts: BTreeSet<String>,
    /// The network containers join; without it the daemon's default. With `host`, replicas share the
    /// host's ports.
    #[serde(default)]
    pub network: Option<String>,
    /// The address of the Docker host on which ports are published, and under which the controller
    /// reaches them; `127.0.0.1` unless given. A host on another machine needs one.
    #[serde(default)]
    pub bind_address: Option<String>,
    /// Whether containers run under the daemon's small init process, which passes signals on and reaps
    /// children.
    #[serde(default = "default_init")]
    pub init: bool,
    /// Logins of image registries, by registry host, as in `registry.example.com` or `docker.io`.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryLogin>,
    /// The proxy in front of the containers.
    #[serde(default)]
    pub proxy: Option<serde_json::Value>,
}

/// TLS with a client certificate, as `dockerd --tlsverify` wants it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DockerTls {
    /// Certificate of the authority that signed the host's certificate, PEM.
    pub ca_file: String,
    /// The controller's client certificate, PEM.
    pub cert_file: String,
    /// The key of the client certificate, PEM.
    pub key_file: String,
}

/// Login of an image registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryLogin {
    /// User name.
    pub username: String,
    /// Where the password is: `env/NAME`, `file/PATH` or `vault/PATH#KEY`.
    pub password_ref: String,
}

fn default_init() -> bool {
    true
}
