//! Prometheus, and what speaks its HTTP API: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
//!
//! # The age of a value
//!
//! The time in an instant answer is that of the evaluation, whatever the age of the samples behind it, and for
//! five minutes Prometheus gives the last sample of a series that ended without a stale marker: an exporter's
//! own time stamps, a pushed or federated series, a gap of Prometheus itself. So a second query asks for
//! `timestamp()` of every selector of the expression ([`promql`]), and the value is as old as the *oldest*
//! of them: a sum is no newer than its oldest part. Of a range, as in `rate(x[5m])`, the series that are there
//! now count; when there is none any more, its last sample does. A selector that found nothing at all says
//! nothing about the age (`absent(x)`, `x or vector(0)`), and without any the time is that of the evaluation.
//!
//! [`promql`]: super::promql

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Answer, Client};
use super::config::Access;
use super::promql::{Selector, selectors};
use super::{
    Limits, MetricSource, ResolveSecret, SourceError, Span, measured, moment_of_seconds, number,
};
use crate::model::{Measured, Moment, SourceAbout};

/// Bytes of an answer that is one number. More is a query without an aggregation.
const INSTANT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one part of a range.
const RANGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Points of one part of a range; the server refuses more than 11,000.
const POINTS_MAX: u64 = 10_000;
/// Points of all parts of a range: a week by the second. More is a slip of the pen.
const POINTS_IN_ALL_MAX: u64 = 700_000;
/// Time for one part of a range: years of samples are read from disk.
const RANGE_LIMIT: Duration = Duration::from_secs(60);
/// Points at which the end of a series inside a range is looked for: each costs the server an evaluation.
const ENDS_LOOKED_AT: u32 = 30;
/// What the server's hints about a query begin with, as opposed to warnings about its data.
const HINT: &str = "PromQL ";

/// One server.
#[derive(Debug)]
pub(super) struct Prometheus {
    about: SourceAbout,
    client: Client,
}

impl Prometheus {
    pub(super) fn new(access: &Access, resolve: &ResolveSecret) -> Result<Self, String> {
        let about = SourceAbout {
            kind: "prometheus".into(),
            needs_query: true,
            metrics: None,
            has_default: false,
        };
        Ok(Self { about, client: Client::new(access, resolve)? })
    }

    async fn query(&self, query: &str) -> Result<Data, SourceError> {
        let answer =
            self.client.post("/api/v1/query", &[("query", query)], INSTANT_BYTES_MAX).await?;
        data_of(&answer)
    }

    async fn read(&self, query: &str) -> Result<Option<(f64, Moment)>, SourceError> {
        let Some((value, evaluated)) = one(self.query(query).await?)? else { return Ok(None) };
        let selectors = selectors(query);
        if selectors.is_empty() {
            return Ok(Some((value, evaluated)));
        }
        let oldest = self.oldest(&selectors).await?;
        Ok(Some((value, oldest.map_or(evaluated, |oldest| oldest.min(evaluated)))))
    }

    /// The time of the oldest sample that an expression reads now, as far as it can be known.
    async fn oldest(&self, selectors: &[Selector<'_>]) -> Result<Option<Moment>, SourceError> {
        let asked: Vec<(usize, String)> = selectors
            .iter()
            .enumerate()
            .map(|(at, selector)| (at, format!("min(timestamp({}))", selector.text)))
            .collect();
        let mut times = self.times(&asked).await?;
        let is_found =
            |at: &usize, times: &[(usize, Moment)]| times.iter().any(|(found, _)| found == at);
        let ended: Vec<(usize, String)> = selectors
            .iter()
            .enumerate()
            .filter(|(at, _)| !is_found(at, &times))
            .filter_map(|(at, selector)| Some((at, last_within(selector)?)))
            .collect();
        if !ended.is_empty() {
            times.extend(self.times(&ended).await?);
        }
        Ok(times.into_iter().map(|(_, time)| time).min())
    }

    /// Times by number, of those expressions that have one.
    async fn times(&self, asked: &[(usize, String)]) -> Result<Vec<(usize, Moment)>, SourceError> {
        let mut query = String::new();
        for (at, expression) in asked {
            let or = if query.is_empty() { "" } else { " or " };
            // A label of its own keeps `or` from taking one for the other.
            let _ =
                write!(query, "{or}label_replace({expression},\"{NUMBER}\",\"{at}\",\"\",\"\")");
        }
        let Data::Vector { result } = self.query(&query).await.map_err(|error| {
            SourceError::failed(format_args!("ask for the age of the samples: {error}"))
        })?
        else {
            return Ok(Vec::new());
        };
        let time = |series: &Series| {
            let at = series.metric.get(NUMBER)?.as_str()?.parse().ok()?;
            let seconds = number(&series.value.as_ref()?.1)?;
            Some((at, moment_of_seconds(seconds)))
        };
        Ok(result.iter().filter_map(time).collect())
    }

    async fn part(
        &self,
        question: &str,
        from: i64,
        to: i64,
        step: u64,
    ) -> Result<Vec<(Moment, f64)>, SourceError> {
        let (from, to, step) = (seconds(from), seconds(to), seconds(step as i64));
        let fields = [("query", question), ("start", &from), ("end", &to), ("step", &step)];
        let asked = self.client.post("/api/v1/query_range", &fields, RANGE_BYTES_MAX);
        let answer = tokio::time::timeout(RANGE_LIMIT, asked).await.map_err(|_| {
            SourceError::failed(format_args!("no answer within {} s", RANGE_LIMIT.as_secs()))
        })?;
        match data_of(&answer?)? {
            Data::Matrix { result } => match result.as_slice() {
                [] => Ok(Vec::new()),
                [series] => {
                    let point = |(at, value): &(f64, String)| {
                        Some((moment_of_seconds(*at), number(value)?))
                    };
                    Ok(series.values.iter().flatten().filter_map(point).collect())
                }
                several => Err(too_many(several.len())),
            },
            Data::Vector { .. } | Data::Scalar { .. } | Data::String { .. } => {
                Err(SourceError::failed("the answer to a range is no range"))
            }
        }
    }
}

/// The label that numbers the parts of a query for times.
const NUMBER: &str = "tidegate_part";

/// The time of the last sample that a selector's range holds.
fn last_within(selector: &Selector<'_>) -> Option<String> {
    let range = selector.range?;
    let step = (range / ENDS_LOOKED_AT).max(Duration::from_secs(1));
    let (text, range, step) = (selector.text, range.as_millis(), step.as_millis());
    Some(format!("max(max_over_time(timestamp({text})[{range}ms:{step}ms]))"))
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn too_many(count: usize) -> SourceError {
    SourceError::failed(format_args!(
        "{count} series, where one number is needed: aggregate them, as in `sum(...)`"
    ))
}

#[async_trait]
impl MetricSource for Prometheus {
    fn about(&self) -> &SourceAbout {
        &self.about
    }

    fn limits(&self) -> Limits {
        self.client.limits()
    }

    async fn sample(&self, question: &str, _now: Moment) -> Measured {
        measured(self.read(question).await)
    }

    async fn range(&self, question: &str, span: Span) -> Result<Vec<(Moment, f64)>, SourceError> {
        let step = u64::try_from(span.step.as_millis()).unwrap_or(u64::MAX).max(1);
        if span.to.since(span.from).as_millis() / u128::from(step) > u128::from(POINTS_IN_ALL_MAX) {
            return Err(SourceError::failed(format_args!(
                "over {POINTS_IN_ALL_MAX} points are asked for: take a longer step"
            )));
        }
        let part = i64::try_from(step.saturating_mul(POINTS_MAX)).unwrap_or(i64::MAX);
        let (mut from, mut points) = (span.from.0, Vec::new());
        while from <= span.to.0 {
            // Both ends of a part are in it.
            let to = from.saturating_add(part - 1).min(span.to.0);
            points.extend(self.part(question, from, to, step).await?);
            from = from.saturating_add(part);
        }
        Ok(points)
    }

    async fn check(&self, now: Moment) -> Result<String, SourceError> {
        match self.query("time()").await? {
            Data::Scalar { result: (at, _) } => {
                let ahead_s = (moment_of_seconds(at).0 - now.0) as f64 / 1000.0;
                if ahead_s.abs() > CLOCKS_APART_MAX_S {
                    return Err(SourceError::failed(format_args!(
                        "its clock and this one are {:.0} s apart, and ages are told by both: correct the clocks",
                        ahead_s.abs()
                    )));
                }
                Ok("it answers queries".to_owned())
            }
            Data::Vector { .. } | Data::Matrix { .. } | Data::String { .. } => Err(
                SourceError::failed("it answers `time()` with something else: is it a Prometheus?"),
            ),
        }
    }
}

/// More difference between two clocks is a part of the usual `maxAge` that no scrape explains.
const CLOCKS_APART_MAX_S: f64 = 10.0;

#[derive(Debug, Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", rename_all = "lowercase")]
enum Data {
    Vector { result: Vec<Series> },
    Matrix { result: Vec<Series> },
    Scalar { result: (f64, String) },
    String {},
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    metric: serde_json::Map<String, Value>,
    value: Option<(f64, String)>,
    values: Option<Vec<(f64, String)>>,
}

/// The data of an answer. A warning that data are missing is a failure: a sum over the part of the series that
/// was to be had must not lower a count.
fn data_of(answer: &Answer) -> Result<Data, SourceError> {
    let envelope: Envelope = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(_) if !answer.status.is_success() => return Err(answer.refusal(None)),
        Err(error) => {
            return Err(SourceError::failed(format_args!(
                "the answer is not one of Prometheus' API: {error}"
            )));
        }
    };
    if !answer.status.is_success() || envelope.status != "success" {
        let kind = envelope.error_type.as_deref().unwrap_or("error");
        let said = format!("{kind}: {}", envelope.error.as_deref().unwrap_or("no reason given"));
        return Err(answer.refusal(Some(&said)));
    }
    if let Some(warning) = envelope.warnings.iter().find(|warning| !warning.starts_with(HINT)) {
        let warning = answer.harmless(warning);
        return Err(SourceError::failed(format_args!("the answer may be in part only: {warning}")));
    }
    envelope.data.ok_or_else(|| SourceError::failed("the answer has no data"))
}

/// The one number of an instant answer, with the time of its evaluation.
fn one(data: Data) -> Result<Option<(f64, Moment)>, SourceError> {
    let pair = match data {
        Data::Scalar { result } => Some(result),
        Data::Vector { result } if result.len() > 1 => return Err(too_many(result.len())),
        Data::Vector { result } => match result.into_iter().next() {
            None => return Ok(None),
            Some(series) => series.value,
        },
        Data::Matrix { .. } => {
            return Err(SourceError::failed(
                "the answer is a range of values: make it one, as in `avg_over_time(...)`",
            ));
        }
        Data::String {} => return Err(SourceError::failed("the answer is a text, not a number")),
    };
    let read = pair.and_then(|(at, value)| Some((number(&value)?, moment_of_seconds(at))));
    // A native histogram has no value.
    read.map(Some).ok_or_else(|| SourceError::failed("the answer has no plain number"))
}
