//! `tidegate explain`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;

use super::{ConfigArg, asking, context};
use crate::apply::{Clock as _, SystemClock};
use crate::config::Config;
use crate::control::{Desk, Purpose};
use crate::model::{Bounds, Decision, Owner, Region, ServiceId, Spec, TargetId};
use crate::plan::render::harmless;
use crate::record::{HistoryLine, Inputs, Query, TraceStep, trace_of};

const EXAMPLES: &str = "\
Examples:
  tidegate explain web
  tidegate explain web --region fra --at 2026-11-20T03:00:00Z
  tidegate explain web --at 2h --output json

Without --at, the decision is made now, from what the sources say now, and nothing is changed. With --at, the
newest recorded decision up to then is told.";

/// Lines of history that are looked through for one with a trace.
const LINES_MAX: usize = 2_000;

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// The service.
    #[arg(value_parser = asking::service_id)]
    service: ServiceId,
    /// The region; every region of the service without it.
    #[arg(long, value_parser = asking::region)]
    region: Option<Region>,
    /// What was decided at this time: RFC 3339, or how long ago, as in `2h`.
    #[arg(long, value_name = "TIME", value_parser = asking::time_or_ago)]
    at: Option<Timestamp>,
    #[arg(long, short, value_enum, default_value_t)]
    output: ExplainOutput,
    #[command(flatten)]
    config: ConfigArg,
}

/// Which form the explanation is printed in.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ExplainOutput {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Why one target's count is what it is.
#[derive(Debug)]
struct Explained {
    target: TargetId,
    at: Timestamp,
    /// Whether it was decided for this, and not recorded.
    is_now: bool,
    bounds: Option<Bounds>,
    owner: Option<Owner>,
    /// Replicas that existed.
    count: Option<u32>,
    effective: Option<u32>,
    reason: String,
    sentence: String,
    refused: Option<(String, String)>,
    trace: Vec<TraceStep>,
}

pub(super) async fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let config = context::load_config(&args.config.config)?;
    let explained = match args.at {
        None => now(config, &args).await?,
        Some(at) => recorded(config, &args, at)?,
    };
    match args.output {
        ExplainOutput::Text => {
            let texts: Vec<String> = explained.iter().map(text).collect();
            print!("{}", texts.join("\n"));
        }
        ExplainOutput::Json => {
            let documents: Vec<_> = explained.iter().map(document).collect();
            println!("{}", serde_json::to_string_pretty(&documents)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Decides now, and changes nothing.
async fn now(config: Config, args: &ExplainArgs) -> anyhow::Result<Vec<Explained>> {
    let mut controller = context::controller(config, Purpose::Look, Arc::new(|_| {})).await?;
    super::plan::adopt_head(&mut controller).await?;
    let planned = controller.plan().await?;
    check(&planned.good.spec, args)?;
    let decisions = planned.plan.targets.iter().filter_map(|target| target.decision.as_ref());
    Ok(decisions.filter(|decision| wanted(args, &decision.target)).map(of_decision).collect())
}

fn check(spec: &Spec, args: &ExplainArgs) -> anyhow::Result<()> {
    let Some(service) = spec.services.get(&args.service) else {
        let known: Vec<&str> = spec.services.keys().map(ServiceId::as_str).collect();
        bail!("the spec has no service `{}`; it has {}", args.service, known.join(", "));
    };
    if let Some(region) = &args.region
        && !service.scale.regions.contains_key(region)
    {
        let known: Vec<&str> = service.scale.regions.keys().map(Region::as_str).collect();
        bail!("service `{}` has no region `{region}`; it has {}", args.service, known.join(", "));
    }
    Ok(())
}

fn wanted(args: &ExplainArgs, target: &TargetId) -> bool {
    target.service == args.service
        && args.region.as_ref().is_none_or(|region| *region == target.region)
}

fn of_decision(decision: &Decision) -> Explained {
    Explained {
        target: decision.target.clone(),
        at: decision.inputs.now.timestamp(),
        is_now: true,
        bounds: Some(decision.inputs.bounds),
        owner: Some(decision.owner),
        count: decision.inputs.observed.map(|count| count.0),
        effective: decision.effective.map(|count| count.0),
        reason: decision.reason.code().to_owned(),
        sentence: decision.sentence(),
        refused: decision.refusal().map(|(reason, text)| (reason.code().to_owned(), text)),
        trace: trace_of(decision),
    }
}

/// What was recorded last up to a time, for each region.
fn recorded(config: Config, args: &ExplainArgs, at: Timestamp) -> anyhow::Result<Vec<Explained>> {
    let query = Query {
        service: Some(args.service.clone()),
        region: args.region.clone(),
        kind: None,
        reason: None,
        since: None,
        // Up to and including that instant.
        until: at
            .min(SystemClock.now())
            .saturating_add(jiff::SignedDuration::from_nanos(1))
            .unwrap_or(at),
        limit: LINES_MAX,
    };
    let told = Desk::open(config, &context::SystemSecrets)?.history(&query)?;
    let mut explained: Vec<Explained> = Vec::new();
    for line in told.lines.into_iter().filter(|line| !line.trace.is_empty()) {
        if explained.iter().all(|known| known.target != line.target) {
            explained.push(of_line(line));
        }
    }
    if explained.is_empty() {
        let region = args.region.as_ref().map(|region| format!("/{region}")).unwrap_or_default();
        bail!(
            "nothing was decided for {}{region} up to {at} that the status branch knows of; see `tidegate history {}`",
            args.service,
            args.service
        );
    }
    explained.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(explained)
}

fn of_line(line: HistoryLine) -> Explained {
    let inputs = line.inputs.as_ref();
    // The decision is made again for what a line does not hold in a place of its own.
    let again = inputs.and_then(|inputs: &Inputs| crate::control::decide_again(&line, inputs).ok());
    let again = again.as_ref();
    Explained {
        at: line.time,
        is_now: false,
        bounds: inputs.map(|inputs| inputs.bounds),
        owner: again.map(|decision| decision.owner),
        count: inputs.and_then(|inputs| inputs.observed),
        effective: line.trace.last().map(|step| step.after),
        refused: again.and_then(Decision::refusal).map(|(r, text)| (r.code().to_owned(), text)),
        target: line.target.clone(),
        reason: line.reason.clone(),
        sentence: line.sentence.clone(),
        trace: line.trace.clone(),
    }
}

fn text(explained: &Explained) -> String {
    let mut out = String::new();
    let when = if explained.is_now { "decided now" } else { "recorded" };
    let _ = writeln!(out, "{} at {:.0}, {when}", explained.target, explained.at);
    let count = |count: Option<u32>| count.map_or("?".to_owned(), |count| count.to_string());
    let owner = match explained.owner {
        Some(Owner::Policy) => ", which the policy owns",
        Some(Owner::Spec) => ", which the spec owns",
        None => "",
    };
    let _ = write!(out, "  count {}{owner}", count(explained.count));
    if let Some(bounds) = explained.bounds {
        let _ = write!(out, ", within {} to {}", bounds.min, bounds.max);
    }
    let _ = writeln!(out);
    let _ = writeln!(
        out,
        "  should be {}: {} ({})",
        count(explained.effective),
        harmless(&explained.sentence),
        explained.reason
    );
    if let Some((code, sentence)) = &explained.refused
        && *code != explained.reason
    {
        let _ = writeln!(out, "  in the way: {} ({code})", harmless(sentence));
    }
    out.push('\n');
    out.push_str(&table(&explained.trace));
    out
}

/// The stages as a table.
fn table(trace: &[TraceStep]) -> String {
    let width =
        |texts: &mut dyn Iterator<Item = usize>, least: usize| texts.max().unwrap_or(0).max(least);
    let moved = |step: &TraceStep| {
        if step.before == step.after {
            step.after.to_string()
        } else {
            format!("{} → {}", step.before, step.after)
        }
    };
    let reason = |step: &TraceStep| step.reason.clone().unwrap_or_else(|| "-".to_owned());
    let stages = width(&mut trace.iter().map(|step| step.stage.len()), 5);
    let counts = width(&mut trace.iter().map(|step| moved(step).chars().count()), 5);
    let reasons = width(&mut trace.iter().map(|step| reason(step).len()), 6);
    let mut out = String::new();
    let _ =
        writeln!(out, "  {:<stages$}  {:<counts$}  {:<reasons$}  WHY", "STAGE", "COUNT", "REASON");
    for step in trace {
        let _ = writeln!(
            out,
            "  {:<stages$}  {:<counts$}  {:<reasons$}  {}",
            step.stage,
            moved(step),
            reason(step),
            harmless(&step.sentence)
        );
    }
    out
}

fn document(explained: &Explained) -> serde_json::Value {
    json!({
        "target": explained.target,
        "at": explained.at,
        "decidedNow": explained.is_now,
        "owner": explained.owner.map(Owner::word),
        "bounds": explained.bounds,
        "count": explained.count,
        "effective": explained.effective,
        "reason": explained.reason,
        "sentence": explained.sentence,
        "refused": explained.refused.as_ref().map(|(reason, sentence)| json!({
            "reason": reason, "sentence": sentence,
        })),
        "trace": explained.trace,
    })
}
