//! What `burst`, `pause` and `resume` share: who asks, and how the answer is shown.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::{ConfigArg, context};
use crate::apply::{Clock as _, SystemClock};
use crate::config::secrets::SecretSource as _;
use crate::control::{Desk, Settled};
use crate::git::configured_identity;
use crate::model::{
    Burst, IdError, Moment, Pause, Region, ServiceId, format_duration, parse_duration,
};
use crate::plan::render::harmless;
use crate::record::overrides::Order;

/// Characters of the random part of an id: 36^8 are enough that two people who ask at once never share one,
/// and few enough to be read out.
const ID_CHARS: usize = 8;

/// How to ask.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AskArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Who asks; else as git is configured, else the user of this machine.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Check it and show what it comes to, and commit nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(long, short, value_enum, default_value_t)]
    output: AskOutput,
}

/// Which form the answer is printed in.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum AskOutput {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    result: &'static str,
    branch: &'a str,
    commit: Option<&'a str>,
    summary: &'a str,
    warnings: &'a [String],
    bursts: Vec<Entry<'a>>,
    pauses: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    id: &'a str,
    service: &'a ServiceId,
    region: Option<&'a Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    from: Timestamp,
    until: Timestamp,
    reason: &'a str,
    author: &'a str,
}

impl AskArgs {
    /// Who asks.
    pub(super) fn author(&self) -> String {
        self.author.clone().or_else(git_identity).unwrap_or_else(user)
    }

    /// Has an order settled, and shows what became of it; `after` is what to say to people about it.
    pub(super) fn settle(
        &self,
        order: &Order,
        after: impl FnOnce(&Settled) -> String,
    ) -> anyhow::Result<ExitCode> {
        let config = context::load_config(&self.config.config)?;
        let branch = config.status.branch.clone();
        let poll = format_duration(config.repository.poll_interval);
        let desk = Desk::open(config, &context::SystemSecrets)?;
        let settled = desk.settle(order, SystemClock.now(), self.dry_run)?;
        match self.output {
            AskOutput::Text => {
                println!("{}", harmless(&settled.effect.subject));
                for warning in &settled.effect.warnings {
                    eprintln!("warning: {}", harmless(warning));
                }
                match &settled.commit {
                    _ if self.dry_run => println!("Dry run: nothing was committed."),
                    Some(commit) => println!(
                        "Committed to {branch} as {}; a running controller sees it with its next poll, \
                         every {poll}.",
                        commit.short()
                    ),
                    None => println!("It was so already: nothing was committed."),
                }
                print!("{}", after(&settled));
            }
            AskOutput::Json => {
                let document = document(&settled, &branch, self.dry_run);
                println!("{}", serde_json::to_string_pretty(&document)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn document<'a>(settled: &'a Settled, branch: &'a str, is_dry_run: bool) -> Document<'a> {
    let result = match &settled.commit {
        _ if is_dry_run => "dry-run",
        Some(_) => "committed",
        None => "unchanged",
    };
    let effect = &settled.effect;
    Document {
        result,
        branch,
        commit: settled.commit.as_ref().map(crate::model::CommitId::as_str),
        summary: &effect.subject,
        warnings: &effect.warnings,
        bursts: effect.bursts.iter().map(burst).collect(),
        pauses: effect.pauses.iter().map(pause).collect(),
    }
}

fn burst(burst: &Burst) -> Entry<'_> {
    Entry {
        id: &burst.id,
        service: &burst.service,
        region: burst.region.as_ref(),
        replicas: Some(burst.replicas.0),
        from: burst.from.timestamp(),
        until: burst.until.timestamp(),
        reason: &burst.reason,
        author: &burst.author,
    }
}

fn pause(pause: &Pause) -> Entry<'_> {
    Entry {
        id: &pause.id,
        service: &pause.service,
        region: pause.region.as_ref(),
        replicas: None,
        from: pause.from.timestamp(),
        until: pause.until.timestamp(),
        reason: &pause.reason,
        author: &pause.author,
    }
}

/// An id that nobody else has: the prefix says of what.
pub(super) fn new_id(prefix: char) -> String {
    let digit = || fastrand::alphanumeric().to_ascii_lowercase();
    let digits: String = std::iter::repeat_with(digit).take(ID_CHARS).collect();
    format!("{prefix}-{digits}")
}

/// A service as an argument.
pub(super) fn service_id(text: &str) -> Result<ServiceId, IdError> {
    ServiceId::try_from(text)
}

/// A region as an argument.
pub(super) fn region(text: &str) -> Result<Region, IdError> {
    Region::try_from(text)
}

/// A point in time as an argument: RFC 3339; without an offset it is UTC, and without a time midnight.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    civil
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
        .ok_or_else(|| format!("`{text}` is not a time: write it as in `2026-11-21T18:00:00Z`"))
}

/// A point in time as an argument, or how long it is past.
pub(super) fn time_or_ago(text: &str) -> Result<Timestamp, String> {
    match parse_duration(text) {
        Ok(ago) => Ok(Moment::from(SystemClock.now()).before(ago).timestamp()),
        Err(_) => time(text).map_err(|error| format!("{error}, or how long ago, as in `2d`")),
    }
}

fn env(name: &str) -> Option<String> {
    context::SystemSecrets.env(name).filter(|value| !value.trim().is_empty())
}

/// As git would sign a commit: its environment, else its configuration files.
fn git_identity() -> Option<String> {
    match (env("GIT_AUTHOR_NAME"), env("GIT_AUTHOR_EMAIL")) {
        (Some(name), Some(email)) => return Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => return Some(one),
        (None, None) => {}
    }
    let home = env("HOME").map(PathBuf::from);
    let xdg = env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|home| home.join(".config")));
    let files = [
        Some(PathBuf::from("/etc/gitconfig")),
        xdg.map(|folder| folder.join("git/config")),
        home.map(|folder| folder.join(".gitconfig")),
    ];
    configured_identity(&files.into_iter().flatten().collect::<Vec<_>>())
}

/// The person behind `sudo`, else the user of this process.
fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| env(name))
        .unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for text in
            ["2026-11-21T00:00:00Z", "2026-11-21T01:00:00+01:00", "2026-11-21", "2026-11-21T00:00"]
        {
            assert_eq!(time(text).unwrap().to_string(), "2026-11-21T00:00:00Z", "{text}");
        }
        assert!(time("tomorrow").is_err());
        let ago = time_or_ago("2d").unwrap();
        let passed = SystemClock.now().duration_since(ago).as_secs();
        assert!((172_800..172_900).contains(&passed), "{passed}");
    }

    #[test]
    fn ids_differ_and_are_easy_to_copy() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| new_id('b')).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| ServiceId::try_from(id.as_str()).is_ok()));
    }
}
