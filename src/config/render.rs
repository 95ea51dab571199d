//! Findings about the configuration for people, with stars where a secret may stand.

use super::codes;
use crate::model::{Diagnostic, SourceFile};
use crate::spec::render;

/// Words in a key whose value must be a reference, and may be the secret itself by mistake.
const SECRET_WORDS: &[&str] = &["token", "password", "passwd", "secret", "key", "credential"];
/// What a value starts with when it is a reference, or a mapping of such.
const REFERENCES: &[&str] = &["env/", "file/", "vault/", "{", "["];

/// Diagnostics for a terminal. What may be a secret is shown as stars.
#[must_use]
pub fn text(diagnostics: &[Diagnostic], file: &str, bytes: &[u8], color: bool) -> String {
    let mut shown = bytes.to_vec();
    for diagnostic in diagnostics.iter().filter(|d| codes::SECRET.contains(&d.code)) {
        if let Some(position) = &diagnostic.position {
            star(&mut shown, position.start, position.end);
        }
    }
    star_values(&mut shown);
    star_addresses(&mut shown);
    star_users(&mut shown);
    let source = SourceFile { path: file.to_owned(), bytes: shown };
    render::text_of(diagnostics, &[&source], color)
}

/// Replaces printable bytes, so that lines and offsets stay what they are.
fn star(bytes: &mut [u8], start: usize, end: usize) {
    for byte in bytes.get_mut(start..end).unwrap_or_default() {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b'*';
        }
    }
}

/// Stars the values of keys that sound secret, unless they are references.
fn star_values(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b':')) {
        let colon = at + offset;
        at = colon + 1;
        let before = bytes.get(..colon).unwrap_or_default();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = before.iter().rev().take_while(|byte| is_word(byte)).count();
        let key = before.get(colon - length..).unwrap_or_default().to_ascii_lowercase();
        let key = String::from_utf8_lossy(&key).into_owned();
        if !SECRET_WORDS.iter().any(|word| key.contains(word)) {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'"' | b'\'')).count();
        let value = rest.get(blank..).unwrap_or_default();
        if REFERENCES.iter().any(|start| value.starts_with(start.as_bytes())) {
            continue;
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r' | b',' | b'}');
        let length = value.iter().position(is_end).unwrap_or(value.len());
        star(bytes, at + blank, at + blank + length);
    }
}

/// Stars `user:password` before an `@`, as in an address without a scheme.
fn star_users(bytes: &mut [u8]) {
    let mut start = 0;
    for at in 0..bytes.len() {
        match bytes.get(at).copied() {
            Some(b'@') => {
                if bytes.get(start..at).is_some_and(|user| user.contains(&b':')) {
                    star(bytes, start, at);
                }
                start = at + 1;
            }
            Some(b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',' | b'{' | b'/') => {
                start = at + 1;
            }
            Some(_) | None => {}
        }
    }
}

/// Stars users, passwords and queries of addresses.
fn star_addresses(bytes: &mut [u8]) {
    const MARK: &[u8] = b"://";
    let mut at = 0;
    while let Some(offset) =
        bytes.get(at..).and_then(|rest| rest.windows(MARK.len()).position(|w| w == MARK))
    {
        let start = at + offset + MARK.len();
        at = start;
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        let address = rest.get(..length).unwrap_or_default();
        let user = address.iter().rposition(|byte| *byte == b'@').unwrap_or(0);
        let query = address.iter().position(|byte| *byte == b'?').unwrap_or(length);
        star(bytes, start, start + user);
        star(bytes, start + query, start + length);
    }
}
