//! What a target's count should be, and every step that led there.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Autoscale, Count, Moment, Reason, TargetId, TraceLine};

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

/// What a decision was made from, besides policy, measurements, bursts, pauses and memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionInputs {
    /// The instant it is for.
    pub now: Moment,
    /// The target's bounds.
    pub bounds: Bounds,
    /// Who may move the count.
    pub autoscale: Autoscale,
    /// Replicas that exist and are not on their way out; `None` where the world could not be read.
    pub observed: Option<Count>,
    /// Those of them that are ready.
    pub ready: Count,
    /// Those of them that are on their way to be ready.
    pub starting: Count,
    /// Whether replicas are being replaced.
    pub is_rolling_out: bool,
    /// Time after any change before a step down.
    pub cooldown: Duration,
}

/// What of a service's hourly cost falls to one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostShare {
    /// The cap of the whole service, in the currency of the price table, per hour.
    pub cap: f64,
    /// Replicas of this target that fit under it.
    pub allowed: Count,
}

/// The count one target should have at one instant.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The target.
    pub target: TargetId,
    /// What it was made from.
    pub inputs: DecisionInputs,
    /// The count before: what was decided last, else what exists.
    pub current: Count,
    /// What the votes and floors asked for, before bounds and guards.
    pub wanted: Count,
    /// What the count should be; `None` where the world could not be read, so that nothing may move.
    pub effective: Option<Count>,
    /// What of the service's cost cap falls to this target, where it has one.
    pub cost: Option<CostShare>,
    /// Who owns the count.
    pub owner: Owner,
    /// The reason of the stage that mattered most.
    pub reason: Reason,
    /// What stood in the way of what was wanted, if anything did.
    pub refused: Option<Reason>,
    /// Which line of the trace `reason` comes from.
    pub decisive: usize,
    /// What every stage did.
    pub trace: Vec<TraceLine>,
}

impl Decision {
    /// The decisive reason in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.trace.get(self.decisive).map(TraceLine::sentence).unwrap_or_default()
    }

    /// The refusal in a sentence.
    #[must_use]
    pub fn refusal(&self) -> Option<(Reason, String)> {
        let refused = self.refused?;
        let line = self.trace.iter().rev().find(|line| line.reason == Some(refused))?;
        Some((refused, line.sentence()))
    }
}
