//! What an apply came to, for people, pages and programs: the plan, and what became of it.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Output, plan};
use crate::control::Ticked;
use crate::model::{ActionKind, Outcome, OutcomeResult, Plan, TargetOutcome};
use crate::plan::render::{self, json::PlanDocument, markdown_escape};

/// What `apply --output json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// The plan that was applied.
    plan: PlanDocument,
    /// All of it in a word.
    result: &'static str,
    /// What became of every target that was touched.
    outcomes: Vec<Target>,
    /// Whether a newer commit or a signal cut it short.
    superseded: bool,
    /// What failed.
    failures: Vec<String>,
    /// What was held back, so that the commit is not in force in full.
    not_done: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    service: String,
    region: String,
    from: u32,
    to: u32,
    actions: Vec<Action>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    action: &'static str,
    provider: String,
    ordinal: u32,
    why: String,
    result: &'static str,
    error: Option<String>,
    took_ms: u64,
}

/// Shows the plan, and what became of it.
pub(super) fn show(ticked: &Ticked, output: Output) -> anyhow::Result<()> {
    let plan = &ticked.planned.plan;
    match output {
        Output::Text => {
            plan::show(plan, output)?;
            println!("{}", sentence(ticked));
        }
        Output::Markdown => {
            plan::show(plan, output)?;
            print!("{}", markdown(ticked));
        }
        Output::Json => {
            let document = Document {
                plan: render::json::document(plan),
                result: word(ticked),
                outcomes: ticked.outcomes.iter().map(target).collect(),
                superseded: ticked.is_superseded,
                failures: ticked.failures(),
                not_done: ticked.not_done(),
            };
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
    }
    Ok(())
}

/// Shows the plan of a dry run.
pub(super) fn show_dry(plan: &Plan, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Text => {
            plan::show(plan, output)?;
            println!("Dry run: nothing was changed.");
        }
        Output::Markdown => {
            plan::show(plan, output)?;
            println!("\n**Dry run: nothing was changed.**");
        }
        Output::Json => {
            let document = Document {
                plan: render::json::document(plan),
                result: "dry-run",
                outcomes: Vec::new(),
                superseded: false,
                failures: Vec::new(),
                not_done: Vec::new(),
            };
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
    }
    Ok(())
}

/// Nothing to do is not the same as something done.
fn word(ticked: &Ticked) -> &'static str {
    if ticked.is_superseded {
        "superseded"
    } else if !ticked.failures().is_empty() {
        "failed"
    } else if !ticked.is_in_full() {
        "held"
    } else if ticked.outcomes.is_empty() {
        "no-changes"
    } else {
        "applied"
    }
}

/// What happened, in a line.
fn sentence(ticked: &Ticked) -> String {
    if ticked.outcomes.is_empty() {
        return "Nothing was changed.".to_owned();
    }
    let [done, failed, skipped] = counts(ticked.outcomes.iter().flat_map(|t| &t.outcomes));
    let superseded =
        if ticked.is_superseded { "; a newer commit or a signal cut it short" } else { "" };
    let actions = if done == 1 { "action" } else { "actions" };
    format!("Applied: {done} {actions} done, {failed} failed, {skipped} not tried{superseded}.")
}

/// How many were done, failed and were not tried.
fn counts<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> [usize; 3] {
    let mut counts = [0; 3];
    let [done, failed, skipped] = &mut counts;
    for outcome in outcomes {
        match outcome.result {
            // Waiting is no change: what is counted as done is what the plan announced.
            OutcomeResult::Applied | OutcomeResult::AlreadySo => {
                *done += usize::from(outcome.action.kind != ActionKind::AwaitReady);
            }
            OutcomeResult::Failed { .. } => *failed += 1,
            OutcomeResult::Skipped | OutcomeResult::Superseded | OutcomeResult::Deferred => {
                *skipped += 1;
            }
        }
    }
    counts
}

fn markdown(ticked: &Ticked) -> String {
    let mut out = format!("\n**{}**\n", sentence(ticked));
    if !ticked.outcomes.is_empty() {
        out.push_str("\n| target | replicas | done | failed | not tried |\n");
        out.push_str("| --- | --- | --- | --- | --- |\n");
    }
    for target in &ticked.outcomes {
        let [done, failed, skipped] = counts(&target.outcomes);
        let name = markdown_escape(&target.target.to_string());
        let (from, to) = (target.from, target.to);
        let _ = writeln!(out, "| {name} | {from} → {to} | {done} | {failed} | {skipped} |");
    }
    let failures = ticked.failures().into_iter().map(|failure| ("failed", failure));
    let not_done = ticked.not_done().into_iter().map(|held| ("not done", held));
    for (at, (what, text)) in failures.chain(not_done).enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{gap}- **{what}**: {}", markdown_escape(&text));
    }
    out
}

fn target(outcome: &TargetOutcome) -> Target {
    Target {
        service: outcome.target.service.to_string(),
        region: outcome.target.region.to_string(),
        from: outcome.from.0,
        to: outcome.to.0,
        actions: outcome.outcomes.iter().map(action).collect(),
    }
}

fn action(outcome: &Outcome) -> Action {
    let (result, error) = result(&outcome.result);
    Action {
        action: outcome.action.kind.word(),
        provider: outcome.action.key.provider.to_string(),
        ordinal: outcome.action.key.ordinal.0,
        why: outcome.action.why.clone(),
        result,
        error: error.map(ToOwned::to_owned),
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A result's word, and its error.
fn result(result: &OutcomeResult) -> (&'static str, Option<&str>) {
    match result {
        OutcomeResult::Applied => ("applied", None),
        OutcomeResult::AlreadySo => ("already-so", None),
        OutcomeResult::Failed { error, .. } => ("failed", Some(error)),
        OutcomeResult::Skipped => ("skipped", None),
        OutcomeResult::Superseded => ("superseded", None),
        OutcomeResult::Deferred => ("deferred", None),
    }
}
