//! A file that somebody else writes, read again for every sample: for what only a script can measure.
//!
//! Either JSON, `{"name": 1.5}` or `{"name": {"value": 1.5, "at": 1795226784}}`, or one line per metric,
//! `name value [time]`. A time is in seconds since 1970, in JSON also in the form of RFC 3339. Without one, a
//! number is as old as the file's last change, so that a script which stopped writing is noticed.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use serde_json::Value;

use super::config::FileConfig;
use super::http::{time_of, value_of};
use super::{Limits, MetricSource, SourceError, measured, moment_of_seconds, number};
use crate::model::{Measured, Moment, SourceAbout};

/// Bytes of such a file: some ten thousand metrics.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Numbers in a file.
#[derive(Debug)]
pub(super) struct File {
    about: SourceAbout,
    config: FileConfig,
    /// Held by the thread that reads.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl File {
    pub(super) fn new(config: FileConfig) -> Self {
        let about = SourceAbout {
            kind: "file".into(),
            needs_query: false,
            metrics: None,
            has_default: false,
        };
        Self { about, config, turn: Arc::default() }
    }

    async fn read(&self) -> Result<(String, Moment), SourceError> {
        // A thread that reads cannot be given up: while one hangs, no other is sent after it.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let path = self.config.path.clone();
        let read = move || -> io::Result<(String, Moment)> {
            let _turn = turn;
            let file = std::fs::File::open(path)?;
            let changed = file.metadata()?.modified()?;
            let age = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut text = String::new();
            file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
            if text.len() as u64 > FILE_BYTES_MAX {
                return Err(io::Error::other(format!("it has over {FILE_BYTES_MAX} bytes")));
            }
            Ok((text, Moment(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))))
        };
        let read =
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        read.map_err(|error| {
            SourceError::failed(format_args!("read `{}`: {error}", self.config.path.display()))
        })
    }
}

#[async_trait]
impl MetricSource for File {
    fn about(&self) -> &SourceAbout {
        &self.about
    }

    fn limits(&self) -> Limits {
        Limits { timeout: self.config.timeout, ..Limits::default() }
    }

    async fn sample(&self, question: &str, _now: Moment) -> Measured {
        measured(self.read().await.and_then(|(text, changed)| find(&text, question, changed)))
    }

    async fn check(&self, _now: Moment) -> Result<String, SourceError> {
        let (_, changed) = self.read().await?;
        Ok(format!("`{}` can be read, last changed {changed}", self.config.path.display()))
    }
}

/// The number of one name. Pure.
fn find(text: &str, name: &str, changed: Moment) -> Result<Option<(f64, Moment)>, SourceError> {
    if text.trim_start().starts_with('{') {
        in_json(text, name, changed)
    } else {
        in_lines(text, name, changed)
    }
}

fn in_json(text: &str, name: &str, changed: Moment) -> Result<Option<(f64, Moment)>, SourceError> {
    let document: Value = serde_json::from_str(text)
        .map_err(|error| SourceError::failed(format_args!("the file is not JSON: {error}")))?;
    let Some(entry) = document.get(name) else { return Ok(None) };
    let (value, at) = match entry {
        Value::Object(entry) => (entry.get("value").unwrap_or(&Value::Null), entry.get("at")),
        plain => (plain, None),
    };
    let at = at.map_or(Ok(changed), time_of)?;
    Ok(value_of(value)?.map(|value| (value, at)))
}

fn in_lines(text: &str, name: &str, changed: Moment) -> Result<Option<(f64, Moment)>, SourceError> {
    let mut found = None;
    for (line, content) in text.lines().enumerate() {
        let content = content.split('#').next().unwrap_or_default();
        let mut words = content.split_ascii_whitespace();
        if words.next() != Some(name) {
            continue;
        }
        let bad = |what| {
            let line = line + 1;
            SourceError::failed(format_args!(
                "line {line} of the file: {what}; write `name value [time]`"
            ))
        };
        let value = words.next().and_then(number).ok_or_else(|| bad("the value is no number"))?;
        let at = match words.next() {
            None => changed,
            Some(time) => {
                let seconds = number(time).filter(|seconds| seconds.is_finite());
                moment_of_seconds(seconds.ok_or_else(|| bad("the time is no number of seconds"))?)
            }
        };
        if words.next().is_some() {
            return Err(bad("there is more than a name, a value and a time"));
        }
        if found.replace((value, at)).is_some() {
            return Err(bad("the name is there twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_an_entry_without_a_time_is_as_old_as_the_file() {
        let lines =
            "# by cron\njobs 12\nold  7.5 1000.5 # late\nnan NaN\ntwo 1\ntwo 2\nbad x\nfar 1 2 3\n";
        let json = r#"{"jobs": 12, "old": {"value": "7.5", "at": 1000.5}, "iso": {"value": 1, "at":
            "1970-01-01T00:00:01Z"}, "none": null, "bad": [1], "nan": "NaN"}"#;
        let changed = Moment(5);
        let read = |text: &str, name: &str| match find(text, name, changed) {
            Ok(None) => "absent".to_owned(),
            Ok(Some((value, at))) => format!("{value} at {}", at.0),
            Err(error) => error.to_string(),
        };
        for (name, expected) in [
            ("jobs", "12 at 5"),
            ("old", "7.5 at 1000500"),
            ("nan", "NaN at 5"),
            ("job", "absent"),
            ("two", "line 6 of the file: the name is there twice; write `name value [time]`"),
            ("bad", "line 7 of the file: the value is no number; write `name value [time]`"),
            (
                "far",
                "line 8 of the file: there is more than a name, a value and a time; write `name value [time]`",
            ),
        ] {
            assert_eq!(read(lines, name), expected, "{name}");
        }
        for (name, expected) in [
            ("jobs", "12 at 5"),
            ("old", "7.5 at 1000500"),
            ("iso", "1 at 1000"),
            ("nan", "NaN at 5"),
            ("none", "absent"),
            ("job", "absent"),
            ("bad", "the value is an array, not a number"),
        ] {
            assert_eq!(read(json, name), expected, "{name}");
        }
        assert!(read("{\"jobs\": 1", "jobs").starts_with("the file is not JSON"));
    }
}
