//! Identifiers and counts, each a type of its own, valid by construction.
//!
//! The same few identifiers stand in every replica, decision, plan and status of a cycle, so their text is
//! shared: a clone copies a pointer.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// The longest DNS label (RFC 1035, section 2.3.4), and so the longest service id and region name.
const DNS_LABEL_CHARS_MAX: usize = 63;
/// Names that only the operator writes may be longer than a DNS label, but not without limit.
const NAME_CHARS_MAX: usize = 128;

/// Why a text is not the identifier it should be. Displays as a fragment that names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a DNS label: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, at most 63 characters.
    #[error("`{0}` is not a DNS label: use 1 to 63 lower-case letters, digits and inner dashes")]
    NotDnsLabel(String),
    /// Not a plain name: letters, digits, `.`, `_`, `-` and `/`, at most 128 characters.
    #[error("`{0}` is not a name: use 1 to 128 letters, digits and any of `. _ - /`")]
    NotName(String),
    /// Not a full object id in hexadecimal.
    #[error("`{0}` is not a full commit id: use 40 or 64 hexadecimal digits")]
    NotCommitId(String),
}

fn dns_label(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let inner_ok = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    let ends_ok = bytes.first().is_some_and(|b| *b != b'-') && bytes.last() != Some(&b'-');
    if inner_ok && ends_ok && bytes.len() <= DNS_LABEL_CHARS_MAX {
        Ok(())
    } else {
        Err(IdError::NotDnsLabel(text.to_owned()))
    }
}

fn plain_name(text: &str) -> Result<(), IdError> {
    let ok = !text.is_empty()
        && text.len() <= NAME_CHARS_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    if ok { Ok(()) } else { Err(IdError::NotName(text.to_owned())) }
}

fn object_id(text: &str) -> Result<(), IdError> {
    let ok = matches!(text.len(), 40 | 64)
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if ok { Ok(()) } else { Err(IdError::NotCommitId(text.to_owned())) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::try_from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// The id of a service: a DNS label, unique in a spec.
    ServiceId, dns_label
);
text_id!(
    /// The name of a region: a DNS label, unique in a service.
    Region, dns_label
);
text_id!(
    /// The name of a policy, unique in a spec.
    PolicyName, plain_name
);
text_id!(
    /// The name under which the controller's configuration knows a provider.
    ProviderName, plain_name
);
text_id!(
    /// The name of a signal in a policy.
    SignalName, plain_name
);
text_id!(
    /// The name under which the controller's configuration knows a metric source; `provider` and `proxy`
    /// are the built-in ones.
    SourceName, plain_name
);
text_id!(
    /// The name by which a spec may refer to a secret of the controller's configuration.
    SecretName, plain_name
);
text_id!(
    /// Which controller a replica belongs to: two controllers with different owners never see each
    /// other's replicas. Derived from the spec repository, branch and path unless configured.
    OwnerId, dns_label
);
text_id!(
    /// A full commit id, in lower-case hexadecimal.
    CommitId, object_id
);

impl CommitId {
    /// The first eight digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// Hash of the canonical effects of a plan: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanDigest(pub(crate) String);

impl PlanDigest {
    /// The digest with its algorithm prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hash of what one replica is (its template): 12 hexadecimal digits. A replica whose hash is not the
/// spec's is replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct TemplateHash(Arc<str>);

impl From<&str> for TemplateHash {
    fn from(digits: &str) -> Self {
        Self(digits.into())
    }
}

impl From<String> for TemplateHash {
    fn from(digits: String) -> Self {
        Self(digits.into())
    }
}

impl Serialize for TemplateHash {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number of replicas.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Count(pub u32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which of a target's replicas: the smallest free number from 0 is given to each new one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ordinal(pub u32);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PullNumber(pub u64);

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A (service, region) pair: what is scaled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetId {
    /// The service.
    pub service: ServiceId,
    /// The region.
    pub region: Region,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.service, self.region))
    }
}
