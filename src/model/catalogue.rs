//! What the controller's configuration offers to a spec: facts only, so that checking stays pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ProviderName, Region, SecretName, SourceName, Strategy};

/// What a spec may refer to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalogue {
    /// The configured providers.
    pub providers: BTreeMap<ProviderName, About>,
    /// Provider of `infra` services that name none.
    pub default_infra: Option<ProviderName>,
    /// Provider of `local` services that name none.
    pub default_local: Option<ProviderName>,
    /// Names that `secretRef` and `credentialsRef` may use.
    pub secrets: BTreeSet<SecretName>,
    /// What a replica costs.
    pub prices: Prices,
    /// The metric sources of the configuration; the built-in ones, `provider` and `proxy`, are not among
    /// them.
    pub sources: BTreeMap<SourceName, SourceAbout>,
}

/// The built-in source whose metrics the providers measure.
pub const SOURCE_PROVIDER: &str = "provider";
/// The built-in source whose metrics the proxy in front of the replicas measures.
pub const SOURCE_PROXY: &str = "proxy";

/// The metrics of the built-in source [`SOURCE_PROVIDER`]: a mean over the ready replicas, or how many there
/// are.
pub const PROVIDER_METRICS: &[&str] = &["cpuPercent", "memoryPercent", "memoryBytes", "ready"];

/// What a metric source is and can be asked; declared, never probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceAbout {
    /// The source's type, as in `type: prometheus`.
    pub kind: Cow<'static, str>,
    /// Whether a signal of it has a `query`; the others name a `metric`.
    pub needs_query: bool,
    /// The metrics it has; `None` where only asking tells.
    pub metrics: Option<Vec<String>>,
    /// Whether it is one number by itself, so that a signal of it may go without `metric`.
    pub has_default: bool,
}

impl Catalogue {
    /// The provider of services of this strategy that name none.
    #[must_use]
    pub fn default_for(&self, strategy: Strategy) -> Option<&ProviderName> {
        match strategy {
            Strategy::Infra => self.default_infra.as_ref(),
            Strategy::Local => self.default_local.as_ref(),
        }
    }
}

/// What a provider is and can do; declared, never probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The provider's type, as in `type: process`.
    pub kind: Cow<'static, str>,
    /// The regions it serves.
    pub regions: Regions,
    /// Template keys without which it cannot make a replica.
    pub needs: Cow<'static, [TemplateKey]>,
    /// Template keys that it does not use; a spec that sets one gets a warning.
    pub ignores: Cow<'static, [TemplateKey]>,
    /// Whether all replicas share one host's ports, so that a fixed port allows one replica only.
    pub shares_host_ports: bool,
    /// How many calls it may be given at once.
    pub concurrency_max: usize,
    /// The longest a single call may take before it is given up, drain time not counted.
    pub call_timeout: Duration,
    /// How long a replica typically takes from creation to ready.
    pub start_typical: Duration,
}

/// The regions that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Regions {
    /// Whatever the spec names.
    Any,
    /// These.
    Only(BTreeSet<Region>),
}

impl Regions {
    /// Whether the region is served.
    #[must_use]
    pub fn serves(&self, region: &Region) -> bool {
        match self {
            Self::Any => true,
            Self::Only(set) => set.contains(region),
        }
    }
}

/// A key of a service's `template`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TemplateKey {
    /// `image`
    Image,
    /// `command`
    Command,
    /// `env`
    Env,
    /// `ports`
    Ports,
    /// `resources`
    Resources,
    /// `health`
    Health,
    /// `drain`
    Drain,
}

impl TemplateKey {
    /// The key as the spec spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Command => "command",
            Self::Env => "env",
            Self::Ports => "ports",
            Self::Resources => "resources",
            Self::Health => "health",
            Self::Drain => "drain",
        }
    }
}

/// The price table: what a replica costs per hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// Currency code, shown beside every amount.
    pub currency: String,
    /// Price of a replica-hour where the provider has none of its own.
    pub default: Option<f64>,
    /// Price of a replica-hour by provider.
    pub per_replica_hour: BTreeMap<ProviderName, f64>,
}

impl Prices {
    /// What one replica-hour on this provider costs, if anything is known.
    #[must_use]
    pub fn of(&self, provider: &ProviderName) -> Option<f64> {
        self.per_replica_hour.get(provider).copied().or(self.default)
    }
}
