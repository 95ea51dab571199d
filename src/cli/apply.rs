//! `tidegate apply`: one cycle, published.

use std::process::ExitCode;

use super::{ConfigArg, FAILURE, Output, context, outcome, plan, progress, signals};
use crate::control::Purpose;
use crate::plan::render::harmless;

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
    let progress = progress::Shown::new();
    let purpose = if is_dry { Purpose::Look } else { Purpose::Act };
    let mut controller = context::controller(config, purpose, progress.teller()).await?;
    let stop = signals::stop_on_signals()?;
    controller.guard()?;
    plan::adopt_head(&mut controller).await?;
    if is_dry {
        let plan = controller.plan().await?.plan;
        outcome::show_dry(&plan, args.output)?;
        return Ok(plan::exit_code(&plan, args.detailed_exitcode));
    }
    progress.begin(&stop);
    let ticked = controller.tick(&stop).await?;
    progress.say("publishing status and history");
    let published = controller.flush().await;
    progress.end();
    outcome::show(&ticked, args.output)?;
    for failure in ticked.failures() {
        eprintln!("failed: {}", harmless(&failure));
    }
    for held in ticked.not_done() {
        eprintln!("not done: {}", harmless(&held));
    }
    published?;
    if !ticked.is_in_full() {
        return Ok(ExitCode::from(FAILURE));
    }
    Ok(plan::exit_code(&ticked.planned.plan, args.detailed_exitcode))
}
