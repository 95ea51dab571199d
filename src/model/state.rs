//! What deciding remembers of one target from one decision to the next. State in, state out: nothing that
//! matters to a decision is kept anywhere else.

use serde::{Deserialize, Serialize};

use super::{Count, DemandMemory, Moment};

/// The memory of one target. Bounded: every list in it has a limit or a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TargetState {
    /// Fingerprint of the policy that timers and signal memories belong to.
    pub policy: u64,
    /// What was decided last, where the world could be read.
    pub effective: Option<Count>,
    /// What the policy itself asked for last, before floors and bounds.
    pub own: Option<Count>,
    /// When the decided count last changed.
    pub last_change: Option<Moment>,
    /// When the controller took this memory up again after a restart.
    pub resumed_at: Option<Moment>,
    /// The newest changes of the decided count, oldest first.
    pub steps: Vec<StepTaken>,
    /// What was wanted, oldest first, counts falling: all that the largest of a window can be.
    pub wishes: Vec<Wish>,
    /// What was wanted, oldest first, counts rising: all that the smallest of a window can be.
    pub low_wishes: Vec<Wish>,
    /// How many replicas were ready, at each change of that, oldest first.
    pub ready: Vec<Wish>,
    /// What is remembered of each signal, in the policy's order.
    pub signals: Vec<SignalMemory>,
    /// Since when each threshold holds.
    pub timers: Vec<Option<Moment>>,
    /// What each rule last asked for, while it holds.
    pub rules: Vec<Option<FiredRule>>,
    /// Steps up whose relief is still to be judged, and judgements, by proportional rule.
    pub reliefs: Vec<RelievedStep>,
    /// What is known of each proportional rule's load, in the policy's order; empty for means.
    pub demands: Vec<DemandMemory>,
    /// Whether each schedule is open, and until when that is known.
    pub schedules: Vec<ScheduleEdge>,
    /// Since when nothing happens.
    pub idle_since: Option<Moment>,
}

/// A change of the decided count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTaken {
    /// When.
    pub at: Moment,
    /// Before.
    pub from: Count,
    /// After.
    pub to: Count,
}

/// A count at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// When.
    pub at: Moment,
    /// How many.
    pub count: Count,
}

/// What is remembered of one signal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SignalMemory {
    /// Its last good value.
    pub value: Option<f64>,
    /// When that was measured.
    pub at: Moment,
    /// Since when it reads zero after it was more.
    pub zero_since: Option<Moment>,
}

/// What a rule asked for when it last stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredRule {
    /// When.
    pub at: Moment,
    /// Since when it holds.
    pub since: Moment,
    /// The count it asks for.
    pub wants: Count,
}

/// A step up for one proportional rule, whose relief is to be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RelievedStep {
    /// The signal's value before the step; `None` while there is nothing to judge.
    pub value: Option<f64>,
    /// Replicas before the step.
    pub from: Count,
    /// Replicas after it.
    pub to: Count,
    /// When all of them were ready.
    pub ready_at: Option<Moment>,
    /// Steps in a row that brought too little.
    pub failures: u32,
    /// Until when no further step is made for this rule.
    pub blocked_until: Option<Moment>,
}

/// Whether a schedule is open, and until when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleEdge {
    /// Whether it is open.
    pub is_open: bool,
    /// From when this was known.
    pub from: Moment,
    /// The first instant at which it may be otherwise.
    pub until: Moment,
}
