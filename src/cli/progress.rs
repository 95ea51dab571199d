//! Progress of an apply: a line that moves on a terminal, structured logs elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::context;
use crate::apply::Progress;
use crate::control::OnProgress;
use crate::model::OutcomeResult;
use crate::plan::render::harmless;

/// Time between two pictures of the spinner.
const TURN: Duration = Duration::from_millis(120);

/// Shows progress where somebody watches, logs it where nobody does.
pub(super) fn progress() -> (OnProgress, ProgressBar) {
    if !context::is_terminal() {
        return (Arc::new(log), ProgressBar::hidden());
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TURN);
    let (shown, done) = (bar.clone(), AtomicUsize::new(0));
    let show = move |progress: Progress<'_>| match progress {
        Progress::Began(action) => {
            let done = done.load(Ordering::Relaxed);
            shown.set_message(format!("{done} done, {} {}", action.kind.word(), action.key));
        }
        Progress::Ended(outcome) => {
            done.fetch_add(1, Ordering::Relaxed);
            if let OutcomeResult::Failed { error, .. } = &outcome.result {
                shown.println(format!("failed: {}", harmless(error)));
            }
        }
    };
    (Arc::new(show), bar)
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
