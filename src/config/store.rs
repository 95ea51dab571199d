//! The `store` of the configuration: where signals and events are recorded, and for how long.
//!
//! No message repeats the address: one of another kind of database may hold a password.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::codes;
use crate::model::{format_duration, parse_duration};
use crate::spec::findings::Findings;
use crate::spec::formats::memory;
use crate::spec::raw::texts::{DurationText, MemoryText};
use crate::store::Retention;

/// The store's file in the state folder.
pub(super) const FILE_DEFAULT: &str = "state.db";

/// The least time that signals are kept as they came: an hour is rolled up once it is over and its last values
/// are in, and until then they must be there.
const RAW_LEAST: Duration = Duration::from_secs(2 * 3_600);

/// Where signals and events are recorded, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file; `None` for the default. See [`super::Config::store_file`].
    pub file: Option<PathBuf>,
    /// How long things are kept.
    pub retention: Retention,
}

/// The store of signals and events: a cache, which may be deleted at any time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "Store")]
pub(super) struct RawStore {
    /// Its file, as `sqlite:///PATH`, or `sqlite:PATH` for a path that starts at this file's folder. Default:
    /// `state.db` in `stateDir`.
    #[schemars(example = &"sqlite:///var/lib/tidegate/state.db")]
    url: Option<String>,
    /// How long things are kept.
    retention: Option<RawRetention>,
    /// The largest size of the file; at the limit, the oldest signals of each resolution go before their time.
    /// Default: `4Gi`.
    max_size: Option<MemoryText>,
}

/// How long the store keeps things: `raw` not longer than `minutes`, `minutes` not longer than `hours`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "Retention")]
pub(super) struct RawRetention {
    /// Signals as they came, at least `2h`. Default: `48h`.
    raw: Option<DurationText>,
    /// Signals by minute. Default: `14d`.
    minutes: Option<DurationText>,
    /// Signals by hour, at most `366d` where written. Default: 400 days.
    hours: Option<DurationText>,
    /// Decisions that changed something or were refused. The status branch has all of them. Default: `90d`.
    events: Option<DurationText>,
}

/// The store, with findings about what it cannot be.
pub(super) fn read(raw: Option<&RawStore>, findings: &mut Findings<'_>) -> StoreConfig {
    let Some(raw) = raw else { return StoreConfig::default() };
    let file = raw.url.as_deref().and_then(|url| match file(url) {
        Ok(file) => Some(file),
        Err(message) => {
            let help = "write it as in `sqlite:///var/lib/tidegate/state.db`".to_owned();
            findings.error(codes::BAD_STORE_URL, "/store/url", message, help);
            None
        }
    });
    let mut retention = raw
        .retention
        .as_ref()
        .map_or_else(Retention::default, |retention| self::retention(retention, findings));
    if let Some(size) = raw.max_size.as_ref().and_then(|size| memory(&size.0).ok()) {
        retention.bytes_max = size.bytes;
    }
    StoreConfig { file, retention }
}

/// The path of an address.
fn file(url: &str) -> Result<PathBuf, &'static str> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            "this version keeps its store in SQLite only"
        } else {
            "the address of the store is not one of SQLite"
        });
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.ends_with('/') || path == ".." || path.ends_with("/..") {
        return Err("the address of the store names no file");
    }
    if path.starts_with(':') || path.contains(['?', '#']) || path.chars().any(char::is_control) {
        return Err("the address of the store is more than the path of a file");
    }
    Ok(PathBuf::from(path))
}

fn retention(raw: &RawRetention, findings: &mut Findings<'_>) -> Retention {
    let default = Retention::default();
    let read = |text: Option<&DurationText>, default: Duration| {
        text.and_then(|text| parse_duration(&text.0).ok()).unwrap_or(default)
    };
    let kept = Retention {
        raw: read(raw.raw.as_ref(), default.raw),
        minutes: read(raw.minutes.as_ref(), default.minutes),
        hours: read(raw.hours.as_ref(), default.hours),
        events: read(raw.events.as_ref(), default.events),
        ..default
    };
    if kept.raw < RAW_LEAST {
        let least = format_duration(RAW_LEAST);
        findings.error(
            codes::BAD_RETENTION,
            "/store/retention/raw",
            format!("`raw` is {}; it must be at least {least}", format_duration(kept.raw)),
            "signals become minutes once their hour is over".to_owned(),
        );
    }
    for (finer, finer_kept, coarser, coarser_kept) in
        [("raw", kept.raw, "minutes", kept.minutes), ("minutes", kept.minutes, "hours", kept.hours)]
    {
        if finer_kept > coarser_kept {
            let written = if is_written(raw, finer) { finer } else { coarser };
            findings.error(
                codes::BAD_RETENTION,
                &format!("/store/retention/{written}"),
                format!(
                    "`{finer}` is kept longer ({}) than `{coarser}` ({})",
                    format_duration(finer_kept),
                    format_duration(coarser_kept)
                ),
                format!("let `{coarser}` be at least as long as `{finer}`"),
            );
        }
    }
    kept
}

fn is_written(raw: &RawRetention, key: &str) -> bool {
    match key {
        "raw" => raw.raw.is_some(),
        "minutes" => raw.minutes.is_some(),
        _ => raw.hours.is_some(),
    }
}
