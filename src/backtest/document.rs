//! A backtest for programs: version 1 of its JSON, with a published schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Column, Report};
use crate::model::Moment;

/// Version of the document's form.
pub const BACKTEST_VERSION: u32 = 1;

/// A backtest.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestDocument {
    /// Version of this form.
    pub version: u32,
    /// The service.
    pub service: String,
    /// The region.
    pub region: String,
    /// The beginning of the recording, RFC 3339.
    pub from: String,
    /// The end of the recording, RFC 3339.
    pub to: String,
    /// How the replay was made.
    pub terms: Terms,
    /// The currency of the costs; empty where it is not known.
    pub currency: String,
    /// The results; of two, the old one first.
    pub results: Vec<Outcome>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// How the replay was made. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The signal that is the load.
    pub load: String,
    /// What one replica serves of it per second.
    pub capacity: f64,
    /// Time from wanting a replica until it serves.
    pub startup: f64,
    /// Time from the stamp of a row until it can be seen.
    pub signal_delay: f64,
    /// Time over which a signal is averaged; 0 for its newest value.
    pub signal_window: f64,
    /// Time between two decisions.
    pub interval: f64,
    /// Time at the beginning that figures leave out.
    pub skipped: f64,
}

/// What one policy came to. Percentages are of the measured time, or of the load.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `old`, `new`, or `policy` where there is one only.
    pub name: String,
    /// The spec that it is from.
    pub spec: String,
    /// The policy's name; null where it stands in the service, or there is none.
    pub policy: Option<String>,
    /// The least replicas.
    pub min: u32,
    /// The replicas to rest at.
    pub desired: u32,
    /// The most replicas.
    pub max: u32,
    /// The time that was measured, in hours.
    pub measured_hours: f64,
    /// Replicas wanted, over time.
    pub replica_hours: f64,
    /// Replicas needed for the load, over time.
    pub needed_replica_hours: f64,
    /// What the replica-hours cost, where a price is known.
    pub cost: Option<f64>,
    /// Changes of the count per hour.
    pub changes_per_hour: f64,
    /// Those that turn back the one before within ten minutes, per hour.
    pub reversals_per_hour: f64,
    /// Time with fewer replicas serving than needed.
    pub under_provisioned_percent: f64,
    /// Load above what the serving replicas could serve; what is beyond `max` replicas is left out.
    pub unserved_percent: f64,
    /// Load that `max` replicas could not have served.
    pub beyond_max_percent: f64,
    /// Time at `max`.
    pub at_max_percent: f64,
    /// Time at `min`.
    pub at_min_percent: f64,
    /// The most replicas wanted.
    pub most_replicas: u32,
    /// The largest change.
    pub largest_change: u32,
    /// Time by the reason code of the decision in force.
    pub reason_percent: BTreeMap<String, f64>,
}

/// The document of a report; `None` of a report without a load, which version 1 has no form for.
#[must_use]
pub fn document(report: &Report) -> Option<BacktestDocument> {
    let terms = &report.terms;
    let (load, capacity) = (report.load.clone()?, terms.capacity?);
    Some(BacktestDocument {
        version: BACKTEST_VERSION,
        service: report.target.service.to_string(),
        region: report.target.region.to_string(),
        from: Moment::to_string(&report.from),
        to: Moment::to_string(&report.to),
        terms: Terms {
            load,
            capacity,
            startup: terms.startup.as_secs_f64(),
            signal_delay: terms.delay.as_secs_f64(),
            signal_window: terms.window.as_secs_f64(),
            interval: terms.interval.as_secs_f64(),
            skipped: report.skipped.as_secs_f64(),
        },
        currency: report.currency.clone(),
        results: report.columns.iter().map(outcome).collect(),
        notes: report.notes.clone(),
    })
}

fn outcome(column: &Column) -> Outcome {
    let figures = &column.figures;
    let percent = |share: f64| short(share * 100.0);
    let reasons = figures.reasons.iter();
    Outcome {
        name: column.name.to_owned(),
        spec: column.spec.clone(),
        policy: column.policy.clone(),
        min: column.bounds.min.0,
        desired: column.bounds.desired.0,
        max: column.bounds.max.0,
        measured_hours: short(figures.measured.as_secs_f64() / 3600.0),
        replica_hours: short(figures.replica_hours),
        needed_replica_hours: short(figures.needed_hours),
        cost: column.cost().map(short),
        changes_per_hour: short(figures.changes_per_hour()),
        reversals_per_hour: short(figures.reversals_per_hour()),
        under_provisioned_percent: percent(figures.under_provisioned),
        unserved_percent: percent(figures.unserved),
        beyond_max_percent: percent(figures.beyond_max),
        at_max_percent: percent(figures.at_max),
        at_min_percent: percent(figures.at_min),
        most_replicas: figures.most.0,
        largest_change: figures.step_max,
        reason_percent: reasons
            .map(|(code, share)| ((*code).to_owned(), percent(*share)))
            .collect(),
    }
}

/// A millionth is more than a replay knows.
fn short(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The JSON Schema of the document, draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(BacktestDocument).to_value()
}
