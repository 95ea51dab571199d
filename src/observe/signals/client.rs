//! Asks a server of the configuration: credentials, certificate authorities, limits on time and size. Follows
//! no redirect, because whoever answers with one would be sent the credentials; uses no proxy of the
//! environment, because the address is the operator's.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::config::{Access, SourceAuth};
use super::{Limits, ResolveSecret, SourceError};
use crate::model::Secret;

/// Bytes of an answer that is an error: enough for its reason.
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// Characters of a server's words that are passed on.
const WORDS_CHARS_MAX: usize = 200;
/// How long a connection without a request is kept: over the usual interval, so that a steady rhythm of
/// samples needs no new ones.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Time for a connection; the whole question has a deadline of its own.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// One server.
pub(super) struct Client {
    access: Access,
    connections: Connections<HttpsConnector<HttpConnector>, Full<Bytes>>,
    resolve: ResolveSecret,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("access", &self.access).finish_non_exhaustive()
    }
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// What must not be repeated, in case the server does.
    secrets: Vec<Secret>,
}

impl Client {
    pub(super) fn new(access: &Access, resolve: &ResolveSecret) -> Result<Self, String> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        http.enforce_http(false);
        let is_tls = access.url.to_ascii_lowercase().starts_with("https:");
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_tls, access.ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let connections = Connections::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(access.concurrency)
            .build(connector);
        Ok(Self { access: access.clone(), connections, resolve: Arc::clone(resolve) })
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { timeout: self.access.timeout, concurrency: self.access.concurrency }
    }

    /// Gets what is at the address and a path under it.
    pub(super) async fn get(&self, path: &str, bytes_max: usize) -> Result<Answer, SourceError> {
        self.ask(Method::GET, path, String::new(), bytes_max).await
    }

    /// Sends a form to a path under the address.
    pub(super) async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        bytes_max: usize,
    ) -> Result<Answer, SourceError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path, body, bytes_max).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: String,
        bytes_max: usize,
    ) -> Result<Answer, SourceError> {
        let (headers, secrets) = self.headers().await?;
        let url = format!("{}{path}", self.access.url);
        let request = |body: &Bytes| {
            let mut request =
                Request::builder().method(method.clone()).uri(&url).header(USER_AGENT, "tidegate");
            if !body.is_empty() {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            }
            for (name, value) in &headers {
                request = request.header(name, value);
            }
            request.body(Full::from(body.clone())).map_err(|error| {
                SourceError::failed(format_args!("make a request of the source's `url`: {error}"))
            })
        };
        let body = Bytes::from(body);
        let response = match self.connections.request(request(&body)?).await {
            // A kept connection may have been closed by the server just now; a question may be repeated.
            Err(error) if !error.is_connect() => self.connections.request(request(&body)?).await,
            response => response,
        };
        let response = response.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let bytes_max = if status.is_success() { bytes_max } else { ERROR_BYTES_MAX };
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                SourceError::failed(format_args!("the answer broke off: {}", chain(&error)))
            })?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
            if bytes.len() > bytes_max {
                if !status.is_success() {
                    bytes.truncate(bytes_max);
                    break;
                }
                return Err(SourceError::failed(format_args!(
                    "the answer has over {bytes_max} bytes: ask for less"
                )));
            }
        }
        Ok(Answer { status, body: bytes.into(), secrets })
    }

    /// The headers of the configuration, with the secrets of this moment.
    async fn headers(&self) -> Result<(Vec<(HeaderName, HeaderValue)>, Vec<Secret>), SourceError> {
        let mut headers = Vec::new();
        let mut secrets = Vec::new();
        for (name, value) in &self.access.headers {
            headers.push(header(name, value, false)?);
        }
        for (name, reference) in &self.access.header_refs {
            let secret = self.secret(reference).await?;
            headers.push(header(name, secret.expose(), true)?);
            secrets.push(secret);
        }
        match &self.access.auth {
            None => {}
            Some(SourceAuth::Token(reference)) => {
                let token = self.secret(reference).await?;
                let value = format!("Bearer {}", token.expose());
                headers.push(header(AUTHORIZATION.as_str(), &value, true)?);
                secrets.push(token);
            }
            Some(SourceAuth::Basic { username, password }) => {
                let password = self.secret(password).await?;
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                headers.push(header(AUTHORIZATION.as_str(), &format!("Basic {pair}"), true)?);
                secrets.extend([password, Secret::new(pair)]);
            }
        }
        Ok((headers, secrets))
    }

    /// Read for each request, where a slow file holds up nothing else.
    async fn secret(&self, reference: &str) -> Result<Secret, SourceError> {
        let (resolve, reference) = (Arc::clone(&self.resolve), reference.to_owned());
        tokio::task::spawn_blocking(move || resolve(&reference))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(SourceError::failed)
    }
}

impl Answer {
    /// The body of a good answer, or what the server had against the question.
    pub(super) fn good(self) -> Result<Bytes, SourceError> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.refusal(None)) }
    }

    /// Why a server did not answer; `words` are its own, if it has any that can be read.
    pub(super) fn refusal(&self, words: Option<&str>) -> SourceError {
        let status = self.status.as_u16();
        let said = words.map_or_else(String::new, |words| format!(": {}", self.harmless(words)));
        SourceError::failed(match status {
            300..=399 => {
                format!("the server redirects (status {status}): write its final address as `url`")
            }
            401 | 403 => format!(
                "the server refuses the credentials (status {status}): correct them in the source's configuration"
            ),
            _ => format!("the server answers with status {status}{said}"),
        })
    }

    /// A server's words: one line, cut, without what it must not repeat.
    pub(super) fn harmless(&self, words: &str) -> String {
        let mut words: String =
            words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in &self.secrets {
            words = words.replace(secret.expose(), "<secret>");
        }
        match words.char_indices().nth(WORDS_CHARS_MAX) {
            Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
            None => words,
        }
    }
}

fn header(
    name: &str,
    value: &str,
    is_secret: bool,
) -> Result<(HeaderName, HeaderValue), SourceError> {
    let bad =
        || SourceError::failed(format_args!("the header `{name}` of the source cannot be sent"));
    let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
    value.set_sensitive(is_secret);
    Ok((HeaderName::try_from(name).map_err(|_| bad())?, value))
}

fn unreachable(error: &hyper_util::client::legacy::Error) -> SourceError {
    let causes = error as &dyn std::error::Error;
    if error.is_connect() {
        let cause = innermost(causes);
        return SourceError::failed(format_args!("connect to the server: {cause}"));
    }
    SourceError::failed(format_args!("the server did not answer: {}", chain(causes)))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let texts: Vec<String> = std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect();
    texts.join(": ")
}

/// TLS with the system's authorities and those of a file. For a server without TLS there are none to read.
fn tls(is_needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = ca_file {
        let failed = |what: String| {
            format!("read the authorities of `caFile` in `{}`: {what}", file.display())
        };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed(io::Error::other("there is no certificate in it").to_string()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
