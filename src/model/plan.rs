//! The ordered actions that turn what is observed into what is decided.

use jiff::Timestamp;

use super::{
    Bounds, CommitId, Count, Decision, MarkedWindow, Ordinal, PlanDigest, ProviderName, Replica,
    ReplicaKey, TargetId, TemplateHash,
};

/// Everything that would be done, everything that is held back, and why.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The spec commit it realises.
    pub spec_commit: CommitId,
    /// The spec commit it starts from: the last one that was applied.
    pub base_commit: Option<CommitId>,
    /// Hash of the effects that the spec change states.
    pub digest: PlanDigest,
    /// When the world it starts from was read.
    pub observed_at: Timestamp,
    /// One entry per target of the spec or of the world, sorted by target.
    pub targets: Vec<TargetPlan>,
    /// What a reader should know before agreeing.
    pub warnings: Vec<Warning>,
    /// Sums over the targets.
    pub totals: PlanTotals,
}

impl Plan {
    /// Whether there is nothing to do and nothing held back.
    #[must_use]
    pub fn is_no_changes(&self) -> bool {
        self.targets
            .iter()
            .all(|t| t.steps.is_empty() && t.held.is_empty() && !t.change.is_stated())
    }
}

/// One target's part of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPlan {
    /// The target.
    pub target: TargetId,
    /// The provider that runs it; `None` only for a target whose service has no template.
    pub provider: Option<ProviderName>,
    /// What the spec change states about it.
    pub change: TargetChange,
    /// The bounds in the base spec.
    pub bounds_before: Option<Bounds>,
    /// The bounds in this spec; `None` where the target is gone from it.
    pub bounds_after: Option<Bounds>,
    /// How many replicas exist; `None` where the world could not be read.
    pub count: Option<Count>,
    /// How many of them are ready.
    pub ready: Count,
    /// What the count should be, and why.
    pub decision: Option<Decision>,
    /// What is done, in this order; the actions within a step may run at once.
    pub steps: Vec<Step>,
    /// What is not done, and why.
    pub held: Vec<Held>,
    /// Cost per hour at the present count.
    pub cost_now: Option<f64>,
    /// Cost per hour at the effective count.
    pub cost_after: Option<f64>,
    /// Cost per hour at `max`.
    pub cost_max: Option<f64>,
    /// The replicas as observed.
    pub replicas: Vec<Replica>,
    /// What the schedules of its policy will do, where they are new; once for all regions of a service.
    pub schedules: Vec<PlannedSchedule>,
}

/// What a schedule will do in the days after the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedSchedule {
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// The least replicas while it is open.
    pub floor: Count,
    /// The IANA name of its zone.
    pub zone: String,
    /// Its first windows, in order.
    pub windows: Vec<PlannedWindow>,
    /// How many more there are.
    pub more: usize,
}

/// One window of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedWindow {
    /// When it is, and what the zone did to its edges.
    pub marked: MarkedWindow,
    /// Its start in its zone, for people: `Mon 2026-11-23 08:00+01:00`.
    pub local_from: String,
    /// Its end in its zone.
    pub local_to: String,
}

/// What a spec change states about a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetChange {
    /// Nothing.
    Unchanged,
    /// The target is new.
    Added,
    /// Bounds, policy, template or the like changed.
    Changed,
    /// The target is gone from the spec.
    Removed,
}

impl TargetChange {
    /// Whether the spec says something new.
    #[must_use]
    pub fn is_stated(self) -> bool {
        match self {
            Self::Unchanged => false,
            Self::Added | Self::Changed | Self::Removed => true,
        }
    }

    /// The word for renderings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// Actions that may run at once. A step begins when the one before has ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The actions.
    pub actions: Vec<Action>,
}

/// One idempotent action on one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The replica.
    pub key: ReplicaKey,
    /// What is done to it.
    pub kind: ActionKind,
    /// Why, as a fragment: `scale 2 to 4`, `template changed`, `gone from the spec`.
    pub why: String,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Makes the replica and starts it.
    Create {
        /// Hash of the template to make it from.
        template: TemplateHash,
    },
    /// Starts a replica that exists and is stopped.
    Start,
    /// Waits until the replica is ready. A gate, not a change: nothing after it happens before it.
    AwaitReady,
    /// Asks the replica to stop, waits for its drain time, and removes it.
    Destroy,
}

impl ActionKind {
    /// The word for renderings.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start => "start",
            Self::AwaitReady => "await-ready",
            Self::Destroy => "destroy",
        }
    }
}

/// Something that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The replicas concerned; empty when the whole target is.
    pub ordinals: Vec<Ordinal>,
    /// Why.
    pub reason: HeldReason,
    /// What it is and what ends the hold, in a sentence.
    pub sentence: String,
}

/// Why something is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldReason {
    /// The service is gone from the spec while it has replicas.
    VanishedService,
    /// The region is gone from the spec while it has replicas.
    VanishedRegion,
    /// The plan would destroy more than half of all replicas.
    MassDestroy,
    /// The provider could not be read.
    ProviderGap,
    /// The service has no template, so nothing can be created.
    NoTemplate,
    /// The service only reports drift.
    DriftReported,
    /// A replica of the new template does not become ready, so the rollout waits.
    RolloutWaiting,
}

impl HeldReason {
    /// The stable, kebab-case code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::VanishedService => "vanished-service",
            Self::VanishedRegion => "vanished-region",
            Self::MassDestroy => "mass-destroy",
            Self::ProviderGap => "provider-gap",
            Self::NoTemplate => "no-template",
            Self::DriftReported => "drift-reported",
            Self::RolloutWaiting => "rollout-waiting",
        }
    }
}

/// Something a reader should know before agreeing to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The target concerned, if one is.
    pub target: Option<TargetId>,
    /// What, in a sentence.
    pub sentence: String,
}

/// Sums over a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanTotals {
    /// Replicas to create.
    pub create: usize,
    /// Replicas to start again.
    pub start: usize,
    /// Replicas to destroy.
    pub destroy: usize,
    /// Things held back.
    pub held: usize,
    /// Replicas that exist.
    pub existing: usize,
    /// Cost per hour now.
    pub cost_now: Option<f64>,
    /// Cost per hour after.
    pub cost_after: Option<f64>,
    /// Cost per hour with every target at `max`.
    pub cost_max: Option<f64>,
    /// The currency of the costs.
    pub currency: String,
}
