//! The text a spec is made of, as it was read, with what was wrong about reading it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::Diagnostic;

/// One file of the spec folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct SourceFile {
    /// Path as diagnostics show it: inside the repository, or as the user named it.
    pub path: String,
    /// Content; not necessarily UTF-8.
    pub bytes: Vec<u8>,
}

/// Written as `text` where it is text, and in base 64 where it is not.
impl Serialize for SourceFile {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut file = out.serialize_struct("SourceFile", 2)?;
        file.serialize_field("path", &self.path)?;
        match str::from_utf8(&self.bytes) {
            Ok(text) => file.serialize_field("text", text)?,
            Err(_) => file.serialize_field("base64", &STANDARD.encode(&self.bytes))?,
        }
        file.end()
    }
}

/// A file as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    path: String,
    text: Option<String>,
    base64: Option<String>,
}

impl TryFrom<Written> for SourceFile {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let path = written.path;
        let bytes = match (written.text, written.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(encoded)) => STANDARD
                .decode(encoded)
                .map_err(|error| format!("the content of `{path}` is not base 64: {error}"))?,
            (None, None) | (Some(_), Some(_)) => {
                return Err(format!("`{path}` needs one of `text` and `base64`"));
            }
        };
        Ok(Self { path, bytes })
    }
}

/// The files of a spec folder: `spec.yaml` first, then `services/*.yaml` and `policies/*.yaml` by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    /// `spec.yaml`; absent when it could not be read, and then `findings` says why.
    pub spec: Option<SourceFile>,
    /// `services/*.yaml`, one service document each.
    pub services: Vec<SourceFile>,
    /// `policies/*.yaml`, one policy document each.
    pub policies: Vec<SourceFile>,
    /// What could not be read: missing file, symlink, submodule, folder, too large.
    pub findings: Vec<Diagnostic>,
}

impl Sources {
    /// The file of this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&SourceFile> {
        let mut files = self.spec.iter().chain(&self.services).chain(&self.policies);
        files.find(|file| file.path == path)
    }
}

/// Bytes one file of a spec may have: 10,000 services with templates fit in a third of it.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files a spec may have.
pub const FILES_MAX: usize = 10_000;
