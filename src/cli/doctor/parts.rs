//! Of a configuration, everything that can be made, and a finding for everything that cannot.

use std::sync::Arc;

use super::{Check, bad, good};
use crate::cli::context::{self, SystemSecrets};
use crate::config::secrets::resolve;
use crate::config::{Config, Credentials};
use crate::control::{Setup, SetupError};
use crate::plan::render::harmless;

/// What could be made of a configuration.
pub(super) struct Parts {
    /// The parts, without those that could not be made; absent when there is no controller without them.
    pub(super) setup: Option<Setup>,
    /// Whether the credentials to read with are there.
    pub(super) can_read: bool,
    /// Whether the credentials to write with are there.
    pub(super) can_write: bool,
    /// Whether all providers are there.
    pub(super) has_all_providers: bool,
    /// What could not be made.
    pub(super) checks: Vec<Check>,
}

/// Makes the parts. What fails is noted and left out, and the rest is tried again: one wrong thing does not
/// hide the next.
pub(super) fn make(mut config: Config) -> anyhow::Result<Parts> {
    let exe = context::exe()?;
    let mut parts = Parts {
        setup: None,
        can_read: true,
        can_write: true,
        has_all_providers: true,
        checks: Vec::new(),
    };
    loop {
        let error = match Setup::build(config.clone(), Arc::new(SystemSecrets), &exe) {
            Ok(setup) => {
                parts.setup = Some(setup);
                return Ok(parts);
            }
            Err(error) => error,
        };
        // Every turn takes something out of the configuration, so there is a last one.
        let is_removed = match &error {
            SetupError::Provider { name, message } => {
                let (what, todo) = (format!("provider `{name}`"), "correct it in `providers`");
                parts.checks.push(bad(&what, message, todo));
                parts.has_all_providers = false;
                let before = config.providers.len();
                config.providers.retain(|known, _| known.as_str() != name);
                config.providers.len() < before
            }
            SetupError::Credential { key, message, .. } | SetupError::File { key, message, .. } => {
                let found = match &error {
                    SetupError::File { path, .. } => format!("read `{path}`: {message}"),
                    _ => message.clone(),
                };
                let todo = format!("set it for the user of the controller, or correct `{key}`");
                parts.checks.push(bad(&format!("credentials `{key}`"), &found, &todo));
                take_credentials(&mut config, key, &mut parts)
            }
            SetupError::Source { name, message } => {
                let (what, todo) = (format!("metric source `{name}`"), "correct it in `metrics`");
                parts.checks.push(bad(&what, message, todo));
                parts.has_all_providers = false;
                let before = config.metrics.len();
                config.metrics.retain(|known, _| known.as_str() != name);
                config.metrics.len() < before
            }
            SetupError::Forge(message) => {
                parts.checks.push(bad("forge", message, "correct it in `forge`"));
                config.forge.take().is_some()
            }
            SetupError::Url(_) | SetupError::Owner(_) => {
                let todo = "correct it in the configuration";
                parts.checks.push(bad("configuration", &error.to_string(), todo));
                false
            }
        };
        if !is_removed {
            return Ok(parts);
        }
    }
}

fn take_credentials(config: &mut Config, key: &str, parts: &mut Parts) -> bool {
    if key.starts_with("forge.") {
        return config.forge.take().is_some();
    }
    let taken: Option<Credentials> = if key == "status.credentials" {
        parts.can_write = false;
        config.status.credentials.take()
    } else {
        parts.can_read = false;
        // Without credentials of its own, the status branch is written with the repository's.
        parts.can_write &= config.status.credentials.is_some();
        config.repository.credentials.take()
    };
    taken.is_some()
}

/// Whether every secret that a spec may name can be had. Tells names and places, never a value.
pub(super) fn secrets(config: &Config) -> Vec<Check> {
    let check = |(name, reference)| {
        let what = format!("secret `{name}`");
        match resolve(reference, &SystemSecrets) {
            Ok(_) => good(&what, &format!("`{reference}` is there")),
            Err(error) => {
                let found = format!("{:#}", anyhow::Error::new(error));
                let todo = "set it for the user of the controller, or correct it in `secrets`";
                bad(&what, &harmless(&found), todo)
            }
        }
    };
    config.secrets.iter().map(check).collect()
}
