//! `tidegate replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use similar::TextDiff;

use super::{ConfigArg, FAILURE, asking, context};
use crate::apply::{Clock as _, SystemClock};
use crate::control::{Desk, Replayed, replay as replay_line};
use crate::plan::render::harmless;
use crate::record::{HISTORY_VERSION, HistoryLine, Query};

/// Lines that `--all` makes again at most: they are held in memory.
const LINES_MAX: usize = 100_000;
/// Differences that are shown in full; the rest is counted.
const SHOWN_MAX: usize = 10;

const EXAMPLES: &str = "\
Examples:
  tidegate replay history/2026/11/21.jsonl
  tidegate replay --all --since 7d

A file holds history lines, one a line, as on the status branch. The exit code is 1 when a decision does not
follow from its recorded inputs.";

/// Which decisions to make again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// A file of history lines.
    #[arg(value_name = "FILE", required_unless_present = "all", conflicts_with = "all")]
    file: Option<PathBuf>,
    /// Every line on the status branch.
    #[arg(long)]
    all: bool,
    /// With --all: not before this time: RFC 3339, or how long ago, as in `2d`.
    #[arg(long, value_name = "TIME", requires = "all", value_parser = asking::time_or_ago)]
    since: Option<Timestamp>,
    #[arg(long, short, value_enum, default_value_t)]
    output: ReplayOutput,
    #[command(flatten)]
    config: ConfigArg,
}

/// Which form the result is printed in.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReplayOutput {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What came of all lines.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    without_inputs: usize,
    different: Vec<Difference>,
}

/// A line whose decision is another one now.
#[derive(Debug)]
struct Difference {
    line: HistoryLine,
    /// The two traces, or why it cannot be made again.
    what: Result<(String, String), String>,
}

pub(super) fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let lines = match &args.file {
        Some(file) => read(file)?,
        None => on_the_branch(&args)?,
    };
    let mut tally = Tally::default();
    for line in lines {
        match replay_line(&line) {
            Ok(Replayed::Same) => tally.same += 1,
            Ok(Replayed::NoInputs) => tally.without_inputs += 1,
            Ok(Replayed::Different { recorded, now }) => {
                tally.different.push(Difference { line, what: Ok((recorded, now)) });
            }
            Err(why) => tally.different.push(Difference { line, what: Err(why) }),
        }
    }
    match args.output {
        ReplayOutput::Text => print!("{}", text(&tally)),
        ReplayOutput::Json => println!("{}", serde_json::to_string_pretty(&document(&tally))?),
    }
    Ok(if tally.different.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// The lines of a file.
fn read(file: &std::path::Path) -> anyhow::Result<Vec<HistoryLine>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("read `{name}`"))?;
    let mut lines = Vec::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line: HistoryLine = serde_json::from_str(text).with_context(|| {
            format!("{name}:{}: this is not a history line; give a file of the status branch's `history/`", index + 1)
        })?;
        if line.v > HISTORY_VERSION {
            bail!(
                "{name}:{}: a newer version of this program wrote the line (form {}, known {HISTORY_VERSION})",
                index + 1,
                line.v
            );
        }
        lines.push(line);
    }
    Ok(lines)
}

fn on_the_branch(args: &ReplayArgs) -> anyhow::Result<Vec<HistoryLine>> {
    let config = context::load_config(&args.config.config)?;
    let query = Query {
        service: None,
        region: None,
        kind: None,
        reason: None,
        since: args.since,
        until: SystemClock.now() + jiff::SignedDuration::from_hours(1),
        limit: LINES_MAX,
    };
    let told = Desk::open(config, &context::SystemSecrets)?.history(&query)?;
    if told.is_cut {
        eprintln!("only the newest {LINES_MAX} lines; name a shorter time with --since");
    }
    if told.unreadable > 0 {
        eprintln!(
            "left out, because this version cannot read them: {} of the lines",
            told.unreadable
        );
    }
    Ok(told.lines)
}

fn text(tally: &Tally) -> String {
    use std::fmt::Write as _;

    let mut out = String::new();
    for Difference { line, what } in tally.different.iter().take(SHOWN_MAX) {
        let _ = writeln!(
            out,
            "{} {} {} -> {} ({})",
            line.id, line.target, line.from, line.to, line.time
        );
        match what {
            Ok((recorded, now)) => {
                let diff = TextDiff::from_lines(recorded, now);
                let hunks = diff.unified_diff().header("recorded", "decided now").to_string();
                for text in hunks.lines() {
                    let _ = writeln!(out, "  {}", harmless(text));
                }
            }
            Err(why) => {
                let _ = writeln!(out, "  {}", harmless(why));
            }
        }
    }
    if tally.different.len() > SHOWN_MAX {
        let _ = writeln!(out, "and {} more", tally.different.len() - SHOWN_MAX);
    }
    let _ = write!(
        out,
        "decisions that follow from their recorded inputs: {}, that do not: {}",
        tally.same,
        tally.different.len()
    );
    let _ = match tally.without_inputs {
        0 => writeln!(out, "."),
        1 => writeln!(out, "; 1 line is of something that was not decided."),
        n => writeln!(out, "; {n} lines are of something that was not decided."),
    };
    out
}

fn document(tally: &Tally) -> serde_json::Value {
    let difference = |Difference { line, what }: &Difference| match what {
        Ok((recorded, now)) => json!({
            "id": line.id, "target": line.target, "time": line.time,
            "recorded": recorded.lines().collect::<Vec<_>>(),
            "now": now.lines().collect::<Vec<_>>(),
        }),
        Err(why) => {
            json!({"id": line.id, "target": line.target, "time": line.time, "error": why})
        }
    };
    json!({
        "same": tally.same,
        "withoutInputs": tally.without_inputs,
        "different": tally.different.iter().map(difference).collect::<Vec<_>>(),
    })
}
