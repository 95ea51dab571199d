//! Tells whether a running container serves: one probe, made while observing, and what earlier probes of
//! the same run said.
//!
//! The memory of earlier probes is lost when the controller restarts. That is harmless: the first probe
//! that goes well makes the replica ready again, and an unhealthy one is found out again after
//! `failures` observations.

use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::labels::HealthLabel;
use crate::model::Phase;

/// How long a TCP probe listens for a hang-up. The daemon's own proxy accepts every connection on a
/// published port and hangs up when nothing listens inside; this tells the two apart.
const HANGUP_WAIT: Duration = Duration::from_millis(100);

/// What the probes of one run of a container said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HealthMemory {
    /// When a probe last went well.
    last_ok: Option<Timestamp>,
    /// Failures in a row.
    failures: u32,
}

impl HealthMemory {
    /// Whether a probe is due: always while the replica is not known to be well, else once per interval.
    pub(super) fn is_due(&self, label: &HealthLabel, now: Timestamp) -> bool {
        match self.last_ok {
            Some(last_ok) if self.failures == 0 => {
                millis_between(last_ok, now) >= i128::from(label.interval_ms)
            }
            _ => true,
        }
    }

    /// Takes in what a probe said.
    pub(super) fn learn(
        &mut self,
        result: &Result<(), String>,
        label: &HealthLabel,
        started_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        match result {
            Ok(()) => *self = Self { last_ok: Some(now), failures: 0 },
            Err(_) if self.last_ok.is_none() && in_start_period(label, started_at, now) => {}
            Err(_) => self.failures = self.failures.saturating_add(1),
        }
    }

    /// Where a running replica is in its life, given the last probe's result; `None` when none was due.
    pub(super) fn phase(&self, label: &HealthLabel, result: Option<&Result<(), String>>) -> Phase {
        match result {
            Some(Err(why)) if self.failures >= label.failures.max(1) => {
                Phase::Unhealthy { why: why.clone() }
            }
            _ if self.last_ok.is_some() => Phase::Ready,
            _ => Phase::Starting,
        }
    }
}

fn in_start_period(label: &HealthLabel, started_at: Option<Timestamp>, now: Timestamp) -> bool {
    started_at.is_some_and(|at| millis_between(at, now) < i128::from(label.start_period_ms))
}

fn millis_between(from: Timestamp, to: Timestamp) -> i128 {
    to.duration_since(from).as_millis()
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

/// Makes one probe of `address` (`host:port`); the error is a sentence fragment.
pub(super) async fn probe(
    client: &reqwest::Client,
    label: &HealthLabel,
    address: &str,
) -> Result<(), String> {
    let limit = Duration::from_millis(label.timeout_ms);
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

    #[test]
    fn a_replica_is_unhealthy_after_enough_failures_and_starting_until_the_first_success() {
        let label = HealthLabel {
            path: None,
            port: 80,
            interval_ms: 5_000,
            timeout_ms: 1_000,
            failures: 2,
            start_period_ms: 30_000,
        };
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut memory = HealthMemory::default();
        let bad = Err("refused".to_owned());
        let mut after = |second: i64, result: &Result<(), String>| {
            memory.learn(result, &label, Some(start), at(second));
            memory.phase(&label, Some(result))
        };
        assert_eq!(after(10, &bad), Phase::Starting);
        assert_eq!(after(20, &bad), Phase::Starting);
        assert_eq!(after(25, &Ok(())), Phase::Ready);
        assert_eq!(after(26, &bad), Phase::Ready);
        assert_eq!(after(27, &bad), Phase::Unhealthy { why: "refused".to_owned() });
        assert_eq!(after(40, &Ok(())), Phase::Ready);
        assert!(!memory.is_due(&label, at(44)));
        assert!(memory.is_due(&label, at(45)));
        assert_eq!(memory.phase(&label, None), Phase::Ready);
    }
}
