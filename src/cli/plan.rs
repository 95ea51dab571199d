//! `tidegate plan`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::{CHANGES, ConfigArg, FAILURE, Output, context};
use crate::control::{Controller, Planned, Purpose, Snapshot};
use crate::model::{Plan, PullNumber};
use crate::plan::render;

/// What to plan and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Plan this branch, tag or commit instead of the spec branch's head.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Show the comment that the controller writes on this pull request: the plan of merging it.
    #[arg(long, value_name = "NUMBER", conflicts_with = "rev")]
    pr: Option<u64>,
    /// With --pr, also write everything that the comment is made from into this file.
    #[arg(long, value_name = "FILE", requires = "pr")]
    save: Option<PathBuf>,
    /// Show the comment that is made from such a file. Asks nobody, and needs no configuration.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pr", "rev"])]
    from: Option<PathBuf>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Exit with 2 when there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Accepted for symmetry: a plan never changes anything.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn plan(args: PlanArgs) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.from {
        let doing = || format!("read the snapshot `{}`", file.display());
        let text = std::fs::read(file).with_context(doing)?;
        return show_pull(&Snapshot::parse(&text).with_context(doing)?, &args);
    }
    let config = context::load_config(&args.config.config)?;
    let mut controller = context::controller(config, Purpose::Look, Arc::new(|_| {})).await?;
    if let Some(number) = args.pr {
        if controller.source().good().is_none() {
            adopt_head(&mut controller).await?;
        }
        let snapshot = controller.snapshot_of_pull(PullNumber(number)).await?;
        if let Some(file) = &args.save {
            let text =
                serde_json::to_vec_pretty(&snapshot).context("write the snapshot as JSON")?;
            std::fs::write(file, text)
                .with_context(|| format!("write the snapshot to `{}`", file.display()))?;
        }
        return show_pull(&snapshot, &args);
    }
    let planned = match &args.rev {
        None => {
            adopt_head(&mut controller).await?;
            controller.plan().await?
        }
        Some(rev) => at(&mut controller, rev).await?,
    };
    show(&planned.plan, args.output)?;
    Ok(exit_code(&planned.plan, args.detailed_exitcode))
}

/// Shows a pull request's comment, or its plan for programs. Whoever would not let it be merged exits with 1.
fn show_pull(snapshot: &Snapshot, args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let preview = snapshot.preview();
    match (args.output, &preview.plan) {
        (Output::Text | Output::Markdown, _) => println!("{}", preview.body),
        (Output::Json, Some(plan)) => show(plan, Output::Json)?,
        (Output::Json, None) => bail!("there is no plan: {}", render::harmless(&preview.verdict)),
    }
    Ok(match &preview.plan {
        _ if !preview.is_good => ExitCode::from(FAILURE),
        Some(plan) => exit_code(plan, args.detailed_exitcode),
        None => ExitCode::SUCCESS,
    })
}

/// Puts the spec branch's head in force, or is an error that shows why the head is refused.
pub(super) async fn adopt_head(controller: &mut Controller) -> anyhow::Result<()> {
    controller.poll().await?;
    if let Some(refused) = controller.source().refused() {
        let Some(commit) = refused.commit.clone() else { bail!("{}", refused.findings.join("; ")) };
        let why = refused.findings.join("; ");
        show_refused(controller, &commit, &why).await?;
    }
    Ok(())
}

async fn at(controller: &mut Controller, rev: &str) -> anyhow::Result<Planned> {
    let commit = controller.resolve(rev).await?.with_context(|| {
        format!("`{rev}` is not a branch, tag or commit of the spec repository")
    })?;
    let catalogue = controller.setup().catalogue.clone();
    let loaded = controller.source().load(&commit, Some(&catalogue)).await?;
    context::show_findings(&loaded.diagnostics, &loaded.sources);
    let good =
        loaded.good.with_context(|| format!("the spec at {} is not valid", commit.short()))?;
    Ok(controller.plan_of(Arc::new(good)).await)
}

async fn show_refused(
    controller: &Controller,
    commit: &crate::model::CommitId,
    why: &str,
) -> anyhow::Result<()> {
    let catalogue = controller.setup().catalogue.clone();
    let loaded = controller.source().load(commit, Some(&catalogue)).await?;
    context::show_findings(&loaded.diagnostics, &loaded.sources);
    if loaded.good.is_some() {
        bail!("{why}; the last commit in force stays so");
    }
    bail!("the spec at {} is not valid; the last good commit stays in force", commit.short());
}

pub(super) fn show(plan: &Plan, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Text => print!("{}", render::text(plan, context::wants_colour())),
        Output::Markdown => print!("{}", render::markdown(plan)),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&render::json::document(plan))?);
        }
    }
    Ok(())
}

pub(super) fn exit_code(plan: &Plan, is_detailed: bool) -> ExitCode {
    if is_detailed && !plan.is_no_changes() { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS }
}
