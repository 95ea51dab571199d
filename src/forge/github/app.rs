//! Speaks as a GitHub App: a signed statement of who we are, exchanged for a token of the installation.
//!
//! Form of the statement: GitHub's "Generating a JSON Web Token (JWT) for a GitHub App". Pure but for the
//! random numbers of the signature's blinding.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::OptionsError;
use crate::model::Secret;

/// How far back a statement begins, for clocks that differ (GitHub's advice).
const ISSUED_BACK_SECONDS: i64 = 60;
/// How long a statement holds: GitHub refuses more than ten minutes from its own now.
const HOLDS_SECONDS: i64 = 9 * 60;
/// A token is changed this long before it ends, so that no request is sent with one that ends on the way.
const TOKEN_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The App's id and key.
pub(super) struct AppKey {
    id: String,
    key: RsaKeyPair,
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AppKey {
    /// Reads a private key as GitHub gives it (PKCS#1) or as tools convert it (PKCS#8).
    pub(super) fn read(id: &str, pem: &Secret) -> Result<Self, OptionsError> {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
            return Err(OptionsError::AppId);
        }
        let mut pem = pem.expose().to_owned();
        // What was put into an environment variable by hand often has its line ends written out.
        if !pem.trim().contains('\n') {
            pem = pem.replace("\\n", "\n");
        }
        let bad = |detail: String| OptionsError::PrivateKey { detail };
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| bad("there is no private key in PEM form in it".to_owned()))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(bad("it is not an RSA key".to_owned())),
        };
        let key = key.map_err(|rejected| bad(format!("it is rejected: {rejected}")))?;
        Ok(Self { id: id.to_owned(), key })
    }

    /// The statement for this moment; `None` where no random numbers can be had.
    pub(super) fn statement(&self, now: Timestamp) -> Option<Secret> {
        let now = now.as_second();
        let claims = serde_json::json!({
            "iat": now - ISSUED_BACK_SECONDS,
            "exp": now + HOLDS_SECONDS,
            "iss": self.id,
        });
        let mut text = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .ok()?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Some(Secret::new(text))
    }
}

/// A token of the installation. GitHub has lengthened these tokens before: nothing is assumed of their form.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) expires_at: Timestamp,
}

impl Token {
    /// Whether it is still to be used.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        now.checked_add(TOKEN_MARGIN).is_ok_and(|soon| soon < self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// A key in both of its forms, made by another program.
    fn openssl(arguments: &[&str]) -> String {
        let output = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("openssl can be run");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("PEM is text")
    }

    #[test]
    fn a_statement_is_signed_and_says_who_and_how_long() {
        let old = openssl(&["genrsa", "-traditional", "2048"]);
        let new = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        assert!(old.contains("BEGIN RSA PRIVATE KEY") && new.contains("BEGIN PRIVATE KEY"));
        let one_line = old.trim().replace('\n', "\\n");
        for pem in [old, new, one_line] {
            let key = AppKey::read("Iv1.25b5d1e65ffc4022", &Secret::new(pem)).expect("a key");
            let now: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
            let statement = key.statement(now).expect("signed");
            let (signed, signature) = statement.expose().rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.key.public())
                .verify(signed.as_bytes(), &signature)
                .expect("the signature is of this key");
            let (_, claims) = signed.split_once('.').expect("two parts");
            let claims: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64"))
                    .expect("JSON");
            assert_eq!(claims["iat"], now.as_second() - 60);
            assert_eq!(claims["exp"], now.as_second() + 540);
            assert_eq!(claims["iss"], "Iv1.25b5d1e65ffc4022");
        }
    }

    #[test]
    fn what_is_no_rsa_key_is_refused_without_being_shown() {
        let curve =
            openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        for pem in [
            curve.as_str(),
            "",
            "hunter2",
            "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        ] {
            let error = AppKey::read("1", &Secret::new(pem)).expect_err("no key").to_string();
            assert!(!error.contains("hunter2") && !error.contains("BEGIN"), "{error}");
        }
        assert!(AppKey::read("1/../2", &Secret::new("")).is_err());
    }

    #[test]
    fn a_token_is_changed_before_it_ends() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let token = Token { value: Secret::new("t"), expires_at: at("2026-11-21T11:00:00Z") };
        assert!(token.is_good(at("2026-11-21T10:54:59Z")));
        assert!(!token.is_good(at("2026-11-21T10:55:00Z")));
    }
}
