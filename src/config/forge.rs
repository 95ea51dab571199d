//! The `forge` and `api` of the configuration: where pull requests are, how they are planned, and where
//! webhooks arrive.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::convert::{POLL_INTERVAL_DEFAULT, interval, secret_ref};
use super::formats::SecretRefText;
use super::url::web;
use super::{Repository, SecretRef, codes};
use crate::spec::codes as shared;
use crate::spec::findings::{Findings, Part};
use crate::spec::raw::texts::DurationText;

/// Where webhooks arrive unless said otherwise: this machine only.
const LISTEN_DEFAULT: &str = "127.0.0.1:4400";
/// Open pull requests that are planned unless said otherwise.
const MAX_OPEN_DEFAULT: u32 = 100;

/// Where pull requests are, and how they are planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeConfig {
    /// Owner of the repository at the forge.
    pub repo_owner: String,
    /// Its name there.
    pub repo_name: String,
    /// Address of the forge's API.
    pub api_url: String,
    /// How to be let in.
    pub credentials: ForgeCredentials,
    /// Time between two looks at the pull requests.
    pub poll_interval: Duration,
    /// What webhooks are signed with; without it none are listened for.
    pub webhook_secret: Option<SecretRef>,
    /// Which pull requests are planned.
    pub plan: PullRules,
    /// What happens when what was merged is not what was reviewed.
    pub on_mismatch: OnMismatch,
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// HTTP proxy.
    pub proxy: Option<String>,
}

impl ForgeConfig {
    /// Where its credentials are kept.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let (ForgeCredentials::Token(key) | ForgeCredentials::App { private_key: key, .. }) =
            &self.credentials;
        [key].into_iter().chain(&self.webhook_secret)
    }

    pub(super) fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let (ForgeCredentials::Token(key) | ForgeCredentials::App { private_key: key, .. }) =
            &mut self.credentials;
        [key].into_iter().chain(&mut self.webhook_secret)
    }
}

/// How to be let into a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgeCredentials {
    /// An access token.
    Token(SecretRef),
    /// A GitHub App.
    App {
        /// Its id or client id.
        id: String,
        /// Its installation; asked for when absent.
        installation: Option<u64>,
        /// Its private key, PEM.
        private_key: SecretRef,
    },
}

/// Which pull requests are planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRules {
    /// Also those from other repositories.
    pub forks: bool,
    /// Also drafts.
    pub drafts: bool,
    /// At most so many, the newest.
    pub max_open: usize,
    /// Only those with one of these labels; all where there are none.
    pub labels: Vec<String>,
    /// None of those with one of these labels.
    pub ignore_labels: Vec<String>,
}

/// What happens when what was merged is not what was reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OnMismatch {
    /// The last commit in force stays, until somebody says otherwise.
    #[default]
    Hold,
    /// It is applied, and the difference is said.
    Apply,
}

/// Where the HTTP interface listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiConfig {
    /// The address.
    pub listen: SocketAddr,
}

/// Pull requests: their plan is a comment, and merging deploys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "Forge")]
pub(super) struct RawForge {
    /// The kind of forge. Default: `github`.
    #[serde(rename = "type")]
    kind: Option<RawKind>,
    /// The repository there, as `owner/name`. Default: from `repository.url`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$"), example = &"acme/infra")]
    repo: Option<String>,
    /// Address of its API. Default: `https://api.github.com` for a repository on github.com, and
    /// `https://HOST/api/v3` for one on another host, which is GitHub Enterprise.
    #[schemars(example = &"https://github.example.com/api/v3")]
    api_url: Option<String>,
    /// How to be let in: to read pull requests, and to write comments and statuses.
    credentials: RawCredentials,
    /// Time between two looks at the pull requests, at least `1s`. Default: `15s`.
    poll_interval: Option<DurationText>,
    /// What the forge signs its webhooks with. With it, `POST /hooks/github` is listened for at `api.listen`;
    /// webhooks only make the controller look at once.
    webhook_secret_ref: Option<SecretRefText>,
    /// Which pull requests are planned.
    plan: Option<RawRules>,
    /// What happens when what was merged is not what the plan in the comment showed: `hold` keeps the last
    /// commit in force until somebody agrees, `apply` goes on and says so. Default: `hold`.
    on_mismatch: Option<OnMismatch>,
    /// PEM file with certificate authorities to trust besides the system's. Default: `repository.caFile`.
    #[schemars(length(min = 1))]
    ca_file: Option<String>,
    /// HTTP proxy. Default: `repository.proxy`.
    #[schemars(length(min = 1))]
    proxy: Option<String>,
}

/// The kind of forge.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawKind {
    /// GitHub, or GitHub Enterprise.
    Github,
}

/// How to be let into the forge: exactly one of `tokenRef` and `app`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "ForgeCredentials")]
struct RawCredentials {
    /// An access token that may read and write pull requests and commit statuses.
    token_ref: Option<SecretRefText>,
    /// A GitHub App, which can also show findings beside the lines they are about.
    app: Option<RawApp>,
}

/// A GitHub App.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "ForgeApp")]
struct RawApp {
    /// Its id, or its client id.
    #[schemars(with = "AppId")]
    id: Value,
    /// The id of its installation. Default: the repository's.
    #[schemars(range(min = 1))]
    installation_id: Option<u64>,
    /// Its private key, PEM.
    private_key_ref: SecretRefText,
}

/// The id of a GitHub App: a number, or a client id such as `Iv23liABC`.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "the type exists for its schema")]
enum AppId {
    /// An id.
    Number(#[schemars(range(min = 1))] u64),
    /// A client id.
    Client(#[schemars(regex(pattern = r"^[A-Za-z0-9._-]+$"))] String),
}

/// Which pull requests are planned.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "PullRules")]
struct RawRules {
    /// Whether those from forks are: nothing of theirs is run, and no metric source is asked for them. Default:
    /// true.
    forks: Option<bool>,
    /// Whether drafts are. Default: true.
    drafts: Option<bool>,
    /// How many open ones at most, the newest first. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    max_open: Option<u32>,
    /// Only those with one of these labels. Default: all.
    labels: Option<Vec<String>>,
    /// None with one of these labels. Default: none are left out.
    ignore_labels: Option<Vec<String>>,
}

/// The HTTP interface.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "Api")]
pub(super) struct RawApi {
    /// Address and port to listen on. Default: `127.0.0.1:4400`.
    #[schemars(length(min = 1), example = &"127.0.0.1:4400")]
    listen: Option<String>,
    /// Who may use the interface. Not acted on by this version.
    tokens: Option<Vec<Map<String, Value>>>,
}

/// The forge, with findings about what it cannot be.
pub(super) fn read(
    raw: &RawForge,
    repository: &Repository,
    findings: &mut Findings<'_>,
) -> Option<ForgeConfig> {
    let RawKind::Github = raw.kind.unwrap_or(RawKind::Github);
    let place = place(&repository.url);
    let name = raw.repo.clone().or_else(|| place.as_ref().map(|place| place.path.clone()));
    let Some((owner, name)) = name.as_deref().and_then(|name| name.split_once('/')) else {
        let message = "`repo` is missing, and the repository's address does not say it";
        lacks("/forge", message, "write it as in `repo: acme/infra`", findings);
        return None;
    };
    let host = place.as_ref().map(|place| place.host.as_str());
    let api_url = raw.api_url.clone().or_else(|| match host? {
        "github.com" | "ssh.github.com" => Some("https://api.github.com".to_owned()),
        host => Some(format!("https://{host}/api/v3")),
    });
    let Some(api_url) = api_url else {
        let message = "`apiUrl` is missing, and the repository's address does not say it";
        lacks("/forge", message, "write it as in `apiUrl: https://api.github.com`", findings);
        return None;
    };
    if let Err(bad) = web(&api_url, true) {
        findings.error(bad.code, "/forge/apiUrl", bad.message, bad.help.to_owned());
    }
    if raw.proxy.as_deref().is_some_and(|proxy| proxy.contains('@')) {
        findings.error(
            codes::SECRET_IN_URL,
            "/forge/proxy",
            "the address holds a user name or a password",
            "remove it from the address".to_owned(),
        );
    }
    let rules = raw.plan.as_ref();
    let labels = |labels: Option<&Vec<String>>| labels.cloned().unwrap_or_default();
    let credentials = credentials(&raw.credentials, findings)?;
    Some(ForgeConfig {
        repo_owner: owner.to_owned(),
        repo_name: name.to_owned(),
        api_url: api_url.trim_end_matches('/').to_owned(),
        credentials,
        poll_interval: interval(
            raw.poll_interval.as_ref(),
            POLL_INTERVAL_DEFAULT,
            "/forge/pollInterval",
            findings,
        ),
        webhook_secret: raw
            .webhook_secret_ref
            .as_ref()
            .and_then(|secret| secret_ref(&secret.0, "/forge/webhookSecretRef", findings)),
        plan: PullRules {
            forks: rules.and_then(|rules| rules.forks).unwrap_or(true),
            drafts: rules.and_then(|rules| rules.drafts).unwrap_or(true),
            max_open: usize::try_from(
                rules.and_then(|rules| rules.max_open).unwrap_or(MAX_OPEN_DEFAULT),
            )
            .unwrap_or(usize::MAX),
            labels: labels(rules.and_then(|rules| rules.labels.as_ref())),
            ignore_labels: labels(rules.and_then(|rules| rules.ignore_labels.as_ref())),
        },
        on_mismatch: raw.on_mismatch.unwrap_or_default(),
        ca_file: raw.ca_file.as_ref().map(PathBuf::from).or_else(|| repository.ca_file.clone()),
        proxy: raw.proxy.clone().or_else(|| repository.proxy.clone()),
    })
}

fn lacks(at: &str, message: &str, help: &str, findings: &mut Findings<'_>) {
    let (severity, help) = (crate::model::Severity::Error, Some(help.to_owned()));
    findings.at(severity, shared::MISSING_KEY, at, Part::Key, message.to_owned(), help);
}

fn credentials(raw: &RawCredentials, findings: &mut Findings<'_>) -> Option<ForgeCredentials> {
    const AT: &str = "/forge/credentials";
    match (&raw.token_ref, &raw.app) {
        (Some(_), Some(_)) => {
            findings.at(
                crate::model::Severity::Error,
                shared::CONFLICTING_KEYS,
                AT,
                Part::Key,
                "`tokenRef` and `app` exclude each other".to_owned(),
                Some("keep one of them".to_owned()),
            );
            None
        }
        (None, None) => {
            let help = "write `{tokenRef: env/NAME}`, or `{app: {id:, privateKeyRef:}}`";
            lacks(AT, "one of `tokenRef` and `app` is missing in `credentials`", help, findings);
            None
        }
        (Some(token), None) => secret_ref(&token.0, "/forge/credentials/tokenRef", findings)
            .map(ForgeCredentials::Token),
        (None, Some(app)) => Some(ForgeCredentials::App {
            id: match &app.id {
                Value::String(id) => id.clone(),
                id => id.to_string(),
            },
            installation: app.installation_id,
            private_key: secret_ref(
                &app.private_key_ref.0,
                "/forge/credentials/app/privateKeyRef",
                findings,
            )?,
        }),
    }
}

/// Where webhooks are listened for.
pub(super) fn api(raw: Option<&RawApi>, findings: &mut Findings<'_>) -> ApiConfig {
    let text = raw.and_then(|raw| raw.listen.as_deref()).unwrap_or(LISTEN_DEFAULT);
    if raw.is_some_and(|raw| raw.tokens.is_some()) {
        super::providers::ignored("/api/tokens", "tokens", findings);
    }
    let listen = text.parse().unwrap_or_else(|_| {
        findings.error(
            codes::BAD_URL,
            "/api/listen",
            "this is not an address and a port to listen on",
            format!("write it as in `{LISTEN_DEFAULT}`"),
        );
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    ApiConfig { listen }
}

/// Where a repository is, as far as its address says.
struct Place {
    host: String,
    /// `owner/name`.
    path: String,
}

/// Reads host and path of `https://host/owner/name.git`, `ssh://git@host/owner/name` and
/// `git@host:owner/name.git`.
fn place(url: &str) -> Option<Place> {
    let (host, path) = match url.split_once("://") {
        Some(("https" | "http" | "ssh", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        None => url.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit('@').next()?.split(':').next()?.to_ascii_lowercase();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.split('/').count() == 2 && path.split('/').all(|part| !part.is_empty()))
        .then(|| Place { host, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_repository_s_address_says_where_its_pull_requests_are() {
        let at = |url| place(url).map(|place| format!("{} {}", place.host, place.path));
        for url in [
            "https://github.com/acme/infra.git",
            "https://github.com/acme/infra",
            "ssh://git@github.com:22/acme/infra.git",
            "git@github.com:acme/infra.git",
        ] {
            assert_eq!(at(url).as_deref(), Some("github.com acme/infra"), "{url}");
        }
        for url in
            ["/srv/git/infra.git", "file:///acme/infra", "https://host/a/b/c", "https://host/a"]
        {
            assert_eq!(at(url), None, "{url}");
        }
    }
}
