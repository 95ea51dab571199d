//! The table of a plan: a row for each target with something to say, the weightiest first.

use std::cmp::Reverse;

use super::lines::line;
use crate::model::{ActionKind, Owner, TargetChange, TargetPlan};
use crate::plan::render::inert::{code, cut, inline};

/// Bytes of the sentence that says why a count is what it is.
const WHY_BYTES_MAX: usize = 160;

/// How much a reader has to look at a target: what is lost or held, what is made, what is only stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Quiet,
    Stated,
    Creates,
    DestroysOrHeld,
}

/// How weighty a target is.
pub(super) fn weight(target: &TargetPlan) -> Weight {
    let mut kinds = target.steps.iter().flat_map(|step| &step.actions).map(|action| &action.kind);
    let is_any = kinds.clone().next().is_some();
    if !target.held.is_empty() || kinds.any(|kind| *kind == ActionKind::Destroy) {
        Weight::DestroysOrHeld
    } else if is_any {
        Weight::Creates
    } else if target.change.is_stated() {
        Weight::Stated
    } else {
        Weight::Quiet
    }
}

/// By weight, then by name.
pub(super) fn sorted<'a>(targets: &[&'a TargetPlan]) -> Vec<&'a TargetPlan> {
    let mut sorted = targets.to_vec();
    sorted.sort_by_cached_key(|target| Reverse(weight(target)));
    sorted
}

/// The heading; costs are in this currency.
pub(super) fn heading(currency: &str) -> String {
    let currency = if currency.is_empty() { "USD".to_owned() } else { line(currency) };
    format!(
        "| target | change | bounds | count | actions | {currency} per hour | held |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n"
    )
}

/// One row.
pub(super) fn row(target: &TargetPlan) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        code(&target.target.to_string()),
        target.change.word(),
        bounds(target),
        count(target),
        actions(target).unwrap_or_else(|| "none".to_owned()),
        cost(target),
        held(target)
    )
}

fn bounds(target: &TargetPlan) -> String {
    match (target.bounds_before, target.bounds_after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (_, Some(after)) => after.to_string(),
        (Some(before), None) => format!("{before} → gone"),
        (None, None) => "gone".to_owned(),
    }
}

/// The live count and its owner; never a difference to `desired`, which the count of a policy has none to.
fn count(target: &TargetPlan) -> String {
    let now = target.count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let Some(decision) = &target.decision else { return now };
    let why = inline(&cut(&decision.sentence(), WHY_BYTES_MAX));
    let moves = decision.effective.filter(|effective| target.count != Some(*effective));
    match (decision.owner, moves) {
        (Owner::Policy, Some(next)) => {
            format!("{now}, owned by the policy, which asks for {next}: {why}")
        }
        (Owner::Policy, None) => format!("{now}, owned by the policy: {why}"),
        (Owner::Spec, Some(next)) => format!("{now} → {next}, owned by the spec"),
        (Owner::Spec, None) => format!("{now}, owned by the spec"),
    }
}

/// How many of which actions: `create 2, destroy 1`.
pub(super) fn actions(target: &TargetPlan) -> Option<String> {
    let of = |word: &str| {
        let actions = target.steps.iter().flat_map(|step| &step.actions);
        actions.filter(|action| action.kind.word() == word).count()
    };
    let parts: Vec<String> = ["create", "start", "destroy"]
        .into_iter()
        .map(|word| (word, of(word)))
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    if parts.is_empty() && of("await-ready") > 0 {
        return Some("wait".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn cost(target: &TargetPlan) -> String {
    let amount = |cost: Option<f64>| cost.map_or_else(|| "?".to_owned(), |c| format!("{c:.2}"));
    if target.cost_now.is_none() && target.cost_after.is_none() && target.cost_max.is_none() {
        return "unknown".to_owned();
    }
    let worst = match (target.cost_max, target.change) {
        (None, TargetChange::Removed) => String::new(),
        (max, _) => format!(", at most {}", amount(max)),
    };
    format!("{} → {}{worst}", amount(target.cost_now), amount(target.cost_after))
}

fn held(target: &TargetPlan) -> String {
    let mut codes: Vec<&str> = target.held.iter().map(|held| held.reason.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(", ")
}
