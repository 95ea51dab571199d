//! Configuration of the `docker` provider.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Replicas are containers; each region is one Docker host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DockerConfig {
    /// The Docker host of each region: `unix:///var/run/docker.sock` or `tcp://host:2376`.
    pub hosts: BTreeMap<String, String>,
}
