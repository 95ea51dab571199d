//! Signals: what was measured, and what a measurement is worth.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Moment, SignalName, SourceName};

/// One measured input of a policy, as the spec declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The name that the rest of the policy uses.
    pub name: SignalName,
    /// Where it is read: `provider`, or a metric source of the controller's configuration.
    pub source: SourceName,
    /// The metric of that source, for sources that name metrics.
    pub metric: Option<String>,
    /// The query, for sources that take one.
    pub query: Option<String>,
    /// The unit, for people.
    pub unit: Option<String>,
    /// The time that a value is the mean of, as far as that is known: the longest range of a query, and zero
    /// for a value of an instant.
    pub window: Duration,
    /// The oldest value that still counts; without it, [`MAX_AGE_DEFAULT`].
    pub max_age: Option<Duration>,
    /// What to do without a value.
    pub on_missing: OnMissing,
}

impl Signal {
    /// What its source is asked: the query, else the metric, empty where it names neither.
    #[must_use]
    pub fn question(&self) -> &str {
        self.query.as_ref().or(self.metric.as_ref()).map_or("", String::as_str)
    }

    /// The oldest value that still counts.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.max_age.unwrap_or(MAX_AGE_DEFAULT)
    }
}

/// The oldest value that still counts where the spec names no age: three scrapes of the usual 15 seconds and
/// the delay of one rule evaluation, so that a single missed scrape is no missing data.
pub const MAX_AGE_DEFAULT: Duration = Duration::from_secs(60);

/// What to do without a value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum OnMissing {
    /// Never lower the count meanwhile; other signals may raise it.
    #[default]
    Hold,
    /// Decide as if the signal were not in the policy.
    Ignore,
    /// Have at least this many replicas, and do not go lower than the count either.
    Floor(super::Count),
    /// Use the last value for this long, then hold.
    LastValue(Duration),
}

/// What a source answered for one signal of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Measured {
    /// A number with its own time stamp. The number may still be no value: see the decision's first stage.
    Value {
        /// The number, in the unit of the source. `NaN` and infinities are written as text.
        #[serde(with = "number")]
        value: f64,
        /// When it was measured, by the source's own stamp.
        at: Moment,
    },
    /// The source answered, and has no such series now.
    Absent,
    /// The source did not answer, or answered what cannot be one number. Never holds a secret.
    Failed(#[serde(with = "shared")] Arc<str>),
}

/// A text that many measurements share.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(input).map(Arc::from)
    }
}

/// Numbers that JSON has no form for are written as text, so that a recorded measurement is read back as it
/// was.
mod number {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            out.serialize_f64(*value)
        } else {
            out.serialize_str(&value.to_string())
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(input)? {
            Form::Number(number) => Ok(number),
            Form::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// What one measurement is worth: only `Value` may lower a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalState {
    /// A number that may be decided by.
    Value,
    /// The source has no such series.
    Absent,
    /// The newest number is too old.
    Stale,
    /// The source failed, or its answer cannot be a value.
    Error,
}

impl SignalState {
    /// The word for traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Error => "error",
        }
    }
}
