//! The sign by which a running apply is asked to end at its next safe step.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::OutcomeResult;

/// Why an apply is asked to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A newer commit takes over, or the controller shuts down.
    Superseded,
    /// The cycle has had its time; the next one goes on.
    Deferred,
}

/// Raised once; every copy sees it. The first reason stays.
#[derive(Debug, Clone)]
pub struct StopSign {
    sender: Arc<watch::Sender<Option<StopReason>>>,
}

impl Default for StopSign {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(None)) }
    }
}

impl StopSign {
    /// Asks all who look to stop.
    pub fn raise(&self) {
        self.raise_for(StopReason::Superseded);
    }

    /// Asks all who look to stop, and says why.
    pub fn raise_for(&self, reason: StopReason) {
        self.sender.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(reason);
            is_first
        });
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.sender.borrow().is_some()
    }

    /// Returns once it is raised.
    pub async fn raised(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as this value, so waiting can only end by the sign.
        let _closed = receiver.wait_for(Option::is_some).await;
    }

    /// What becomes of an action that is not done because of the sign.
    pub(super) fn outcome(&self) -> OutcomeResult {
        match *self.sender.borrow() {
            Some(StopReason::Deferred) => OutcomeResult::Deferred,
            Some(StopReason::Superseded) | None => OutcomeResult::Superseded,
        }
    }
}
