//! Where the repository is and how to be let in: plain values, with nothing printable that is secret.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::RepoUrl;
use crate::model::Secret;

/// Characters of a server's own words that a message repeats: enough for its reason, too few to flood a log.
const SERVER_TEXT_CHARS_MAX: usize = 300;
/// The user name that goes with a token: what the common forges accept for every kind of token.
pub(super) const TOKEN_USER: &str = "x-access-token";

/// How to be let in.
#[derive(Clone)]
pub enum Auth {
    /// Nothing to show: public repositories and paths.
    None,
    /// An access token, sent as the password of a fixed user name over https.
    Token(Secret),
    /// A user name and password over https.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A key over ssh, and the host keys that the server may have.
    SshKey {
        /// The private key's text, in OpenSSH or PEM form, without passphrase.
        key: Secret,
        /// The text of a `known_hosts` file.
        known_hosts: Vec<u8>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(<secret>)",
            Self::Basic { .. } => "Basic(<secret>)",
            Self::SshKey { .. } => "SshKey(<secret>)",
        })
    }
}

/// A repository elsewhere, with all that is needed to talk to it.
#[derive(Clone)]
pub struct Remote {
    /// Its address.
    pub url: RepoUrl,
    /// How to be let in.
    pub auth: Auth,
    /// A PEM file with certificate authorities to trust besides the system's. Trust is per process: the file
    /// is trusted for every https repository from then on.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy for https repositories.
    pub proxy: Option<String>,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest silence of a server.
    pub io_timeout: Duration,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("url", &self.url.to_string())
            .field("auth", &self.auth)
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Without credentials, and with the default timeouts: 10 s to connect, 30 s of silence.
    #[must_use]
    pub fn new(url: RepoUrl) -> Self {
        Self {
            url,
            auth: Auth::None,
            ca_file: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            io_timeout: Duration::from_secs(30),
        }
    }

    /// With these credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// A server's or library's words made fit to show: one short line, without anything secret of ours.
    pub(super) fn cleaned(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.secret_spellings() {
            text = text.replace(&secret, "<secret>");
        }
        let text = without_userinfo(text.trim());
        match text.char_indices().nth(SERVER_TEXT_CHARS_MAX) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
            None => text,
        }
    }

    fn secret_spellings(&self) -> Vec<String> {
        let (user, secret) = match &self.auth {
            Auth::None => return Vec::new(),
            Auth::Token(token) => (TOKEN_USER, token),
            Auth::Basic { username, password } => (username.as_str(), password),
            Auth::SshKey { key, .. } => ("", key),
        };
        let value = secret.expose();
        let percent: String = value
            .bytes()
            .map(|b| {
                if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect();
        // The longest first, because it may end with one of the others.
        [
            STANDARD.encode(format!("{user}:{value}")),
            STANDARD.encode(value),
            percent,
            value.to_owned(),
        ]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect()
    }
}

/// Cuts `user:password@` out of every URL in a text.
fn without_userinfo(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("://");
        let end = part.find(['/', ' ', '\'', '"']).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_secret_survives() {
        let remote = Remote::new(RepoUrl::parse("https://example.com/a").unwrap())
            .with_auth(Auth::Token(Secret::new("s3cr&t")));
        let spelled = STANDARD.encode("x-access-token:s3cr&t");
        let shown = remote.cleaned(&format!(
            "s3cr&t s3cr%26t {spelled}\r\nhttps://me:pw@example.com/a\u{1b}[31m"
        ));
        assert_eq!(shown, "<secret> <secret> <secret>  https://example.com/a [31m");
        assert!(!format!("{remote:?}").contains("s3cr"));
    }
}
