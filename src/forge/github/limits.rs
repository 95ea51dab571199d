//! How often GitHub may be asked: its own limits as it tells them, and a budget of ours below those it does
//! not tell in advance. Pure: takes the time as a value.
//!
//! While a limit is known no request is sent at all, because asking on while limited may get an integration
//! banned (GitHub's "Best practices for using the REST API").

use std::collections::VecDeque;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use jiff::{SignedDuration, Timestamp};

/// Content writes in a minute: GitHub allows 80, and people use the same account.
pub const WRITES_PER_MINUTE: u32 = 60;
/// Content writes in an hour: GitHub allows 500.
pub const WRITES_PER_HOUR: u32 = 400;
/// First wait after a secondary limit that names no time (GitHub: "wait for at least one minute").
const SECONDARY_WAIT_SECONDS: i64 = 60;
/// Doublings of that wait: 32 minutes at most.
const SECONDARY_DOUBLINGS_MAX: u32 = 5;
/// Longest that an answer may make us wait: GitHub's windows are an hour, clocks differ, and a nonsensical
/// time must not stop everything for ever.
const WAIT_MAX: SignedDuration = SignedDuration::from_mins(65);
/// Added to a time that GitHub tells, whose clock is not ours.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// How many content writes are sent at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In any minute.
    pub per_minute: u32,
    /// In any hour.
    pub per_hour: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { per_minute: WRITES_PER_MINUTE, per_hour: WRITES_PER_HOUR }
    }
}

/// When to ask again, and because of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) until: Timestamp,
    pub(super) why: String,
}

/// What is known of the limits.
#[derive(Debug)]
pub(super) struct Limits {
    budget: Budget,
    blocked: Option<Wait>,
    /// Secondary limits without a time since the last good answer.
    secondary_count: u32,
    /// Content writes of the last hour, oldest first; as many as the budget of an hour at most.
    writes: VecDeque<Timestamp>,
}

impl Limits {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, blocked: None, secondary_count: 0, writes: VecDeque::new() }
    }

    /// Whether a request may be sent now; a content write that may is counted.
    pub(super) fn admit(&mut self, now: Timestamp, is_write: bool) -> Result<(), Wait> {
        if let Some(wait) = &self.blocked {
            if now < wait.until {
                return Err(wait.clone());
            }
            self.blocked = None;
        }
        if is_write {
            self.spend(now)?;
        }
        Ok(())
    }

    fn spend(&mut self, now: Timestamp) -> Result<(), Wait> {
        while self.writes.front().is_some_and(|at| after(*at, HOUR) <= now) {
            self.writes.pop_front();
        }
        for (budget, window, name) in
            [(self.budget.per_hour, HOUR, "hour"), (self.budget.per_minute, MINUTE, "minute")]
        {
            let budget = usize::try_from(budget).unwrap_or(usize::MAX);
            let oldest = match self.writes.len().checked_sub(budget) {
                None => continue,
                // With no budget at all nothing frees a place: asked again after a window.
                Some(place) => self.writes.get(place).copied().unwrap_or(now),
            };
            let until = after(oldest, window);
            if now < until {
                let why = format!("{budget} writes in the last {name} are as many as are sent");
                return Err(Wait { until, why });
            }
        }
        self.writes.push_back(now);
        Ok(())
    }

    /// Takes note of what an answer says about limits. `Some` where this very request met one.
    pub(super) fn learn(
        &mut self,
        now: Timestamp,
        status: StatusCode,
        headers: &HeaderMap,
        words: &str,
    ) -> Option<Wait> {
        let is_exhausted = text(headers, "x-ratelimit-remaining") == Some("0");
        let reset = number(headers, "x-ratelimit-reset")
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        let is_refusal = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = text(headers, RETRY_AFTER.as_str())
            .filter(|_| is_refusal || status == StatusCode::SERVICE_UNAVAILABLE)
            .and_then(|seconds| seconds.parse::<u32>().ok());
        let is_secondary = is_refusal && is_about_secondary(words);

        let wait = if let Some(seconds) = retry_after {
            let until = after(now, SignedDuration::from_secs(i64::from(seconds)));
            Wait { until, why: format!("GitHub asks to wait {seconds} s") }
        } else if is_exhausted
            && (is_refusal || status.is_success() || status == StatusCode::NOT_MODIFIED)
        {
            let until = reset.unwrap_or_else(|| after(now, MINUTE));
            Wait { until, why: "the requests of this hour are used up".to_owned() }
        } else if is_secondary || status == StatusCode::TOO_MANY_REQUESTS {
            // Requests that were under way together meet a limit together: that counts once.
            if self.blocked.as_ref().is_none_or(|wait| wait.until <= now) {
                self.secondary_count = self.secondary_count.saturating_add(1);
            }
            let doublings = self.secondary_count.saturating_sub(1).min(SECONDARY_DOUBLINGS_MAX);
            let seconds = SECONDARY_WAIT_SECONDS << doublings;
            let until = after(now, SignedDuration::from_secs(seconds));
            Wait { until, why: "GitHub says that it was asked too much at once".to_owned() }
        } else {
            if status.is_success() {
                self.secondary_count = 0;
            }
            return None;
        };
        let until = after(wait.until, MARGIN).clamp(after(now, MARGIN), after(now, WAIT_MAX));
        let wait = Wait { until, ..wait };
        if self.blocked.as_ref().is_none_or(|known| known.until < wait.until) {
            self.blocked = Some(wait.clone());
        }
        // A good answer that was the last one of the hour is good.
        (is_refusal || status == StatusCode::SERVICE_UNAVAILABLE).then_some(wait)
    }
}

fn is_about_secondary(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["secondary rate limit", "abuse detection", "rate limit exceeded"]
        .iter()
        .any(|sign| words.contains(sign))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    text(headers, name)?.parse().ok()
}

fn after(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
