//! The list of provider types: one line each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::docker::DockerProvider;
use super::process::ProcessProvider;
use super::{Provider, ProviderError};
use crate::model::ProviderName;
use crate::providers::config::ProviderConfig;

/// The configured providers, by name.
pub type Providers = BTreeMap<ProviderName, Arc<dyn Provider>>;
