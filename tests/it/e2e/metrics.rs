//! Load that a real Prometheus measures moves real processes, and what it cannot tell moves nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate::model::Measured;
use tidegate::record::Kind;

use crate::support::controller::Bench;
use crate::support::infra::Infra;
use crate::support::load::AT_ONCE;
use crate::support::programs::wait_until;
use crate::support::prometheus::{Exporter, Prometheus};

/// Several intervals, and several times the window after which a count may go down.
const BLIND: Duration = Duration::from_secs(4);

fn bench(infra: fn(&std::path::Path) -> Infra, server: &Prometheus) -> Bench {
    let bench = Bench::new(infra);
    let metrics = format!("metrics: {{prom: {{type: prometheus, url: '{}'}}}}\n", server.url());
    bench.write_config(&format!("{}{metrics}", bench.config()));
    bench
}

fn jobs(count: u32) -> String {
    format!("jobs{{queue=\"a\"}} {count}\n")
}

#[test]
fn processes_follow_the_load_within_bounds_and_without_data_none_goes() {
    let exporter = Exporter::start(&jobs(20));
    let mut server = Prometheus::start(&exporter, None);
    let bench = bench(Infra::process, &server);
    let policy = format!(
        "{{signals: {{jobs: {{source: prom, query: sum(jobs), maxAge: 5s}}}}, targets: [{{signal: jobs, \
         perReplica: 10}}], behavior: {AT_ONCE}}}"
    );
    bench.push(&format!("services:\n{}", bench.moved("web", [1, 2, 5], "", &policy)));
    let mut controller = bench.run();
    controller.wait("two for 20 jobs", || bench.rests_at("web", 2, None));
    for (load, count, refused) in
        [(42, 5, None), (90, 5, Some("at-max")), (15, 2, None), (3, 1, None), (40, 4, None)]
    {
        exporter.set(&jobs(load));
        controller.wait(&format!("{count} for {load} jobs"), || {
            bench.rests_at("web", count, refused) && bench.count("web") == count as usize
        });
    }

    // The jobs are gone, but nobody can know.
    server.stop();
    exporter.set(&jobs(3));
    controller.wait("a hold", || bench.rests_at("web", 4, Some("missing-data")));
    let told = bench.told("web").unwrap().refused.unwrap().sentence;
    assert!(told.contains("jobs"), "{told}");
    let explained = bench.explain("web");
    assert_eq!(explained["effective"], 4);
    assert_eq!(explained["refused"]["reason"], "missing-data");
    let begun = Instant::now();
    while begun.elapsed() < BLIND {
        assert_eq!(bench.count("web"), 4);
        std::thread::sleep(Duration::from_millis(100));
    }
    let refused = bench.lines("web").pop().unwrap();
    assert_eq!((refused.kind, refused.reason.as_str()), (Kind::Refused, "missing-data"));
    server.start_again();
    controller.wait("one for 3 jobs", || bench.rests_at("web", 1, None));
    controller.end();

    for line in bench.lines("web") {
        assert!(line.to <= 5 && (line.from == 0 || line.to >= 1), "{line:#?}");
        let measured = line.inputs.map(|inputs| inputs.measured).unwrap_or_default();
        let is_known = matches!(measured[..], [Measured::Value { .. }]);
        assert!(line.to >= line.from || is_known, "{} to {}: {measured:?}", line.from, line.to);
    }
    bench.assert_history_is_true();
    bench.assert_replays();
}

#[test]
fn what_is_no_answer_is_told_as_what_it_is() {
    let old = jiff::Timestamp::now().as_millisecond() - 120_000;
    let exporter = Exporter::start(&format!(
        "{}two{{a=\"1\"}} 1\ntwo{{a=\"2\"}} 2\nodd NaN\nold 7 {old}\n",
        jobs(5)
    ));
    let server = Prometheus::start(&exporter, None);
    let bench = bench(Infra::fake, &server);
    let queries =
        [("good", "jobs"), ("none", "absence"), ("odd", "odd"), ("old", "old"), ("two", "two")];
    let service = |(name, query): &(&str, &str)| {
        let policy = format!(
            "{{signals: {{it: {{source: prom, query: {query}, maxAge: 60s}}}}, targets: [{{signal: it, \
             perReplica: 10}}], behavior: {AT_ONCE}}}"
        );
        // All would rest at the least, did they know.
        bench.moved(name, [1, 1, 5], "", &policy)
    };
    // As many as there were when the load was higher.
    let before: Vec<(&str, u32, &str)> = queries.iter().map(|(name, _)| (*name, 3, "1")).collect();
    bench.push(&bench.spec(&before));
    bench.tidegate(&["apply"]).code(0);
    let services: String = queries.iter().map(service).collect();
    bench.push(&format!("services:\n{services}"));
    let state = |name: &str| {
        let explained = bench.explain(name);
        let line = explained["trace"].as_array().unwrap().iter().find(|l| l["stage"] == "signals");
        let text = line.unwrap()["sentence"].as_str().unwrap().to_owned();
        (text, explained["effective"].clone(), explained["refused"]["reason"].clone())
    };
    wait_until("a first scrape", || state("good").0.starts_with("it is 5,"));

    let told: BTreeMap<&str, _> = queries.iter().map(|(name, _)| (*name, state(name))).collect();
    for (name, text) in [
        ("none", "it is absent"),
        ("odd", "it cannot be used: the value is not a number"),
        ("old", "it is stale: the newest value, 7, is "),
        ("two", "it cannot be used: 2 series, where one number is needed"),
    ] {
        let (said, effective, refused) = &told[name];
        assert!(said.starts_with(text), "{name}: {said}");
        assert_eq!(
            (effective.as_u64(), refused.as_str()),
            (Some(3), Some("missing-data")),
            "{name}: {said}"
        );
    }
    assert_ne!(told["good"].2, "missing-data");
}
