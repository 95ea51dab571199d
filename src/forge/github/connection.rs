//! How requests get to GitHub: octocrab makes and sends them, over connections that are made as everywhere
//! else here (TLS by `ring`, the system's authorities or those of a file, the configured proxy and no other).
//! Follows nothing and repeats nothing.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::OptionsError;

/// Time for a connection, a proxy's part included; the whole request has a limit of its own.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept: servers and their balancers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(45);

/// The way to GitHub, made when it is first needed, because octocrab's queue needs a running runtime.
pub(super) struct Connection {
    way: Way,
    octocrab: OnceLock<Octocrab>,
}

enum Way {
    Direct(Connections<HttpsConnector<HttpConnector>, OctoBody>),
    Proxied(Connections<HttpsConnector<Tunnel<HttpConnector>>, OctoBody>),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match &self.way {
            Way::Direct(_) => "direct",
            Way::Proxied(_) => "proxied",
        };
        f.debug_struct("Connection").field("way", &way).finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads the authorities; connects to nothing.
    pub(super) fn new(
        is_tls: bool,
        ca_file: Option<&Path>,
        proxy: Option<&str>,
        kept_max: usize,
    ) -> Result<Self, OptionsError> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        http.set_nodelay(true);
        http.enforce_http(false);
        let secure = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_tls, ca_file)?)
            .https_or_http()
            .enable_http1();
        let mut pool = Connections::builder(TokioExecutor::new());
        pool.pool_idle_timeout(IDLE_MAX).pool_max_idle_per_host(kept_max);
        let way = match proxy {
            None => Way::Direct(pool.build(secure.wrap_connector(http))),
            Some(proxy) => Way::Proxied(pool.build(secure.wrap_connector(tunnel(proxy, http)?))),
        };
        Ok(Self { way, octocrab: OnceLock::new() })
    }

    /// The client. To be called in a runtime.
    pub(super) fn octocrab(&self) -> &Octocrab {
        self.octocrab.get_or_init(|| {
            let builder = OctocrabBuilder::new_empty();
            // Credentials are added to each request by our side, because an App's change every hour.
            let built = match &self.way {
                Way::Direct(way) => {
                    builder.with_service(way.clone()).with_auth(AuthState::None).build()
                }
                Way::Proxied(way) => {
                    builder.with_service(way.clone()).with_auth(AuthState::None).build()
                }
            };
            match built {
                Ok(octocrab) => octocrab,
                Err(never) => match never {},
            }
        })
    }
}

/// Through a proxy every connection is a tunnel (`CONNECT`), so that the proxy sees no request.
fn tunnel(proxy: &str, http: HttpConnector) -> Result<Tunnel<HttpConnector>, OptionsError> {
    let uri: Uri = proxy.parse().map_err(|_| OptionsError::Proxy)?;
    let authority = uri.authority().ok_or(OptionsError::Proxy)?;
    if uri.scheme_str() != Some("http") {
        return Err(OptionsError::Proxy);
    }
    let Some((user, place)) = authority.as_str().rsplit_once('@') else {
        return Ok(Tunnel::new(uri, http));
    };
    let user: String = percent_decoded(user);
    let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))
        .map_err(|_| OptionsError::Proxy)?;
    header.set_sensitive(true);
    let uri: Uri = format!("http://{place}").parse().map_err(|_| OptionsError::Proxy)?;
    Ok(Tunnel::new(uri, http).with_auth(header))
}

fn percent_decoded(text: &str) -> String {
    // A form's field is decoded alike, but for its spaces.
    let field = text.replace('+', "%2B");
    form_urlencoded::parse(format!("x={}", field.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// TLS with the system's authorities and those of a file. For a server without TLS there are none to read.
fn tls(is_needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig, OptionsError> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = ca_file {
        let failed = |detail: String| OptionsError::CaFile { file: file.to_path_buf(), detail };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("there is no certificate in it".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionsError::Tls { detail: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
