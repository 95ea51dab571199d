#![doc = include_str!("docs.md")]

mod apply;
pub mod config;
mod endpoint;
mod errors;
mod facts;
mod health;
mod host;
mod labels;
mod measure;
mod observe;
mod pull;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::config::DockerConfig;
pub use self::endpoint::EndpointError;
use self::endpoint::{BIND_DEFAULT, Endpoint};
use self::host::Host;
use self::observe::Memories;
use self::pull::Login;
use self::request::HOST_NETWORK;
use super::{Applied, Call, Ctx, Provider, ProviderError, Usage};
use crate::model::{
    About, FailureKind, ProviderName, Region, Regions, Replica, Secret, TemplateKey,
};

/// Calls at once: a daemon serialises most of the work of a start, and more only queue there.
const CONCURRENCY_MAX: usize = 8;
/// The longest call is a create that pulls a large image over a slow line.
const CALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A container of an image that is there starts in a fraction of a second; its service takes a little more.
const START_TYPICAL: Duration = Duration::from_secs(3);

/// Replicas as containers on Docker hosts.
#[derive(Debug)]
pub struct DockerProvider {
    name: ProviderName,
    about: About,
    hosts: BTreeMap<Region, Host>,
    network: Option<String>,
    bind_address: String,
    init: bool,
    logins: BTreeMap<String, Login>,
    http: reqwest::Client,
    memories: Mutex<BTreeMap<Region, Memories>>,
    readings: Mutex<BTreeMap<Region, measure::Readings>>,
    draining: Arc<Mutex<BTreeSet<String>>>,
}

/// What a provider with this configuration can do; connects to nothing.
///
/// # Errors
/// [`ProviderError`] of kind `Invalid` when the configuration contradicts itself.
pub fn about_of(config: &DockerConfig) -> Result<About, ProviderError> {
    Ok(about(config, endpoints(config)?.into_keys().collect()))
}

impl DockerProvider {
    /// Makes the provider; connects to nothing. `passwords` holds the resolved `passwordRef` of each entry
    /// of `registries`, by registry host.
    ///
    /// # Errors
    /// [`ProviderError`] of kind `Invalid` when the configuration contradicts itself or a password is
    /// missing.
    pub fn new(
        name: ProviderName,
        config: &DockerConfig,
        passwords: &BTreeMap<String, Secret>,
    ) -> Result<Self, ProviderError> {
        let endpoints = endpoints(config)?;
        let about = about(config, endpoints.keys().cloned().collect());
        let mut logins = BTreeMap::new();
        for (registry, login) in &config.registries {
            let password = passwords
                .get(registry)
                .ok_or_else(|| invalid(format!("use registry `{registry}`: it has no password")))?;
            let login = Login { username: login.username.clone(), password: password.clone() };
            logins.insert(registry.clone(), login);
        }
        let http =
            health::http_client().map_err(|error| invalid(format!("set up probes: {error}")))?;
        Ok(Self {
            name,
            about,
            hosts: endpoints.into_iter().map(|(region, e)| (region, Host::new(e))).collect(),
            network: config.network.clone(),
            bind_address: config.bind_address.clone().unwrap_or_else(|| BIND_DEFAULT.to_owned()),
            init: config.init,
            logins,
            http,
            memories: Mutex::default(),
            readings: Mutex::default(),
            draining: Arc::default(),
        })
    }

    fn host(&self, region: &Region) -> Result<&Host, ProviderError> {
        self.hosts.get(region).ok_or_else(|| {
            invalid(format!(
                "reach region {region}: provider {} has no Docker host for it; add one to `hosts`",
                self.name
            ))
        })
    }

    fn remembered(&self, region: &Region) -> Memories {
        lock(&self.memories).get(region).cloned().unwrap_or_default()
    }

    fn remember(&self, region: &Region, memories: Memories) {
        lock(&self.memories).insert(region.clone(), memories);
    }

    fn is_draining(&self, container: &str) -> bool {
        lock(&self.draining).contains(container)
    }
}

#[async_trait]
impl Provider for DockerProvider {
    fn about(&self) -> &About {
        &self.about
    }

    async fn observe(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Replica>, ProviderError> {
        self.observe_region(ctx, region, self.host(region)?).await
    }

    async fn measure(&self, ctx: &Ctx, region: &Region) -> Result<Vec<Usage>, ProviderError> {
        self.measure_region(ctx, region, self.host(region)?).await
    }

    async fn apply(&self, ctx: &Ctx, call: &Call) -> Result<Applied, ProviderError> {
        let host = self.host(&call.key().target.region)?;
        match call {
            Call::Create(launch) => self.create(ctx, host, launch).await,
            Call::Start(launch) => self.start(ctx, host, launch).await,
            Call::Destroy { key, drain } => self.destroy(ctx, host, key, *drain).await,
        }
    }
}

/// Marks a container as being stopped for as long as it lives, so that a cancelled call unmarks too.
#[derive(Debug)]
struct Draining {
    all: Arc<Mutex<BTreeSet<String>>>,
    container: String,
}

impl Draining {
    fn begin(all: &Arc<Mutex<BTreeSet<String>>>, container: &str) -> Self {
        lock(all).insert(container.to_owned());
        Self { all: Arc::clone(all), container: container.to_owned() }
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.container);
    }
}

/// The maps behind these locks are whole after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn endpoints(config: &DockerConfig) -> Result<BTreeMap<Region, Endpoint>, ProviderError> {
    endpoint::check_across_hosts(config).map_err(|error| invalid(error.to_string()))?;
    let mut endpoints = BTreeMap::new();
    for (region, host) in &config.hosts {
        let name = Region::try_from(region.as_str())
            .map_err(|error| invalid(format!("use region of `hosts`: {error}")))?;
        let endpoint =
            Endpoint::parse(config, region, host).map_err(|error| invalid(error.to_string()))?;
        endpoints.insert(name, endpoint);
    }
    Ok(endpoints)
}

fn about(config: &DockerConfig, regions: BTreeSet<Region>) -> About {
    About {
        kind: "docker".into(),
        regions: Regions::Only(regions),
        needs: (&[TemplateKey::Image]).into(),
        ignores: (&[]).into(),
        shares_host_ports: config.network.as_deref() == Some(HOST_NETWORK),
        concurrency_max: CONCURRENCY_MAX,
        call_timeout: CALL_TIMEOUT,
        start_typical: START_TYPICAL,
    }
}

fn invalid(message: String) -> ProviderError {
    ProviderError::give_up(FailureKind::Invalid, message)
}
