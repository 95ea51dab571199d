//! The nouns: every value that crosses a stage border.
//!
//! Pure and without dependencies on the rest of the crate. Nothing in here reads a file, a clock or the
//! network, and nothing in here decides: see [`crate::decide`] and [`crate::plan`] for that.

mod catalogue;
mod cron;
mod decision;
mod demand;
mod detail;
mod diagnostic;
mod duration;
mod expression;
mod floor;
mod ids;
mod moment;
mod outcome;
mod plan;
mod policy;
pub mod reading;
mod replica;
mod schedule;
mod secret;
mod signal;
mod source;
mod spec;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trace;

pub use catalogue::{
    About, Catalogue, PROVIDER_METRICS, Prices, Regions, SOURCE_PROVIDER, SOURCE_PROXY,
    SourceAbout, TemplateKey,
};
pub use decision::{Bounds, CostShare, Decision, DecisionInputs, Owner};
pub use demand::{DemandMemory, LoadSample};
pub use detail::{DemandWhy, Detail};
pub use diagnostic::{Code, Diagnostic, Position, Severity};
pub use duration::{DurationError, format_duration, parse_duration};
pub use expression::{
    EXPRESSION_CHARS_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_FUNCTIONS, EXPRESSION_VARIABLES,
    Expression, ExpressionError, Variables,
};
pub use floor::{Burst, Pause};
pub use ids::{
    CommitId, Count, IdError, Ordinal, OwnerId, PlanDigest, PolicyName, ProviderName, PullNumber,
    Region, SecretName, ServiceId, SignalName, SourceName, TargetId, TemplateHash,
};
pub use moment::Moment;
pub use outcome::{FailureKind, Next, Outcome, OutcomeResult, TargetOutcome};
pub use plan::{
    Action, ActionKind, Held, HeldReason, Plan, PlanTotals, PlannedSchedule, PlannedWindow, Step,
    TargetChange, TargetPlan, Warning,
};
pub use policy::{
    Behavior, Condition, Direction, Effect, Idle, Limit, Policy, Rule, Schedule, Target,
    TargetKind, Threshold,
};
pub use replica::{Exit, Gap, Observed, Phase, Replica, ReplicaKey};
pub use schedule::{MarkedWindow, ScheduleError, Shift, Window, Windows, zone_names};
pub use secret::Secret;
pub use signal::{MAX_AGE_DEFAULT, Measured, OnMissing, Signal, SignalState};
pub use source::{FILE_BYTES_MAX, FILES_MAX, SourceFile, Sources};
pub use spec::{
    Autoscale, CpuShare, DnsRecord, DriftMode, EnvValue, Guard, Health, HealthProbe, LoadBalancing,
    MemoryBytes, PolicyChoice, Port, RegionScale, Resources, Routing, Scale, Service, Spec,
    Storage, Strategy, Template,
};
pub use state::{
    FiredRule, RelievedStep, ScheduleEdge, SignalMemory, StepTaken, TargetState, Wish,
};
pub use trace::{Reason, Stage, TraceLine};
