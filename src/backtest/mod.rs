//! Recorded signals and a policy in, what the policy would have done out.
//!
//! Stands beside the flow: it lets time pass, and asks [`crate::decide`] at every tick, as the controller
//! would. Nothing here decides. Pure: files and metric sources are read by whoever calls.
//!
//! [`Series`] (what was recorded) → [`replay()`] (tick by tick) → [`Figures`] (second by second) → [`Report`],
//! as text, Markdown, JSON and as a chart.
//!
//! What it cannot know: signals are replayed as they were recorded. One that depends on the replicas, as a
//! mean processor load does, shows the replicas of then and not those decided here (*open loop*). A load of
//! requests does not depend on them, so its replay is exact.

mod candidate;
mod chart;
mod compare;
mod demand;
pub mod document;
mod figures;
mod mermaid;
mod questions;
mod replay;
mod report;
mod series;
mod supply;

pub use candidate::{Candidate, gaps_note};
pub use chart::{ChartError, Curve, chart};
pub use compare::{Comparison, Context, LENGTH_MIN, NoComparison, changed, compare, wanted};
pub use demand::Demand;
pub use figures::{Figures, measure};
pub use questions::{QuestionError, questions};
pub use replay::{Change, Replay, Subject, replay};
pub use report::{Column, Report};
pub use series::{Gaps, Row, Series, SeriesError};

use std::time::Duration;

/// How a replay is made; the same for everything that is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Time between two decisions; over zero.
    pub interval: Duration,
    /// Time from wanting a replica until it serves.
    pub startup: Duration,
    /// Time from the stamp of a row until it can be seen.
    pub delay: Duration,
    /// The time over which a signal is averaged; zero for its newest value.
    pub window: Duration,
    /// What one replica serves of the load, per second; over zero. `None` where nothing is known to be the
    /// load: what depends on it is left out.
    pub capacity: Option<f64>,
    /// Time at the beginning that figures leave out; without it, [`SKIP_DEFAULT`] and at most a tenth.
    pub skip: Option<Duration>,
}

/// Time between two decisions unless said otherwise: the controller's own default.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// Left out at the beginning unless said otherwise: the way from the first count to the load says nothing
/// about a policy.
pub const SKIP_DEFAULT: Duration = Duration::from_secs(3600);

impl Terms {
    /// The time that is left out of a replay of this length.
    #[must_use]
    pub fn skipped(&self, length: Duration) -> Duration {
        self.skip.unwrap_or_else(|| SKIP_DEFAULT.min(length / 10)).min(length)
    }
}
