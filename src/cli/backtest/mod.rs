//! `tidegate backtest`.

mod args;
mod recordings;
mod run;
mod watch;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

pub(super) use self::args::BacktestArgs;
use self::recordings::{Gathered, gather};
use self::run::{Run, region, service};
use self::watch::Watch;
use super::signals::INTERRUPTED;
use super::{FAILURE, Output, context, local};
use crate::backtest::{Curve, Replay, chart, document};
use crate::config::Config;
use crate::model::{Policy, Severity, Spec, TargetId, format_duration};
use crate::spec;

pub(super) async fn backtest(args: Box<BacktestArgs>) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(context::load_config).transpose()?;
    let mut specs = Vec::new();
    for path in args.compare.iter().chain([&args.spec]) {
        let sources = local::read(path)?;
        let loaded = spec::load(&sources, None);
        let errors = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
        let Some(spec) = loaded.spec.filter(|_| !errors) else {
            context::show_findings(&loaded.diagnostics, &sources);
            eprintln!("error: the spec `{}` is not valid; nothing was replayed", path.display());
            return Ok(ExitCode::from(FAILURE));
        };
        specs.push((path.clone(), spec));
    }
    let (_, new) = specs.last().context("there is a spec")?;
    let region = region(&args, service(new, &args, &args.spec)?)?;
    let target = TargetId { service: args.service.clone(), region };
    let mut watch = Watch::begin()?;
    let gathered = {
        let policies: Vec<&Policy> = specs
            .iter()
            .filter_map(|(_, spec)| spec.policy_of(spec.services.get(&target.service)?))
            .collect();
        watch.over(asking(&args), gather(&args, config.as_ref(), &target, &policies)).await
    };
    let Some(gathered) = gathered.transpose()? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let (files, output) = ((args.replicas_out.clone(), args.chart.clone()), args.output);
    // Deciding is all work and no waiting; beside it, Ctrl-C is heard.
    let work = tokio::task::spawn_blocking(move || {
        replayed(&args, &specs, &target, &gathered, config.as_ref())
    });
    let Some(made) = watch.over("replaying".to_owned(), work).await else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let made = made.context("replay the recording")??;
    for (file, text) in [(files.0, made.rows), (files.1, made.chart)] {
        if let Some((file, text)) = file.zip(text) {
            write(&file, &text)?;
        }
    }
    match output {
        Output::Text | Output::Markdown => print!("{}", made.report),
        Output::Json => println!("{}", made.report),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is waited for while recordings are gathered.
fn asking(args: &BacktestArgs) -> String {
    match (&args.prometheus, args.last) {
        (Some(source), Some(last)) => {
            format!("asking `{source}` for the last {}", format_duration(last))
        }
        _ => "reading the recordings".to_owned(),
    }
}

/// All that a run shows and writes.
struct Made {
    report: String,
    rows: Option<String>,
    chart: Option<String>,
}

fn replayed(
    args: &BacktestArgs,
    specs: &[(PathBuf, Spec)],
    target: &TargetId,
    gathered: &Gathered,
    config: Option<&Config>,
) -> anyhow::Result<Made> {
    let run = Run::new(args, target, gathered, config)?;
    let mut contenders = Vec::new();
    for (path, spec) in specs {
        contenders.push(run.contender(path, spec)?);
    }
    let report = run.report(&contenders)?;
    let newest = contenders.last().filter(|_| args.replicas_out.is_some());
    let rows = newest.map(|contender| rows(&contender.replay));
    let chart = match &args.chart {
        None => None,
        Some(_) => {
            let curves: Vec<Curve<'_>> = report
                .columns
                .iter()
                .zip(&contenders)
                .map(|(column, contender)| Curve {
                    name: column.name,
                    replay: &contender.replay,
                    bounds: contender.candidate.bounds,
                })
                .collect();
            Some(chart(target, &run.demand, &run.terms, &curves)?)
        }
    };
    let report = match args.output {
        Output::Text => report.text(),
        Output::Markdown => report.markdown(),
        Output::Json => serde_json::to_string_pretty(
            &document::document(&report).context("write a report without a load as JSON")?,
        )?,
    };
    Ok(Made { report, rows, chart })
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("write `{}`", file.display()))
}

/// The counts as CSV. Stamps are whole seconds where they can be.
fn rows(replay: &Replay) -> String {
    let mut out = "epoch_seconds,wanted\n".to_owned();
    for change in &replay.changes {
        let (seconds, millis) = (change.at.0.div_euclid(1000), change.at.0.rem_euclid(1000));
        let decimals = if millis == 0 { String::new() } else { format!(".{millis:03}") };
        let _ = writeln!(out, "{seconds}{decimals},{}", change.wanted);
    }
    out
}
