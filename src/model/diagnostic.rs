//! Findings about what a user wrote: data here, rendering in [`crate::spec`].

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::reading;

/// The stable, kebab-case code of a kind of finding. Each has one file in `examples/broken/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Reads the codes of [`reading`] only: they are about the repository and stay with its text, while all other
/// findings follow from the text and are made anew.
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let known = reading::ALL.into_iter().find(|code| code.0 == text);
        known.ok_or_else(|| D::Error::custom(format!("`{text}` is no code of reading a spec")))
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted; the finding is shown.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Where in a file a finding is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The file's path inside the spec folder or as the user named it.
    pub file: String,
    /// First byte of the offending text, from 0.
    pub start: usize,
    /// One past the last byte of the offending text.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: usize,
    /// Column of `start` in characters, from 1.
    pub column: usize,
}

/// One finding: what is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: a sentence without a full stop.
    pub message: String,
    /// Where; absent only when there is no text to point at (a missing file).
    pub position: Option<Position>,
    /// What to do about it.
    pub help: Option<String>,
}
