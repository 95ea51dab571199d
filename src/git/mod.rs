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

/// The codes of what can be wrong with reading a spec.
pub use crate::model::reading as codes;
pub use edit::{Edit, PART_BYTES_MAX, PART_LINES_MAX};
pub use error::GitError;
pub use identity::configured_identity;
pub use mirror::{Advertisement, CommitInfo, Mirror};
pub use pulls::Merged;
pub use remote::{Auth, Remote};
pub use url::{RepoUrl, UrlError};
pub use writer::{Change, PUSH_ATTEMPTS_MAX, Published, Signature, StatusWriter};

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
