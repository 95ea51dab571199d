//! `tidegate status`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use super::{ConfigArg, context};
use crate::control;
use crate::plan::render::harmless;
use crate::record::StatusFile;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[arg(long, short, value_enum, default_value_t)]
    output: StatusOutput,
}

/// Which form the status is printed in.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum StatusOutput {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// As on the status branch.
    Yaml,
}

pub(super) async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let setup = context::setup(context::load_config(&args.config.config)?)?;
    let branch = setup.config.status.branch.clone();
    let status = control::published_status(&setup).await?.with_context(|| {
        format!("branch `{branch}` has no status yet; it is written by `tidegate run` or `tidegate apply`")
    })?;
    match args.output {
        StatusOutput::Text => print!("{}", text(&status)),
        StatusOutput::Json => println!("{}", serde_json::to_string_pretty(&status)?),
        StatusOutput::Yaml => print!("{}", serde_yaml::to_string(&status)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The status on one screen.
pub(super) fn text(status: &StatusFile) -> String {
    let mut out = String::new();
    let word = serde_json::to_string(&status.health).unwrap_or_default().replace('"', "");
    let _ = writeln!(out, "Spec {}  health {word}", status.spec_commit.short());
    for condition in status.conditions.iter().filter(|c| c.status) {
        let message = harmless(&condition.message);
        let _ = writeln!(
            out,
            "{}: {} since {:.0}",
            harmless(&condition.kind),
            message,
            condition.since
        );
    }
    if let Some(refused) = &status.refused {
        let commit = refused.commit.as_ref().map_or("the branch", |commit| commit.short());
        let _ = writeln!(out, "\nRefused: {commit}");
        for finding in &refused.findings {
            let _ = writeln!(out, "  {}", harmless(finding));
        }
    }
    for gap in &status.gaps {
        let _ =
            writeln!(out, "Unknown: {} in {}: {}", gap.provider, gap.region, harmless(&gap.error));
    }
    let width = status.targets.iter().map(|t| t.target.to_string().len()).max().unwrap_or(6).max(6);
    let _ = writeln!(
        out,
        "\n{:<width$}  {:>5} {:>5} {:>9}  {:<9} {:<7} since",
        "TARGET", "COUNT", "READY", "EFFECTIVE", "MODE", "OWNER"
    );
    for target in &status.targets {
        let number = |n: Option<u32>| n.map_or("?".to_owned(), |n| n.to_string());
        let _ = writeln!(
            out,
            "{:<width$}  {:>5} {:>5} {:>9}  {:<9} {:<7} {:.0}",
            target.target.to_string(),
            number(target.count),
            target.ready,
            number(target.effective),
            harmless(&target.autoscale),
            harmless(&target.owner),
            target.since
        );
        let refused = target
            .refused
            .iter()
            .map(|held| format!("in the way, {}: {}", held.reason, held.sentence));
        let notes = target
            .held
            .iter()
            .map(|held| format!("held, {}: {}", held.reason, held.sentence))
            .chain(refused)
            .chain(target.floors.iter().cloned())
            .chain(target.pending.iter().map(|pending| format!("pending: {pending}")))
            .chain(target.deviations.iter().cloned())
            .chain(target.last_error.iter().map(|error| format!("last error: {error}")));
        for note in notes {
            let _ = writeln!(out, "{:<width$}  {}", "", harmless(&note));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEGRADED: &str = r#"
version: 1
specCommit: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
planDigest: sha256:00
health: degraded
conditions:
- {type: Ready, status: false, reason: NotAsDecided, message: 1 of 3, since: 2026-11-21T12:02:00Z}
- type: Stalled
  status: true
  reason: SpecRefused
  message: the newest commit is refused; the last good one stays in force
  since: 2026-11-21T12:02:00Z
refused:
  commit: cccccccccccccccccccccccccccccccccccccccc
  findings: ["controller/spec.yaml:3:5 unknown-key unknown key `bogus`"]
gaps:
- {provider: edge, region: iad, error: "connection refused\u001b[2J"}
targets:
- target: {service: api, region: iad}
  provider: edge
  autoscale: manual
  bounds: {min: 0, desired: 2, max: 4}
  recorded: 2
  ready: 0
  owner: spec
  reason: at-desired
  sentence: the provider could not be read
  since: 2026-11-21T12:01:00Z
  held: [{reason: provider-gap, sentence: "held until the provider can be read again"}]
- target: {service: checkout, region: local}
  provider: host
  autoscale: metrics
  bounds: {min: 0, desired: 3, max: 9}
  count: 2
  recorded: 2
  ready: 1
  effective: 3
  owner: policy
  reason: drift
  sentence: no vote is in force, so the count rests at desired 3
  since: 2026-11-21T12:02:00Z
  pending: ["create checkout/local#2: restore 2 to 3"]
  deviations: ["checkout/local#1 is back-off, restarted 4 times"]
  lastError: "create checkout/local#2: 403 forbidden"
"#;

    #[test]
    fn a_degraded_status_says_what_is_wrong_with_what() {
        let status: StatusFile = serde_yaml::from_str(DEGRADED).unwrap();
        insta::assert_snapshot!(text(&status));
    }
}
