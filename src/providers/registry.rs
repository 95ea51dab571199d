//! The list of provider types: one line each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Provider;
use super::docker::{DockerProvider, config::DockerConfig};
use super::process::{ProcessProvider, config::ProcessConfig};
use crate::model::{ProviderName, Secret};

/// The configured providers, by name.
pub type Providers = BTreeMap<ProviderName, Arc<dyn Provider>>;

/// The configuration of one provider, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderConfig {
    /// `type: process`
    Process(ProcessConfig),
    /// `type: docker`
    Docker(DockerConfig),
    /// `type: fake`
    #[cfg(feature = "testing")]
    Fake(FakeConfig),
}

/// Configuration of the fake world, for tests.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FakeConfig {
    /// Folder where the fake world lives.
    pub dir: String,
    /// The regions it serves; all when empty.
    #[serde(default)]
    pub regions: Vec<String>,
}

/// Gives the value of a credential reference of the configuration, or says why not.
pub type ResolveCredential<'a> = &'a dyn Fn(&str) -> Result<Secret, String>;

/// Makes the configured providers; connects to nothing. `exe` is this program, for providers that start
/// it again.
///
/// # Errors
/// The name of the provider whose configuration is not usable, and what is wrong with it.
pub fn build(
    configs: &BTreeMap<ProviderName, ProviderConfig>,
    exe: &Path,
    resolve: ResolveCredential<'_>,
) -> Result<Providers, (ProviderName, String)> {
    configs
        .iter()
        .map(|(name, config)| match one(name, config, exe, resolve) {
            Ok(provider) => Ok((name.clone(), provider)),
            Err(message) => Err((name.clone(), message)),
        })
        .collect()
}

fn one(
    name: &ProviderName,
    config: &ProviderConfig,
    exe: &Path,
    resolve: ResolveCredential<'_>,
) -> Result<Arc<dyn Provider>, String> {
    Ok(match config {
        ProviderConfig::Process(config) => Arc::new(
            ProcessProvider::new(name.clone(), config, exe.to_owned())
                .map_err(|error| error.to_string())?,
        ),
        ProviderConfig::Docker(config) => {
            let passwords: BTreeMap<String, Secret> = config
                .registries
                .iter()
                .map(|(registry, login)| Ok((registry.clone(), resolve(&login.password_ref)?)))
                .collect::<Result<_, String>>()?;
            let provider = DockerProvider::new(name.clone(), config, &passwords);
            Arc::new(provider.map_err(|error| error.message)?)
        }
        #[cfg(feature = "testing")]
        ProviderConfig::Fake(config) => {
            use crate::model::Regions;
            let regions: std::collections::BTreeSet<_> = config
                .regions
                .iter()
                .map(|region| region.as_str().try_into().map_err(|e| format!("{e}")))
                .collect::<Result<_, String>>()?;
            let regions = if regions.is_empty() { Regions::Any } else { Regions::Only(regions) };
            let dir = std::path::PathBuf::from(&config.dir);
            Arc::new(super::testing::FakeProvider::in_dir(name.clone(), dir, regions))
        }
    })
}
