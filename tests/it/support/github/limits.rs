//! GitHub's rate limits: the primary one of requests per hour, secondary ones that a test sets, and the one of
//! content-creating requests, which always holds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Requests per hour of a token.
const PER_HOUR: u64 = 5_000;
/// Content-creating requests in a minute and in an hour.
pub(crate) const CONTENT_PER_MINUTE: usize = 80;
pub(crate) const CONTENT_PER_HOUR: usize = 500;

/// GitHub's words.
pub(crate) const SECONDARY: &str = "You have exceeded a secondary rate limit. Please wait a few minutes before \
                                    you try again.";

/// A secondary rate limit that a test sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secondary {
    /// 403 or 429.
    pub(crate) status: u16,
    /// What `retry-after` says; `None` leaves it out.
    pub(crate) retry_after: Option<Duration>,
    /// Whether only writes are refused.
    pub(crate) only_writes: bool,
    /// So many requests are refused; `None`: until it is lifted.
    pub(crate) requests: Option<u32>,
}

impl Default for Secondary {
    fn default() -> Self {
        Self {
            status: 403,
            retry_after: Some(Duration::from_secs(1)),
            only_writes: false,
            requests: None,
        }
    }
}

/// How the limits stand.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset: Timestamp,
    pub(crate) secondary: Option<Secondary>,
    content: VecDeque<Instant>,
    window: SignedDuration,
}

impl Limits {
    pub(crate) fn new() -> Self {
        let window = SignedDuration::from_hours(1);
        let reset = Timestamp::now() + window;
        Self { limit: PER_HOUR, used: 0, reset, secondary: None, content: VecDeque::new(), window }
    }

    /// Leaves so many requests until a time.
    pub(crate) fn leave(&mut self, remaining: u64, resets_in: Duration) {
        self.used = self.limit.saturating_sub(remaining);
        self.reset = Timestamp::now() + SignedDuration::try_from(resets_in).unwrap();
    }

    /// Whether the primary limit lets a request pass now.
    pub(crate) fn has_remaining(&mut self) -> bool {
        let now = Timestamp::now();
        // The reset is told in whole seconds, rounded down, and holds as it was told.
        if now.as_second() >= self.reset.as_second() {
            self.used = 0;
            self.reset = now + self.window;
        }
        self.used < self.limit
    }

    /// The secondary limit that refuses this request, if any.
    pub(crate) fn refuses(&mut self, is_write: bool) -> Option<Secondary> {
        let secondary = self.secondary?;
        if secondary.only_writes && !is_write {
            return None;
        }
        if let Some(left) = secondary.requests {
            let left = left.saturating_sub(1);
            self.secondary = (left > 0).then_some(Secondary { requests: Some(left), ..secondary });
        }
        Some(secondary)
    }

    /// Counts a content-creating request; which limit it goes beyond, if it does.
    pub(crate) fn count_content(&mut self) -> Option<&'static str> {
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        while self.content.front().is_some_and(|at| now.duration_since(*at) > hour) {
            self.content.pop_front();
        }
        let minute = Duration::from_secs(60);
        let last = self.content.iter().rev().take_while(|at| now.duration_since(**at) <= minute);
        if last.count() >= CONTENT_PER_MINUTE {
            return Some("80 content-creating requests in a minute");
        }
        if self.content.len() >= CONTENT_PER_HOUR {
            return Some("500 content-creating requests in an hour");
        }
        self.content.push_back(now);
        None
    }
}
