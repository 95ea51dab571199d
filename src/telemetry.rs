//! Logs: where they go and in which form. Decisions and outcomes are `info`, never a secret.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Times of log lines: RFC 3339, UTC, milliseconds.
struct UtcClock;

impl FormatTime for UtcClock {
    #[expect(clippy::disallowed_methods, reason = "log lines carry the system's time")]
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        write!(w, "{:.3}", jiff::Timestamp::now())
    }
}

/// Starts logging to standard error. `filter` is in the form of `RUST_LOG`; what cannot be read of it
/// counts as `default`.
pub fn start(form: LogForm, filter: Option<&str>, default: &str) {
    let filter = filter
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_timer(UtcClock);
    // A second start, in a test, keeps the first.
    let _started = match form {
        LogForm::Text => builder.with_ansi(std::io::stderr().is_terminal()).compact().try_init(),
        LogForm::Json => builder.json().flatten_event(true).try_init(),
    };
}
