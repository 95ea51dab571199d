//! From a configuration to the parts of a controller: providers, remotes, secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::apply::{Clock as _, Secrets, SystemClock};
use crate::config::secrets::SecretSource;
use crate::config::{Config, Credentials, ForgeConfig, ForgeCredentials, SecretRef};
use crate::forge::Forge;
use crate::forge::github::{self, GitHub};
use crate::git::{Auth, Remote, RepoUrl};
use crate::model::{Catalogue, OwnerId, Secret, SecretName};
use crate::observe::signals::{self, ResolveSecret, Sources};
use crate::providers::registry::{self, Providers};

/// Why a configuration cannot be turned into a controller.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A credential could not be read.
    #[error("read credential `{reference}` of `{key}`: {message}")]
    Credential {
        /// The configuration key.
        key: &'static str,
        /// The reference, as configured.
        reference: String,
        /// What happened and what to do.
        message: String,
    },
    /// A file that the configuration names could not be read.
    #[error("read `{path}` named by `{key}`: {message}")]
    File {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: String,
        /// What happened.
        message: String,
    },
    /// The repository address is not acceptable.
    #[error("repository address: {0}")]
    Url(String),
    /// A provider could not be made.
    #[error("provider `{name}`: {message}")]
    Provider {
        /// Its name.
        name: String,
        /// What is wrong with its configuration.
        message: String,
    },
    /// A metric source could not be made.
    #[error("metric source `{name}`: {message}")]
    Source {
        /// Its name.
        name: String,
        /// What is wrong with its configuration.
        message: String,
    },
    /// The forge could not be made.
    #[error("forge: {0}")]
    Forge(String),
    /// The owner derived or configured is not usable.
    #[error("owner: {0}")]
    Owner(String),
}

/// Everything a controller is made of, except its state.
#[derive(Debug)]
pub struct Setup {
    /// The configuration it was made from.
    pub config: Config,
    /// The providers.
    pub providers: Providers,
    /// The metric sources.
    pub sources: Sources,
    /// What a spec may refer to.
    pub catalogue: Arc<Catalogue>,
    /// Where pull requests are; `None` where none is configured.
    pub forge: Option<Arc<dyn Forge>>,
    /// What its webhooks are signed with; without it none are listened for.
    pub webhook_secret: Option<Secret>,
    /// Whose replicas this controller sees and touches.
    pub owner: OwnerId,
    /// How the spec repository is read.
    pub remote: Remote,
    /// How the status branch is written.
    pub status_remote: Remote,
    /// Where the values of secrets come from.
    pub secrets: Arc<dyn Secrets>,
}

/// How long one exchange with the git server may take to begin.
const GIT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the git server may be silent.
const GIT_IO_TIMEOUT: Duration = Duration::from_secs(30);
/// Hexadecimal digits of an owner derived from the repository: unique among anyone's repositories.
const OWNER_DIGITS: usize = 10;

/// What reaches the spec repository, and nothing of the providers: enough for those who only look, or ask for
/// something, from a machine that has no provider's credentials.
#[derive(Debug)]
pub struct Access {
    /// Whose replicas the controller of this configuration sees and touches.
    pub owner: OwnerId,
    /// How the spec repository is read.
    pub remote: Remote,
    /// How the status branch is written.
    pub status_remote: Remote,
}

impl Access {
    /// Reads the credentials and files that the configuration names for the repository.
    ///
    /// # Errors
    /// [`SetupError`], naming the configuration key.
    pub fn build(config: &Config, source: &dyn SecretSource) -> Result<Self, SetupError> {
        let repository = &config.repository;
        let url = RepoUrl::parse(&repository.url).map_err(|e| SetupError::Url(e.to_string()))?;
        let owner = owner(config, &url)?;
        let remote = |credentials: Option<&Credentials>, key| {
            let mut remote = Remote::new(url.clone()).with_auth(auth(credentials, source, key)?);
            remote.ca_file = repository.ca_file.clone();
            remote.proxy.clone_from(&repository.proxy);
            remote.connect_timeout = GIT_CONNECT_TIMEOUT;
            remote.io_timeout = GIT_IO_TIMEOUT;
            Ok(remote)
        };
        let read = remote(repository.credentials.as_ref(), "repository.credentials")?;
        let write = match &config.status.credentials {
            Some(credentials) => remote(Some(credentials), "status.credentials")?,
            None => read.clone(),
        };
        Ok(Self { owner, remote: read, status_remote: write })
    }
}

impl Setup {
    /// Builds the parts. Reads credentials and the files that the configuration names; reaches nothing
    /// over the network.
    ///
    /// # Errors
    /// [`SetupError`], naming the configuration key.
    pub fn build(
        config: Config,
        source: Arc<dyn SecretSource + Send + Sync>,
        exe: &Path,
    ) -> Result<Self, SetupError> {
        let Access { owner, remote: read, status_remote: write } =
            Access::build(&config, source.as_ref())?;
        let credential = |text: &str| {
            let reference = SecretRef::parse(text).map_err(|error| error.to_string())?;
            crate::config::secrets::resolve(&reference, source.as_ref())
                .map_err(|error| with_causes(&error))
        };
        let providers = registry::build(&config.providers, exe, &credential)
            .map_err(|(name, message)| SetupError::Provider { name: name.to_string(), message })?;
        let abouts = providers.iter().map(|(name, p)| (name.clone(), p.about().clone())).collect();
        let sources = sources(&config, &source)?;
        let kinds = sources.iter().map(|(name, s)| (name.clone(), s.about().clone())).collect();
        let catalogue = Arc::new(config.catalogue(abouts, kinds));
        let forge = config.forge.as_ref().map(|forge| self::forge(forge, &source)).transpose()?;
        let webhook_secret = config.forge.as_ref().and_then(|forge| forge.webhook_secret.as_ref());
        let webhook_secret = webhook_secret
            .map(|secret| self::secret("forge.webhookSecretRef", secret, source.as_ref()))
            .transpose()?;
        let secrets = Arc::new(ConfiguredSecrets { names: config.secrets.clone(), source });
        Ok(Self {
            remote: read,
            status_remote: write,
            owner,
            providers,
            sources,
            catalogue,
            forge,
            webhook_secret,
            secrets,
            config,
        })
    }

    /// Where the mirror of the spec repository is kept.
    #[must_use]
    pub fn mirror_dir(&self) -> PathBuf {
        super::source::mirror_dir(&self.config.state_dir)
    }
}

fn owner(config: &Config, url: &RepoUrl) -> Result<OwnerId, SetupError> {
    if let Some(owner) = &config.owner {
        return Ok(owner.clone());
    }
    let identity = format!("{url}\n{}\n{}", config.repository.branch, config.repository.path);
    let digest = Sha256::digest(identity.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("t{}", hex.get(..OWNER_DIGITS).unwrap_or(&hex));
    OwnerId::try_from(text).map_err(|error| SetupError::Owner(error.to_string()))
}

/// The forge. Reaches nothing: that its credentials are good shows with the first call.
fn forge(
    config: &ForgeConfig,
    source: &Arc<dyn SecretSource + Send + Sync>,
) -> Result<Arc<dyn Forge>, SetupError> {
    let resolve = |key, reference: &SecretRef| secret(key, reference, source.as_ref());
    let auth = match &config.credentials {
        ForgeCredentials::Token(token) => {
            github::Auth::Token(resolve("forge.credentials.tokenRef", token)?)
        }
        ForgeCredentials::App { id, installation, private_key } => github::Auth::App {
            id: id.clone(),
            installation_id: *installation,
            private_key: resolve("forge.credentials.app.privateKeyRef", private_key)?,
        },
    };
    let options = github::Options {
        api_url: config.api_url.clone(),
        owner: config.repo_owner.clone(),
        repo: config.repo_name.clone(),
        auth,
        ca_file: config.ca_file.clone(),
        proxy: config.proxy.clone(),
        now: Arc::new(|| SystemClock.now()),
        budget: github::Budget::default(),
    };
    match GitHub::new(options) {
        Ok(forge) => Ok(Arc::new(forge)),
        Err(error) => Err(SetupError::Forge(with_causes(&error))),
    }
}

/// The metric sources. Their secrets are read when they are used, so that a changed one counts at once.
fn sources(
    config: &Config,
    source: &Arc<dyn SecretSource + Send + Sync>,
) -> Result<Sources, SetupError> {
    let secrets = Arc::clone(source);
    let resolve: ResolveSecret = Arc::new(move |text| {
        let reference = SecretRef::parse(text).map_err(|error| error.to_string())?;
        crate::config::secrets::resolve(&reference, secrets.as_ref())
            .map_err(|error| with_causes(&error))
    });
    signals::build(&config.metrics, &resolve)
        .map_err(|(name, message)| SetupError::Source { name: name.to_string(), message })
}

/// The secret that a key of the configuration refers to.
fn secret(
    key: &'static str,
    reference: &SecretRef,
    source: &dyn SecretSource,
) -> Result<Secret, SetupError> {
    crate::config::secrets::resolve(reference, source).map_err(|error| SetupError::Credential {
        key,
        reference: reference.to_string(),
        message: with_causes(&error),
    })
}

fn auth(
    credentials: Option<&Credentials>,
    source: &dyn SecretSource,
    key: &'static str,
) -> Result<Auth, SetupError> {
    let resolve = |reference: &SecretRef| secret(key, reference, source);
    Ok(match credentials {
        None => Auth::None,
        Some(Credentials::Token(token)) => Auth::Token(resolve(token)?),
        Some(Credentials::Basic { username, password }) => {
            Auth::Basic { username: username.clone(), password: resolve(password)? }
        }
        Some(Credentials::SshKey { key: ssh_key, known_hosts }) => Auth::SshKey {
            key: resolve(ssh_key)?,
            known_hosts: source.read(known_hosts).map_err(|error| SetupError::File {
                key,
                path: known_hosts.display().to_string(),
                message: error.to_string(),
            })?,
        },
    })
}

/// An error with its causes: why a file cannot be read is what its reader needs to know.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let _ = write!(text, ": {cause}");
    }
    text
}

/// Secrets by the names of the configuration's `secrets:`.
struct ConfiguredSecrets {
    names: BTreeMap<SecretName, SecretRef>,
    source: Arc<dyn SecretSource + Send + Sync>,
}

impl std::fmt::Debug for ConfiguredSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfiguredSecrets").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Secrets for ConfiguredSecrets {
    fn get(&self, name: &SecretName) -> Result<Secret, String> {
        let reference = self
            .names
            .get(name)
            .ok_or_else(|| format!("secret `{name}` is not in the configuration's `secrets`"))?;
        crate::config::secrets::resolve(reference, self.source.as_ref())
            .map_err(|error| format!("secret `{name}`: {}", with_causes(&error)))
    }
}
