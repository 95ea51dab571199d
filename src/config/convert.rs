//! The raw configuration to the typed one, with what its parts mean together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::forge;
use super::metrics;
use super::providers;
use super::raw;
use super::url::{Transport, transport};
use super::{Config, Credentials, Defaults, Repository, SecretRef, Status, codes};
use crate::model::{
    OwnerId, Prices, ProviderName, SecretName, Severity, format_duration, parse_duration,
};
use crate::spec::codes as shared;
use crate::spec::findings::{Findings, Part};
use crate::spec::raw::texts::{DurationText, Name};
use crate::spec::suggest::help_of;
use crate::spec::violations::escape;

/// Time between two looks at the repository: soon enough after a merge, and four requests a minute.
pub(super) const POLL_INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// Time between decisions.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// Time over which status changes are gathered into one commit.
const BATCH_DEFAULT: Duration = Duration::from_secs(10);
/// The shortest of the times above: more often is an attack on one's own servers.
const INTERVAL_LEAST: Duration = Duration::from_secs(1);

/// The configuration, if enough of it can be read.
pub(super) fn config(value: &Value, findings: &mut Findings<'_>) -> Option<Config> {
    let raw = match raw::Document::deserialize(value) {
        Ok(raw) => raw,
        Err(_) if findings.len() > 0 => return None,
        Err(_) => {
            // The schema accepted what the types do not: it must not pass for a valid file.
            let message = "the configuration cannot be read";
            let help = "compare it with the schema: `tidegate schema config`".to_owned();
            findings.error(shared::WRONG_TYPE, "", message, help);
            return None;
        }
    };
    let repository = repository(&raw.repository, findings);
    let status = status(raw.status.as_ref(), &repository, findings);
    let forge = raw.forge.as_ref().and_then(|raw| forge::read(raw, &repository, findings));
    let api = forge::api(raw.api.as_ref(), findings);
    let providers = providers::read(raw.providers.as_ref().unwrap_or(&BTreeMap::new()), findings);
    let names: Vec<&str> = raw.providers.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let defaults = raw.defaults.as_ref();
    let mut default = |key: &str, name: Option<&Name>| {
        let name = name?;
        known_provider(&name.0, &names, &format!("/defaults/{key}"), Part::Value, findings);
        ProviderName::try_from(name.0.as_str()).ok()
    };
    let defaults = Defaults {
        infra: default("infra", defaults.and_then(|defaults| defaults.infra.as_ref())),
        local: default("local", defaults.and_then(|defaults| defaults.local.as_ref())),
    };
    let secrets = raw.secrets.iter().flatten().filter_map(|(name, reference)| {
        let at = format!("/secrets/{}", escape(name));
        let reference = secret_ref(&reference.0, &at, findings)?;
        Some((SecretName::try_from(name.as_str()).ok()?, reference))
    });
    let secrets = secrets.collect();
    let interval = interval(raw.interval.as_ref(), INTERVAL_DEFAULT, "/interval", findings);
    let metrics =
        metrics::read(raw.metrics.as_ref().unwrap_or(&BTreeMap::new()), interval, findings);
    Some(Config {
        repository,
        status,
        defaults,
        providers,
        metrics,
        secrets,
        prices: prices(raw.prices.as_ref(), &names, findings),
        interval,
        dry_run: raw.dry_run.unwrap_or(false),
        store: super::store::read(raw.store.as_ref(), findings),
        state_dir: PathBuf::from(raw.state_dir.as_deref().unwrap_or("/var/lib/tidegate")),
        forge,
        api,
        owner: raw.owner.and_then(|owner| OwnerId::try_from(owner.0).ok()),
    })
}

fn repository(raw: &raw::Repository, findings: &mut Findings<'_>) -> Repository {
    let transport = transport(&raw.url).unwrap_or_else(|bad| {
        findings.error(bad.code, "/repository/url", bad.message, bad.help.to_owned());
        Transport::Path
    });
    let path = raw.path.as_deref().unwrap_or("controller");
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let is_odd = |part: &str| matches!(part, "" | "." | ".." | ".git");
    if path != "." && (path.contains('\\') || path.split('/').any(is_odd)) {
        findings.error(
            codes::BAD_PATH,
            "/repository/path",
            "`path` must be a folder inside the repository",
            "write it as in `controller`, without `..` and without a leading `/`".to_owned(),
        );
    }
    let proxy = raw.proxy.clone();
    // An address of a proxy needs no scheme, and no valid one has an `@`.
    if proxy.as_deref().is_some_and(|proxy| proxy.contains('@')) {
        findings.error(
            codes::SECRET_IN_URL,
            "/repository/proxy",
            "the address holds a user name or a password",
            "remove it from the address".to_owned(),
        );
    }
    if let Some(verify) = &raw.verify
        && !matches!(verify.mode, None | Some(raw::VerifyMode::Off))
    {
        unsupported("/repository/verify/mode", "signatures are not verified", findings);
    } else if raw.verify.as_ref().is_some_and(raw::Verify::expects_signatures) {
        let at = "/repository/verify/allowedSigners";
        unsupported(at, "signatures are not verified", findings);
    }
    let credentials = raw.credentials.as_ref();
    Repository {
        url: raw.url.clone(),
        transport,
        branch: raw.branch.as_ref().map_or_else(|| "main".to_owned(), |b| b.0.clone()),
        path: path.to_owned(),
        poll_interval: interval(
            raw.poll_interval.as_ref(),
            POLL_INTERVAL_DEFAULT,
            "/repository/pollInterval",
            findings,
        ),
        credentials: credentials.and_then(|credentials| {
            self::credentials(credentials, transport, "/repository/credentials", findings)
        }),
        ca_file: raw.ca_file.as_ref().map(PathBuf::from),
        proxy,
    }
}

/// A key that must not be ignored: the operator counts on what it asks for.
fn unsupported(at: &str, what: &str, findings: &mut Findings<'_>) {
    let message = format!("{what} by this version, and going on without would be unsafe");
    findings.error(codes::UNSUPPORTED_KEY, at, message, "remove it".to_owned());
}

fn status(
    raw: Option<&raw::Status>,
    repository: &Repository,
    findings: &mut Findings<'_>,
) -> Status {
    let branch = raw.and_then(|raw| raw.branch.as_ref());
    let branch = branch.map_or_else(|| "tidegate/status".to_owned(), |branch| branch.0.clone());
    let inside = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    let (spec, same) = (repository.branch.as_str(), branch == repository.branch);
    if same || inside(&branch, spec) || inside(spec, &branch) {
        let at = if raw.is_some_and(|raw| raw.branch.is_some()) {
            "/status/branch"
        } else {
            "/repository/branch"
        };
        findings.error(
            codes::SAME_BRANCH,
            at,
            if same {
                format!("`{branch}` is both the branch of the spec and the status branch")
            } else {
                format!(
                    "the branch of the spec, `{spec}`, and the status branch, `{branch}`, cannot \
                     both exist: git takes one for a folder of the other"
                )
            },
            "choose another for the status, as in `tidegate/status`".to_owned(),
        );
    }
    let author = raw.and_then(|raw| raw.author.as_ref());
    let credentials = raw.and_then(|raw| raw.credentials.as_ref());
    Status {
        branch,
        batch: raw
            .and_then(|raw| raw.batch.as_ref())
            .and_then(|batch| parse_duration(&batch.0).ok())
            .unwrap_or(BATCH_DEFAULT),
        author_name: author
            .and_then(|author| author.name.clone())
            .unwrap_or_else(|| "Tidegate".to_owned()),
        author_email: author
            .and_then(|author| author.email.as_ref())
            .map_or_else(|| "tidegate@localhost".to_owned(), |email| email.0.clone()),
        credentials: credentials.and_then(|credentials| {
            self::credentials(credentials, repository.transport, "/status/credentials", findings)
        }),
    }
}

fn credentials(
    raw: &raw::Credentials,
    transport: Transport,
    at: &str,
    findings: &mut Findings<'_>,
) -> Option<Credentials> {
    let forms = [
        ("tokenRef", raw.token_ref.is_some()),
        ("username", raw.username.is_some() || raw.password_ref.is_some()),
        ("sshKeyRef", raw.ssh_key_ref.is_some() || raw.known_hosts.is_some()),
        ("githubApp", raw.github_app.is_some()),
    ];
    let present: Vec<&str> =
        forms.iter().filter(|(_, is_present)| *is_present).map(|(key, _)| *key).collect();
    let key = match present.as_slice() {
        [] => {
            missing(at, "one of `tokenRef`, `username` and `sshKeyRef`", findings);
            return None;
        }
        [key] => *key,
        [first, second, ..] => {
            findings.at(
                Severity::Error,
                shared::CONFLICTING_KEYS,
                at,
                Part::Key,
                format!("`{first}` and `{second}` exclude each other"),
                Some("keep one of them".to_owned()),
            );
            return None;
        }
    };
    let fits = match key {
        "githubApp" => {
            unsupported(&format!("{at}/githubApp"), "GitHub Apps are not supported", findings);
            return None;
        }
        "sshKeyRef" => transport == Transport::Ssh,
        _ => transport == Transport::Http,
    };
    if !fits && transport != Transport::Path {
        let (is, other) = match transport {
            Transport::Ssh => ("ssh", "`sshKeyRef` with `knownHosts`"),
            Transport::Http | Transport::Path => ("https", "`tokenRef`, or `username`"),
        };
        findings.at(
            Severity::Error,
            codes::WRONG_CREDENTIALS,
            &format!("{at}/{key}"),
            Part::Key,
            format!("the repository's address is {is}, and `{key}` is not for it"),
            Some(format!("use {other}")),
        );
    }
    let mut reference = |key: &str, text: Option<&super::formats::SecretRefText>| match text {
        Some(text) => secret_ref(&text.0, &format!("{at}/{key}"), findings),
        None => {
            missing(at, &format!("`{key}`"), findings);
            None
        }
    };
    match key {
        "tokenRef" => reference("tokenRef", raw.token_ref.as_ref()).map(Credentials::Token),
        "username" => {
            let password = reference("passwordRef", raw.password_ref.as_ref())?;
            match &raw.username {
                Some(username) => Some(Credentials::Basic { username: username.clone(), password }),
                None => {
                    missing(at, "`username`", findings);
                    None
                }
            }
        }
        _ => {
            let key = reference("sshKeyRef", raw.ssh_key_ref.as_ref())?;
            match &raw.known_hosts {
                Some(file) => Some(Credentials::SshKey { key, known_hosts: PathBuf::from(file) }),
                None => {
                    missing(at, "`knownHosts`", findings);
                    None
                }
            }
        }
    }
}

fn missing(at: &str, what: &str, findings: &mut Findings<'_>) {
    findings.at(
        Severity::Error,
        shared::MISSING_KEY,
        at,
        Part::Key,
        format!("{what} is missing in `credentials`"),
        Some("write `{tokenRef: env/NAME}`, `{username:, passwordRef:}` or `{sshKeyRef:, knownHosts:}`".to_owned()),
    );
}

/// A reference; the schema reported what is not one.
pub(super) fn secret_ref(text: &str, at: &str, findings: &mut Findings<'_>) -> Option<SecretRef> {
    let reference = SecretRef::parse(text).ok()?;
    if matches!(reference, SecretRef::Vault { .. }) {
        findings.at(
            Severity::Warning,
            codes::UNSUPPORTED_KEY,
            at,
            Part::Value,
            "`vault/` references cannot be resolved by this version".to_owned(),
            Some("use `env/NAME` or `file/PATH` for what services need now".to_owned()),
        );
    }
    Some(reference)
}

fn known_provider(name: &str, names: &[&str], at: &str, part: Part, findings: &mut Findings<'_>) {
    if names.contains(&name) {
        return;
    }
    let help = help_of(name, names, "the providers are");
    let help = help.or_else(|| Some("add it under `providers:`".to_owned()));
    let message = format!("there is no provider `{name}`");
    findings.at(Severity::Error, shared::UNKNOWN_PROVIDER, at, part, message, help);
}

fn prices(raw: Option<&raw::Prices>, names: &[&str], findings: &mut Findings<'_>) -> Prices {
    let currency = raw.and_then(|raw| raw.currency.as_ref());
    let mut prices = Prices {
        currency: currency.map_or_else(|| "USD".to_owned(), |currency| currency.0.clone()),
        default: None,
        per_replica_hour: BTreeMap::new(),
    };
    let Some(table) = raw.and_then(|raw| raw.per_replica_hour.as_ref()) else { return prices };
    for (name, price) in table {
        if name == "default" {
            prices.default = Some(*price);
            continue;
        }
        let at = format!("/prices/perReplicaHour/{}", escape(name));
        known_provider(name, names, &at, Part::Key, findings);
        if let Ok(name) = ProviderName::try_from(name.as_str()) {
            prices.per_replica_hour.insert(name, *price);
        }
    }
    prices
}

pub(super) fn interval(
    raw: Option<&DurationText>,
    default: Duration,
    at: &str,
    findings: &mut Findings<'_>,
) -> Duration {
    let Some(duration) = raw.and_then(|raw| parse_duration(&raw.0).ok()) else { return default };
    if duration < INTERVAL_LEAST {
        let message = format!(
            "{} is too short; it must be at least {}",
            format_duration(duration),
            format_duration(INTERVAL_LEAST)
        );
        findings.error(shared::OUT_OF_RANGE, at, message, None);
    }
    duration
}
