//! The trace of a decision: a line for every stage, as data; sentences are made when somebody reads them.

use super::{Count, Detail};

/// Why a count is what it is, or why it did not change: one variant per thing that can push a decision or
/// stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The count rests at the spec's `desired`.
    AtDesired,
    /// Nothing lower is allowed.
    AtMin,
    /// Nothing higher is allowed.
    AtMax,
    /// The signal is near enough to its target.
    WithinTolerance,
    /// More was wanted a moment ago, or less: the wish must last.
    Stabilizing,
    /// A step may only be so large.
    RateLimited,
    /// The last change was a moment ago.
    Cooldown,
    /// Replicas are being replaced.
    RolloutInProgress,
    /// Something that is needed for the decision could not be read.
    MissingData,
    /// The step down would be undone at once.
    AnticipatedFlapping,
    /// More replicas did not help the last times.
    Ineffective,
    /// More would cost more than the cap.
    CostCapped,
    /// A person said that nothing may change.
    Paused,
    /// A schedule asks for it.
    Schedule,
    /// A burst asks for it.
    Burst,
    /// A target asks for it.
    Target,
    /// A rule asks for it.
    Rule,
    /// The expression asks for it.
    Expression,
    /// Nothing happens, so nothing runs.
    Idle,
    /// The bounds moved the count.
    Bounds,
    /// The count changed without a recorded decision.
    Drift,
    /// The service or region is gone from the spec.
    Removed,
}

impl Reason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::AtDesired,
        Self::AtMin,
        Self::AtMax,
        Self::WithinTolerance,
        Self::Stabilizing,
        Self::RateLimited,
        Self::Cooldown,
        Self::RolloutInProgress,
        Self::MissingData,
        Self::AnticipatedFlapping,
        Self::Ineffective,
        Self::CostCapped,
        Self::Paused,
        Self::Schedule,
        Self::Burst,
        Self::Target,
        Self::Rule,
        Self::Expression,
        Self::Idle,
        Self::Bounds,
        Self::Drift,
        Self::Removed,
    ];

    /// The stable, kebab-case code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AtDesired => "at-desired",
            Self::AtMin => "at-min",
            Self::AtMax => "at-max",
            Self::WithinTolerance => "within-tolerance",
            Self::Stabilizing => "stabilizing",
            Self::RateLimited => "rate-limited",
            Self::Cooldown => "cooldown",
            Self::RolloutInProgress => "rollout-in-progress",
            Self::MissingData => "missing-data",
            Self::AnticipatedFlapping => "anticipated-flapping",
            Self::Ineffective => "ineffective",
            Self::CostCapped => "cost-capped",
            Self::Paused => "paused",
            Self::Schedule => "schedule",
            Self::Burst => "burst",
            Self::Target => "target",
            Self::Rule => "rule",
            Self::Expression => "expression",
            Self::Idle => "idle",
            Self::Bounds => "bounds",
            Self::Drift => "drift",
            Self::Removed => "removed",
        }
    }

    /// Whether it stands for something that was wanted and is not done: its beginning and its end are
    /// history. Being near enough to a target is no refusal.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::AtMax
            | Self::Stabilizing
            | Self::RateLimited
            | Self::Cooldown
            | Self::RolloutInProgress
            | Self::MissingData
            | Self::AnticipatedFlapping
            | Self::Ineffective
            | Self::CostCapped
            | Self::Paused => true,
            Self::AtDesired
            | Self::AtMin
            | Self::WithinTolerance
            | Self::Schedule
            | Self::Burst
            | Self::Target
            | Self::Rule
            | Self::Expression
            | Self::Idle
            | Self::Bounds
            | Self::Drift
            | Self::Removed => false,
        }
    }
}

/// A stage of deciding, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What the measurements are worth.
    Signals,
    /// The vote of a proportional rule.
    Target,
    /// The vote of a threshold rule.
    Rule,
    /// The vote of the expression.
    Expression,
    /// What the count rests at when nothing votes.
    Rest,
    /// The largest vote; what is missing forbids going down.
    Combine,
    /// Staying where the signal is near enough to its target.
    Tolerance,
    /// Waiting until a wish has lasted.
    Stabilization,
    /// Steps of a limited size.
    RateLimit,
    /// Not going down where that would be undone at once.
    Flapping,
    /// Going to zero where nothing happens.
    Idle,
    /// Floors of schedules.
    Schedule,
    /// Floors of bursts.
    Burst,
    /// Clamping to `[min, max]`.
    Bounds,
    /// Waiting after a change before going down.
    Cooldown,
    /// Not going down while replicas are being replaced.
    Rollout,
    /// Staying within what the service may cost.
    Cost,
    /// Holding still because a person said so.
    Pause,
    /// Holding still where the world is unknown.
    Observation,
}

impl Stage {
    /// The word for traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Target => "target",
            Self::Rule => "rule",
            Self::Expression => "expression",
            Self::Rest => "rest",
            Self::Combine => "combine",
            Self::Tolerance => "tolerance",
            Self::Stabilization => "stabilization",
            Self::RateLimit => "rate-limit",
            Self::Flapping => "flapping",
            Self::Idle => "idle",
            Self::Schedule => "schedule",
            Self::Burst => "burst",
            Self::Bounds => "bounds",
            Self::Cooldown => "cooldown",
            Self::Rollout => "rollout",
            Self::Cost => "cost",
            Self::Pause => "pause",
            Self::Observation => "observation",
        }
    }
}

/// What one stage did to the count.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceLine {
    /// The stage.
    pub stage: Stage,
    /// The count it was given.
    pub before: Count,
    /// The count it passed on; for a vote, the count it asks for.
    pub after: Count,
    /// Why, as a code; `None` where the stage had nothing to say.
    pub reason: Option<Reason>,
    /// Why, as data.
    pub detail: Detail,
}

impl TraceLine {
    /// Why, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.detail.to_string()
    }
}
