//! Judges a server's host key by the text of a `known_hosts` file. Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use ssh_key::known_hosts::HostPatterns;

/// Bytes of an HMAC-SHA1 block (RFC 2104).
const BLOCK_BYTES: usize = 64;
/// Entries that are read: a file for a whole company has fewer.
const LINES_MAX: usize = 100_000;
/// The port that a plain host name in the file stands for.
const DEFAULT_PORT: u16 = 22;

/// What the file says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is listed for the host.
    Trusted,
    /// The key is listed as revoked.
    Revoked,
    /// The host is listed with other keys, of these types.
    Mismatch { listed: Vec<String> },
    /// The host is not listed.
    Unknown,
    /// A line that revokes a key cannot be read; its number, from 1.
    UnreadableRevocation(usize),
}

/// Judges `key`, the server's key in wire form, for a host and port.
pub(super) fn judge(file: &[u8], host: &str, port: u16, key: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(file);
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let mut names = vec![format!("[{host}]:{port}")];
    if port == DEFAULT_PORT {
        names.push(host);
    }
    let mut trusted = false;
    let mut listed = Vec::new();
    for (index, line) in text.lines().take(LINES_MAX).enumerate() {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|w| w.starts_with('@'));
        let (Some(patterns), Some(kind), Some(key_text)) =
            (words.next(), words.next(), words.next())
        else {
            if marker == Some("@revoked") {
                return Verdict::UnreadableRevocation(index + 1);
            }
            continue;
        };
        if patterns.starts_with('#') {
            continue;
        }
        let is_same_key = STANDARD.decode(key_text).map(|bytes| bytes == key);
        match (marker, patterns.parse::<HostPatterns>(), is_same_key) {
            (Some("@revoked"), Ok(patterns), Ok(is_same_key))
                if !is_same_key || !covers(&patterns, &names) => {}
            (Some("@revoked"), Ok(_), Ok(_)) => return Verdict::Revoked,
            (Some("@revoked"), ..) => return Verdict::UnreadableRevocation(index + 1),
            (None, Ok(patterns), Ok(is_same_key)) if covers(&patterns, &names) => {
                trusted |= is_same_key;
                listed.push(kind.to_owned());
            }
            // Certificate authorities are not supported by the ssh library, and lines that cannot be read
            // trust nobody.
            _ => {}
        }
    }
    if trusted {
        Verdict::Trusted
    } else if listed.is_empty() {
        Verdict::Unknown
    } else {
        listed.sort();
        listed.dedup();
        Verdict::Mismatch { listed }
    }
}

/// The type of a key in wire form, such as `ssh-ed25519`.
pub(super) fn key_type(key: &[u8]) -> &str {
    let length = key.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b) as usize);
    key.get(4..4 + length.min(64)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("unknown")
}

fn covers(patterns: &HostPatterns, names: &[String]) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            names.iter().any(|name| hmac_sha1(salt, name.as_bytes()) == *hash)
        }
        HostPatterns::Patterns(patterns) => {
            let matches = |pattern: &str| {
                let pattern = pattern.to_ascii_lowercase();
                names.iter().any(|name| glob(pattern.as_bytes(), name.as_bytes()))
            };
            let excluded = patterns.iter().filter_map(|p| p.strip_prefix('!')).any(matches);
            !excluded && patterns.iter().filter(|p| !p.starts_with('!')).any(|p| matches(p))
        }
    }
}

/// Whether `pattern`, with `*` and `?`, matches all of `text`. Linear in space and, by keeping only the last
/// `*`, never exponential in time.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// HMAC-SHA1, the hash of host names in `known_hosts` files.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0_u8; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        let digest: [u8; 20] = Sha1::digest(key).into();
        block.iter_mut().zip(digest).for_each(|(b, k)| *b = k);
    } else {
        block.iter_mut().zip(key).for_each(|(b, k)| *b = *k);
    }
    let inner = Sha1::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x04good";
    const OTHER: &[u8] = b"\0\0\0\x07ssh-rsa\0\0\0\x04evil";

    fn line(names: &str, key: &[u8]) -> String {
        format!("{names} {} {}\n", key_type(key), STANDARD.encode(key))
    }

    fn hashed(name: &str) -> String {
        let salt = [7_u8; 20];
        format!(
            "|1|{}|{}",
            STANDARD.encode(salt),
            STANDARD.encode(hmac_sha1(&salt, name.as_bytes()))
        )
    }

    #[test]
    fn hmac_is_the_published_one() {
        // RFC 2202, test cases 2 and 6.
        let hex = |b: [u8; 20]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac_sha1(b"Jefe", b"what do ya want for nothing?")),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            hex(hmac_sha1(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        );
    }

    #[test]
    fn verdicts() {
        let mismatch = || Verdict::Mismatch { listed: vec!["ssh-rsa".to_owned()] };
        for (file, host, port, expected) in [
            (line("git.example.com", KEY), "git.example.com", 22, Verdict::Trusted),
            (line("git.example.com", KEY), "GIT.example.com", 22, Verdict::Trusted),
            (line("git.example.com", KEY), "git.example.com", 2222, Verdict::Unknown),
            (line("[git.example.com]:2222", KEY), "git.example.com", 2222, Verdict::Trusted),
            (line("a,*.example.com", KEY), "git.example.com", 22, Verdict::Trusted),
            (line("*.example.com,!git.*", KEY), "git.example.com", 22, Verdict::Unknown),
            (line("g?t", KEY), "git", 22, Verdict::Trusted),
            (line(&hashed("git"), KEY), "git", 22, Verdict::Trusted),
            (line(&hashed("[git]:2222"), KEY), "git", 2222, Verdict::Trusted),
            (line(&hashed("other"), KEY), "git", 22, Verdict::Unknown),
            (line("git", OTHER), "git", 22, mismatch()),
            (line("git", OTHER) + &line("git", KEY), "git", 22, Verdict::Trusted),
            (line("git", KEY) + &line("@revoked *", KEY), "git", 22, Verdict::Revoked),
            (line("git", KEY) + &line("@revoked *", OTHER), "git", 22, Verdict::Trusted),
            (
                line("git", KEY) + "@revoked * ssh-rsa ???",
                "git",
                22,
                Verdict::UnreadableRevocation(2),
            ),
            (line("@cert-authority git", KEY), "git", 22, Verdict::Unknown),
            (format!("# {}", line("git", KEY)), "git", 22, Verdict::Unknown),
            ("\u{0}\u{ff}nonsense".to_owned(), "git", 22, Verdict::Unknown),
        ] {
            assert_eq!(judge(file.as_bytes(), host, port, KEY), expected, "{file}");
        }
    }
}
