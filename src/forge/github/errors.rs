//! What an answer means, in [`ForgeError`]s that no credential gets into.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION};

use super::wire::Refusal;
use crate::forge::ForgeError;
use crate::model::Secret;

/// Characters of a server's words that are passed on: enough for GitHub's longest refusals.
const WORDS_CHARS_MAX: usize = 400;
/// What stands where a secret stood.
const REDACTED: &str = "<secret>";

/// What was asked, of whom, and with which secrets: what an error needs to be told well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) doing: &'a str,
    pub(super) forge: &'a str,
    /// What a server could repeat.
    pub(super) secrets: &'a [Secret],
}

impl Asked<'_> {
    /// No usable answer.
    pub(super) fn unavailable(&self, detail: &str) -> ForgeError {
        ForgeError::Unavailable {
            doing: self.doing.to_owned(),
            forge: self.forge.to_owned(),
            detail: harmless(detail, self.secrets),
        }
    }

    /// The credentials are refused.
    pub(super) fn auth(&self, detail: &str, is_for_all: bool) -> ForgeError {
        ForgeError::Auth {
            doing: self.doing.to_owned(),
            forge: self.forge.to_owned(),
            detail: harmless(detail, self.secrets),
            is_for_all,
        }
    }

    /// It is understood and not done.
    pub(super) fn refused(&self, status: StatusCode, detail: &str) -> ForgeError {
        ForgeError::Refused {
            doing: self.doing.to_owned(),
            forge: self.forge.to_owned(),
            status: status.as_u16(),
            detail: harmless(detail, self.secrets),
        }
    }

    /// Why an answer that is neither good nor about a limit did not do.
    pub(super) fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ForgeError {
        let code = status.as_u16();
        if status == StatusCode::NOT_MODIFIED {
            return self.unavailable("it says that nothing changed, though nothing was known");
        }
        if status.is_redirection() {
            // Not followed: whoever is at the new place would be sent the credentials.
            let place = headers.get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or("?");
            return self.refused(
                status,
                &format!("it is now at {place}: the repository was renamed or moved; write its new name into the configuration"),
            );
        }
        if is_html(headers) {
            // GitHub refuses in JSON; a page is of something in front of it, or of GitHub on fire.
            return self.unavailable(&format!(
                "status {code} with a page for people: something between here and the API answers in its place"
            ));
        }
        let words = words(body);
        match code {
            401 | 403 => self.auth(&words, code == 401),
            404 | 410 => {
                ForgeError::NotFound { doing: self.doing.to_owned(), forge: self.forge.to_owned() }
            }
            408 | 500..=599 => self.unavailable(&format!("status {code}: {words}")),
            _ => self.refused(status, &words),
        }
    }
}

/// Whether an answer is a page for people.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// The reason in a refusal's body.
pub(super) fn words(body: &[u8]) -> String {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let mut words = refusal.message.unwrap_or_else(|| "no reason given".to_owned());
    match refusal.errors {
        None | Some(serde_json::Value::Null) => {}
        Some(errors) => {
            words.push_str(": ");
            words.push_str(&errors.to_string());
        }
    }
    words
}

/// A server's words: one line, without what could turn a terminal's text around, without secrets, cut.
pub(super) fn harmless(words: &str, secrets: &[Secret]) -> String {
    let mut words = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        for form in forms(secret.expose()) {
            if words.contains(&form) {
                words = words.replace(&form, REDACTED);
            }
        }
    }
    let words: String = words.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect();
    match words.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

/// A secret as it may come back: as it is, in an address, and as the password of an address or a header.
fn forms(secret: &str) -> Vec<String> {
    let with_user = format!("x-access-token:{secret}");
    let mut forms = vec![
        secret.to_owned(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        STANDARD_NO_PAD.encode(&with_user),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(&with_user),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    forms.dedup();
    forms
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_server_show_no_secret_in_any_form_and_turn_no_line() {
        let secret = Secret::new("gh+s/e=c&r€t");
        let forms = forms(secret.expose());
        assert_eq!(forms.len(), 6, "{forms:?}");
        for form in forms {
            let said =
                harmless(&format!("a\u{1b}[2J\u{202e}{form}\r\nb"), std::slice::from_ref(&secret));
            assert_eq!(said, "a [2J <secret>  b");
        }
        assert_eq!(harmless(&"ä".repeat(500), &[]).chars().count(), WORDS_CHARS_MAX + 1);
        assert_eq!(harmless("as it is", &[Secret::new("")]), "as it is");
    }

    #[test]
    fn a_page_for_people_never_says_that_something_is_gone() {
        let asked =
            Asked { doing: "edit a comment", forge: "https://api.github.com", secrets: &[] };
        let mut headers = HeaderMap::new();
        assert!(matches!(
            asked.refusal(StatusCode::NOT_FOUND, &headers, b"{}"),
            ForgeError::NotFound { .. }
        ));
        headers.insert(
            CONTENT_TYPE,
            hyper::header::HeaderValue::from_static("Text/HTML; charset=utf-8"),
        );
        for status in [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED, StatusCode::BAD_GATEWAY] {
            assert!(matches!(
                asked.refusal(status, &headers, b"<h1>hello</h1>"),
                ForgeError::Unavailable { .. }
            ));
        }
    }
}
