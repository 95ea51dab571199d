//! Asks a replica whether it serves, and judges the answers.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::providers::process::record::HealthCheck;

/// The first wait between two probes of a replica that never answered well: it then doubles up to the
/// template's interval, so that a replica that is quick to start is quickly known to be ready.
const EAGER_FIRST: Duration = Duration::from_millis(50);
/// Shortest time between two probes, whatever the template says: a probe is a request.
const INTERVAL_LEAST: Duration = Duration::from_millis(10);

/// The answer to one probe: `Err` says in words what was wrong.
pub(super) type Answer = Result<(), String>;

/// Probes for ever, or until nobody listens.
pub(super) async fn probe_on_schedule(check: HealthCheck, answers: mpsc::Sender<Answer>) {
    let interval = Duration::from_millis(check.interval_ms).max(INTERVAL_LEAST);
    let timeout = Duration::from_millis(check.timeout_ms).max(INTERVAL_LEAST);
    let probe = Probe::new(&check);
    let mut wait = EAGER_FIRST.min(interval);
    let mut was_well = false;
    loop {
        tokio::time::sleep(wait).await;
        let answer = tokio::time::timeout(timeout, probe.ask())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} ms", timeout.as_millis())))
            .map_err(|why| format!("{}: {why}", probe.name));
        was_well |= answer.is_ok();
        wait = if was_well { interval } else { (wait * 2).min(interval) };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

/// What is asked, and its name in complaints.
struct Probe {
    name: String,
    question: Question,
}

enum Question {
    Http(Result<reqwest::Client, String>, String),
    Tcp(u16),
}

impl Probe {
    fn new(check: &HealthCheck) -> Self {
        let port = check.port;
        match &check.http_path {
            Some(path) => Self {
                name: format!("GET {path}"),
                question: Question::Http(client(), format!("http://127.0.0.1:{port}{path}")),
            },
            None => Self { name: format!("connect to port {port}"), question: Question::Tcp(port) },
        }
    }

    async fn ask(&self) -> Answer {
        match &self.question {
            Question::Tcp(port) => TcpStream::connect(("127.0.0.1", *port))
                .await
                .map(drop)
                .map_err(|error| error.to_string()),
            Question::Http(client, url) => {
                let client = client.as_ref().map_err(Clone::clone)?;
                let answer = client.get(url).send().await.map_err(|e| describe(&e))?;
                let status = answer.status();
                if status.is_success() || status.is_redirection() {
                    Ok(())
                } else {
                    Err(format!("status {}", status.as_u16()))
                }
            }
        }
    }
}

fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // A kept connection would outlive what is asked: whether new ones are served.
        .pool_max_idle_per_host(0)
        .user_agent("tidegate-health")
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

/// The innermost cause: the outer ones repeat the address.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What an answer means for the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It serves.
    Ready,
    /// Too early or too little to say more than before.
    AsBefore,
    /// It failed too often in a row.
    Unhealthy,
}

/// Counts failures in a row. Pure.
#[derive(Debug)]
pub(super) struct Judge {
    failures_max: u32,
    failures: u32,
    interval: Duration,
    /// Eager probes come closer together than the interval; a failure counts once per interval.
    counts_from: Instant,
}

impl Judge {
    pub(super) fn new(check: &HealthCheck, started: Instant) -> Self {
        let interval = Duration::from_millis(check.interval_ms);
        Self {
            failures_max: check.failures.max(1),
            failures: 0,
            interval,
            counts_from: started + Duration::from_millis(check.start_period_ms) + interval,
        }
    }

    pub(super) fn hear(&mut self, is_well: bool, now: Instant) -> Verdict {
        if is_well {
            self.failures = 0;
            self.counts_from = now;
            return Verdict::Ready;
        }
        if now < self.counts_from {
            return Verdict::AsBefore;
        }
        self.failures += 1;
        // A little early still counts, or the jitter of timers would halve the rate.
        self.counts_from = now + self.interval / 2;
        if self.failures >= self.failures_max { Verdict::Unhealthy } else { Verdict::AsBefore }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: HealthCheck = HealthCheck {
        http_path: None,
        port: 1,
        interval_ms: 1000,
        timeout_ms: 100,
        failures: 3,
        start_period_ms: 10_000,
    };

    #[test]
    fn failures_count_in_a_row_and_after_the_start_period() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut judge = Judge::new(&CHECK, start);
        for early_ms in [50, 150, 350, 9_900] {
            assert_eq!(judge.hear(false, at(early_ms)), Verdict::AsBefore);
        }
        assert_eq!(judge.hear(false, at(11_000)), Verdict::AsBefore);
        assert_eq!(judge.hear(false, at(12_000)), Verdict::AsBefore);
        assert_eq!(judge.hear(true, at(13_000)), Verdict::Ready);
        assert_eq!(judge.hear(false, at(14_000)), Verdict::AsBefore);
        assert_eq!(judge.hear(false, at(15_000)), Verdict::AsBefore);
        assert_eq!(judge.hear(false, at(16_000)), Verdict::Unhealthy);
    }

    #[test]
    fn a_replica_that_was_ready_is_judged_also_within_its_start_period() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut judge = Judge::new(&CHECK, start);
        assert_eq!(judge.hear(true, at(100)), Verdict::Ready);
        assert_eq!(judge.hear(false, at(1100)), Verdict::AsBefore);
        assert_eq!(judge.hear(false, at(2100)), Verdict::AsBefore);
        assert_eq!(judge.hear(false, at(3100)), Verdict::Unhealthy);
    }
}
