//! One plan, three renderings. Only these turn a plan into words; none of them decides anything.

mod config;
pub mod inert;
pub mod json;
mod markdown;
pub(crate) mod schedule;
mod text;

pub use config::{config_diff, differences};
pub use inert::harmless;
pub(crate) use inert::inline as markdown_escape;
pub use markdown::markdown;
pub use text::text;

use crate::model::{ActionKind, Plan, TargetPlan};

/// Whether a target has anything to say.
pub(crate) fn is_eventful(target: &TargetPlan) -> bool {
    target.change.is_stated() || !target.steps.is_empty() || !target.held.is_empty()
}

/// How the [`verdict`] of a plan without changes begins.
pub const NO_CHANGES: &str = "No changes";

/// The sentence that a reader needs if he reads no other.
#[must_use]
pub fn verdict(plan: &Plan) -> String {
    let totals = &plan.totals;
    if plan.is_no_changes() {
        return format!(
            "{NO_CHANGES}: {} as the spec says.",
            counted(plan.targets.len(), "target is", "targets are")
        );
    }
    let mut parts = Vec::new();
    for (count, verb) in
        [(totals.create, "create"), (totals.start, "start"), (totals.destroy, "destroy")]
    {
        if count > 0 {
            parts.push(format!("{verb} {}", counted(count, "replica", "replicas")));
        }
    }
    let stated = plan.targets.iter().filter(|target| target.change.is_stated()).count();
    if parts.is_empty() && stated > 0 {
        parts.push(format!(
            "change {} without touching replicas",
            counted(stated, "target", "targets")
        ));
    }
    if totals.held > 0 {
        parts.push(format!("{} held back", counted(totals.held, "thing is", "things are")));
    }
    let mut sentence = parts.join(", ");
    if let Some(first) = sentence.get(..1) {
        sentence = first.to_uppercase() + sentence.get(1..).unwrap_or_default();
    }
    format!("{sentence}; {} now.", counted(totals.existing, "replica exists", "replicas exist"))
}

/// A number with the right form of what it counts.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The sign of an action, for people who scan.
pub(crate) fn sign(kind: &ActionKind) -> char {
    match kind {
        ActionKind::Create { .. } => '+',
        ActionKind::Start => '>',
        ActionKind::AwaitReady => '.',
        ActionKind::Destroy => '-',
    }
}

/// An amount of money per hour.
pub(crate) fn money(amount: f64, currency: &str) -> String {
    format!("{amount:.2} {}", if currency.is_empty() { "USD" } else { currency })
}

/// `now → after, at most max` of a cost, where something is known.
pub(crate) fn cost(
    now: Option<f64>,
    after: Option<f64>,
    max: Option<f64>,
    currency: &str,
) -> Option<String> {
    let (now, after, max) = (now.unwrap_or_default(), after?, max.unwrap_or_default());
    Some(format!(
        "{} → {} per hour, at most {}",
        money(now, currency),
        money(after, currency),
        money(max, currency)
    ))
}
