//! The nouns: every value that crosses a stage border.
//!
//! Pure and without dependencies on the rest of the crate. Nothing in here reads a file, a clock or the
//! network, and nothing in here decides: see [`crate::decide`] and [`crate::plan`] for that.

mod catalogue;
mod decision;
mod diagnostic;
mod duration;
mod ids;
mod outcome;
mod plan;
mod replica;
mod secret;
mod source;
mod spec;
#[cfg(test)]
pub(crate) mod testing;

pub use catalogue::{About, Catalogue, Prices, Regions, TemplateKey};
pub use decision::{Bounds, Decision, DecisionInputs, Owner, Reason, Stage, TraceLine};
pub use diagnostic::{Code, Diagnostic, Position, Severity};
pub use duration::{DurationError, format_duration, parse_duration};
pub use ids::{
    CommitId, Count, IdError, Ordinal, OwnerId, PlanDigest, PolicyName, ProviderName, Region,
    SecretName, ServiceId, TargetId, TemplateHash,
};
pub use outcome::{FailureKind, Next, Outcome, OutcomeResult, TargetOutcome};
pub use plan::{
    Action, ActionKind, Held, HeldReason, Plan, PlanTotals, Step, TargetChange, TargetPlan, Warning,
};
pub use replica::{Exit, Gap, Observed, Phase, Replica, ReplicaKey};
pub use secret::Secret;
pub use source::{FILE_BYTES_MAX, FILES_MAX, SourceFile, Sources};
pub use spec::{
    Autoscale, CpuShare, DnsRecord, DriftMode, EnvValue, Guard, Health, HealthProbe, LoadBalancing,
    MemoryBytes, Policy, PolicyChoice, Port, RegionScale, Resources, Routing, Scale, Service, Spec,
    Storage, Strategy, Template,
};
