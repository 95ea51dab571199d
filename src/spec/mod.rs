//! Text to [`Spec`], or every finding at once.
//!
//! Comes after `git`, which reads the files, and before `observe`. Pure: no I/O, no clock, no randomness;
//! nothing that a spec says is executed or looked up. Two layers check a spec: the JSON Schema, generated
//! from the types in `raw`, and the meaning, in `check`, `policy` and `against`. The YAML loader and the
//! schema checker also serve the controller's configuration.

mod against;
mod check;
pub mod codes;
mod convert;
pub(crate) mod findings;
pub(crate) mod formats;
mod load;
mod policy;
pub(crate) mod raw;
pub mod render;
pub(crate) mod schema;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;
mod typed_policy;
pub(crate) mod violations;
mod wording;
pub mod yaml;

pub use typed_policy::typed as typed_policy;

use crate::model::{Catalogue, Diagnostic, Sources, Spec};

/// A commented spec to start from; it runs on the `process` provider without any installation.
pub const STARTER: &str = include_str!("../../examples/quickstart/controller/spec.yaml");

/// What could be read of a spec.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Loaded {
    /// The spec; absent exactly when some diagnostic is an error.
    pub spec: Option<Spec>,
    /// All findings, in the order of the files and of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and checks a spec. Without a catalogue, nothing is checked that depends on the controller's
/// configuration.
pub fn load(sources: &Sources, catalogue: Option<&Catalogue>) -> Loaded {
    load::load(sources, catalogue)
}

/// The JSON Schema of `spec.yaml`, draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema::spec()
}
