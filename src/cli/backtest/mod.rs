//! `tidegate backtest`.

mod args;
mod run;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

pub(super) use self::args::BacktestArgs;
use self::run::{Run, region, service};
use super::{FAILURE, Output, context, local};
use crate::backtest::{Curve, Replay, Series, chart, document};
use crate::model::{Severity, SignalName, TargetId};
use crate::spec;

/// A recording may have so many bytes: a year of seconds has half of it.
const RECORDING_BYTES_MAX: u64 = 1 << 30;

pub(super) fn backtest(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
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
        specs.push((path, spec));
    }
    let (_, new) = specs.last().context("there is a spec")?;
    let region = region(args, service(new, args, &args.spec)?)?;
    let target = TargetId { service: args.service.clone(), region };
    let recordings = read(args)?;
    let run = Run::new(args, &target, &recordings, config.as_ref())?;
    let mut contenders = Vec::new();
    for (path, spec) in &specs {
        contenders.push(run.contender(path, spec)?);
    }
    let report = run.report(&contenders)?;
    if let Some(file) = &args.replicas_out
        && let Some(contender) = contenders.last()
    {
        write(file, &rows(&contender.replay))?;
    }
    if let Some(file) = &args.chart {
        let curves: Vec<Curve<'_>> = report
            .columns
            .iter()
            .zip(&contenders)
            .map(|(column, contender)| Curve {
                name: column.name,
                replay: &contender.replay,
                bounds: contender.bounds,
            })
            .collect();
        write(file, &chart(&target, &run.demand, &run.terms, &curves)?)?;
    }
    match args.output {
        Output::Text => print!("{}", report.text()),
        Output::Markdown => print!("{}", report.markdown()),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&document::document(&report))?);
        }
    }
    Ok(ExitCode::SUCCESS)
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

/// The recordings by name; `None` for a signal that is to be absent.
type Recordings = BTreeMap<SignalName, Option<Series>>;

fn read(args: &BacktestArgs) -> anyhow::Result<Recordings> {
    let mut recordings = Recordings::new();
    for recording in &args.signals {
        let series = match &recording.file {
            None => None,
            Some(file) => {
                let name = file.display().to_string();
                let size = std::fs::metadata(file).with_context(|| format!("read `{name}`"))?.len();
                if size > RECORDING_BYTES_MAX {
                    bail!("`{name}` has {size} bytes; a recording may have {RECORDING_BYTES_MAX}");
                }
                let text = std::fs::read(file).with_context(|| format!("read `{name}`"))?;
                Some(Series::parse(&name, &text)?)
            }
        };
        if recordings.insert(recording.name.clone(), series).is_some() {
            bail!("signal `{}` is given twice; give one file for it", recording.name);
        }
    }
    Ok(recordings)
}
