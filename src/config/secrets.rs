//! References to secrets, and their resolution through effects that are passed in.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Secret;

/// Bytes of a secret file: larger than any key or token, and a bound on what a wrong path can cost.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Where a secret is kept. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// An environment variable: `env/NAME`.
    Env(String),
    /// A file: `file/PATH`, where `file//PATH` is an absolute path.
    File(PathBuf),
    /// A key of a secret in Vault: `vault/PATH#KEY`.
    Vault {
        /// Path of the secret.
        path: String,
        /// Key inside it.
        key: String,
    },
}

/// Why a text is not a reference. Does not repeat the text: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a reference to a secret: write `env/NAME`, `file/PATH` or `vault/PATH#KEY`, never the secret itself"
)]
pub struct BadSecretRef;

impl SecretRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`BadSecretRef`] when the text has none of the forms.
    pub fn parse(text: &str) -> Result<Self, BadSecretRef> {
        let (kind, rest) = text.split_once('/').ok_or(BadSecretRef)?;
        match kind {
            "env" if is_variable(rest) => Ok(Self::Env(rest.to_owned())),
            "file" if !rest.is_empty() => Ok(Self::File(PathBuf::from(rest))),
            "vault" => match rest.split_once('#') {
                Some((path, key)) if !path.is_empty() && !key.is_empty() => {
                    Ok(Self::Vault { path: path.to_owned(), key: key.to_owned() })
                }
                _ => Err(BadSecretRef),
            },
            _ => Err(BadSecretRef),
        }
    }
}

fn is_variable(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env/{name}"),
            Self::File(path) => write!(f, "file/{}", path.display()),
            Self::Vault { path, key } => write!(f, "vault/{path}#{key}"),
        }
    }
}

impl SecretRef {
    /// The file that the reference names, if it names one.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) | Self::Vault { .. } => None,
        }
    }
}

/// The places where secrets are kept: the process's environment and files, or a test's.
pub trait SecretSource {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The content of a file.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Why a secret is not to be had. Displays as a fragment; never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set.
    #[error("resolve the secret `env/{0}`: the environment variable is not set")]
    NotSet(String),
    /// The secret is empty.
    #[error("resolve the secret `{0}`: it is empty")]
    Empty(SecretRef),
    /// The file cannot be read.
    #[error("resolve the secret `{reference}`: the file cannot be read")]
    Read {
        /// The reference.
        reference: SecretRef,
        /// What the file system says.
        source: io::Error,
    },
    /// The file is too large to be a secret.
    #[error("resolve the secret `{0}`: the file has more than {SECRET_BYTES_MAX} bytes")]
    TooLarge(SecretRef),
    /// The file is not text.
    #[error("resolve the secret `{0}`: it is not UTF-8")]
    NotText(SecretRef),
    /// Vault is not supported.
    #[error(
        "resolve the secret `{0}`: `vault/` is not supported by this version; use `env/` or `file/`"
    )]
    Vault(SecretRef),
}

/// Fetches the secret that a reference names; one trailing line break is not part of it.
///
/// # Errors
/// [`SecretError`] with the reference, never with the value.
pub fn resolve(reference: &SecretRef, source: &dyn SecretSource) -> Result<Secret, SecretError> {
    let value = match reference {
        SecretRef::Env(name) => {
            source.env(name).ok_or_else(|| SecretError::NotSet(name.clone()))?
        }
        SecretRef::File(path) => {
            let bytes = source
                .read(path)
                .map_err(|source| SecretError::Read { reference: reference.clone(), source })?;
            if bytes.len() > SECRET_BYTES_MAX {
                return Err(SecretError::TooLarge(reference.clone()));
            }
            String::from_utf8(bytes).map_err(|_| SecretError::NotText(reference.clone()))?
        }
        SecretRef::Vault { .. } => return Err(SecretError::Vault(reference.clone())),
    };
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(SecretError::Empty(reference.clone()));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl SecretSource for Fixed {
        fn env(&self, name: &str) -> Option<String> {
            (name == "TOKEN").then(|| "hunter2".to_owned())
        }
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("/key") => Ok(b"line one\nline two\n".to_vec()),
                Some("empty") => Ok(b"\n".to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn get(reference: &str) -> Result<String, String> {
        let reference = SecretRef::parse(reference).map_err(|error| error.to_string())?;
        resolve(&reference, &Fixed)
            .map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn references_resolve_and_failures_name_the_reference_only() {
        assert_eq!(get("env/TOKEN"), Ok("hunter2".to_owned()));
        assert_eq!(get("file//key"), Ok("line one\nline two".to_owned()));
        for (reference, part) in [
            ("env/MISSING", "not set"),
            ("file/empty", "empty"),
            ("file/missing", "cannot be read"),
            ("vault/kv/r2#token", "not supported"),
            ("hunter2", "never the secret itself"),
            ("env/not a name", "never the secret itself"),
            ("vault/kv/r2", "never the secret itself"),
        ] {
            let error = get(reference).expect_err(reference);
            assert!(error.contains(part) && !error.contains("hunter2"), "{reference}: {error}");
        }
    }
}
