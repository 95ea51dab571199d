//! The sign by which a running apply is asked to end at its next safe step.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once, by a newer commit or a shutdown; every copy sees it.
#[derive(Debug, Clone)]
pub struct StopSign {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for StopSign {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl StopSign {
    /// Asks all who look to stop.
    pub fn raise(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns once it is raised.
    pub async fn raised(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as this value, so waiting can only end by the sign.
        let _closed = receiver.wait_for(|raised| *raised).await;
    }
}
