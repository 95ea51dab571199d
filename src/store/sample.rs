//! What is recorded, and what is read back. Plain values; no I/O.

use crate::model::{Moment, SignalName, SignalState, TargetId};

/// One answer of a source for one signal of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The target.
    pub target: TargetId,
    /// The signal's name in the policy.
    pub signal: SignalName,
    /// The source's own stamp of a value; when it was asked, for everything else.
    pub at: Moment,
    /// The answer.
    pub reading: Reading,
}

/// A value, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A number. One that is not finite is recorded as an error.
    Value(f64),
    /// The source has no such series.
    Absent,
    /// The newest number is too old.
    Stale,
    /// The source failed, or its answer cannot be a value.
    Error,
}

impl Reading {
    /// The reading of a judged signal; `value` matters only where the state is [`SignalState::Value`].
    #[must_use]
    pub fn of(state: SignalState, value: f64) -> Self {
        match state {
            SignalState::Value if value.is_finite() => Self::Value(value),
            SignalState::Value | SignalState::Error => Self::Error,
            SignalState::Absent => Self::Absent,
            SignalState::Stale => Self::Stale,
        }
    }
}

/// A decision that changed something, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// Of what.
    pub target: TargetId,
    /// What kind of event, by the caller's words.
    pub kind: String,
    /// Everything else, as a JSON text that the store does not look into.
    pub json: String,
}

/// Which events to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// The first instant.
    pub from: Moment,
    /// The first instant after the last.
    pub to: Moment,
    /// Of this target only.
    pub target: Option<TargetId>,
    /// Of this kind only.
    pub kind: Option<String>,
    /// At most this many, the newest.
    pub limit: u32,
}

/// What one tick leaves behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// What the sources answered. A value whose stamp was recorded before is not recorded again.
    pub samples: Vec<Sample>,
    /// What happened.
    pub events: Vec<Event>,
    /// The newest state of targets whose state changed, as texts that the store does not look into; `None`
    /// forgets a target.
    pub states: Vec<(TargetId, Option<String>)>,
    /// Small things by key; `None` forgets one.
    pub notes: Vec<(String, Option<String>)>,
}

/// How far apart the points of a [`Series`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Every recorded value.
    Raw,
    /// One point for a minute.
    Minute,
    /// One point for an hour.
    Hour,
}

impl Resolution {
    /// Length of a bucket in milliseconds; one for raw values.
    #[must_use]
    pub(super) fn step_ms(self) -> i64 {
        match self {
            Self::Raw => 1,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// The values of some time in short. Of a raw value, all four numbers are the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The value's stamp, or the first instant of the time.
    pub at: Moment,
    /// How many values.
    pub count: u32,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean, each value counting the same.
    pub mean: f64,
    /// The last.
    pub last: f64,
}

/// Recorded values of one signal, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What each point stands for.
    pub resolution: Resolution,
    /// The points; times without a value have none.
    pub points: Vec<Point>,
}
