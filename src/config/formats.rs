//! Forms of text that only the controller's configuration has.

use std::sync::LazyLock;

use super::SecretRef;
use super::codes;
use crate::spec::formats::{Format, SPEC, text_type};

text_type!(
    /// A reference to a secret.
    SecretRefText,
    "tidegate-secret-ref",
    "^(env/[A-Za-z_][A-Za-z0-9_]*|file/.+|vault/[^#]+#.+)$",
    ["env/GITHUB_TOKEN", "file//etc/tidegate/token", "vault/kv/r2#token"]
);
text_type!(
    /// The name of a git branch.
    BranchText,
    "tidegate-branch",
    "^[^-/.][^ ~^:?*\\\\[]*$",
    ["main"]
);
text_type!(
    /// A currency code.
    CurrencyText,
    "tidegate-currency",
    "^[A-Za-z]{1,8}$",
    ["USD"]
);
text_type!(
    /// An address of mail.
    EmailText,
    "tidegate-email",
    "^[^<>\\s]+@[^<>\\s]+$",
    ["tidegate@example.com"]
);

/// The formats of the controller's configuration: those of the spec, and its own.
pub(super) static ALL: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let reference = Format {
        name: "tidegate-secret-ref",
        code: codes::BAD_SECRET_REF,
        check: |text| SecretRef::parse(text).map(drop).map_err(|error| error.to_string()),
        is_secret: true,
    };
    let branch = Format::new("tidegate-branch", crate::spec::codes::BAD_FORMAT, branch);
    SPEC.iter().copied().chain([reference, branch]).collect()
});

/// The rules of `git check-ref-format`, as far as they matter for a branch.
fn branch(text: &str) -> Result<(), String> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let bad_part = |part: &str| {
        part.is_empty() || part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock")
    };
    let bad = text.starts_with('-')
        || text == "@"
        || text.contains("..")
        || text.contains("@{")
        || text.chars().any(forbidden)
        || text.split('/').any(bad_part);
    if bad { Err(format!("`{text}` is not a branch name")) } else { Ok(()) }
}
