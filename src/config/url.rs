//! Addresses, as far as the configuration judges them: which transport, and no secret inside.
//! No message repeats the address.

use crate::model::Code;

use super::codes;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// https; http only on this machine.
    Http,
    /// ssh, as a URL or as `user@host:path`.
    Ssh,
    /// A folder of this machine.
    Path,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadUrl {
    pub(super) code: Code,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

const FORMS: &str = "write `https://host/path.git`, `ssh://user@host/path.git`, `user@host:path.git`, \
                     `file:///path` or a path";

/// The transport of an address.
pub(super) fn transport(url: &str) -> Result<Transport, BadUrl> {
    let bad = |message| Err(BadUrl { code: codes::BAD_URL, message, help: FORMS });
    if url.is_empty() || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("the address is empty or has white space");
    }
    if url.starts_with('-') {
        return bad("the address starts with a dash");
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" if authority.contains('@') => Err(secret()),
            "ssh" if has_password(authority) => Err(secret()),
            "http" if !is_loopback(authority) => Err(BadUrl {
                code: codes::BAD_URL,
                message: "http to another machine would send credentials readable for all",
                help: "use https",
            }),
            "https" | "http" | "ssh" if host(authority).is_empty() => {
                bad("the address has no host")
            }
            "https" | "http" => Ok(Transport::Http),
            "ssh" => Ok(Transport::Ssh),
            "file" if rest.starts_with('/') => Ok(Transport::Path),
            "file" => bad("a `file` address must name an absolute path"),
            _ => bad("the address has a scheme that is not allowed"),
        };
    }
    match url.split_once(':') {
        Some((head, path)) if !head.is_empty() && !head.contains('/') => {
            if path.starts_with(':') {
                bad("the address has a scheme that is not allowed")
            } else if path.contains('@') && !head.contains('@') {
                // `user:password@host:path`
                Err(secret())
            } else {
                Ok(Transport::Ssh)
            }
        }
        _ => Ok(Transport::Path),
    }
}

/// Checks the address of a web server. Without secrets to send, http to another machine is no danger.
pub(super) fn web(url: &str, sends_secrets: bool) -> Result<(), BadUrl> {
    const FORMS: &str = "write `https://host/path`, or `http://host/path`";
    let bad = |message| Err(BadUrl { code: codes::BAD_URL, message, help: FORMS });
    if url.is_empty() || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("the address is empty or has white space");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return bad("the address has no scheme");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme {
        "https" | "http" if authority.contains('@') => Err(BadUrl {
            code: codes::SECRET_IN_URL,
            message: "the address holds a user name or a password",
            help: "remove it from the address, and write `tokenRef`, or `username` and `passwordRef`",
        }),
        "https" | "http" if host(authority).is_empty() => bad("the address has no host"),
        "https" | "http" if !is_readable(url, authority) => bad("the address cannot be read"),
        "http" if sends_secrets && !is_loopback(authority) => Err(BadUrl {
            code: codes::BAD_URL,
            message: "http to another machine would send credentials readable for all",
            help: "use https",
        }),
        "https" | "http" => Ok(()),
        _ => bad("the address has a scheme that is not allowed"),
    }
}

fn is_readable(url: &str, authority: &str) -> bool {
    let names_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    url.parse::<hyper::Uri>().is_ok_and(|uri| !names_port || uri.port_u16().is_some())
}

fn secret() -> BadUrl {
    BadUrl {
        code: codes::SECRET_IN_URL,
        message: "the address holds a user name or a password",
        help: "remove it from the address, and name it under `credentials`",
    }
}

fn has_password(authority: &str) -> bool {
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn host(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = host(authority);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_web_servers_hold_and_betray_no_secret() {
        let cases = [
            ("https://metrics.example.com/prometheus", true, Ok(())),
            ("http://prometheus:9090", false, Ok(())),
            ("http://[::1]:9090", true, Ok(())),
            ("http://prometheus:9090", true, Err("bad-url")),
            ("prometheus:9090", false, Err("bad-url")),
            ("unix:///run/prometheus", false, Err("bad-url")),
            ("https://:9090/", false, Err("bad-url")),
            ("https://a b", false, Err("bad-url")),
            ("http://host:port/", false, Err("bad-url")),
            ("https://ops:hunter2@example.com", false, Err("secret-in-url")),
        ];
        for (url, sends_secrets, expected) in cases {
            assert_eq!(web(url, sends_secrets).map_err(|bad| bad.code.0), expected, "{url}");
        }
    }

    #[test]
    fn transports_are_told_apart_and_the_unsafe_ones_refused() {
        let cases = [
            ("https://github.com/acme/infra.git", Ok(Transport::Http)),
            ("http://127.0.0.1:8080/infra.git", Ok(Transport::Http)),
            ("http://[::1]:8080/infra.git", Ok(Transport::Http)),
            ("http://localhost/infra.git", Ok(Transport::Http)),
            ("ssh://git@github.com:22/acme/infra.git", Ok(Transport::Ssh)),
            ("git@github.com:acme/infra.git", Ok(Transport::Ssh)),
            ("github.com:acme/infra.git", Ok(Transport::Ssh)),
            ("file:///srv/infra.git", Ok(Transport::Path)),
            ("/srv/infra.git", Ok(Transport::Path)),
            ("../infra.git", Ok(Transport::Path)),
            ("./a:b", Ok(Transport::Path)),
            ("http://example.com/infra.git", Err("bad-url")),
            ("http://localhost.example.com/infra.git", Err("bad-url")),
            ("git://example.com/infra.git", Err("bad-url")),
            ("ext::sh -c id", Err("bad-url")),
            ("ext::id", Err("bad-url")),
            ("-oProxyCommand=id", Err("bad-url")),
            ("https:///infra.git", Err("bad-url")),
            ("", Err("bad-url")),
            ("https://user:hunter2@example.com/infra.git", Err("secret-in-url")),
            ("https://hunter2@example.com/infra.git", Err("secret-in-url")),
            ("ssh://git:hunter2@example.com/infra.git", Err("secret-in-url")),
            ("git:hunter2@example.com:infra.git", Err("secret-in-url")),
        ];
        for (url, expected) in cases {
            assert_eq!(transport(url).map_err(|bad| bad.code.0), expected, "{url}");
        }
    }
}
