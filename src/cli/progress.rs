//! Progress of an apply: a line that moves on a terminal, structured logs elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::context;
use crate::apply::{Progress, StopSign};
use crate::control::OnProgress;
use crate::model::{ActionKind, OutcomeResult};

/// Time between two pictures of the spinner.
const TURN: Duration = Duration::from_millis(120);

/// The progress of one apply: shown where somebody watches, logged where nobody does.
pub(super) struct Shown {
    /// Absent where nobody watches.
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Shows nothing until it begins.
    pub(super) fn new() -> Self {
        let bar = context::is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// What is told of every action.
    pub(super) fn teller(&self) -> OnProgress {
        let Some(bar) = self.bar.clone() else { return logged() };
        let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Failures are counted here and listed after the plan, where they are read.
        Arc::new(move |progress: Progress<'_>| match progress {
            Progress::Began(action) => {
                let done = done.load(Ordering::Relaxed);
                let failed = match failed.load(Ordering::Relaxed) {
                    0 => String::new(),
                    failed => format!("{failed} failed, "),
                };
                let doing = match &action.kind {
                    ActionKind::AwaitReady => "waiting for",
                    kind => kind.word(),
                };
                bar.set_message(format!("{done} done, {failed}{doing} {}", action.key));
            }
            Progress::Ended(outcome) => {
                let counter = match &outcome.result {
                    OutcomeResult::Failed { .. } => &failed,
                    // As in the sentence at the end: waiting is no change, and what was not tried not done.
                    OutcomeResult::Applied | OutcomeResult::AlreadySo
                        if outcome.action.kind != ActionKind::AwaitReady =>
                    {
                        &done
                    }
                    OutcomeResult::Applied
                    | OutcomeResult::AlreadySo
                    | OutcomeResult::Skipped
                    | OutcomeResult::Superseded
                    | OutcomeResult::Deferred => return,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Begins to show; what a signal does is said, too.
    pub(super) fn begin(&self, stop: &StopSign) {
        let Some(bar) = self.bar.clone() else { return };
        bar.set_message("observing and planning");
        bar.enable_steady_tick(TURN);
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.raised().await;
            bar.println(
                "Stopping: the actions in hand are finished first; once more ends at once.",
            );
        });
    }

    /// Says what is done now.
    pub(super) fn say(&self, what: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        }
    }

    /// Leaves the terminal to what comes next.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Logs every action: for a controller that runs for months.
pub(super) fn logged() -> OnProgress {
    Arc::new(log)
}

fn log(progress: Progress<'_>) {
    match progress {
        Progress::Began(action) => {
            tracing::debug!(action = action.kind.word(), replica = %action.key, why = action.why, "action begins");
        }
        Progress::Ended(outcome) => {
            let millis = outcome.took.as_millis();
            let (action, key) = (outcome.action.kind.word(), &outcome.action.key);
            match &outcome.result {
                OutcomeResult::Failed { error, .. } => {
                    tracing::warn!(action, replica = %key, took_ms = millis, error, "action failed");
                }
                OutcomeResult::Applied
                | OutcomeResult::AlreadySo
                | OutcomeResult::Skipped
                | OutcomeResult::Superseded
                | OutcomeResult::Deferred => {
                    tracing::info!(action, replica = %key, took_ms = millis, result = ?outcome.result, "action ended");
                }
            }
        }
    }
}
