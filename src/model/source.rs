//! The text a spec is made of, as it was read, with what was wrong about reading it.

use super::Diagnostic;

/// One file of the spec folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path as diagnostics show it: inside the repository, or as the user named it.
    pub path: String,
    /// Content; not necessarily UTF-8.
    pub bytes: Vec<u8>,
}

/// The files of a spec folder: `spec.yaml` first, then `services/*.yaml` and `policies/*.yaml` by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
