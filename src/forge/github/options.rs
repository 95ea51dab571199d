//! Which GitHub, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::limits::Budget;
use crate::model::Secret;

/// Gives the present instant.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Which GitHub, and as whom.
pub struct Options {
    /// Address of the API: `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise server.
    pub api_url: String,
    /// Owner of the repository.
    pub owner: String,
    /// Name of the repository.
    pub repo: String,
    /// As whom it is asked.
    pub auth: Auth,
    /// More certificate authorities (PEM), beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Address of an HTTP proxy, `http://[user:password@]host:port`; every connection is a tunnel through it.
    /// Proxies of the environment are not used.
    pub proxy: Option<String>,
    /// The clock.
    pub now: Now,
    /// How much is written at most.
    pub budget: Budget,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        f.debug_struct("Options")
            .field("api_url", &self.api_url)
            .field("owner", &self.owner)
            .field("repo", &self.repo)
            .field("auth", &self.auth)
            .field("ca_file", &self.ca_file)
            .field("is_proxied", &self.proxy.is_some())
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// As whom GitHub is asked.
#[derive(Debug)]
pub enum Auth {
    /// A token: of a user, fine-grained or not.
    Token(Secret),
    /// A GitHub App.
    App {
        /// Its app id or client id.
        id: String,
        /// Its installation; `None` finds that of the repository.
        installation_id: Option<u64>,
        /// Its private key: PEM, PKCS#1 or PKCS#8.
        private_key: Secret,
    },
}

/// Why options make no client. No variant holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Not an address of an API.
    #[error(
        "read the address of the GitHub API: write it like `https://api.github.com` or `https://HOST/api/v3`, without user, query or fragment"
    )]
    ApiUrl,
    /// Not a name.
    #[error("`{name}` is not the name of an owner or repository on GitHub")]
    Name {
        /// What was given.
        name: String,
    },
    /// An empty token.
    #[error("the token for GitHub is empty, or has characters that no token has")]
    Token,
    /// Not an id of an App.
    #[error(
        "the id of the GitHub App has characters that no id has: take the app id or client id from its page"
    )]
    AppId,
    /// Not a private key.
    #[error(
        "read the private key of the GitHub App: {detail}: give the whole PEM file that GitHub made"
    )]
    PrivateKey {
        /// What is wrong with it.
        detail: String,
    },
    /// No authorities.
    #[error("read the certificate authorities in `{file}`: {detail}")]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Not a proxy.
    #[error("read the address of the proxy: write it like `http://proxy.example.com:3128`")]
    Proxy,
    /// TLS is not to be had.
    #[error("prepare TLS: {detail}")]
    Tls {
        /// What happened.
        detail: String,
    },
}
