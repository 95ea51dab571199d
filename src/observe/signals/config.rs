//! The configuration of metric sources, typed: what `metrics:` of the controller's configuration says once it
//! has been found valid. References to secrets are kept as written, and resolved when they are needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Time for one answer. Longer than any healthy source takes, a third of the usual interval.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Queries at once to one source: enough to hide latency, few enough not to be a burst on a shared server.
pub const CONCURRENCY_DEFAULT: usize = 8;

/// One metric source, by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceConfig {
    /// `type: prometheus`
    Prometheus(Access),
    /// `type: http`
    Http(HttpConfig),
    /// `type: fixed`
    Fixed(BTreeMap<String, f64>),
    /// `type: file`
    File(FileConfig),
}

impl SourceConfig {
    /// How a server is reached, for the types that ask one.
    #[must_use]
    pub fn access(&self) -> Option<&Access> {
        match self {
            Self::Prometheus(access) | Self::Http(HttpConfig { access, .. }) => Some(access),
            Self::Fixed(_) | Self::File(_) => None,
        }
    }

    /// The same, to change it.
    pub fn access_mut(&mut self) -> Option<&mut Access> {
        match self {
            Self::Prometheus(access) | Self::Http(HttpConfig { access, .. }) => Some(access),
            Self::Fixed(_) | Self::File(_) => None,
        }
    }
}

/// How a server is reached and how much it may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its address, without credentials.
    pub url: String,
    /// How to be let in; `None` as anyone.
    pub auth: Option<SourceAuth>,
    /// Headers sent with every request, as for a tenant.
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets, by reference.
    pub header_refs: BTreeMap<String, String>,
    /// PEM file with certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one answer.
    pub timeout: Duration,
    /// Queries at once.
    pub concurrency: usize,
}

/// How to be let into a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceAuth {
    /// A bearer token, by reference.
    Token(String),
    /// A user name and a password.
    Basic {
        /// User name.
        username: String,
        /// The password, by reference.
        password: String,
    },
}

/// A JSON document of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it is.
    pub access: Access,
    /// Where the number is in it (RFC 6901), for signals that name no metric.
    pub pointer: Option<String>,
    /// Where each named metric is in it. When there are any, signals can name no others.
    pub metrics: BTreeMap<String, String>,
    /// Where the time of the numbers is in it.
    pub timestamp_pointer: Option<String>,
}

/// A file that somebody else writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The file.
    pub path: PathBuf,
    /// Time for one reading: the file may be on a disk of the network.
    pub timeout: Duration,
}
