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
pub(crate) mod violations;
mod wording;
pub mod yaml;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::{Catalogue, Diagnostic, Sources, Spec, Template, TemplateHash};

/// A commented spec to start from; it runs on the `process` provider without any installation.
pub const STARTER: &str = include_str!("../../examples/quickstart/controller/spec.yaml");

/// Hexadecimal digits of a template hash: short enough for a label, long enough that two templates of one
/// service never share one by chance.
const TEMPLATE_HASH_DIGITS: usize = 12;

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

/// The hash of what one replica is: equal templates have equal hashes, on every machine and in every
/// version that knows the same keys.
#[must_use]
pub fn template_hash(template: &Template) -> TemplateHash {
    // `Value` sorts the keys of its objects: that makes the text canonical.
    let canonical = serde_json::to_value(template).unwrap_or_default().to_string();
    let digest = Sha256::digest(canonical.as_bytes());
    let mut digits = String::with_capacity(TEMPLATE_HASH_DIGITS);
    for byte in digest.iter().take(TEMPLATE_HASH_DIGITS / 2) {
        // Writing to a `String` does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    TemplateHash(digits)
}
