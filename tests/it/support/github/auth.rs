//! Who asks: tokens of people, JSON web tokens of an App, and tokens of its installation, which end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use tempfile::TempDir;

use super::answers::Refusal;
use super::description::Operation;
use super::server::Asked;
use super::state::{State, Who};
use crate::support::programs::program;

/// How far ahead a JSON web token may end, in seconds.
const JWT_LIFE_MAX_S: i64 = 600;
/// How far a clock may be ahead of ours, in seconds.
const CLOCK_SKEW_S: i64 = 5;
/// Letters of an installation token after its prefix: such tokens are long since 2026.
const TOKEN_LETTERS: usize = 240;
/// Operations for the App itself.
const FOR_THE_APP: &[&str] = &[
    "get /app",
    "get /app/installations",
    "post /app/installations/{installation_id}/access_tokens",
    "get /repos/{owner}/{repo}/installation",
];

/// The App of a test, with the keys that GitHub would have made for it.
#[derive(Debug, Clone)]
pub(crate) struct AppKey {
    pub(crate) id: u64,
    /// May stand for the id.
    pub(crate) client_id: String,
    pub(crate) installation: u64,
    /// The private key as GitHub gives it: PEM, PKCS#1.
    pub(crate) private_key: String,
    /// The same key in PKCS#8.
    pub(crate) private_key_pkcs8: String,
}

/// A fresh key: its private half in both forms, and its public half.
pub(crate) fn make_key() -> (String, String, Vec<u8>) {
    let temp = TempDir::new().unwrap();
    let openssl = |args: &[&str], out: &str| {
        let done = Command::new(program("openssl", "openssl"))
            .current_dir(temp.path())
            .args(args)
            .args(["-out", out])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "openssl {args:?} failed");
        std::fs::read(temp.path().join(out)).unwrap()
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let private = text(openssl(&["genpkey", "-algorithm", "RSA"], "pkcs8"));
    let traditional = text(openssl(&["rsa", "-in", "pkcs8", "-traditional"], "pkcs1"));
    let public =
        openssl(&["rsa", "-in", "pkcs8", "-RSAPublicKey_out", "-outform", "DER"], "public");
    (traditional, private, public)
}

/// Who a request is from.
pub(crate) fn who(state: &State, asked: &Asked, operation: &Operation) -> Result<Who, Refusal> {
    let Some(header) = asked.header("authorization") else {
        return Err(
            Refusal::new(401, "Requires authentication").violating("there is no Authorization")
        );
    };
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| ["bearer", "token"].contains(&scheme.to_lowercase().as_str()))
        .map(|(_, token)| token);
    let Some(token) = token else {
        let violation = "Authorization is neither `Bearer` nor `token`";
        return Err(Refusal::new(401, "Bad credentials").violating(violation));
    };
    let is_for_the_app = FOR_THE_APP.contains(&operation.name.as_str());
    if is_for_the_app {
        let words = "A JSON web token could not be decoded";
        return match check_jwt(state, token) {
            Ok(()) => Ok(Who::App),
            Err(detail) => Err(Refusal::new(401, &format!("{words}: {detail}"))),
        };
    }
    match state.tokens.get(token) {
        Some((who, until)) if until.is_none_or(|until| Instant::now() < until) => Ok(who.clone()),
        _ => Err(Refusal::new(401, "Bad credentials")),
    }
}

fn check_jwt(state: &State, token: &str) -> Result<(), String> {
    let app = state.app.as_ref().ok_or("there is no App")?;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err("it has not three parts".to_owned());
    };
    let json = |part: &str| -> Result<Value, String> {
        let bytes = BASE64.decode(part).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    if json(header)?["alg"] != "RS256" {
        return Err("'alg' must be RS256".to_owned());
    }
    let signature = BASE64.decode(signature).map_err(|error| error.to_string())?;
    let signed = &token[..header.len() + 1 + claims.len()];
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "the signature is not of this App's key".to_owned())?;
    let claims = json(claims)?;
    let issuer = claims["iss"].as_str().map_or(claims["iss"].to_string(), str::to_owned);
    if issuer != app.id.to_string() && issuer != app.client_id {
        return Err("'Issuer' claim ('iss') is not the App".to_owned());
    }
    let number =
        |name: &str| claims[name].as_i64().ok_or_else(|| format!("'{name}' must be an Integer"));
    let (issued, ends, now) = (number("iat")?, number("exp")?, Timestamp::now().as_second());
    if issued > now + CLOCK_SKEW_S {
        return Err("'Issued at' claim ('iat') must be in the past".to_owned());
    }
    if ends <= now {
        return Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future \
                    time at which the assertion expires"
                .to_owned(),
        );
    }
    if ends > now + JWT_LIFE_MAX_S {
        return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
    }
    Ok(())
}

/// Gives a token for the installation, and says until when it is good.
pub(crate) fn give_token(state: &mut State) -> (String, Timestamp) {
    let app = state.app.as_mut().unwrap();
    app.tokens_given += 1;
    let (life, installation) = (app.token_life, app.installation);
    let letters: String = (0..TOKEN_LETTERS).map(|_| fastrand::alphanumeric()).collect();
    let token = format!("ghs_{}_{letters}", app.id);
    let who = Who::Installation(installation);
    state.tokens.insert(token.clone(), (who, Some(Instant::now() + life)));
    let until = Timestamp::now() + jiff::SignedDuration::try_from(life).unwrap();
    (token, until)
}

/// Tokens are good for this long where a test does not say otherwise.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(3_600);
