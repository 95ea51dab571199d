//! The `metrics` of the configuration: each source by its type.

pub(super) mod raw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::codes;
use super::convert::secret_ref;
use super::formats::SecretRefText;
use super::url::{BadUrl, web};
use crate::model::{
    SOURCE_PROVIDER, SOURCE_PROXY, Severity, SourceName, format_duration, parse_duration,
};
use crate::observe::signals::config::{
    Access, CONCURRENCY_DEFAULT, FileConfig, HttpConfig, SourceAuth, SourceConfig, TIMEOUT_DEFAULT,
};
use crate::spec::codes as shared;
use crate::spec::findings::{Findings, Part};
use crate::spec::raw::texts::DurationText;
use crate::spec::violations::escape;

/// Names of headers that carry secrets, in lower case, or parts of such names.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "token", "secret", "password", "key"];

/// The entries that can be read; the schema reported the others. `interval` is the time between decisions.
pub(super) fn read(
    raw: &BTreeMap<String, Map<String, Value>>,
    interval: Duration,
    findings: &mut Findings<'_>,
) -> BTreeMap<SourceName, SourceConfig> {
    let mut sources = BTreeMap::new();
    for (name, entry) in raw {
        let at = format!("/metrics/{}", escape(name));
        if matches!(name.as_str(), SOURCE_PROVIDER | SOURCE_PROXY) {
            findings.at(
                Severity::Error,
                codes::RESERVED_NAME,
                &at,
                Part::Key,
                format!("`{name}` is the name of a built-in metric source"),
                Some("give yours another name".to_owned()),
            );
        }
        let Ok(name) = SourceName::try_from(name.as_str()) else { continue };
        let mut entry = entry.clone();
        let kind = entry.remove("type");
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        let mut reader = Reader { at: &at, interval, findings };
        if let Some(source) = reader.one(kind, Value::Object(entry)) {
            sources.insert(name, source);
        } else if findings.len() == 0 {
            // The schema accepted what the types do not: it must not pass for a valid entry.
            let message = "this metric source cannot be read";
            let help = format!("the types are {}", raw::TYPES.join(", "));
            findings.error(shared::WRONG_TYPE, &at, message, help);
        }
    }
    sources
}

/// The keys of a server, whatever its type.
struct Server {
    url: String,
    token_ref: Option<SecretRefText>,
    username: Option<String>,
    password_ref: Option<SecretRefText>,
    headers: Option<BTreeMap<String, String>>,
    header_refs: Option<BTreeMap<String, SecretRefText>>,
    ca_file: Option<String>,
    timeout: Option<DurationText>,
    concurrency: Option<u32>,
}

struct Reader<'a, 'f> {
    at: &'a str,
    interval: Duration,
    findings: &'a mut Findings<'f>,
}

impl Reader<'_, '_> {
    fn one(&mut self, kind: &str, entry: Value) -> Option<SourceConfig> {
        Some(match kind {
            "prometheus" => {
                let raw = raw::Prometheus::deserialize(entry).ok()?;
                if raw.url.contains(['?', '#']) {
                    let message =
                        "the address has a query or a fragment, and paths are added to it";
                    self.error(codes::BAD_URL, "url", message, "remove it from the address");
                }
                let mut access = self.access(Server {
                    url: raw.url,
                    token_ref: raw.token_ref,
                    username: raw.username,
                    password_ref: raw.password_ref,
                    headers: raw.headers,
                    header_refs: raw.header_refs,
                    ca_file: raw.ca_file,
                    timeout: raw.timeout,
                    concurrency: raw.concurrency,
                });
                let url = access.url.trim_end_matches('/').trim_end_matches("/api/v1");
                access.url = url.to_owned();
                SourceConfig::Prometheus(access)
            }
            "http" => {
                let raw = raw::Http::deserialize(entry).ok()?;
                let named = raw.metrics.iter().flatten();
                let pointers =
                    [("pointer", &raw.pointer), ("timestampPointer", &raw.timestamp_pointer)];
                let pointers =
                    pointers.into_iter().filter_map(|(key, p)| Some((key.to_owned(), p.as_ref()?)));
                let named = named.map(|(name, p)| (format!("metrics/{}", escape(name)), p));
                for (key, pointer) in pointers.chain(named).collect::<Vec<_>>() {
                    self.pointer(&key, pointer);
                }
                SourceConfig::Http(HttpConfig {
                    pointer: raw.pointer,
                    metrics: raw.metrics.unwrap_or_default(),
                    timestamp_pointer: raw.timestamp_pointer,
                    access: self.access(Server {
                        url: raw.url,
                        token_ref: raw.token_ref,
                        username: raw.username,
                        password_ref: raw.password_ref,
                        headers: raw.headers,
                        header_refs: raw.header_refs,
                        ca_file: raw.ca_file,
                        timeout: raw.timeout,
                        concurrency: raw.concurrency,
                    }),
                })
            }
            "fixed" => SourceConfig::Fixed(raw::Fixed::deserialize(entry).ok()?.values),
            "file" => {
                let raw = raw::File::deserialize(entry).ok()?;
                let timeout = self.timeout(raw.timeout.as_ref());
                SourceConfig::File(FileConfig { path: PathBuf::from(raw.path), timeout })
            }
            _ => return None,
        })
    }

    fn access(&mut self, raw: Server) -> Access {
        let auth = self.auth(&raw);
        self.headers(raw.headers.as_ref());
        let header_refs: BTreeMap<String, String> = raw
            .header_refs
            .iter()
            .flatten()
            .filter_map(|(name, reference)| {
                let at = format!("{}/headerRefs/{}", self.at, escape(name));
                self.header_name(name, &format!("headerRefs/{}", escape(name)));
                Some((name.clone(), secret_ref(&reference.0, &at, self.findings)?.to_string()))
            })
            .collect();
        let sends_secrets = auth.is_some() || !header_refs.is_empty();
        if let Err(BadUrl { code, message, help }) = web(&raw.url, sends_secrets) {
            self.error(code, "url", message, help);
        }
        Access {
            url: raw.url,
            auth,
            headers: raw.headers.unwrap_or_default(),
            header_refs,
            ca_file: raw.ca_file.map(PathBuf::from),
            timeout: self.timeout(raw.timeout.as_ref()),
            concurrency: raw.concurrency.map_or(CONCURRENCY_DEFAULT, |count| count as usize),
        }
    }

    fn auth(&mut self, raw: &Server) -> Option<SourceAuth> {
        let reference = |key: &str, text: &SecretRefText, findings: &mut Findings<'_>| {
            let at = format!("{}/{key}", self.at);
            secret_ref(&text.0, &at, findings).map(|reference| reference.to_string())
        };
        match (&raw.token_ref, &raw.username, &raw.password_ref) {
            (None, None, None) => None,
            (Some(token), None, None) => {
                Some(SourceAuth::Token(reference("tokenRef", token, self.findings)?))
            }
            (None, Some(username), Some(password)) => Some(SourceAuth::Basic {
                username: username.clone(),
                password: reference("passwordRef", password, self.findings)?,
            }),
            (Some(_), _, _) => {
                let other = if raw.username.is_some() { "username" } else { "passwordRef" };
                let message = format!("`tokenRef` and `{other}` exclude each other");
                self.at(
                    shared::CONFLICTING_KEYS,
                    "tokenRef",
                    Part::Key,
                    message,
                    "keep one of them",
                );
                None
            }
            (None, username, _) => {
                let (there, missing) = if username.is_some() {
                    ("username", "passwordRef")
                } else {
                    ("passwordRef", "username")
                };
                let message = format!("`{missing}` is missing beside `{there}`");
                self.at(shared::MISSING_KEY, there, Part::Key, message, "write both, or neither");
                None
            }
        }
    }

    fn headers(&mut self, headers: Option<&BTreeMap<String, String>>) {
        for (name, value) in headers.into_iter().flatten() {
            let key = format!("headers/{}", escape(name));
            self.header_name(name, &key);
            let lower = name.to_ascii_lowercase();
            if SECRET_HEADERS.iter().any(|word| lower.contains(word)) {
                let message =
                    format!("the header `{name}` sounds like a secret, and this file holds none");
                let help = "name it under `headerRefs` with a reference, or use `tokenRef`";
                self.at(codes::SECRET_HEADER, &key, Part::Value, message, help);
            } else if value.chars().any(char::is_control) {
                let message = format!("the header `{name}` has a control character in its value");
                self.at(codes::BAD_HEADER, &key, Part::Value, message, "remove it");
            }
        }
    }

    /// RFC 9110, section 5.6.2.
    fn header_name(&mut self, name: &str, key: &str) {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            let message = format!("`{name}` is not the name of a header");
            self.at(codes::BAD_HEADER, key, Part::Key, message, "use letters, digits and dashes");
        }
    }

    /// RFC 6901, section 3.
    fn pointer(&mut self, key: &str, pointer: &str) {
        let is_escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
        if (!pointer.is_empty() && !pointer.starts_with('/'))
            || !pointer.split('~').skip(1).all(is_escaped)
        {
            let message = format!("`{pointer}` is not a JSON pointer");
            let help = "write the keys from the top, each after a `/`, as in `/queue/depth`; `~` is `~0` and `/` is `~1`";
            self.at(codes::BAD_POINTER, key, Part::Value, message, help);
        }
    }

    fn timeout(&mut self, raw: Option<&DurationText>) -> Duration {
        let Some(timeout) = raw.and_then(|raw| parse_duration(&raw.0).ok()) else {
            return TIMEOUT_DEFAULT.min(self.interval);
        };
        if timeout.is_zero() || timeout > self.interval {
            let message = format!(
                "`timeout` is {}; it must be over zero and at most `interval`, {}",
                format_duration(timeout),
                format_duration(self.interval)
            );
            self.at(shared::OUT_OF_RANGE, "timeout", Part::Value, message, "shorten it");
        }
        timeout
    }

    fn error(&mut self, code: crate::model::Code, key: &str, message: &str, help: &str) {
        self.at(code, key, Part::Value, message.to_owned(), help);
    }

    fn at(&mut self, code: crate::model::Code, key: &str, part: Part, message: String, help: &str) {
        let at = format!("{}/{key}", self.at);
        self.findings.at(Severity::Error, code, &at, part, message, Some(help.to_owned()));
    }
}
