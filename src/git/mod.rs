//! The first and the last stage: reads the spec from the spec repository, and commits the status branch.
//!
//! All functions block: call them from a blocking thread. They read blobs from bare repositories only; there
//! is no work tree, so nothing of a repository is ever checked out, followed or run. This stage judges nothing
//! about a spec's content, and never writes to any branch but the one a [`StatusWriter`] was opened for.

mod bare;
mod edit;
mod error;
mod global;
mod housekeeping;
mod identity;
mod known_hosts;
mod local_push;
mod mirror;
mod pulls;
mod read;
mod remote;
mod session;
mod url;
mod writer;

pub use edit::{Edit, PART_BYTES_MAX, PART_LINES_MAX};
pub use error::GitError;
pub use identity::configured_identity;
pub use mirror::{Advertisement, CommitInfo, Mirror};
pub use pulls::Merged;
pub use remote::{Auth, Remote};
pub use url::{RepoUrl, UrlError};
pub use writer::{Change, PUSH_ATTEMPTS_MAX, Published, Signature, StatusWriter};

/// The codes of what can be wrong with reading a spec from a repository.
pub mod codes {
    use crate::model::Code;

    /// The folder or its `spec.yaml` is not in the commit.
    pub const SPEC_MISSING: Code = Code("spec-missing");
    /// A folder stands where a file should.
    pub const SPEC_IS_FOLDER: Code = Code("spec-is-folder");
    /// A symbolic link stands where a file or a folder should.
    pub const SYMLINK: Code = Code("symlink");
    /// A submodule stands where a file or a folder should.
    pub const SUBMODULE: Code = Code("submodule");
    /// A file, a folder listing or all files together are larger than the limit.
    pub const FILE_TOO_LARGE: Code = Code("file-too-large");
    /// The spec has more files than the limit.
    pub const TOO_MANY_FILES: Code = Code("too-many-files");
    /// A name in the repository that no file may have: `..`, slashes, control characters.
    pub const ODD_NAME: Code = Code("odd-name");

    /// All of them.
    pub const ALL: [Code; 7] = [
        SPEC_MISSING,
        SPEC_IS_FOLDER,
        SYMLINK,
        SUBMODULE,
        FILE_TOO_LARGE,
        TOO_MANY_FILES,
        ODD_NAME,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_may_go_to_a_blocking_thread() {
        fn is_send<T: Send + 'static>() {}
        is_send::<Mirror>();
        is_send::<StatusWriter>();
        is_send::<Remote>();
        is_send::<GitError>();
    }
}
