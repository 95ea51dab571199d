//! What changed policies would have done with what was recorded.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::compose::Merge;
use super::sight::Sight;
use crate::control::Setup;
use crate::forge::comment::Backtest;
use crate::git::GitError;
use crate::observe::signals::Sources;

/// Where the past of signals is.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// Time between two decisions.
    pub(crate) interval: Duration,
    /// The store's file.
    pub(crate) store: PathBuf,
    /// The metric sources.
    pub(crate) sources: Sources,
}

impl Past {
    /// Where a controller's is.
    pub(crate) fn of(setup: &Setup) -> Self {
        Self {
            interval: setup.config.interval,
            store: setup.config.store_file(),
            sources: setup.sources.clone(),
        }
    }
}

pub(crate) async fn of(
    _past: &Past,
    _sight: &Sight,
    _merge: &Merge,
    _may_ask: bool,
    _now: Timestamp,
) -> Result<Vec<Backtest>, GitError> {
    Ok(Vec::new())
}
