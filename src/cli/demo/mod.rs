//! `tidegate demo`: the main job on an embedded default, in a temporary folder.

mod stage;
mod story;

use std::process::ExitCode;

use anyhow::Context as _;

use super::{context, signals};
use stage::Stage;

/// How to play it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Play it through without help, check every step, and exit with 0 only if all were observed.
    #[arg(long)]
    once: bool,
    /// Leave the folder behind; the replicas are stopped all the same.
    #[arg(long)]
    keep: bool,
}

pub(super) async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_on_signals()?;
    let folder = tempfile::Builder::new()
        .prefix("tidegate-demo-")
        .tempdir()
        .context("make a temporary folder")?;
    let stage = Stage::set(folder.path())?;
    let time = story::Timeline::begin();
    // Before anything runs: the plan of a running controller would be of a world that moves.
    story::first_plan(&stage, &time).await?;
    let running = stage.start(stop.clone()).await?;
    let played = if args.once {
        story::once(&stage, &time, &stop).await
    } else {
        story::by_hand(&stage, &time, &stop).await
    };
    stop.raise();
    // The controller finishes what it has in hand; only then is nothing created any more. Should it have
    // gone down, its replicas are stopped all the same.
    let ended = running.await.context("the controller went down");
    stage.clear().await;
    if args.keep {
        println!("\nThe folder stays: {}", folder.keep().display());
    }
    played?;
    ended??;
    Ok(ExitCode::SUCCESS)
}

/// Where the demo's controller, repository and replicas are.
fn setup_of(config: &std::path::Path) -> anyhow::Result<crate::control::Setup> {
    context::setup(context::load_config(config)?)
}
