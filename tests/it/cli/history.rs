//! `history`: the lines of the status branch, the newest first.

use super::{said, snapshot};
use crate::support::controller::{Bench, STATUS_BRANCH};
use crate::support::infra::Infra;

fn line(id: &str, time: &str, service: &str, kind: &str, reason: &str) -> String {
    let line = serde_json::json!({
        "v": 1, "id": id, "time": time, "target": {"service": service, "region": "local"},
        "kind": kind, "from": 1, "to": 2, "reason": reason, "sentence": format!("line {id}"),
        "specCommit": "a".repeat(40), "actor": "Ann", "outcome": "applied",
        "durationMs": 1, "dryRun": false,
    });
    format!("{line}\n")
}

#[test]
fn what_a_controller_did_is_told() {
    let bench = Bench::new(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "off");
    let history = || said(&bench.tidegate(&["history"]));
    snapshot("history_none", bench.dir.path(), &history());
    bench.push(&bench.spec(&[("web", 2, "1")]));
    bench.tidegate(&["apply"]).code(0);
    snapshot("history", bench.dir.path(), &history());
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let bench = Bench::new(Infra::fake);
    bench.push("services: []\n");
    let days = [
        ("history/2026/01/31.jsonl", line("1", "2026-01-31T23:59:59Z", "web", "change", "bounds")),
        (
            "history/2026/02/01.jsonl",
            line("2", "2026-02-01T00:00:00Z", "web", "drift", "drift")
                + &line("3", "2026-02-01T08:00:00Z", "db", "change", "bounds")
                + "{\"v\":2}\n",
        ),
        ("history/2026/02/01.1.jsonl", line("4", "2026-02-01T09:00:00Z", "web", "held", "held")),
        ("history/2026/02/03.jsonl", line("5", "2026-02-03T00:00:00Z", "web", "change", "target")),
    ];
    let files: Vec<(&str, &[u8])> =
        days.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    bench.repo.commit(STATUS_BRANCH, &files);
    let ids = |args: &[&str]| {
        let all = [&["history", "--until", "2026-02-04", "--output", "json"], args].concat();
        let ran = bench.tidegate(&all).code(0);
        let lines: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
        let ids = lines.iter().map(|line| line["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>().concat(), ran.stderr.lines().count())
    };
    let said = |ids: &str, notes: usize| (ids.to_owned(), notes);
    assert_eq!(ids(&[]), said("54321", 1), "and that a line is left out");
    assert_eq!(ids(&["web"]), said("5421", 1));
    assert_eq!(ids(&["--region", "mars"]), said("", 1));
    assert_eq!(ids(&["--kind", "drift"]), said("2", 1));
    assert_eq!(ids(&["--reason", "bounds"]), said("31", 1));
    assert_eq!(ids(&["--since", "2026-02-01"]), said("5432", 1));
    assert_eq!(ids(&["--since", "2026-02-01T01:00:00+01:00", "db"]), said("3", 1));
    assert_eq!(ids(&["--since", "2026-02-02"]), said("5", 0), "no more days than needed");
    assert_eq!(ids(&["--limit", "1"]), said("5", 2), "and that there is more");
    assert_eq!(ids(&["--limit", "1", "--since", "2026-02-02"]), said("5", 0));
    assert_eq!(ids(&["--limit", "2"]), said("54", 2));
    for wrong in [&["--kind", "any"][..], &["--since", "monday"], &["--limit", "0"]] {
        bench.tidegate(&[&["history"], wrong].concat()).code(64);
    }
}
