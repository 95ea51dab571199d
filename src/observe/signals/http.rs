//! A JSON document of a server of the configuration, and a pointer (RFC 6901) to the number in it.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::client::Client;
use super::config::HttpConfig;
use super::{
    Limits, MetricSource, ResolveSecret, SourceError, measured, moment_of_seconds, number,
};
use crate::model::{Measured, Moment, SourceAbout};

/// Bytes of such a document.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Times above this are in milliseconds: in seconds it is the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// Numbers in a document.
#[derive(Debug)]
pub(super) struct Http {
    about: SourceAbout,
    config: HttpConfig,
    client: Client,
}

impl Http {
    pub(super) fn new(config: &HttpConfig, resolve: &ResolveSecret) -> Result<Self, String> {
        let names: Vec<String> = config.metrics.keys().cloned().collect();
        let about = SourceAbout {
            kind: "http".into(),
            needs_query: false,
            metrics: (!names.is_empty()).then_some(names),
            has_default: config.pointer.is_some(),
        };
        Ok(Self { about, config: config.clone(), client: Client::new(&config.access, resolve)? })
    }

    async fn document(&self) -> Result<Value, SourceError> {
        let body = self.client.get("", DOCUMENT_BYTES_MAX).await?.good()?;
        serde_json::from_slice(&body)
            .map_err(|error| SourceError::failed(format_args!("the answer is not JSON: {error}")))
    }
}

#[async_trait]
impl MetricSource for Http {
    fn about(&self) -> &SourceAbout {
        &self.about
    }

    fn limits(&self) -> Limits {
        self.client.limits()
    }

    async fn sample(&self, question: &str, now: Moment) -> Measured {
        let read = async {
            let pointer = pointer_of(&self.config, question)?;
            find(&self.document().await?, pointer, self.config.timestamp_pointer.as_deref(), now)
        };
        measured(read.await)
    }

    async fn check(&self, now: Moment) -> Result<String, SourceError> {
        let document = self.document().await?;
        let mut absent = Vec::new();
        for pointer in self.config.pointer.iter().chain(self.config.metrics.values()) {
            let at = self.config.timestamp_pointer.as_deref();
            if find(&document, pointer, at, now)?.is_none() {
                absent.push(format!("`{pointer}`"));
            }
        }
        if absent.is_empty() {
            return Ok("it answers".to_owned());
        }
        let absent = absent.join(", ");
        Err(SourceError::failed(format_args!(
            "its answer has nothing at {absent}; correct the pointer"
        )))
    }
}

/// Where the number of a question is.
fn pointer_of<'a>(config: &'a HttpConfig, question: &'a str) -> Result<&'a str, SourceError> {
    let pointer = match (config.metrics.get(question), &config.pointer) {
        (Some(pointer), _) => Some(pointer.as_str()),
        (None, Some(pointer)) if question.is_empty() => Some(pointer.as_str()),
        _ if config.metrics.is_empty() && question.starts_with('/') => Some(question),
        _ => None,
    };
    pointer.ok_or_else(|| {
        let what = if question.is_empty() { "a signal without `metric`" } else { question };
        SourceError::failed(format_args!(
            "the source has no pointer for {what}: add it to its `metrics`, or name a pointer as in `/queue/depth`"
        ))
    })
}

/// The number at a pointer, with its time. Pure. Nothing there, or `null`, is no number.
fn find(
    document: &Value,
    pointer: &str,
    timestamp_pointer: Option<&str>,
    now: Moment,
) -> Result<Option<(f64, Moment)>, SourceError> {
    let Some(value) = document.pointer(pointer).map_or(Ok(None), value_of)? else {
        return Ok(None);
    };
    let at = match timestamp_pointer {
        None => now,
        Some(pointer) => {
            let time = document.pointer(pointer).ok_or_else(|| {
                SourceError::failed(format_args!("the answer has no time at `{pointer}`"))
            })?;
            time_of(time)?
        }
    };
    Ok(Some((value, at)))
}

/// A number, also one written as text.
pub(super) fn value_of(value: &Value) -> Result<Option<f64>, SourceError> {
    let found = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number(text),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.map(Some).ok_or_else(|| {
        SourceError::failed(format_args!("the value is {}, not a number", kind_of(value)))
    })
}

/// A time: seconds or milliseconds since 1970, or RFC 3339.
pub(super) fn time_of(value: &Value) -> Result<Moment, SourceError> {
    let found = match value {
        Value::Number(number) => number.as_f64().map(|number| {
            moment_of_seconds(if number.abs() > SECONDS_MAX { number / 1000.0 } else { number })
        }),
        Value::String(text) => text.parse::<Timestamp>().ok().map(Moment::from),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.ok_or_else(|| {
        SourceError::failed(format_args!(
            "the time is {}, not seconds since 1970 and not in the form of RFC 3339",
            kind_of(value)
        ))
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_one_number_and_its_time() {
        let document = serde_json::json!({
            "a/b": [{"depth": 7}, "12.5"], "none": null, "yes": true, "word": "many", "nan": "NaN",
            "s": 1000.5, "ms": 1_795_226_784_367_i64, "iso": "1970-01-01T00:00:02Z",
        });
        let read = |pointer, at| match find(&document, pointer, at, Moment(9)) {
            Ok(None) => "absent".to_owned(),
            Ok(Some((value, at))) => format!("{value} at {}", at.0),
            Err(error) => error.to_string(),
        };
        for (pointer, at, expected) in [
            ("/a~1b/0/depth", None, "7 at 9"),
            ("/a~1b/1", Some("/s"), "12.5 at 1000500"),
            ("/a~1b/1", Some("/ms"), "12.5 at 1795226784367"),
            ("/a~1b/1", Some("/iso"), "12.5 at 2000"),
            ("/nan", None, "NaN at 9"),
            ("/a~1b/2", None, "absent"),
            ("/none", Some("/gone"), "absent"),
            ("/yes", None, "the value is a truth value, not a number"),
            ("/word", None, "the value is a text, not a number"),
            ("/a~1b", None, "the value is an array, not a number"),
            ("/s", Some("/gone"), "the answer has no time at `/gone`"),
            (
                "/s",
                Some("/word"),
                "the time is a text, not seconds since 1970 and not in the form of RFC 3339",
            ),
        ] {
            assert_eq!(read(pointer, at), expected, "{pointer} {at:?}");
        }
    }
}
