#![doc = include_str!("docs.md")]

pub mod config;
pub mod supervisor;
pub mod worker;

mod environment;
mod folders;
mod identity;
mod launch;
mod layout;
mod leftovers;
mod lock;
mod measure;
mod observe;
mod ports;
mod program;
mod record;
mod remove;
mod text;

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::config::{ConfigError, ProcessConfig, Settings};
use self::layout::Layout;
use super::{Applied, Call, Ctx, Provider, ProviderError, Usage};
use crate::model::{
    About, FailureKind, ProviderName, Region, Regions, Replica, ReplicaKey, TemplateKey,
};

/// Calls at once: each starts one or two processes and then waits; more would only compete for the same
/// cores.
const CONCURRENCY_MAX: usize = 8;
/// The longest call: a start on a host so busy that its supervisor is not heard of for a while, and the
/// kill of a replica that hangs.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// From creation to ready, for a program that starts at once.
const START_TYPICAL: Duration = Duration::from_secs(1);

/// Runs replicas as processes on this host, each under a supervisor of its own.
#[derive(Debug)]
pub struct ProcessProvider {
    name: ProviderName,
    about: About,
    host: Arc<Host>,
    readings: Arc<measure::Readings>,
}

/// What the calls need to know of this host and configuration.
#[derive(Debug)]
struct Host {
    settings: Settings,
    layout: Layout,
    /// This binary, for supervisors.
    exe: PathBuf,
    /// What replicas inherit from the controller's environment.
    inherited: Vec<(&'static str, OsString)>,
}

impl ProcessProvider {
    /// A provider of this name. `exe` is the `tidegate` binary to start supervisors from. Touches nothing
    /// until the first call.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is wrong.
    pub fn new(
        name: ProviderName,
        config: &ProcessConfig,
        exe: PathBuf,
    ) -> Result<Self, ConfigError> {
        let settings = Settings::new(config)?;
        #[expect(clippy::disallowed_methods, reason = "replicas inherit a few harmless variables")]
        let inherited = environment::INHERITED
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)))
            .collect();
        let about = about(&settings);
        let layout = Layout::new(settings.dir.clone());
        let host = Arc::new(Host { settings, layout, exe, inherited });
        Ok(Self { name, about, host, readings: Arc::default() })
    }

    /// What a provider of this configuration is and can do.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is wrong.
    pub fn about_of(config: &ProcessConfig) -> Result<About, ConfigError> {
        Settings::new(config).map(|settings| about(&settings))
    }

    fn check_is_ours(&self, key: &ReplicaKey) -> Result<(), ProviderError> {
        let region = &self.host.settings.region;
        if key.provider == self.name && key.target.region == *region {
            return Ok(());
        }
        Err(ProviderError::give_up(
            FailureKind::Invalid,
            format!(
                "{key}: it is meant for provider `{}`; this is `{}`, which serves region `{region}` only",
                key.provider, self.name
            ),
        ))
    }
}

fn about(settings: &Settings) -> About {
    About {
        kind: "process".into(),
        regions: Regions::Only(BTreeSet::from([settings.region.clone()])),
        needs: (&[TemplateKey::Command]).into(),
        ignores: (&[TemplateKey::Image, TemplateKey::Resources]).into(),
        shares_host_ports: true,
        concurrency_max: CONCURRENCY_MAX,
        call_timeout: CALL_TIMEOUT,
        start_typical: START_TYPICAL,
    }
}

#[async_trait]
impl Provider for ProcessProvider {
    fn about(&self) -> &About {
        &self.about
    }

    async fn observe(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Replica>, ProviderError> {
        let (host, name) = (Arc::clone(&self.host), self.name.clone());
        let (owner, region) = (ctx.owner.clone(), region.clone());
        blocking(move || observe::observe(&host.layout, &name, &owner, &region))
            .await?
            .map_err(|error| failure("observe replicas", &error))
    }

    async fn measure(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Usage>, ProviderError> {
        let (host, readings) = (Arc::clone(&self.host), Arc::clone(&self.readings));
        let (name, owner) = (self.name.clone(), ctx.owner.clone());
        let (region, now) = (region.clone(), ctx.now);
        blocking(move || measure::measure(&host.layout, &readings, &name, &owner, &region, now))
            .await?
            .map_err(|error| failure("measure replicas", &error))
    }

    async fn apply(&self, ctx: &Ctx, call: &Call) -> Result<Applied, ProviderError> {
        let key = call.key();
        self.check_is_ours(key)?;
        let applied = match call {
            Call::Create(launch) => launch::create(&self.host, ctx, launch).await,
            Call::Start(launch) => launch::start(&self.host, ctx, launch).await,
            Call::Destroy { key, drain } => remove::destroy(&self.host, ctx, key, *drain).await,
        };
        applied.map_err(|error| ProviderError {
            message: format!("{} {key}: {}", call.word(), error.message),
            ..error
        })
    }
}

/// Runs file work where it does not hold up anything else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        ProviderError::give_up(FailureKind::Unexpected, format!("do file work: {error}"))
    })
}

/// A failure of this host's file system or processes. What kind it is, the innermost cause tells.
fn failure(doing: &str, error: &(dyn Error + 'static)) -> ProviderError {
    use std::io::ErrorKind as Io;

    let mut cause = Some(error);
    let mut io = None;
    while let Some(inner) = cause {
        io = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        cause = inner.source();
    }
    let message = format!("{doing}: {}", text::chain(error));
    match io {
        Some(Io::PermissionDenied | Io::ReadOnlyFilesystem) => ProviderError::give_up(
            FailureKind::Denied,
            format!("{message}; give the controller's user access to the folder"),
        ),
        Some(Io::ArgumentListTooLong) => ProviderError::give_up(
            FailureKind::Invalid,
            format!("{message}; shorten its environment"),
        ),
        Some(Io::StorageFull | Io::QuotaExceeded) => {
            ProviderError::retry(FailureKind::Unavailable, format!("{message}; free some space"))
        }
        Some(Io::WouldBlock | Io::Interrupted | Io::NotFound | Io::OutOfMemory) => {
            ProviderError::retry(FailureKind::Unavailable, message)
        }
        Some(_) => ProviderError::retry(FailureKind::Unexpected, message),
        None => ProviderError::give_up(FailureKind::Unexpected, message),
    }
}
