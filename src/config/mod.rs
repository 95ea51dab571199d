//! The controller's own configuration, `tidegate.yaml`: text to [`Config`], or every finding at once.
//!
//! Operator-owned and outside every pull request's reach. Pure: reads no file, no environment, no secret;
//! [`secrets::resolve`] takes the effects it needs.

pub mod codes;
mod convert;
mod forge;
mod formats;
mod metrics;
mod providers;
mod raw;
mod render;
pub mod secrets;
mod store;
mod url;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

pub use self::forge::{ApiConfig, ForgeConfig, ForgeCredentials, OnMismatch, PullRules};
pub use self::render::text as render_text;
pub use self::secrets::SecretRef;
pub use self::store::StoreConfig;
pub use self::url::Transport;
use crate::model::{
    About, Catalogue, Diagnostic, OwnerId, Prices, ProviderName, SecretName, Severity, SourceAbout,
    SourceName,
};
use crate::observe::signals::config::{SourceAuth, SourceConfig};
#[cfg(feature = "testing")]
pub use crate::providers::registry::FakeConfig;
pub use crate::providers::registry::ProviderConfig;
use crate::spec::findings::Findings;
use crate::spec::schema::{Checker, generate};
use crate::spec::violations;
use crate::spec::yaml;

/// A commented configuration to start from: it runs the starter spec on this machine.
pub const STARTER: &str = include_str!("../../examples/quickstart/tidegate.yaml");

/// Where the published schema of the configuration lives.
const SCHEMA_ID: &str = "https://tidegate.dev/schema/config.schema.json";

/// The controller's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The repository with the spec.
    pub repository: Repository,
    /// The status branch.
    pub status: Status,
    /// The providers of services that name none.
    pub defaults: Defaults,
    /// The providers, by name.
    pub providers: BTreeMap<ProviderName, ProviderConfig>,
    /// The metric sources, by name.
    pub metrics: BTreeMap<SourceName, SourceConfig>,
    /// The secrets that a spec may name.
    pub secrets: BTreeMap<SecretName, SecretRef>,
    /// What replicas cost.
    pub prices: Prices,
    /// Time between decisions.
    pub interval: Duration,
    /// Whether to plan only.
    pub dry_run: bool,
    /// Where signals and events are recorded, and for how long.
    pub store: StoreConfig,
    /// Folder for the mirror and the writer's clone.
    pub state_dir: PathBuf,
    /// Pull requests; `None` where they are nobody's business here.
    pub forge: Option<ForgeConfig>,
    /// Where the HTTP interface listens, when something needs it.
    pub api: ApiConfig,
    /// Which controller replicas belong to; derived from the repository when absent.
    pub owner: Option<OwnerId>,
}

/// The repository with the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its address, without credentials.
    pub url: String,
    /// How it is reached.
    pub transport: Transport,
    /// The branch.
    pub branch: String,
    /// The folder with `spec.yaml`; `.` is the root.
    pub path: String,
    /// Time between two looks.
    pub poll_interval: Duration,
    /// How to be let in; `None` as anyone.
    pub credentials: Option<Credentials>,
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// HTTP proxy.
    pub proxy: Option<String>,
}

/// How to be let into a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// An access token over https.
    Token(SecretRef),
    /// A user name and password over https.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretRef,
    },
    /// A key over ssh.
    SshKey {
        /// Private key.
        key: SecretRef,
        /// Host keys that the server may have.
        known_hosts: PathBuf,
    },
}

/// The status branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The branch.
    pub branch: String,
    /// Time over which changes are gathered into one commit.
    pub batch: Duration,
    /// Name of the author of its commits.
    pub author_name: String,
    /// Address of the author of its commits.
    pub author_email: String,
    /// How to be let in to write; `None` like the repository.
    pub credentials: Option<Credentials>,
}

/// The providers of services that name none, by strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// For `strategy: infra`.
    pub infra: Option<ProviderName>,
    /// For `strategy: local`.
    pub local: Option<ProviderName>,
}

/// Reads and checks a configuration. The configuration is absent exactly when some diagnostic is an error.
#[must_use]
pub fn load(text: &[u8], file: &str) -> (Option<Config>, Vec<Diagnostic>) {
    let parsed = yaml::parse(text);
    let mut findings = Findings::new(file, text, parsed.root.as_ref());
    let readable = !parsed.faults.iter().any(|f| yaml::codes_of_syntax().contains(&f.code));
    findings.faults(&parsed.faults);
    let mut config = None;
    if readable {
        let value = parsed.root.as_ref().map_or(serde_json::Value::Null, yaml::Node::to_json);
        if value.is_null() {
            let help = "write a configuration with `tidegate init`".to_owned();
            findings.error(codes::EMPTY_CONFIG, "", "the file is empty", help);
        } else {
            violations::check(&CHECKER, &value, &mut findings);
            config = convert::config(&value, &mut findings);
        }
    }
    let diagnostics = findings.finish();
    let refused = diagnostics.iter().any(|d| d.severity == Severity::Error);
    (config.filter(|_| !refused), diagnostics)
}

static CHECKER: LazyLock<Checker> = LazyLock::new(|| {
    #[cfg_attr(not(feature = "testing"), expect(unused_mut, reason = "tests add to it"))]
    let mut schema = schema();
    #[cfg(feature = "testing")]
    raw::add_fake(&mut schema);
    Checker::new(schema, &formats::ALL)
});

/// The JSON Schema of `tidegate.yaml`, draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = generate::<raw::Document>("Tidegate configuration");
    if let Some(object) = schema.as_object_mut() {
        object.insert("$id".to_owned(), SCHEMA_ID.into());
    }
    raw::refer_to_secrets(&mut schema);
    schema
}

impl Config {
    /// Makes relative paths start at `base`, the folder of the configuration file.
    pub fn resolve_paths(&mut self, base: &Path) {
        self.state_dir = plain(base, &self.state_dir);
        self.store.file = self.store.file.as_ref().map(|file| plain(base, file));
        if self.repository.transport == Transport::Path && !self.repository.url.contains("://") {
            self.repository.url = plain(base, &self.repository.url).display().to_string();
        }
        if let Some(file) = &mut self.repository.ca_file {
            *file = base.join(&file);
        }
        let credentials = [&mut self.repository.credentials, &mut self.status.credentials];
        for credentials in credentials.into_iter().flatten() {
            match credentials {
                Credentials::Token(secret) | Credentials::Basic { password: secret, .. } => {
                    resolve_secret(secret, base);
                }
                Credentials::SshKey { key, known_hosts } => {
                    resolve_secret(key, base);
                    *known_hosts = base.join(&known_hosts);
                }
            }
        }
        for secret in self.secrets.values_mut() {
            resolve_secret(secret, base);
        }
        if let Some(forge) = &mut self.forge {
            for secret in forge.secrets_mut() {
                resolve_secret(secret, base);
            }
            forge.ca_file = forge.ca_file.as_ref().map(|file| base.join(file));
        }
        for provider in self.providers.values_mut() {
            match provider {
                ProviderConfig::Process(process) => {
                    process.dir = plain(base, &process.dir).display().to_string();
                    process.cwd =
                        process.cwd.as_ref().map(|cwd| plain(base, cwd).display().to_string());
                }
                ProviderConfig::Docker(docker) => {
                    for tls in docker.tls.values_mut() {
                        for file in [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file] {
                            *file = plain(base, &*file).display().to_string();
                        }
                    }
                    for login in docker.registries.values_mut() {
                        // A reference that cannot be read is reported when the provider is made.
                        if let Ok(mut reference) = SecretRef::parse(&login.password_ref) {
                            resolve_secret(&mut reference, base);
                            login.password_ref = reference.to_string();
                        }
                    }
                }
                #[cfg(feature = "testing")]
                ProviderConfig::Fake(fake) => {
                    fake.dir = plain(base, &fake.dir).display().to_string();
                }
            }
        }
        self.resolve_source_paths(base);
    }

    fn resolve_source_paths(&mut self, base: &Path) {
        for source in self.metrics.values_mut() {
            if let SourceConfig::File(file) = source {
                file.path = plain(base, &file.path);
            }
            let Some(access) = source.access_mut() else { continue };
            if let Some(file) = &mut access.ca_file {
                *file = plain(base, &*file);
            }
            let auth = access.auth.iter_mut().map(|auth| match auth {
                SourceAuth::Token(reference) | SourceAuth::Basic { password: reference, .. } => {
                    reference
                }
            });
            for reference in auth.chain(access.header_refs.values_mut()) {
                // A reference that cannot be read is reported when it is used.
                if let Ok(mut parsed) = SecretRef::parse(reference) {
                    resolve_secret(&mut parsed, base);
                    *reference = parsed.to_string();
                }
            }
        }
    }

    /// The file of the store: by default, `state.db` in the state folder.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.store.file.clone().unwrap_or_else(|| self.state_dir.join(store::FILE_DEFAULT))
    }

    /// The files whose change is a change of the configuration: credentials, host keys, authorities.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.repository.ca_file.iter().cloned().collect();
        let credentials = [&self.repository.credentials, &self.status.credentials];
        for credentials in credentials.into_iter().flatten() {
            let secret = match credentials {
                Credentials::Token(secret) | Credentials::Basic { password: secret, .. } => secret,
                Credentials::SshKey { key, known_hosts } => {
                    files.push(known_hosts.clone());
                    key
                }
            };
            files.extend(secret.file().cloned());
        }
        files.extend(self.secrets.values().filter_map(|secret| secret.file().cloned()));
        if let Some(forge) = &self.forge {
            files.extend(forge.secrets().filter_map(|secret| secret.file().cloned()));
            files.extend(forge.ca_file.clone());
        }
        for provider in self.providers.values() {
            if let ProviderConfig::Docker(docker) = provider {
                for tls in docker.tls.values() {
                    files.extend([&tls.ca_file, &tls.cert_file, &tls.key_file].map(PathBuf::from));
                }
                let references =
                    docker.registries.values().map(|login| SecretRef::parse(&login.password_ref));
                files.extend(references.filter_map(|reference| reference.ok()?.file().cloned()));
            }
        }
        // The secrets of metric sources are read again for each use; their authorities are not.
        let accesses = self.metrics.values().filter_map(SourceConfig::access);
        files.extend(accesses.filter_map(|access| access.ca_file.clone()));
        files
    }

    /// What a spec may refer to, given what each configured provider and metric source says about itself.
    #[must_use]
    pub fn catalogue(
        &self,
        providers: BTreeMap<ProviderName, About>,
        sources: BTreeMap<SourceName, SourceAbout>,
    ) -> Catalogue {
        Catalogue {
            providers,
            default_infra: self.defaults.infra.clone(),
            default_local: self.defaults.local.clone(),
            secrets: self.secrets.keys().cloned().collect(),
            prices: self.prices.clone(),
            sources,
        }
    }
}

/// A path that starts at `base` unless it is absolute, without the `.` of `./file`.
fn plain(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    base.join(path).components().collect()
}

fn resolve_secret(secret: &mut SecretRef, base: &Path) {
    if let SecretRef::File(path) = secret {
        *path = base.join(&path);
    }
}
