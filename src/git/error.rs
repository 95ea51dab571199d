//! What can go wrong with a repository, sorted by what the user has to do about it.

use std::path::PathBuf;

use git2::{ErrorClass, ErrorCode};

use super::{Remote, UrlError};

/// Why a repository could not be read or written. No variant ever holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The address is not allowed.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The thread that did the work went down.
    #[error("git work was interrupted: {0}")]
    Interrupted(String),
    /// libgit2 would not start.
    #[error("git library not set up: {0}")]
    Setup(String),
    /// The file with certificate authorities cannot be used.
    #[error("authorities in `{}` not trusted: the file is missing or is not PEM: check `caFile`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: git2::Error,
    },
    /// The server wants credentials and none are configured, or not of the kind it takes.
    #[error("{remote} asks for {wanted}: set it under `credentials`")]
    AuthMissing {
        /// Address.
        remote: String,
        /// What it asks for.
        wanted: &'static str,
    },
    /// The server refused the credentials.
    #[error(
        "{remote} refused the {sent}: check that it is current and may {right} this repository"
    )]
    Auth {
        /// Address.
        remote: String,
        /// What was sent.
        sent: &'static str,
        /// What was to be done: read or write.
        right: &'static str,
    },
    /// The server led to another host, which must not see the credentials.
    #[error("{remote} redirects to another server: set the address it redirects to ({detail})")]
    Redirected {
        /// Address.
        remote: String,
        /// What was seen.
        detail: String,
    },
    /// No `known_hosts` text was given.
    #[error(
        "{host} not trusted: no known_hosts given: run `ssh-keyscan -p {port} {host}`, compare the keys with \
         those the server's operator publishes, and set `knownHosts`"
    )]
    KnownHostsMissing {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// The `known_hosts` text has a revocation that cannot be read.
    #[error(
        "{host} not trusted: line {line} of known_hosts revokes a key and cannot be read: correct it"
    )]
    KnownHostsInvalid {
        /// Host.
        host: String,
        /// Line, from 1.
        line: usize,
    },
    /// The host is not in the `known_hosts` text.
    #[error(
        "{host} not trusted: its {key_type} key is not in known_hosts: run `ssh-keyscan -p {port} {host}`, \
         compare the keys with those the server's operator publishes, and add the lines"
    )]
    HostKeyUnknown {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Type of the key that the server showed.
        key_type: String,
    },
    /// The host is in the `known_hosts` text with other keys.
    #[error(
        "{host} not trusted: it shows a {key_type} key that is not the one in known_hosts (listed: {listed}): \
         someone may be in between; if the server's operator confirms a new key, add its line"
    )]
    HostKeyMismatch {
        /// Host.
        host: String,
        /// Type of the key that the server showed.
        key_type: String,
        /// Types listed for the host.
        listed: String,
    },
    /// The host's key is revoked in the `known_hosts` text.
    #[error("{host} not trusted: its key is revoked in known_hosts")]
    HostKeyRevoked {
        /// Host.
        host: String,
    },
    /// The server's certificate is not trusted.
    #[error("{remote} not trusted: {detail}: for a private authority set `caFile`")]
    Tls {
        /// Address.
        remote: String,
        /// What was wrong.
        detail: String,
    },
    /// The repository is not there, or may not be seen.
    #[error("no repository at {remote}: check the address, and that the credentials may see it")]
    NotFound {
        /// Address.
        remote: String,
    },
    /// The remote does not have the branch.
    #[error("no branch `{branch}` at {remote}: it was deleted, renamed or never pushed")]
    BranchMissing {
        /// Address.
        remote: String,
        /// Branch.
        branch: String,
    },
    /// No answer in time.
    #[error("{remote} did not answer in time ({detail}): it is tried again")]
    Timeout {
        /// Address.
        remote: String,
        /// What was waited for.
        detail: String,
    },
    /// The connection failed or broke.
    #[error("no connection to {remote} ({detail}): it is tried again")]
    Network {
        /// Address.
        remote: String,
        /// What happened.
        detail: String,
    },
    /// The remote sends more than is accepted.
    #[error("{remote} sends more than {max} bytes: use a repository without large files")]
    TooLarge {
        /// Address.
        remote: String,
        /// The limit, in bytes.
        max: usize,
    },
    /// The remote refused every push.
    #[error("push to `{branch}` refused {attempts} times, at last with: {reason}")]
    Rejected {
        /// Branch.
        branch: String,
        /// Tries.
        attempts: u32,
        /// The last reason, in the server's words.
        reason: String,
    },
    /// Writing to this branch is never allowed.
    #[error(
        "branch `{0}` holds the spec: status is never written to it: set another `status.branch`"
    )]
    Protected(String),
    /// Not a name of a branch.
    #[error("`{0}` is not a valid name of a branch")]
    BranchName(String),
    /// The branch's history is cut off, so a commit on top of it could rewrite what is not seen.
    #[error("clone at `{}` is shallow: remove the folder, and it is made anew", .0.display())]
    Shallow(PathBuf),
    /// The commit is not in the mirror.
    #[error("commit `{0}` is not in the mirror: it was not fetched, or is not a commit")]
    NoSuchCommit(String),
    /// A path in a repository is not a plain file.
    #[error("`{path}` is a {kind}, not a file")]
    NotAFile {
        /// Path in the repository.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A file in a repository is larger than asked for.
    #[error("`{path}` has {size} bytes, more than {max}")]
    FileTooLarge {
        /// Path in the repository.
        path: String,
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        max: usize,
    },
    /// An edit that cannot be applied exactly once.
    #[error("edit of `{path}` refused: {why}")]
    InvalidEdit {
        /// Path in the repository.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// The folder of a mirror or clone holds something else.
    #[error("`{}` is not empty and was not made by Tidegate: choose another `stateDir`", .0.display())]
    ForeignFolder(PathBuf),
    /// The folder of a writer's clone is in use.
    #[error("`{}` is in use by another process: only one controller may use a `stateDir`", .0.display())]
    InUse(PathBuf),
    /// The folder belongs to another user.
    #[error("repository at `{0}` belongs to another user: run as that user, or change its owner")]
    Owner(String),
    /// The local copy cannot be read or written.
    #[error("local repository not usable while {doing}: if it stays so, remove `{}`", path.display())]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The repository's folder.
        path: PathBuf,
        /// Cause.
        source: git2::Error,
    },
    /// A file operation failed.
    #[error("file operation on `{}` failed: check space and permissions", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// What was to be done at a remote; decides which right its refusal lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl GitError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Network { .. }
            | Self::Rejected { .. }
            | Self::Interrupted(_) => true,
            Self::Storage { source, .. } => source.code() == ErrorCode::Locked,
            Self::Url(_)
            | Self::Setup(_)
            | Self::CaFile { .. }
            | Self::AuthMissing { .. }
            | Self::Auth { .. }
            | Self::Redirected { .. }
            | Self::KnownHostsMissing { .. }
            | Self::KnownHostsInvalid { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyMismatch { .. }
            | Self::HostKeyRevoked { .. }
            | Self::Tls { .. }
            | Self::NotFound { .. }
            | Self::BranchMissing { .. }
            | Self::TooLarge { .. }
            | Self::Protected(_)
            | Self::BranchName(_)
            | Self::Shallow(_)
            | Self::NoSuchCommit(_)
            | Self::NotAFile { .. }
            | Self::FileTooLarge { .. }
            | Self::InvalidEdit { .. }
            | Self::ForeignFolder(_)
            | Self::InUse(_)
            | Self::Owner(_)
            | Self::Io { .. } => false,
        }
    }

    /// Sorts what libgit2 says about a remote. It has few codes for it, so its messages decide the rest; what
    /// is not recognised counts as a failed connection, which is tried again.
    pub(super) fn of_remote(error: &git2::Error, remote: &Remote, purpose: Purpose) -> Self {
        let url = remote.url.to_string();
        let detail = remote.cleaned(error.message());
        let text = error.message().to_lowercase();
        let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
        if remote.url.local_path().is_some_and(|path| !path.exists()) {
            return Self::NotFound { remote: url };
        }
        match (error.code(), error.class()) {
            (ErrorCode::Owner, _) => Self::Owner(url),
            (ErrorCode::Certificate, _) => Self::Tls { remote: url, detail },
            (ErrorCode::Timeout, _) => Self::Timeout { remote: url, detail },
            _ if says(&["timed out", "timeout"]) => Self::Timeout { remote: url, detail },
            (ErrorCode::Auth, _) => Self::refused(remote, purpose),
            _ if says(&["status code: 401", "status code: 403"]) => Self::refused(remote, purpose),
            _ if says(&["status code: 404", "status code: 410"]) => Self::NotFound { remote: url },
            _ if says(&["redirect"]) => Self::Redirected { remote: url, detail },
            (_, ErrorClass::Ssl) => Self::Tls { remote: url, detail },
            (ErrorCode::NotFound, _) if remote.url.local_path().is_some() => {
                Self::NotFound { remote: url }
            }
            _ if says(&["not found", "does not appear to be a git repository"]) => {
                Self::NotFound { remote: url }
            }
            _ => Self::Network { remote: url, detail },
        }
    }

    pub(super) fn refused(remote: &Remote, purpose: Purpose) -> Self {
        use super::Auth;
        let sent = match remote.auth {
            Auth::None => {
                return Self::AuthMissing {
                    remote: remote.url.to_string(),
                    wanted: "a token or password",
                };
            }
            Auth::Token(_) => "token",
            Auth::Basic { .. } => "user name or password",
            Auth::SshKey { .. } => "ssh key",
        };
        let right = match purpose {
            Purpose::Read => "read",
            Purpose::Write => "write",
        };
        Self::Auth { remote: remote.url.to_string(), sent, right }
    }
}
