//! Outcomes in, status and history out; and back to state after a restart.
//!
//! Pure: files and pushes are the shell's. The [`Book`] knows the last recorded count of every target, so
//! that the history of a target is a chain: each line's `from` is the `to` of the one before. A count that
//! moved without a recorded decision gets a line of its own, with reason `drift`.

mod book;
mod evidence;
mod history;
pub mod overrides;
mod recall;
mod status;

pub use book::{Book, Cause, Entry};
pub use evidence::{Cost, Evidence, Inputs};
pub use history::{
    HISTORY_VERSION, HistoryLine, Kind, LineOutcome, TraceStep, history_stem, line_id, trace_of,
};
pub use recall::{HISTORY_DAYS_MAX, Query, Told, part_path};
pub use status::{
    Condition, Facts, Health, Refused, STATUS_VERSION, StatusFile, StatusGap, StatusHeld,
    StatusTarget, status_file,
};

/// Path of the status file on the status branch.
pub const STATUS_PATH: &str = "status.yaml";

/// Path of the plan of a spec commit on the status branch.
#[must_use]
pub fn plan_path(commit: &crate::model::CommitId) -> String {
    format!("plans/{commit}.json")
}

/// The JSON Schema of the status file.
#[must_use]
pub fn status_schema() -> serde_json::Value {
    schemars::schema_for!(StatusFile).to_value()
}

#[cfg(test)]
mod tests;
