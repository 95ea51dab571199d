//! Tells whether a running container serves: one probe, made while observing, and what earlier probes of
//! the same run said.
//!
//! Observing may happen many times within a health check's interval (while a rollout waits, every tenth of
//! a second), so a failure counts once per interval. All times are of the monotonic clock: the wall clock
//! may jump, and of two observations the later may carry the earlier time.
//!
//! The memory of earlier probes is lost when the controller restarts. That is harmless: the first probe
//! that goes well makes the replica ready again, and an unhealthy one is found out again after
//! `failures` intervals.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::labels::HealthLabel;
use crate::model::Phase;

/// How long a TCP probe listens for a hang-up. The daemon's own proxy accepts every connection on a
/// published port and hangs up when nothing listens inside; this tells the two apart.
const HANGUP_WAIT: Duration = Duration::from_millis(100);
/// The part of an interval by which a failure may come early and still count: cycles as long as the
/// interval are never quite, and would count every other failure only.
const EARLY_PART: u32 = 10;

/// What the probes of one run of a container said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HealthMemory {
    /// When a probe last went well.
    last_ok: Option<Instant>,
    /// Failures in a row that counted.
    failures: u32,
    /// What the last failure was.
    complaint: String,
    /// From when on, and for how long, no failure counts.
    spared: Option<(Instant, Duration)>,
}

impl HealthMemory {
    /// Whether a probe is due: always while the replica is not known to be well, else once per interval.
    pub(super) fn is_due(&self, label: &HealthLabel, now: Instant) -> bool {
        match self.last_ok {
            Some(last_ok) if self.failures == 0 => {
                now.saturating_duration_since(last_ok) >= interval(label)
            }
            _ => true,
        }
    }

    /// Takes in what a probe said of a run that has lasted for `age`.
    pub(super) fn learn(
        &mut self,
        result: Result<(), String>,
        label: &HealthLabel,
        age: Duration,
        now: Instant,
    ) {
        let between = interval(label) - interval(label) / EARLY_PART;
        let Err(complaint) = result else {
            *self = Self { last_ok: Some(now), spared: Some((now, between)), ..Self::default() };
            return;
        };
        let (since, time) = *self.spared.get_or_insert_with(|| {
            let start_period = Duration::from_millis(label.start_period_ms);
            (now, start_period.saturating_add(interval(label)).saturating_sub(age))
        });
        self.complaint = complaint;
        if now.saturating_duration_since(since) >= time {
            self.failures = self.failures.saturating_add(1);
            self.spared = Some((now, between));
        }
    }

    /// Where a running replica is in its life.
    pub(super) fn phase(&self, label: &HealthLabel) -> Phase {
        if self.failures >= label.failures.max(1) {
            Phase::Unhealthy { why: self.complaint.clone() }
        } else if self.last_ok.is_some() {
            Phase::Ready
        } else {
            Phase::Starting
        }
    }
}

fn interval(label: &HealthLabel) -> Duration {
    Duration::from_millis(label.interval_ms)
}

/// The client for HTTP probes: follows no redirect (a 3xx is an answer) and uses no proxy.
pub(super) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // A kept connection would tell about the connection, not about the service.
        .pool_max_idle_per_host(0)
        .user_agent("tidegate")
        .build()
}

/// Makes one probe of `address` (`host:port`), within the label's time and `at_most` this; the error is a
/// sentence fragment.
pub(super) async fn probe(
    client: &reqwest::Client,
    label: &HealthLabel,
    address: &str,
    at_most: Duration,
) -> Result<(), String> {
    let limit = Duration::from_millis(label.timeout_ms).min(at_most);
    let what = match &label.path {
        Some(path) => format!("GET http://{address}{path}"),
        None => format!("connection to {address}"),
    };
    let outcome = match &label.path {
        Some(path) => tokio::time::timeout(limit, http(client, address, path)).await,
        None => tokio::time::timeout(limit + HANGUP_WAIT, tcp(address)).await,
    };
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(format!("{what}: {why}")),
        Err(_) => Err(format!("{what}: no answer within {} ms", limit.as_millis())),
    }
}

async fn http(client: &reqwest::Client, address: &str, path: &str) -> Result<(), String> {
    let answer = client.get(format!("http://{address}{path}")).send().await;
    let status = answer.map_err(|error| innermost(&error))?.status();
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("answered {}", status.as_u16()))
    }
}

async fn tcp(address: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let mut byte = [0u8; 1];
    match tokio::time::timeout(HANGUP_WAIT, stream.read(&mut byte)).await {
        Ok(Ok(0)) => Err("hung up at once; nothing listens inside the container".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: HealthLabel = HealthLabel {
        path: None,
        port: 80,
        interval_ms: 5_000,
        timeout_ms: 1_000,
        failures: 3,
        start_period_ms: 0,
    };

    fn refused() -> Result<(), String> {
        Err("refused".to_owned())
    }

    fn unhealthy() -> Phase {
        Phase::Unhealthy { why: "refused".to_owned() }
    }

    /// The second at which a run that fails from `from` on is judged unhealthy, looked at ten times each.
    fn judged_at(memory: &mut HealthMemory, label: &HealthLabel, begun: Instant, from: u64) -> u64 {
        for tenth in from * 10.. {
            let age = Duration::from_millis(tenth * 100);
            memory.learn(refused(), label, age, begun + age);
            if memory.phase(label) == unhealthy() {
                return tenth / 10;
            }
        }
        unreachable!("the loop has no end")
    }

    #[test]
    fn a_failure_counts_once_per_interval_however_often_one_looks() {
        let begun = Instant::now();
        assert_eq!(judged_at(&mut HealthMemory::default(), &LABEL, begun, 0), 14);
        let slow = HealthLabel { start_period_ms: 30_000, ..LABEL };
        assert_eq!(judged_at(&mut HealthMemory::default(), &slow, begun, 0), 44);
        // Known to have been well: the start period is over.
        let mut memory = HealthMemory::default();
        memory.learn(Ok(()), &slow, Duration::from_secs(1), begun + Duration::from_secs(1));
        assert_eq!(judged_at(&mut memory, &slow, begun, 6), 15);
        // Of one that runs for long, after a restart of the controller.
        let mut memory = HealthMemory::default();
        assert_eq!(judged_at(&mut memory, &slow, begun, 100), 109);
        let never = HealthLabel { interval_ms: u64::MAX, ..slow };
        memory.learn(refused(), &never, Duration::ZERO, begun + Duration::from_secs(200));
    }

    #[tokio::test]
    async fn a_silent_service_is_waited_for_no_longer_than_an_observation_lasts() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let label = HealthLabel { path: Some("/healthz".to_owned()), timeout_ms: 60_000, ..LABEL };
        let client = http_client().unwrap();
        let begun = Instant::now();
        let result = probe(&client, &label, &address, Duration::from_millis(50)).await;
        assert_eq!(result, Err(format!("GET http://{address}/healthz: no answer within 50 ms")));
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[test]
    fn one_good_answer_makes_a_replica_ready_until_the_next_is_due() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut memory = HealthMemory::default();
        assert_eq!(memory.phase(&LABEL), Phase::Starting);
        judged_at(&mut memory, &LABEL, begun, 0);
        assert!(memory.is_due(&LABEL, at(20)));
        memory.learn(Ok(()), &LABEL, Duration::ZERO, at(20));
        assert_eq!(memory.phase(&LABEL), Phase::Ready);
        assert!(!memory.is_due(&LABEL, at(24)));
        assert!(memory.is_due(&LABEL, at(25)));
        memory.learn(refused(), &LABEL, Duration::ZERO, at(25));
        assert_eq!(memory.phase(&LABEL), Phase::Ready);
    }
}
