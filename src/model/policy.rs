//! A policy, typed: how signals, schedules and limits turn into a count.

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::{Count, Expression, Signal, Windows};

/// How signals, schedules and limits turn into a count. Valid by construction: every index names one of its
/// signals, every expression and cron is compiled.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The validated document in canonical form (object keys sorted): what digests and records hold.
    pub document: serde_json::Value,
    /// Tells this document from another: memories of a target belong to it.
    pub fingerprint: u64,
    /// The measured inputs, sorted by name; other parts refer to them by index.
    pub signals: Vec<Signal>,
    /// Proportional rules: each votes for a count.
    pub targets: Vec<Target>,
    /// Threshold rules.
    pub rules: Vec<Rule>,
    /// How many thresholds the rules have in all: each has a timer.
    pub thresholds: usize,
    /// One more vote.
    pub expression: Option<Expression>,
    /// Windows of time with a least count.
    pub schedules: Vec<Schedule>,
    /// When to go to zero.
    pub idle: Option<Idle>,
    /// How fast the count may move.
    pub behavior: Behavior,
}

/// Only the document counts as content: the rest is derived from it.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Policy {
    /// The fingerprint of a document.
    #[must_use]
    pub fn fingerprint_of(document: &serde_json::Value) -> u64 {
        let digest = Sha256::digest(document.to_string().as_bytes());
        digest.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut policy = out.serialize_struct("Policy", 1)?;
        policy.serialize_field("document", &self.document)?;
        policy.end()
    }
}

/// A proportional rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Index of its signal.
    pub signal: usize,
    /// What the level is compared with.
    pub kind: TargetKind,
    /// The level aimed at, over zero.
    pub level: f64,
}

/// What the level of a proportional rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// The signal is a total: `ceil(value / level)` replicas.
    PerReplica,
    /// The signal is a mean over the ready replicas: `ceil(ready * value / level)`.
    Average,
    /// The signal must not be over the level, and falls in proportion: `ceil(ready * value / level)`.
    AtMost,
}

impl TargetKind {
    /// The key as the spec spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PerReplica => "perReplica",
            Self::Average => "average",
            Self::AtMost => "atMost",
        }
    }
}

/// A threshold rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name that traces show: the spec's, or `rule 2`.
    pub name: Arc<str>,
    /// When it holds.
    pub when: Condition,
    /// What it does while it holds.
    pub effect: Effect,
}

/// When a rule holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// When all of these do.
    All(Vec<Self>),
    /// When any of these does.
    Any(Vec<Self>),
    /// When one signal is beyond a level for a time.
    Threshold(Threshold),
}

impl Condition {
    /// Calls for every threshold in it, in order.
    pub fn each_threshold(&self, call: &mut impl FnMut(&Threshold)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.each_threshold(call));
            }
            Self::Threshold(threshold) => call(threshold),
        }
    }
}

/// One signal against one or two levels. With both, the signal must be between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Index of its signal.
    pub signal: usize,
    /// Holds while the signal is strictly above this.
    pub above: Option<f64>,
    /// Holds while the signal is strictly below this.
    pub below: Option<f64>,
    /// How long it must have been so.
    pub hold: Duration,
    /// Its timer: an index under [`Policy::thresholds`].
    pub timer: usize,
}

/// What a rule does while it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Moves the count by so many; negative is down.
    By(i32),
    /// Moves the count by this percentage of it; negative is down.
    ByPercent(f64),
    /// Moves the count to this.
    To(Count),
}

/// A window of time with a least count.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The name that traces show: the spec's, or `schedule 2`.
    pub name: Arc<str>,
    /// When it is open.
    pub windows: Windows,
    /// The least replicas while it is open.
    pub replicas: Count,
}

/// When to go to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// How long the signals must have been zero.
    pub after: Duration,
    /// Indices of the signals that must be zero.
    pub signals: Vec<usize>,
}

/// How fast the count may move. What is absent follows the defaults of deciding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behavior {
    /// How far a signal may be from its target before the count moves, as a share: 0.1 is 10 %.
    pub tolerance: Option<f64>,
    /// Upwards.
    pub up: Direction,
    /// Downwards.
    pub down: Direction,
}

/// How fast the count may move in one direction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Direction {
    /// Steps allowed per `per`; the largest wins. An empty list allows none.
    pub limits: Option<Vec<Limit>>,
    /// The time over which `limits` count.
    pub per: Option<Duration>,
    /// How long a wish must last: the most careful one of this time wins.
    pub stabilization: Option<Duration>,
}

/// A limit of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Replicas.
    Replicas(u32),
    /// A percentage of the count at the start of the period.
    Percent(f64),
}
