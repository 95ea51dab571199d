//! The list of provider types: one line each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Provider;
use crate::model::ProviderName;

/// The configured providers, by name.
pub type Providers = BTreeMap<ProviderName, Arc<dyn Provider>>;
