//! Configuration of the `process` provider.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{IdError, Region};

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
    /// The working folder of every replica. Without it each replica has an empty one of its own.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Bytes after which a log file is rotated, once per stream: a replica's logs take at most four
    /// times this.
    #[serde(default = "default_log_bytes_max")]
    pub log_bytes_max: u64,
}

/// Bytes of one log file: a day of a quiet service, an hour of a loud one.
const LOG_BYTES_MAX_DEFAULT: u64 = 10 * 1024 * 1024;
/// Below this a log file holds too few lines to explain a crash.
const LOG_BYTES_MAX_LEAST: u64 = 16 * 1024;

fn default_ports() -> String {
    "20000-20999".to_owned()
}

fn default_region() -> String {
    "local".to_owned()
}

fn default_log_bytes_max() -> u64 {
    LOG_BYTES_MAX_DEFAULT
}

/// Why a `process` provider cannot be made from its configuration. Displays as a fragment that names the
/// key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `dir` is empty.
    #[error("`dir` is empty: name a folder for records and logs, as in `/var/lib/tidegate/host`")]
    EmptyDir,
    /// `dir` or `cwd` cannot be made absolute.
    #[error("cannot make `{path}` an absolute path")]
    RelativePath {
        /// The path as configured.
        path: String,
        /// What happened.
        source: std::io::Error,
    },
    /// `ports` is not a range.
    #[error(
        "`ports: {0}` is not a range: write first and last port from 1 to 65535, as in `20000-20999`"
    )]
    Ports(String),
    /// `region` is not a region name.
    #[error("`region` is not a region name")]
    Region(#[source] IdError),
    /// `logBytesMax` is too small.
    #[error(
        "`logBytesMax: {0}` is too small: at least {LOG_BYTES_MAX_LEAST} bytes are needed to hold a crash"
    )]
    LogBytesMax(u64),
}

/// The configuration, read into the types that the provider works with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Absolute.
    pub(super) dir: PathBuf,
    /// First to last.
    pub(super) ports: RangeInclusive<u16>,
    pub(super) region: Region,
    /// Absolute.
    pub(super) cwd: Option<PathBuf>,
    pub(super) log_bytes_max: u64,
}

impl Settings {
    pub(super) fn new(config: &ProcessConfig) -> Result<Self, ConfigError> {
        if config.dir.is_empty() {
            return Err(ConfigError::EmptyDir);
        }
        if config.log_bytes_max < LOG_BYTES_MAX_LEAST {
            return Err(ConfigError::LogBytesMax(config.log_bytes_max));
        }
        Ok(Self {
            dir: absolute(&config.dir)?,
            ports: port_range(&config.ports)
                .ok_or_else(|| ConfigError::Ports(config.ports.clone()))?,
            region: Region::try_from(config.region.as_str()).map_err(ConfigError::Region)?,
            cwd: config.cwd.as_deref().map(absolute).transpose()?,
            log_bytes_max: config.log_bytes_max,
        })
    }
}

fn absolute(path: &str) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path)
        .map_err(|source| ConfigError::RelativePath { path: path.to_owned(), source })
}

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let first: u16 = first.trim().parse().ok()?;
    let last: u16 = last.trim().parse().ok()?;
    (first > 0 && first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_has_a_first_and_a_last_port() {
        assert_eq!(port_range("20000-20999"), Some(20000..=20999));
        assert_eq!(port_range("8080 - 8080"), Some(8080..=8080));
        for bad in ["", "8080", "0-10", "10-9", "1-65536", "a-b", "-"] {
            assert_eq!(port_range(bad), None, "{bad}");
        }
    }
}
