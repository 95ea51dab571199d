//! The form of `overrides.yaml`: times as people read them, strict, and versioned.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ENTRIES_MAX, ForATime, OVERRIDES_VERSION, OverrideSet, OverridesError, sort, words};
use crate::model::{Burst, Count, Pause, Region, ServiceId};

/// Read before anything else: what a later version writes may have any other key.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    bursts: Vec<BurstEntry>,
    #[serde(default)]
    pauses: Vec<PauseEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BurstEntry {
    id: String,
    service: ServiceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    replicas: Count,
    from: Timestamp,
    until: Timestamp,
    reason: String,
    author: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseEntry {
    id: String,
    service: ServiceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    from: Timestamp,
    until: Timestamp,
    reason: String,
    author: String,
}

pub(super) fn parse(text: &[u8]) -> Result<OverrideSet, OverridesError> {
    let malformed = |error: serde_yaml::Error| OverridesError::Malformed(error.to_string());
    let Versioned { version } = serde_yaml::from_slice(text).map_err(malformed)?;
    if version > OVERRIDES_VERSION {
        return Err(OverridesError::Newer(version));
    }
    let document: Document = serde_yaml::from_slice(text).map_err(malformed)?;
    let mut set = OverrideSet {
        bursts: document.bursts.into_iter().map(Burst::from).collect(),
        pauses: document.pauses.into_iter().map(Pause::from).collect(),
    };
    let count = set.bursts.len() + set.pauses.len();
    if count > ENTRIES_MAX {
        let why = format!("it has {count} entries, more than {ENTRIES_MAX}");
        return Err(OverridesError::Malformed(why));
    }
    let mut ids = BTreeSet::new();
    for burst in &set.bursts {
        check(burst, &burst.reason, &burst.author, &mut ids)?;
    }
    for pause in &set.pauses {
        check(pause, &pause.reason, &pause.author, &mut ids)?;
    }
    sort(&mut set.bursts);
    sort(&mut set.pauses);
    Ok(set)
}

fn check<'a, T: ForATime>(
    entry: &'a T,
    reason: &str,
    author: &str,
    ids: &mut BTreeSet<&'a str>,
) -> Result<(), OverridesError> {
    let id = entry.id();
    let why = if id.is_empty() || !words::is_one_line(id, words::ID_CHARS_MAX) {
        "it has no usable id"
    } else if !ids.insert(id) {
        "its id is there twice"
    } else if entry.ends() <= entry.begins() {
        "it ends before it begins"
    } else if !words::is_one_line(reason, words::REASON_CHARS_MAX) {
        "its reason is longer than a line"
    } else if !words::is_one_line(author, words::AUTHOR_CHARS_MAX) {
        "its author is longer than a line"
    } else {
        return Ok(());
    };
    let shown: String = id.escape_debug().take(words::ID_CHARS_MAX).collect();
    Err(OverridesError::Malformed(format!("entry `{shown}`: {why}")))
}

pub(super) fn render(set: &OverrideSet) -> String {
    let document = Document {
        version: OVERRIDES_VERSION,
        bursts: set.bursts.iter().map(BurstEntry::from).collect(),
        pauses: set.pauses.iter().map(PauseEntry::from).collect(),
    };
    // Plain data with text for keys: turning it into YAML cannot fail.
    serde_yaml::to_string(&document).unwrap_or_default()
}

impl From<BurstEntry> for Burst {
    fn from(entry: BurstEntry) -> Self {
        let BurstEntry { id, service, region, replicas, from, until, reason, author } = entry;
        let (from, until) = (from.into(), until.into());
        Self { id, service, region, replicas, reason, author, from, until }
    }
}

impl From<&Burst> for BurstEntry {
    fn from(burst: &Burst) -> Self {
        let Burst { id, service, region, replicas, reason, author, from, until } = burst.clone();
        let (from, until) = (from.timestamp(), until.timestamp());
        Self { id, service, region, replicas, from, until, reason, author }
    }
}

impl From<PauseEntry> for Pause {
    fn from(entry: PauseEntry) -> Self {
        let PauseEntry { id, service, region, from, until, reason, author } = entry;
        let (from, until) = (from.into(), until.into());
        Self { id, service, region, reason, author, from, until }
    }
}

impl From<&Pause> for PauseEntry {
    fn from(pause: &Pause) -> Self {
        let Pause { id, service, region, reason, author, from, until } = pause.clone();
        let (from, until) = (from.timestamp(), until.timestamp());
        Self { id, service, region, from, until, reason, author }
    }
}
