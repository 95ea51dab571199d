//! A plan for a page: verdict, table, one fold per target.

use std::fmt::Write as _;

use super::inert::{fence, inline as escape};
use super::{cost, harmless, is_eventful, schedule, sign, verdict};
use crate::model::{Plan, TargetPlan};

/// Renders the plan as GitHub-flavoured markdown.
#[must_use]
pub fn markdown(plan: &Plan) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "**{}**\n", escape(&verdict(plan)));
    let eventful: Vec<&TargetPlan> = plan.targets.iter().filter(|t| is_eventful(t)).collect();
    if !eventful.is_empty() {
        out.push_str("| target | provider | bounds | count | owner | actions | held |\n");
        out.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        for target in &eventful {
            out.push_str(&row(target));
        }
        out.push('\n');
        for target in &eventful {
            fold(&mut out, target);
        }
    }
    for warning in &plan.warnings {
        let _ = writeln!(out, "> **Warning:** {}\n", escape(&warning.sentence));
    }
    let totals = &plan.totals;
    if let Some(cost) = cost(totals.cost_now, totals.cost_after, totals.cost_max, &totals.currency)
    {
        let _ = writeln!(out, "Cost {cost}.\n");
    }
    let from = plan.base_commit.as_ref().map_or("nothing", |commit| commit.as_str());
    let _ =
        writeln!(out, "Commit `{}`, from `{from}`, digest `{}`.", plan.spec_commit, plan.digest);
    out
}

fn row(target: &TargetPlan) -> String {
    let bounds = match (target.bounds_before, target.bounds_after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (_, Some(after)) => after.to_string(),
        (Some(before), None) => format!("{before} → gone"),
        (None, None) => "gone".to_owned(),
    };
    let unknown = || "unknown".to_owned();
    let count = target.count.map_or_else(unknown, |count| count.to_string());
    let (count, owner) = match &target.decision {
        Some(decision) => {
            let after = decision.effective.map_or_else(unknown, |count| count.to_string());
            let arrow = if count == after { count } else { format!("{count} → {after}") };
            (arrow, decision.owner.word())
        }
        None => (count, "spec"),
    };
    let actions: usize = target.steps.iter().map(|step| step.actions.len()).sum();
    let held: Vec<&str> = target.held.iter().map(|held| held.reason.code()).collect();
    let provider = target.provider.as_ref().map_or("", |provider| provider.as_str());
    format!(
        "| {} | {} | {bounds} | {count} | {owner} | {actions} | {} |\n",
        escape(&target.target.to_string()),
        escape(provider),
        held.join(", ")
    )
}

fn fold(out: &mut String, target: &TargetPlan) {
    if target.steps.is_empty() && target.held.is_empty() && target.schedules.is_empty() {
        return;
    }
    let _ = writeln!(out, "<details><summary>{}</summary>\n", escape(&target.target.to_string()));
    if !target.steps.is_empty() {
        let mut lines = String::new();
        for action in target.steps.iter().flat_map(|step| &step.actions) {
            let _ = writeln!(
                lines,
                "{} {} {}  ({})",
                sign(&action.kind),
                action.kind.word(),
                action.key,
                harmless(&action.why)
            );
        }
        out.push_str(&fence("diff", &lines));
    }
    if let Some((reason, sentence)) = target.decision.as_ref().and_then(|d| d.refusal()) {
        let _ = writeln!(out, "- refused, `{}`: {}", reason.code(), escape(&sentence));
    }
    for held in &target.held {
        let _ = writeln!(out, "- held, `{}`: {}", held.reason.code(), escape(&held.sentence));
    }
    for planned in &target.schedules {
        let _ = writeln!(out, "- {}", escape(&schedule::title(planned)));
        for line in schedule::lines(planned) {
            let _ = writeln!(out, "  - {}", escape(&line));
        }
    }
    out.push_str("\n</details>\n\n");
}
