//! Where a Docker host is and how it is spoken to: text of the configuration -> [`Endpoint`] -> client.
//! Parsing does no I/O; [`Endpoint::connect`] reads TLS files but sends nothing.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use super::config::{DockerConfig, DockerTls};

/// Address on which ports are published unless the configuration says another: reachable from this
/// machine only.
pub(super) const BIND_DEFAULT: &str = "127.0.0.1";

/// One Docker host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A socket file on this machine.
    Unix {
        /// Path of the socket.
        path: String,
    },
    /// TCP without TLS.
    Plain {
        /// `host:port`.
        address: String,
    },
    /// TCP with TLS and a client certificate.
    Tls {
        /// `host:port`.
        address: String,
        /// Certificates and key.
        files: DockerTls,
    },
}

/// Why a host of the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `unix://` with a path nor `tcp://` with host and port.
    #[error(
        "use Docker host `{host}` of region `{region}`: write `unix:///path/to/docker.sock` or \
         `tcp://host:port`"
    )]
    Malformed {
        /// The region.
        region: String,
        /// As written.
        host: String,
    },
    /// Plain TCP to another machine: anybody on the way would own that host.
    #[error(
        "use Docker host `{host}` of region `{region}`: it is another machine and has no entry in \
         `tls`; add one, or list the region in `insecureHosts`"
    )]
    Plaintext {
        /// The region.
        region: String,
        /// As written.
        host: String,
    },
    /// Ports published on the loopback address of another machine cannot be reached from here.
    #[error(
        "use Docker host `{host}` of region `{region}`: it is another machine, so set `bindAddress` to \
         an address of it that this controller reaches, or to `0.0.0.0`"
    )]
    Unreachable {
        /// The region.
        region: String,
        /// As written.
        host: String,
    },
    /// An entry of `tls` or `insecureHosts` that has no `tcp://` host.
    #[error("use `{key}` of region `{region}`: the region has no `tcp://` host in `hosts`")]
    WithoutHost {
        /// `tls` or `insecureHosts`.
        key: &'static str,
        /// The region.
        region: String,
    },
    /// `bindAddress` is no IP address.
    #[error("use bindAddress `{0}`: write an IP address, as in `127.0.0.1`")]
    BindAddress(String),
}

impl Endpoint {
    /// Reads the host of one region.
    pub(super) fn parse(
        config: &DockerConfig,
        region: &str,
        host: &str,
    ) -> Result<Self, EndpointError> {
        let tls = config.tls.get(region);
        let named = || (region.to_owned(), host.to_owned());
        let malformed = || {
            let (region, host) = named();
            EndpointError::Malformed { region, host }
        };
        if let Some(path) = host.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(malformed());
            }
            return Ok(Self::Unix { path: path.to_owned() });
        }
        let address = host.strip_prefix("tcp://").ok_or_else(malformed)?;
        let (name, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        if name.is_empty() || address.contains('/') || port.parse::<u16>().is_err() {
            return Err(malformed());
        }
        let bind = config.bind_address.as_deref().unwrap_or(BIND_DEFAULT);
        if !is_loopback(name) && is_loopback(bind) {
            let (region, host) = named();
            return Err(EndpointError::Unreachable { region, host });
        }
        match tls {
            Some(files) => Ok(Self::Tls { address: address.to_owned(), files: files.clone() }),
            None if is_loopback(name) || config.insecure_hosts.contains(region) => {
                Ok(Self::Plain { address: address.to_owned() })
            }
            None => {
                let (region, host) = named();
                Err(EndpointError::Plaintext { region, host })
            }
        }
    }

    /// Makes a client for it; nothing is sent yet.
    pub(super) fn connect(&self, timeout: Duration) -> Result<Docker, bollard::errors::Error> {
        let seconds = timeout.as_secs();
        match self {
            Self::Unix { path } => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            Self::Plain { address } => {
                Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION)
            }
            Self::Tls { address, files } => {
                choose_cryptography();
                Docker::connect_with_ssl(
                    address,
                    Path::new(&files.key_file),
                    Path::new(&files.cert_file),
                    Path::new(&files.ca_file),
                    seconds,
                    API_DEFAULT_VERSION,
                )
            }
        }
    }

    /// The name under which this controller reaches the host itself.
    pub(super) fn host_name(&self) -> &str {
        match self {
            Self::Unix { .. } => BIND_DEFAULT,
            Self::Plain { address } | Self::Tls { address, .. } => {
                address.rsplit_once(':').map_or(address.as_str(), |(name, _)| name)
            }
        }
    }
}

/// The client library takes the process-wide choice and panics where there is none.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing this race means that somebody else chose meanwhile, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Whether a host name or address can only mean this machine.
fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Checks what is not about one host alone.
pub(super) fn check_across_hosts(config: &DockerConfig) -> Result<(), EndpointError> {
    let is_tcp =
        |region: &String| config.hosts.get(region).is_some_and(|h| h.starts_with("tcp://"));
    let regions_of = [
        ("tls", config.tls.keys().collect::<Vec<_>>()),
        ("insecureHosts", config.insecure_hosts.iter().collect()),
    ];
    for (key, regions) in regions_of {
        if let Some(region) = regions.into_iter().find(|region| !is_tcp(region)) {
            return Err(EndpointError::WithoutHost { key, region: region.clone() });
        }
    }
    if let Some(bind) = &config.bind_address
        && bind.parse::<IpAddr>().is_err()
    {
        return Err(EndpointError::BindAddress(bind.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: serde_json::Value) -> DockerConfig {
        serde_json::from_value(json).unwrap()
    }

    fn verdict(json: serde_json::Value) -> Result<(), String> {
        let config = config(json);
        check_across_hosts(&config).map_err(|e| e.to_string())?;
        for (region, host) in &config.hosts {
            Endpoint::parse(&config, region, host).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        let ok = |json| assert_eq!(verdict(json), Ok(()));
        let bad = |json, part: &str| {
            let error = verdict(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        let files = serde_json::json!({"caFile": "ca", "certFile": "cert", "keyFile": "key"});
        ok(serde_json::json!({"hosts": {"iad": "unix:///var/run/docker.sock"}}));
        ok(
            serde_json::json!({"hosts": {"iad": "tcp://127.0.0.1:2375", "fra": "tcp://[::1]:2375"}}),
        );
        ok(serde_json::json!({
            "hosts": {"iad": "tcp://d.example.com:2376"}, "tls": {"iad": files}, "bindAddress": "0.0.0.0"
        }));
        ok(serde_json::json!({
            "hosts": {"iad": "tcp://10.0.0.7:2375"}, "insecureHosts": ["iad"], "bindAddress": "10.0.0.7"
        }));
        bad(
            serde_json::json!({"hosts": {"iad": "tcp://10.0.0.7:2375"}, "bindAddress": "10.0.0.7"}),
            "has no entry in `tls`",
        );
        bad(
            serde_json::json!({"hosts": {"iad": "tcp://d.example.com:2376"}, "tls": {"iad": files}}),
            "set `bindAddress`",
        );
        bad(serde_json::json!({"hosts": {"iad": "ssh://d.example.com"}}), "write `unix://");
        bad(serde_json::json!({"hosts": {"iad": "tcp://d.example.com"}}), "write `unix://");
        bad(
            serde_json::json!({"hosts": {"iad": "unix:///s"}, "tls": {"fra": files}}),
            "`tls` of region `fra`",
        );
        bad(serde_json::json!({"hosts": {}, "bindAddress": "eth0"}), "an IP address");
    }
}
