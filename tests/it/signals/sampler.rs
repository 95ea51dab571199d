//! Sampling for a whole spec: each question once, and nobody waits for who hangs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::model::{Measured, Observed, OwnerId, TargetId};
use tidegate::observe::signals::{Measurements, PATIENCE, Signals};
use tidegate::providers::Ctx;
use tidegate::providers::registry::Providers;

use super::{now, sources, spec_of};
use crate::support::prometheus::{Exporter, Prometheus};
use crate::support::web_server::{Reply, WebServer};

/// Time between decisions.
const INTERVAL: Duration = Duration::from_secs(15);

fn ctx() -> Ctx {
    Ctx { now: Timestamp::now(), owner: OwnerId::try_from("acme").unwrap() }
}

fn nothing() -> Observed {
    Observed { at: Timestamp::now(), replicas: Vec::new(), gaps: Vec::new() }
}

/// A service that a policy moves in two regions.
fn service(id: &str, policy: &str) -> String {
    format!(
        "  - {{id: {id}, scale: {{autoscale: metrics, policy: {policy}, regions: [{{name: iad, min: 1, desired: \
         1, max: 3}}, {{name: fra, min: 1, desired: 1, max: 3}}]}}}}\n"
    )
}

/// A policy whose signals are these, each with a source and a question.
fn policy(name: &str, signals: &[(&str, &str)]) -> String {
    let lines: String =
        signals.iter().map(|(name, from)| format!("      {name}: {{{from}}}\n")).collect();
    let first = signals[0].0;
    format!(
        "  - name: {name}\n    signals:\n{lines}    targets: [{{signal: {first}, perReplica: 10}}]\n"
    )
}

fn of(measurements: &Measurements, service: &str, region: &str) -> Vec<String> {
    let target =
        TargetId { service: service.try_into().unwrap(), region: region.try_into().unwrap() };
    let word = |measured: &Measured| match measured {
        Measured::Value { value, .. } => value.to_string(),
        Measured::Absent => "absent".to_owned(),
        Measured::Failed(why) => why.to_string(),
    };
    measurements.of(&target).iter().map(word).collect()
}

#[tokio::test]
async fn a_question_is_asked_once_however_many_targets_share_it() {
    let exporter = Exporter::start("jobs 42\n");
    let server = Prometheus::start(&exporter, None);
    let port = server.port;
    let tap = WebServer::start(move |_| Reply::From(port));
    let sources = sources(&format!(
        "  prom: {{type: prometheus, url: 'http://127.0.0.1:{}'}}\n  fix: {{type: fixed, values: {{a: 1}}}}",
        tap.port
    ));
    let jobs = ("jobs", "source: prom, query: sum(jobs)");
    let spec = spec_of(&format!(
        "services:\n{}{}{}  - {{id: still, scale: {{policy: other, regions: [{{name: iad, min: 1, desired: 1, max: 2}}]}}}}\npolicies:\n{}{}",
        service("one", "shared"),
        service("two", "shared"),
        service("three", "other"),
        policy(
            "shared",
            &[("a", "source: fix, metric: a"), jobs, ("lost", "source: gone, metric: x")]
        ),
        policy("other", &[jobs, ("seen", "source: proxy, metric: requestsPerSecond")]),
    ));
    let mut signals = Signals::new(sources, INTERVAL);
    let deadline = Instant::now() + super::PATIENCE;
    let measured = loop {
        let before = tap.seen().len();
        let measured = signals.sample(&ctx(), &spec, &Providers::new(), &nothing()).await;
        if of(&measured, "one", "iad")[1] == "42" {
            // The value, and the time of its samples.
            assert_eq!(tap.seen().len() - before, 2, "{:?}", tap.seen());
            break measured;
        }
        assert!(Instant::now() < deadline, "{measured:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let shared = ["1", "42", "the configuration has no metric source `gone`"];
    for (service, expected) in
        [("one", &shared[..]), ("two", &shared), ("three", &["42", "absent"])]
    {
        assert_eq!(of(&measured, service, "iad"), expected, "{service}");
        assert_eq!(of(&measured, service, "fra"), expected, "{service}");
    }
    assert!(of(&measured, "still", "iad").is_empty(), "no policy moves it");
    assert_eq!(measured.iter().count(), 6);
}

#[tokio::test]
async fn who_hangs_costs_its_own_signals_and_is_not_waited_for_twice() {
    let slow = WebServer::start(|_| Reply::Text(200, "", r#"{"depth": 5}"#.to_owned()));
    let url = format!("http://127.0.0.1:{}", slow.port);
    let sources = sources(&format!(
        "  slow: {{type: http, url: '{url}', timeout: 10s}}\n  fix: {{type: fixed, values: {{a: 1}}}}"
    ));
    let text = |signals: &[(&str, &str)]| {
        format!("services:\n{}policies:\n{}", service("web", "it"), policy("it", signals))
    };
    let fix = ("a", "source: fix, metric: a");
    let depth = ("depth", "source: slow, metric: /depth");
    let spec = spec_of(&text(&[fix, depth]));
    let mut signals = Signals::new(sources, INTERVAL);
    let mut rounds = async || {
        let begun = Instant::now();
        let measured = signals.sample(&ctx(), &spec, &Providers::new(), &nothing()).await;
        (of(&measured, "web", "iad"), begun.elapsed(), measured)
    };
    let (said, took, measured) = rounds().await;
    assert_eq!(said, ["1", "5"]);
    assert!(took < PATIENCE, "{took:?}");
    let fresh = measured.iter().next().unwrap().1[1].clone();

    slow.answer(|_| Reply::Never);
    let (said, took, _) = rounds().await;
    assert_eq!(said, ["1", "5"], "the last answer stands");
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
    for _ in 0..3 {
        let (said, took, measured) = rounds().await;
        assert_eq!(said, ["1", "5"]);
        assert_eq!(measured.iter().next().unwrap().1[1], fresh, "with the time it was measured at");
        assert!(took < PATIENCE / 2, "{took:?}");
    }
    assert_eq!(slow.seen().len(), 2, "it was asked while it worked, and once since");

    // It is not heard of in time; then it works again.
    let deadline = Instant::now() + super::PATIENCE;
    while rounds().await.0[1] != "no answer within 10s" {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    slow.answer(|_| Reply::Text(200, "", r#"{"depth": 6}"#.to_owned()));
    while rounds().await.0[1] != "6" {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn questions_to_one_source_wait_for_their_turn_and_what_nobody_needs_is_given_up() {
    let hanging = WebServer::start(|_| Reply::Never);
    let sources = sources(&format!(
        "  slow: {{type: http, url: 'http://127.0.0.1:{}', concurrency: 2, timeout: 15s}}",
        hanging.port
    ));
    let names = ["a", "b", "c", "d"];
    let lines: Vec<(&str, String)> =
        names.iter().map(|name| (*name, format!("source: slow, metric: /{name}"))).collect();
    let lines: Vec<(&str, &str)> =
        lines.iter().map(|(name, from)| (*name, from.as_str())).collect();
    let of_signals = |signals: &[(&str, &str)]| {
        spec_of(&format!("services:\n{}policies:\n{}", service("web", "it"), policy("it", signals)))
    };
    let (all, none) = (of_signals(&lines), spec_of("services: []\n"));
    let mut signals = Signals::new(sources, INTERVAL);
    let measured = signals.sample(&ctx(), &all, &BTreeMap::new(), &nothing()).await;
    let unknown = "no answer yet: the first question is still under way";
    assert_eq!(of(&measured, "web", "fra"), [unknown; 4]);
    assert_eq!(hanging.seen().len(), 2, "two at once");
    signals.sample(&ctx(), &none, &BTreeMap::new(), &nothing()).await;
    hanging.answer(|_| Reply::Text(200, "", format!("{{\"a\": {}}}", now().0)));
    // Given up and asked anew, it is answered at once.
    let begun = Instant::now();
    let measured = signals.sample(&ctx(), &all, &BTreeMap::new(), &nothing()).await;
    assert_ne!(of(&measured, "web", "fra")[0], unknown);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
