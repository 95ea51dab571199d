//! `tidegate apply`: one cycle, published.

use std::process::ExitCode;

use super::{ConfigArg, FAILURE, Output, context, plan, progress, signals};
use crate::control::{Purpose, Ticked};
use crate::model::{OutcomeResult, TargetOutcome};

/// What to apply and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Show the plan, and change and publish nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Exit with 2 when there were changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) async fn apply(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let mut config = context::load_config(&args.config.config)?;
    config.dry_run |= args.dry_run;
    let is_dry = config.dry_run;
    let (on_progress, bar) = progress::progress();
    let purpose = if is_dry { Purpose::Look } else { Purpose::Act };
    let mut controller = context::controller(config, purpose, on_progress).await?;
    let stop = signals::stop_on_signals()?;
    let planned = plan::current(&mut controller).await?;
    if is_dry {
        bar.finish_and_clear();
        plan::show(&planned.plan, args.output)?;
        if args.output == Output::Text {
            println!("Dry run: nothing was changed.");
        }
        return Ok(plan::exit_code(&planned.plan, args.detailed_exitcode));
    }
    let ticked = controller.tick(&stop).await?;
    bar.set_message("publishing status and history");
    let published = controller.flush().await;
    bar.finish_and_clear();
    plan::show(&ticked.planned.plan, args.output)?;
    if args.output == Output::Text {
        println!("{}", summary(&ticked));
    }
    published?;
    for failure in ticked.failures() {
        eprintln!("failed: {}", crate::plan::render::harmless(&failure));
    }
    if !ticked.failures().is_empty() || ticked.is_superseded {
        return Ok(ExitCode::from(FAILURE));
    }
    Ok(plan::exit_code(&ticked.planned.plan, args.detailed_exitcode))
}

/// What happened, in a line. Nothing to do is not the same as something done.
fn summary(ticked: &Ticked) -> String {
    if ticked.outcomes.is_empty() {
        return "Nothing was changed.".to_owned();
    }
    let count = |wanted: fn(&OutcomeResult) -> bool| {
        ticked
            .outcomes
            .iter()
            .flat_map(|target: &TargetOutcome| &target.outcomes)
            .filter(|outcome| wanted(&outcome.result))
            .count()
    };
    let done = count(|r| matches!(r, OutcomeResult::Applied | OutcomeResult::AlreadySo));
    let failed = count(|r| matches!(r, OutcomeResult::Failed { .. }));
    let skipped = count(|r| matches!(r, OutcomeResult::Skipped | OutcomeResult::Superseded));
    let superseded =
        if ticked.is_superseded { "; a newer commit or a signal cut it short" } else { "" };
    let actions = if done == 1 { "action" } else { "actions" };
    format!("Applied: {done} {actions} done, {failed} failed, {skipped} not tried{superseded}.")
}
