//! What a webhook of GitHub says. Pure.
//!
//! A delivery only wakes whoever asks the forge anyway: nothing in it is believed, beyond that something may
//! have changed. So little is read, of old payloads and new ones.

use ring::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::{PullNumber, Secret};

/// What a signature's header begins with.
const SIGNATURE_PREFIX: &str = "sha256=";

/// What happened, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The webhook was set up.
    Ping,
    /// A branch or tag moved.
    Push {
        /// The branch; `None` for a tag.
        branch: Option<String>,
    },
    /// Something about a pull request.
    Pull {
        /// Its number.
        number: PullNumber,
        /// The branch it would merge into, where the payload says it.
        base: Option<String>,
    },
    /// A comment was written, edited or deleted.
    Comment {
        /// Of the pull request or issue.
        number: PullNumber,
        /// Whether it is a pull request.
        on_pull: bool,
    },
    /// Anything else.
    Other,
}

/// Why a delivery is not taken. Holds nothing of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Without a signature.
    #[error("the delivery has no `X-Hub-Signature-256`: set the same secret at the forge")]
    NoSignature,
    /// With one that is not of the secret and the body.
    #[error("the delivery's signature is not of our secret: set the same secret at the forge")]
    BadSignature,
    /// It is from the forge, and cannot be read.
    #[error("the delivery cannot be read as the event that it says it is")]
    Unreadable,
}

/// Whether a body is from who knows the secret. Before this nothing of a body may be looked at.
///
/// HMAC-SHA-256 of the body as it came, in hexadecimal after `sha256=` (GitHub's "Validating webhook
/// deliveries"); compared in constant time.
///
/// # Errors
///
/// If there is no signature, or a wrong one.
pub fn verify(
    secret: &Secret,
    signature_header: Option<&str>,
    body: &[u8],
) -> Result<(), HookError> {
    let header = signature_header.ok_or(HookError::NoSignature)?;
    let digits = header.trim().strip_prefix(SIGNATURE_PREFIX).ok_or(HookError::BadSignature)?;
    let signature = unhex(digits).ok_or(HookError::BadSignature)?;
    // With an empty key anybody can sign.
    if secret.expose().is_empty() {
        return Err(HookError::BadSignature);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::verify(&key, body, &signature).map_err(|_| HookError::BadSignature)
}

/// Reads a verified delivery: JSON, or a form with the JSON in its `payload`.
///
/// # Errors
///
/// If the payload of an event that matters has not the fields that matter.
pub fn read(event: &str, content_type: Option<&str>, body: &[u8]) -> Result<Hook, HookError> {
    let is_form = content_type.is_some_and(|kind| {
        kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
    });
    let payload = if is_form {
        let field = form_urlencoded::parse(body).find(|(name, _)| name == "payload");
        field.map(|(_, payload)| payload.into_owned().into_bytes()).ok_or(HookError::Unreadable)?
    } else {
        body.to_vec()
    };
    match event {
        "ping" => parse::<Ping>(&payload).map(|Ping {}| Hook::Ping),
        "push" => parse::<Push>(&payload).map(|push| Hook::Push {
            branch: push.git_ref.strip_prefix("refs/heads/").map(str::to_owned),
        }),
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
            let event: PullEvent = parse(&payload)?;
            Ok(Hook::Pull {
                number: PullNumber(event.pull_request.number),
                base: event.pull_request.base.and_then(|base| base.branch),
            })
        }
        "issue_comment" => parse::<CommentEvent>(&payload).map(|event| Hook::Comment {
            number: PullNumber(event.issue.number),
            on_pull: event.issue.pull_request.is_some(),
        }),
        _ => Ok(Hook::Other),
    }
}

#[derive(Deserialize)]
struct Ping {}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    git_ref: String,
}

#[derive(Deserialize)]
struct PullEvent {
    pull_request: PullPart,
}

#[derive(Deserialize)]
struct PullPart {
    number: u64,
    #[serde(default)]
    base: Option<BasePart>,
}

#[derive(Deserialize)]
struct BasePart {
    #[serde(default, rename = "ref")]
    branch: Option<String>,
}

#[derive(Deserialize)]
struct CommentEvent {
    issue: IssuePart,
}

#[derive(Deserialize)]
struct IssuePart {
    number: u64,
    /// Present, whatever is in it, where the issue is a pull request.
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, HookError> {
    serde_json::from_slice(payload).map_err(|_| HookError::Unreadable)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |c: u8| char::from(c).to_digit(16);
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(value(*high)? << 4 | value(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_signature_is_of_the_secret_and_the_body_alone() {
        let secret = Secret::new(SECRET);
        let header = format!("sha256={SIGNATURE}");
        assert_eq!(verify(&secret, Some(&header), BODY), Ok(()));
        let upper = format!("sha256={}", SIGNATURE.to_uppercase());
        assert_eq!(verify(&secret, Some(&upper), BODY), Ok(()));
        assert_eq!(verify(&secret, None, BODY), Err(HookError::NoSignature));
        assert_eq!(verify(&secret, Some(&header), b"Hello, World?"), Err(HookError::BadSignature));
        assert_eq!(
            verify(&Secret::new("another"), Some(&header), BODY),
            Err(HookError::BadSignature)
        );
        let short = &header[..header.len() - 2];
        for bad in
            [SIGNATURE, "", "sha256=", "sha1=00", short, "sha256=zz", "sha256=0", "sha256=ää"]
        {
            assert_eq!(verify(&secret, Some(bad), BODY), Err(HookError::BadSignature), "{bad}");
        }
    }

    #[test]
    fn with_no_secret_nothing_is_verified() {
        // HMAC-SHA-256 of nothing with the empty key.
        let header = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert_eq!(verify(&Secret::new(""), Some(header), b""), Err(HookError::BadSignature));
    }

    #[test]
    fn what_matters_is_read_of_both_forms() {
        let pull = br#"{"action":"opened","pull_request":{"number":7,"base":{"ref":"main","x":1}},"new":[]}"#;
        let expected = Hook::Pull { number: PullNumber(7), base: Some("main".to_owned()) };
        assert_eq!(read("pull_request", Some("application/json"), pull), Ok(expected.clone()));
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", std::str::from_utf8(pull).expect("text"))
            .finish();
        let kind = Some("application/x-www-form-urlencoded; charset=utf-8");
        assert_eq!(read("pull_request", kind, form.as_bytes()), Ok(expected));

        for (event, body, hook) in [
            ("ping", r#"{"zen":"x"}"#, Hook::Ping),
            ("push", r#"{"ref":"refs/heads/a/b"}"#, Hook::Push { branch: Some("a/b".to_owned()) }),
            ("push", r#"{"ref":"refs/tags/v1"}"#, Hook::Push { branch: None }),
            (
                "issue_comment",
                r#"{"issue":{"number":3,"pull_request":{"url":"x"}}}"#,
                Hook::Comment { number: PullNumber(3), on_pull: true },
            ),
            (
                "issue_comment",
                r#"{"issue":{"number":3}}"#,
                Hook::Comment { number: PullNumber(3), on_pull: false },
            ),
            ("meta", "not read at all", Hook::Other),
        ] {
            assert_eq!(read(event, None, body.as_bytes()), Ok(hook), "{event}");
        }
        for (event, body) in [
            ("ping", "[1"),
            ("ping", "7"),
            ("push", "{}"),
            ("push", r#"{"ref":7}"#),
            ("pull_request", r#"{"pull_request":{"number":-1}}"#),
            ("issue_comment", "null"),
        ] {
            assert_eq!(read(event, None, body.as_bytes()), Err(HookError::Unreadable), "{body}");
        }
        assert_eq!(read("ping", kind, b"x=1"), Err(HookError::Unreadable));
        let deep = "[".repeat(1_000_000);
        assert_eq!(read("ping", None, deep.as_bytes()), Err(HookError::Unreadable));
    }
}
