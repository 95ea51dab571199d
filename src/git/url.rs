//! Repository addresses: parsed once, against an allow-list, into a form that can hold no credential.

use std::fmt;
use std::path::{Path, PathBuf};

/// Characters an address may have; the longest that servers accept are far below.
const URL_CHARS_MAX: usize = 2_048;

/// Why a text is not an address that may be used. Never repeats the text, which may hold a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing there.
    #[error("the repository address is empty: give an https or ssh URL, or a path")]
    Empty,
    /// Too long, or with control characters.
    #[error(
        "the repository address is longer than {URL_CHARS_MAX} characters or has control characters"
    )]
    Malformed,
    /// Would be taken for an option by a program it is passed to.
    #[error(
        "the repository address, its user, host or path begins with a dash: write a path as `./-name`"
    )]
    LeadingDash,
    /// A scheme that is not on the list.
    #[error("scheme `{0}` is not allowed: use https, ssh, file or a path")]
    Scheme(String),
    /// Plain HTTP to another machine.
    #[error("http to host `{0}` would send the credentials readable for all: use https")]
    PlainHttp(String),
    /// A user name or password inside the address.
    #[error(
        "the repository address holds a user name or password: remove it from the address and set \
         `credentials` instead"
    )]
    Credentials,
    /// Host missing or with odd characters.
    #[error("the repository address has no valid host")]
    Host,
    /// Port not a number from 1 to 65535.
    #[error("the repository address has no valid port")]
    Port,
    /// User of an ssh address with odd characters.
    #[error("the user of the repository address may only have letters, digits and `. _ -`")]
    User,
    /// Path missing or with odd characters.
    #[error("the repository address has no valid path")]
    Path,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Web { tls: bool, host: String, port: Option<u16>, path: String },
    Ssh { user: String, host: String, port: Option<u16>, path: String },
    Local(PathBuf),
}

/// The address of a repository: https, ssh (also `user@host:path`), `file://` or a path, and http to this very
/// machine. Displays in normal form, without any credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoUrl(Kind);

impl RepoUrl {
    /// Parses and checks an address.
    ///
    /// # Errors
    /// What is wrong with it; the text itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.len() > URL_CHARS_MAX || text.chars().any(char::is_control) {
            return Err(UrlError::Malformed);
        }
        if text.starts_with('-') {
            return Err(UrlError::LeadingDash);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            return match scheme.as_str() {
                "https" => web(true, rest),
                "http" => web(false, rest),
                "ssh" => ssh(rest),
                "file" => file(rest),
                _ if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                    Err(UrlError::Scheme(scheme))
                }
                _ => Err(UrlError::Malformed),
            };
        }
        match text.split_once(':') {
            // `user@host:path`, unless a slash stands before the colon: then it is a path.
            Some((head, path)) if !head.contains('/') && !head.is_empty() => {
                // `ext::command` would have a git program run the command.
                if path.starts_with(':') {
                    Err(UrlError::Scheme("::".to_owned()))
                } else {
                    scp(head, path)
                }
            }
            _ => local(Path::new(text)),
        }
    }

    /// The path, when the repository is on this machine.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Local(path) => Some(path),
            Kind::Web { .. } | Kind::Ssh { .. } => None,
        }
    }

    /// The host, unless the repository is on this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Web { host, .. } | Kind::Ssh { host, .. } => Some(host),
            Kind::Local(_) => None,
        }
    }

    /// The user of an ssh address.
    pub(super) fn ssh_user(&self) -> Option<&str> {
        match &self.0 {
            Kind::Ssh { user, .. } => Some(user),
            Kind::Web { .. } | Kind::Local(_) => None,
        }
    }

    /// The port that will be connected to.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.0 {
            Kind::Web { tls, port, .. } => Some(port.unwrap_or(if *tls { 443 } else { 80 })),
            Kind::Ssh { port, .. } => Some(port.unwrap_or(22)),
            Kind::Local(_) => None,
        }
    }

    /// Whether `other`, an address that a server led to, is on the very same scheme, host and port.
    pub(super) fn same_server(&self, other: &str) -> bool {
        Self::parse(other).is_ok_and(|other| match (&self.0, &other.0) {
            (Kind::Web { tls, host, .. }, Kind::Web { tls: tls2, host: host2, .. }) => {
                tls == tls2 && host == host2 && self.port() == other.port()
            }
            (Kind::Ssh { host, .. }, Kind::Ssh { host: host2, .. }) => {
                host == host2 && self.port() == other.port()
            }
            _ => false,
        })
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = |port: &Option<u16>| port.map(|p| format!(":{p}")).unwrap_or_default();
        match &self.0 {
            Kind::Web { tls, host, port: p, path } => {
                write!(f, "{}://{host}{}{path}", if *tls { "https" } else { "http" }, port(p))
            }
            Kind::Ssh { user, host, port: p, path } if path.starts_with('/') => {
                write!(f, "ssh://{user}@{host}{}{path}", port(p))
            }
            Kind::Ssh { user, host, path, .. } => write!(f, "{user}@{host}:{path}"),
            Kind::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl std::str::FromStr for RepoUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

fn web(tls: bool, rest: &str) -> Result<RepoUrl, UrlError> {
    let (authority, path) = split_authority(rest);
    if authority.contains('@') {
        return Err(UrlError::Credentials);
    }
    let (host, port) = host_port(authority)?;
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if !tls && !is_loopback {
        return Err(UrlError::PlainHttp(host));
    }
    let path = remote_path(path)?;
    if path.contains(['?', '#']) {
        return Err(UrlError::Path);
    }
    let port = port.filter(|p| *p != if tls { 443 } else { 80 });
    Ok(RepoUrl(Kind::Web { tls, host, port, path }))
}

fn ssh(rest: &str) -> Result<RepoUrl, UrlError> {
    let (authority, path) = split_authority(rest);
    let (user, server) = authority.rsplit_once('@').unwrap_or(("git", authority));
    let user = ssh_user(user)?;
    let (host, port) = host_port(server)?;
    let path = remote_path(path)?;
    Ok(RepoUrl(Kind::Ssh { user, host, port: port.filter(|p| *p != 22), path }))
}

fn scp(head: &str, path: &str) -> Result<RepoUrl, UrlError> {
    let (user, server) = head.rsplit_once('@').unwrap_or(("git", head));
    let user = ssh_user(user)?;
    let (host, _) = host_port(server)?;
    if path.starts_with('-') {
        return Err(UrlError::LeadingDash);
    }
    // `user:password@host:path`, cut at the wrong colon.
    if path.contains('@') {
        return Err(UrlError::Credentials);
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.contains(['\'', '"', '\\', '`']) {
        return Err(UrlError::Path);
    }
    Ok(RepoUrl(Kind::Ssh { user, host, port: None, path: path.to_owned() }))
}

fn file(rest: &str) -> Result<RepoUrl, UrlError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if path.starts_with('/') { local(Path::new(path)) } else { Err(UrlError::Host) }
}

fn local(path: &Path) -> Result<RepoUrl, UrlError> {
    let path = std::path::absolute(path).map_err(|_| UrlError::Path)?;
    Ok(RepoUrl(Kind::Local(path)))
}

fn split_authority(rest: &str) -> (&str, &str) {
    rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
}

fn ssh_user(user: &str) -> Result<String, UrlError> {
    if user.contains(':') {
        return Err(UrlError::Credentials);
    }
    if user.starts_with('-') {
        return Err(UrlError::LeadingDash);
    }
    let ok = !user.is_empty()
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if ok { Ok(user.to_owned()) } else { Err(UrlError::User) }
}

fn host_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(text) => Some(text.parse().ok().filter(|p| *p != 0).ok_or(UrlError::Port)?),
    };
    if host.starts_with('-') {
        return Err(UrlError::LeadingDash);
    }
    let is_ip6 = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_ip6 || is_name { Ok((host.to_ascii_lowercase(), port)) } else { Err(UrlError::Host) }
}

/// The path of an https or ssh address, without slashes at its end.
fn remote_path(path: &str) -> Result<String, UrlError> {
    let path = path.trim_end_matches('/');
    if path.starts_with("/-") {
        return Err(UrlError::LeadingDash);
    }
    // Quotes and backslashes could end the quoting of the command that ssh servers run in a shell.
    if path.is_empty() || path.contains(['\'', '"', '\\', '`']) {
        return Err(UrlError::Path);
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form() {
        for (text, shown) in [
            ("https://GitHub.com:443/acme/infra.git/", "https://github.com/acme/infra.git"),
            ("https://git.example.com:8443/a", "https://git.example.com:8443/a"),
            ("http://127.0.0.1:8080/a.git", "http://127.0.0.1:8080/a.git"),
            ("http://[::1]/a.git", "http://[::1]/a.git"),
            ("git@github.com:acme/infra.git", "git@github.com:acme/infra.git"),
            ("host:infra.git", "git@host:infra.git"),
            ("git@host:/srv/infra.git", "ssh://git@host/srv/infra.git"),
            ("ssh://host:22/srv/infra.git", "ssh://git@host/srv/infra.git"),
            ("ssh://me@[::1]:2222/srv/a", "ssh://me@[::1]:2222/srv/a"),
            ("file:///srv/infra.git", "/srv/infra.git"),
            ("/srv/infra.git", "/srv/infra.git"),
            ("/srv/a:b", "/srv/a:b"),
        ] {
            assert_eq!(RepoUrl::parse(text).map(|u| u.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn refused_without_repeating_a_secret() {
        for text in [
            "",
            "-u",
            "--upload-pack=touch /tmp/x",
            "https://user:hunter2@example.com/a",
            "https://hunter2@example.com/a",
            "ssh://git:hunter2@example.com/a",
            "git:hunter2@example.com:a",
            "ssh://-oProxyCommand=hunter2/a",
            "ssh://git@host/a'hunter2",
            "ssh://git@host/-hunter2",
            "git@host:-hunter2",
            "http://example.com/a",
            "ext::sh -c hunter2",
            "git://example.com/a",
            "ftp://hunter2@example.com/a",
            "https://example.com",
            "https:///a",
            "https://example.com:0/a",
            "https://example.com:hunter2/a",
            "https://example.com/a?token=hunter2",
            "file://host/a",
            "https://exa\nmple.com/a",
        ] {
            let error = RepoUrl::parse(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn only_the_same_server_is_the_same() {
        let url = RepoUrl::parse("https://git.example.com/a.git").unwrap();
        assert!(url.same_server("https://GIT.example.com:443/other"));
        for other in
            ["https://example.com/a", "http://git.example.com/a", "https://git.example.com:444/a"]
        {
            assert!(!url.same_server(other), "{other}");
        }
    }
}
