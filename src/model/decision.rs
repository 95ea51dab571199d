//! What a target's count should be, and every step that led there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Autoscale, Count, TargetId};

/// The counts a target may have. `min <= desired <= max` in a valid spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The least.
    pub min: Count,
    /// The count to rest at.
    pub desired: Count,
    /// The most.
    pub max: Count,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}..{} desired {}", self.min, self.max, self.desired))
    }
}

/// Who owns the count of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The spec: the count is `desired`.
    Spec,
    /// The policy: the count moves within the bounds.
    Policy,
}

impl Owner {
    /// Who owns the count under this mode.
    #[must_use]
    pub fn of(autoscale: Autoscale) -> Self {
        match autoscale {
            Autoscale::Manual | Autoscale::Disabled => Self::Spec,
            Autoscale::Metrics => Self::Policy,
        }
    }

    /// The word for tables and status files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Policy => "policy",
        }
    }
}

/// Why a count is what it is: one variant per thing that can push a decision or stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The count rests at the spec's `desired`.
    AtDesired,
    /// The bounds moved the count.
    Bounds,
    /// The world could not be read, so the count is left as it is.
    MissingData,
    /// The count changed without a recorded decision.
    Drift,
    /// The service or region is gone from the spec.
    Removed,
}

impl Reason {
    /// The stable, kebab-case code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AtDesired => "at-desired",
            Self::Bounds => "bounds",
            Self::MissingData => "missing-data",
            Self::Drift => "drift",
            Self::Removed => "removed",
        }
    }
}

/// A stage of deciding, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What the count rests at when nothing votes.
    Rest,
    /// Clamping to `[min, max]`.
    Bounds,
    /// Holding still where the world is unknown.
    Observation,
}

impl Stage {
    /// The word for traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Bounds => "bounds",
            Self::Observation => "observation",
        }
    }
}

/// What one stage did to the count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// The stage.
    pub stage: Stage,
    /// The count it was given.
    pub before: Count,
    /// The count it passed on.
    pub after: Count,
    /// Why, as a code.
    pub reason: Reason,
    /// Why, as a sentence.
    pub sentence: String,
}

/// What a decision was made from: enough, with the policy, to make it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionInputs {
    /// The target's bounds.
    pub bounds: Bounds,
    /// Who may move the count.
    pub autoscale: Autoscale,
    /// Replicas that exist; `None` where the world could not be read.
    pub observed: Option<Count>,
    /// Replicas that are ready.
    pub ready: Count,
}

/// The count one target should have at one instant.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The target.
    pub target: TargetId,
    /// What it was made from.
    pub inputs: DecisionInputs,
    /// What the votes and floors asked for, before bounds and guards.
    pub wanted: Count,
    /// What the count should be; `None` where the world could not be read, so that nothing may move.
    pub effective: Option<Count>,
    /// Who owns the count.
    pub owner: Owner,
    /// The reason of the last stage that mattered.
    pub reason: Reason,
    /// That reason in a sentence.
    pub sentence: String,
    /// What every stage did.
    pub trace: Vec<TraceLine>,
}
