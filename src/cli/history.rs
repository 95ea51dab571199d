//! `tidegate history`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;

use super::asking;
use super::{ConfigArg, context};
use crate::apply::{Clock as _, SystemClock};
use crate::control::Desk;
use crate::model::{Region, ServiceId};
use crate::plan::render::harmless;
use crate::record::{HistoryLine, Kind, LineOutcome, Query, Told};

/// Lines that are shown unless asked otherwise: some screens.
const LINES_DEFAULT: u32 = 50;
/// Lines that are shown at most: they are held in memory.
const LINES_MAX: i64 = 100_000;

const EXAMPLES: &str = "\
Examples:
  tidegate history web
  tidegate history --since 2d --kind drift
  tidegate history web --region fra --since 2026-11-20T18:00:00Z --until 2026-11-21 --output json

Times are in UTC. The newest line comes first.";

/// What to show of the history.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HistoryArgs {
    /// Of this service only.
    #[arg(value_parser = asking::service_id)]
    service: Option<ServiceId>,
    /// Of this region only.
    #[arg(long, value_parser = asking::region)]
    region: Option<Region>,
    /// Not before this time: RFC 3339, or how long ago, as in `2d`.
    #[arg(long, value_name = "TIME", value_parser = asking::time_or_ago)]
    since: Option<Timestamp>,
    /// Before this time only.
    #[arg(long, value_name = "TIME", value_parser = asking::time_or_ago)]
    until: Option<Timestamp>,
    /// Of this kind only: change, rollout, drift, held, released, refused, allowed.
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// With this reason code only, as in `bounds`.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// So many lines at most, the newest.
    #[arg(long, value_name = "N", default_value_t = LINES_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=LINES_MAX))]
    limit: u32,
    #[arg(long, short, value_enum, default_value_t)]
    output: HistoryOutput,
    #[command(flatten)]
    config: ConfigArg,
}

/// Which form the history is printed in.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum HistoryOutput {
    /// For people.
    #[default]
    Text,
    /// For programs: a list of the lines as they are on the status branch.
    Json,
}

fn kind(text: &str) -> Result<Kind, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub(super) fn history(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let config = context::load_config(&args.config.config)?;
    let branch = config.status.branch.clone();
    let latest = SystemClock.now() + jiff::SignedDuration::from_hours(1);
    let query = Query {
        service: args.service,
        region: args.region,
        kind: args.kind,
        reason: args.reason,
        since: args.since,
        // The clock of the machine that wrote a line may be ahead of this one's.
        until: args.until.map_or(latest, |until| until.min(latest)),
        limit: usize::try_from(args.limit)?,
    };
    let told = Desk::open(config, &context::SystemSecrets)?.history(&query)?;
    match args.output {
        HistoryOutput::Json => println!("{}", serde_json::to_string_pretty(&told.lines)?),
        HistoryOutput::Text if told.lines.is_empty() => {
            println!("Nothing on branch `{branch}` fits.");
        }
        HistoryOutput::Text => print!("{}", text(&told)),
    }
    if told.is_cut {
        eprintln!(
            "only the newest {}; see more with --limit, or what is before with --until",
            told.lines.len()
        );
    }
    if told.unreadable > 0 {
        eprintln!(
            "left out, because a newer version of this program wrote it, or somebody else: {} of the lines",
            told.unreadable
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines as a table.
fn text(told: &Told) -> String {
    let rows: Vec<[String; 4]> = told.lines.iter().map(row).collect();
    let width = |column: usize, least: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(least)
    };
    let (target, count, reason) = (width(0, 6), width(1, 5), width(2, 6));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<20}  {:<target$}  {:<count$}  {:<reason$}  WHAT",
        "TIME", "TARGET", "COUNT", "REASON"
    );
    for ([name, counts, code, what], line) in rows.iter().zip(&told.lines) {
        let _ = writeln!(
            out,
            "{:<20}  {name:<target$}  {counts:<count$}  {code:<reason$}  {what}",
            format!("{:.0}", line.time)
        );
    }
    out
}

fn row(line: &HistoryLine) -> [String; 4] {
    let counts = if line.from == line.to {
        line.to.to_string()
    } else {
        format!("{} → {}", line.from, line.to)
    };
    let mut what = harmless(&line.sentence);
    let mut add = |note: &str| {
        if !what.is_empty() {
            what.push_str("; ");
        }
        what.push_str(note);
    };
    match line.outcome {
        LineOutcome::Applied | LineOutcome::Observed => {}
        LineOutcome::Failed => add("failed"),
        LineOutcome::Superseded => add("cut short by a newer commit or a shutdown"),
        LineOutcome::Deferred => add("under way"),
    }
    if let Some(error) = &line.error {
        add(&harmless(error));
    }
    if line.times > 1 {
        add(&format!("{} times", line.times));
    }
    if line.dry_run {
        add("dry run");
    }
    let _ = write!(what, " ({})", harmless(&line.actor));
    [line.target.to_string(), counts, harmless(&line.reason), what]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row_and_harmless() {
        let line = |from: u32, to: u32, outcome: &str, error: Option<&str>, times: u32| {
            let mut line: HistoryLine = serde_json::from_value(serde_json::json!({
                "v": 1, "id": "1", "time": "2026-11-21T12:00:00.5Z",
                "target": {"service": "web", "region": "local"},
                "kind": "change", "from": from, "to": to, "reason": "bounds",
                "sentence": "desired 2, \u{1b}[31mwithin 0..9", "specCommit": "a".repeat(40),
                "actor": "Ann\r", "outcome": outcome, "durationMs": 1, "dryRun": false,
                "times": times,
            }))
            .unwrap();
            line.error = error.map(ToOwned::to_owned);
            line
        };
        let lines = vec![
            line(0, 12, "applied", None, 1),
            line(12, 12, "failed", Some("403\nForbidden"), 1),
            line(1, 0, "observed", None, 40),
            line(1, 2, "deferred", None, 1),
        ];
        insta::assert_snapshot!(text(&Told { lines, ..Told::default() }), @r"
        TIME                  TARGET     COUNT   REASON  WHAT
        2026-11-21T12:00:00Z  web/local  0 → 12  bounds  desired 2, \u{1b}[31mwithin 0..9 (Ann\u{d})
        2026-11-21T12:00:00Z  web/local  12      bounds  desired 2, \u{1b}[31mwithin 0..9; failed; 403\u{a}Forbidden (Ann\u{d})
        2026-11-21T12:00:00Z  web/local  1 → 0   bounds  desired 2, \u{1b}[31mwithin 0..9; 40 times (Ann\u{d})
        2026-11-21T12:00:00Z  web/local  1 → 2   bounds  desired 2, \u{1b}[31mwithin 0..9; under way (Ann\u{d})
        ");
    }
}
