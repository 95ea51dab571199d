//! One conversation with a remote: credentials to the configured server only, pinned host keys, limits.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode,
    FetchOptions, Oid, ProxyOptions, PushOptions, RemoteCallbacks, RemoteRedirect, Repository,
};

use git2::cert::Cert;

use super::error::{GitError, Purpose};
use super::known_hosts::{self, Verdict};
use super::remote::TOKEN_USER;
use super::{Auth, Remote, global};

/// Bytes that one fetch may bring: a spec repository is text, and its biggest known relatives (monorepos with
/// years of history) stay below.
const FETCH_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;

/// Time that asking for the refs may take: an answer has some kilobytes.
const LIST_TIME_MAX: Duration = Duration::from_secs(120);
/// Time that a fetch or a push may take: enough for a first fetch over a slow line. Against a server that
/// never falls silent, and so never meets the timeouts of the connection, but never gets to an end.
///
/// libgit2 can be stopped only where it calls back: when it asks for credentials, when it checks a
/// certificate or a host key, at a server's progress message, after every object and every 100 kB of a fetch,
/// and before a push sends its pack. It cannot be stopped while it reads the list of refs, within the first
/// 100 kB of one object, or while it sends a pack and reads the answer, as long as each wait is shorter than
/// the timeout of the connection.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(600);

/// What a push came to.
#[derive(Debug)]
pub(super) enum Pushed {
    /// The remote's branch is the pushed commit.
    Accepted,
    /// The remote's branch is not what was expected, or the remote would not have it; in its words.
    Rejected(String),
}

/// A conversation's memory, shared by its callbacks: libgit2 passes through codes, this keeps reasons.
struct Session<'a> {
    remote: &'a Remote,
    purpose: Purpose,
    failure: RefCell<Option<GitError>>,
    credentials_sent: Cell<bool>,
    began: Instant,
    time_max: Duration,
    bytes_max: usize,
}

impl<'a> Session<'a> {
    fn new(remote: &'a Remote, purpose: Purpose, time_max: Duration) -> Self {
        Self {
            remote,
            purpose,
            failure: RefCell::new(None),
            credentials_sent: Cell::new(false),
            began: Instant::now(),
            time_max,
            bytes_max: FETCH_BYTES_MAX,
        }
    }

    /// Whether there is time left; remembers when there is none.
    fn is_in_time(&self) -> bool {
        let is_in_time = self.began.elapsed() <= self.time_max;
        if !is_in_time {
            *self.failure.borrow_mut() = Some(GitError::Timeout {
                remote: self.remote.url.to_string(),
                detail: format!("not done after {} seconds", self.time_max.as_secs()),
            });
        }
        is_in_time
    }

    fn check_time(&self) -> Result<(), git2::Error> {
        if self.is_in_time() {
            return Ok(());
        }
        Err(git2::Error::new(ErrorCode::Timeout, ErrorClass::Callback, "out of time"))
    }

    /// Remembers the reason and gives libgit2 a code to stop at.
    fn stop(&self, code: ErrorCode, error: GitError) -> git2::Error {
        let stop = git2::Error::new(code, ErrorClass::Callback, "stopped by the caller");
        *self.failure.borrow_mut() = Some(error);
        stop
    }

    fn explain(&self, error: &git2::Error) -> GitError {
        let known = self.failure.borrow_mut().take();
        known.unwrap_or_else(|| GitError::of_remote(error, self.remote, self.purpose))
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .credentials(|url, user, allowed| self.credential(url, user, allowed))
            .certificate_check(|certificate, host| self.check(certificate, host))
            .transfer_progress(|progress| {
                let ok = progress.received_bytes() <= self.bytes_max;
                if !ok {
                    *self.failure.borrow_mut() = Some(GitError::TooLarge {
                        remote: self.remote.url.to_string(),
                        max: self.bytes_max,
                    });
                }
                ok && self.is_in_time()
            })
            .sideband_progress(|_| self.is_in_time());
        callbacks
    }

    fn credential(
        &self,
        url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        self.check_time()?;
        let remote = self.remote;
        if !remote.url.same_server(url) {
            let detail = "the credentials were kept back".to_owned();
            let error = GitError::Redirected { remote: remote.url.to_string(), detail };
            return Err(self.stop(ErrorCode::Auth, error));
        }
        // Asked for the name alone, before ssh even begins to authenticate.
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(remote.url.ssh_user().unwrap_or("git"));
        }
        // libgit2 asks again, without end, when what it sent was refused.
        if self.credentials_sent.replace(true) {
            return Err(self.stop(ErrorCode::Auth, GitError::refused(remote, self.purpose)));
        }
        let wants_password = allowed.contains(CredentialType::USER_PASS_PLAINTEXT);
        let wants_key = allowed.contains(CredentialType::SSH_MEMORY);
        match &remote.auth {
            Auth::Token(token) if wants_password && remote.url.ssh_user().is_none() => {
                Cred::userpass_plaintext(TOKEN_USER, token.expose())
            }
            Auth::Basic { username, password } if wants_password => {
                Cred::userpass_plaintext(username, password.expose())
            }
            Auth::SshKey { key, .. } if wants_key => {
                let user = user.or(remote.url.ssh_user()).unwrap_or("git");
                Cred::ssh_key_from_memory(user, None, key.expose(), None)
            }
            Auth::None | Auth::Token(_) | Auth::Basic { .. } | Auth::SshKey { .. } => {
                let wanted = if wants_key { "an ssh key" } else { "a token or password" };
                let error = GitError::AuthMissing { remote: remote.url.to_string(), wanted };
                Err(self.stop(ErrorCode::Auth, error))
            }
        }
    }

    fn check(
        &self,
        certificate: &Cert<'_>,
        host: &str,
    ) -> Result<CertificateCheckStatus, git2::Error> {
        self.check_time()?;
        let Some(key) = certificate.as_hostkey() else {
            // A TLS certificate: OpenSSL's own judgement stands.
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let host = host.to_owned();
        let port = self.remote.url.port().unwrap_or(22);
        let key = key.hostkey().unwrap_or_default();
        let key_type = known_hosts::key_type(key).to_owned();
        let known_hosts = match &self.remote.auth {
            Auth::SshKey { known_hosts, .. } => known_hosts.as_slice(),
            Auth::None | Auth::Token(_) | Auth::Basic { .. } => &[],
        };
        if known_hosts.trim_ascii().is_empty() {
            let error = GitError::KnownHostsMissing { host, port };
            return Err(self.stop(ErrorCode::Certificate, error));
        }
        let error = match known_hosts::judge(known_hosts, &host, port, key) {
            Verdict::Trusted => return Ok(CertificateCheckStatus::CertificateOk),
            Verdict::Revoked => GitError::HostKeyRevoked { host },
            Verdict::Mismatch { listed } => {
                GitError::HostKeyMismatch { host, key_type, listed: listed.join(", ") }
            }
            Verdict::Unknown => GitError::HostKeyUnknown { host, port, key_type },
            Verdict::UnreadableRevocation(line) => GitError::KnownHostsInvalid { host, line },
        };
        Err(self.stop(ErrorCode::Certificate, error))
    }
}

fn proxy(remote: &Remote) -> ProxyOptions<'_> {
    let mut options = ProxyOptions::new();
    if let Some(url) = &remote.proxy {
        options.url(url);
    }
    options
}

/// Asks for the remote's refs, and for nothing else; as one who means to read, or to write.
pub(super) fn list(
    repository: &Repository,
    remote: &Remote,
    purpose: Purpose,
) -> Result<Vec<(String, Oid)>, GitError> {
    let _permit = global::permit(remote)?;
    let session = Session::new(remote, purpose, LIST_TIME_MAX);
    let direction = match purpose {
        Purpose::Read => Direction::Fetch,
        Purpose::Write => Direction::Push,
    };
    let run = || -> Result<Vec<(String, Oid)>, git2::Error> {
        let mut handle = repository.remote_anonymous(&remote.url.to_string())?;
        let connection =
            handle.connect_auth(direction, Some(session.callbacks()), Some(proxy(remote)))?;
        Ok(connection.list()?.iter().map(|head| (head.name().to_owned(), head.oid())).collect())
    };
    run().map_err(|error| session.explain(&error))
}

/// Fetches by refspecs, and gives the remote's refs as they were advertised.
pub(super) fn fetch(
    repository: &Repository,
    remote: &Remote,
    refspecs: &[String],
) -> Result<Vec<(String, Oid)>, GitError> {
    fetch_within(repository, remote, refspecs, FETCH_MAX)
}

/// What one fetch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct FetchMax {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// Of a branch that people of the repository write.
const FETCH_MAX: FetchMax = FetchMax { bytes: FETCH_BYTES_MAX, time: TRANSFER_TIME_MAX };

/// The same, with other limits.
pub(super) fn fetch_within(
    repository: &Repository,
    remote: &Remote,
    refspecs: &[String],
    max: FetchMax,
) -> Result<Vec<(String, Oid)>, GitError> {
    let _permit = global::permit(remote)?;
    let session = Session { bytes_max: max.bytes, ..Session::new(remote, Purpose::Read, max.time) };
    let run = || -> Result<Vec<(String, Oid)>, git2::Error> {
        let mut handle = repository.remote_anonymous(&remote.url.to_string())?;
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(session.callbacks())
            .proxy_options(proxy(remote))
            .download_tags(AutotagOption::None)
            .follow_redirects(RemoteRedirect::None)
            .update_fetchhead(false);
        handle.fetch(refspecs, Some(&mut options), None)?;
        Ok(handle.list()?.iter().map(|head| (head.name().to_owned(), head.oid())).collect())
    };
    run().map_err(|error| session.explain(&error))
}

/// Pushes `commit` to `branch` if, and only if, the branch there is `expected` (none: does not exist).
pub(super) fn push(
    repository: &Repository,
    remote: &Remote,
    branch: &str,
    commit: Oid,
    expected: Option<Oid>,
) -> Result<Pushed, GitError> {
    let _permit = global::permit(remote)?;
    let session = Session::new(remote, Purpose::Write, TRANSFER_TIME_MAX);
    let rejection: RefCell<Option<String>> = RefCell::new(None);
    let run = || -> Result<(), git2::Error> {
        let mut handle = repository.remote_anonymous(&remote.url.to_string())?;
        let mut callbacks = session.callbacks();
        callbacks
            .push_negotiation(|updates| {
                session.check_time()?;
                let is_expected =
                    updates.iter().all(|update| update.src() == expected.unwrap_or(Oid::ZERO_SHA1));
                if is_expected {
                    return Ok(());
                }
                *rejection.borrow_mut() = Some("the branch has moved".to_owned());
                Err(git2::Error::new(ErrorCode::Modified, ErrorClass::Callback, "branch has moved"))
            })
            .push_update_reference(|_, status| {
                if let Some(reason) = status {
                    *rejection.borrow_mut() = Some(remote.cleaned(reason));
                }
                Ok(())
            });
        let mut options = PushOptions::new();
        options
            .remote_callbacks(callbacks)
            .proxy_options(proxy(remote))
            .follow_redirects(RemoteRedirect::None);
        // The commit's own id as source: no local branch has to exist, and none can have moved.
        handle.push(&[format!("{commit}:refs/heads/{branch}")], Some(&mut options))
    };
    let result = run();
    if let Some(reason) = rejection.borrow_mut().take() {
        return Ok(Pushed::Rejected(reason));
    }
    match result {
        Ok(()) => Ok(Pushed::Accepted),
        // The branch there has commits that are not here: it moved since it was fetched.
        Err(error) if error.code() == ErrorCode::NotFastForward => {
            Ok(Pushed::Rejected(remote.cleaned(error.message())))
        }
        Err(error) => Err(session.explain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::RepoUrl;

    #[test]
    fn a_transfer_that_takes_too_long_is_stopped_and_said_to() {
        let folder = tempfile::tempdir().unwrap();
        let origin = git2::Repository::init_bare(folder.path().join("origin.git")).unwrap();
        let author = git2::Signature::now("T", "t@example.com").unwrap();
        let tree = origin.find_tree(origin.treebuilder(None).unwrap().write().unwrap()).unwrap();
        origin.commit(Some("refs/heads/main"), &author, &author, "m", &tree, &[]).unwrap();
        let mirror = git2::Repository::init_bare(folder.path().join("mirror.git")).unwrap();
        let remote = Remote::new(RepoUrl::parse(origin.path().to_str().unwrap()).unwrap());
        let refspecs = ["+refs/heads/main:refs/remotes/origin/main".to_owned()];
        let error = fetch_within(
            &mirror,
            &remote,
            &refspecs,
            FetchMax { time: Duration::ZERO, ..FETCH_MAX },
        )
        .unwrap_err();
        assert!(matches!(error, GitError::Timeout { .. }), "{error}");
        assert!(error.is_retryable());
        fetch(&mirror, &remote, &refspecs).unwrap();
    }
}
