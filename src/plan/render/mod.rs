//! One plan, three renderings. Only these turn a plan into words; none of them decides anything.

pub mod json;
mod markdown;
mod schedule;
mod text;

pub(crate) use markdown::escape as markdown_escape;
pub use markdown::markdown;
pub use text::text;

use crate::model::{ActionKind, Plan, TargetPlan};

/// Whether a target has anything to say.
fn is_eventful(target: &TargetPlan) -> bool {
    target.change.is_stated() || !target.steps.is_empty() || !target.held.is_empty()
}

/// The sentence that a reader needs if he reads no other.
#[must_use]
pub fn verdict(plan: &Plan) -> String {
    let totals = &plan.totals;
    if plan.is_no_changes() {
        return format!(
            "No changes: {} as the spec says.",
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
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The sign of an action, for people who scan.
fn sign(kind: &ActionKind) -> char {
    match kind {
        ActionKind::Create { .. } => '+',
        ActionKind::Start => '>',
        ActionKind::AwaitReady => '.',
        ActionKind::Destroy => '-',
    }
}

/// Text from elsewhere, made harmless: control characters, and those that reorder or hide text, become
/// `\u{…}`.
#[must_use]
pub fn harmless(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// An amount of money per hour.
fn money(amount: f64, currency: &str) -> String {
    format!("{amount:.2} {}", if currency.is_empty() { "USD" } else { currency })
}

/// `now → after, at most max` of a cost, where something is known.
fn cost(now: Option<f64>, after: Option<f64>, max: Option<f64>, currency: &str) -> Option<String> {
    let (now, after, max) = (now.unwrap_or_default(), after?, max.unwrap_or_default());
    Some(format!(
        "{} → {} per hour, at most {}",
        money(now, currency),
        money(after, currency),
        money(max, currency)
    ))
}
