//! Configuration of the `process` provider.

use schemars::JsonSchema;
use serde::Deserialize;

/// Replicas are processes on this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProcessConfig {
    /// Folder with one sub-folder per replica: its record, its state and its logs.
    pub dir: String,
    /// Ports to give to replicas, first and last, as in `20000-20999`.
    #[serde(default = "default_ports")]
    pub ports: String,
    /// The one region this host is.
    #[serde(default = "default_region")]
    pub region: String,
}

fn default_ports() -> String {
    "20000-20999".to_owned()
}

fn default_region() -> String {
    "local".to_owned()
}
