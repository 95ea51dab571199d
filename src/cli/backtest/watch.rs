//! Work that somebody waits for: shown when it takes long, ended by Ctrl-C.

use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::context;

/// What takes less is over before it is read.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Time between two pictures of the spinner.
const TURN: Duration = Duration::from_millis(120);

/// Listens for Ctrl-C from its making on, also between two pieces of work.
pub(super) struct Watch {
    interrupt: Signal,
}

impl Watch {
    pub(super) fn begin() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        Ok(Self { interrupt })
    }

    /// The result of the work; `None` when Ctrl-C came first, and then the work is dropped. What is done is
    /// shown on a terminal after a second.
    pub(super) async fn over<T>(
        &mut self,
        what: String,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let mut late = pin!(tokio::time::sleep(SHOWN_AFTER));
        let mut bar: Option<ProgressBar> = None;
        let mut is_quiet = context::is_terminal();
        let result = loop {
            tokio::select! {
                result = &mut work => break Some(result),
                _ = self.interrupt.recv() => break None,
                () = &mut late, if is_quiet => {
                    is_quiet = false;
                    bar = Some(spinner(what.clone()));
                }
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        result
    }
}

fn spinner(what: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_elapsed(SHOWN_AFTER);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(TURN);
    bar
}
