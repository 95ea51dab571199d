//! `explain`: why a count is what it is, now and then.

use jiff::Timestamp;

use super::{said, snapshot};
use crate::support::controller::Bench;
use crate::support::infra::Infra;
use crate::support::load::AT_ONCE;

/// `web` follows its load, `db` is as the spec says.
fn bench() -> Bench {
    let bench = Bench::with_script(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "off");
    bench.load(&[("load", 25.0)]);
    let policy = format!(
        "{{signals: {{load: {{source: script, metric: load, maxAge: 10m}}, lost: {{source: script, metric: \
         lost, onMissing: ignore}}}}, targets: [{{signal: load, perReplica: 10}}], rules: [{{name: high, \
         when: {{signal: lost, above: 5}}, scaleBy: 1}}], behavior: {AT_ONCE}}}"
    );
    let web = bench.moved("web", [1, 2, 4], "", &policy);
    bench.push(&format!("services:\n{web}{}", bench.service("db", 1, "1")));
    bench
}

#[test]
fn the_present_is_decided_and_the_past_is_recalled() {
    let bench = bench();
    let dir = bench.dir.path();
    let told = |args: &[&str]| said(&bench.tidegate(&[&["explain"], args].concat()));
    let snap = |name: &str, args: &[&str]| snapshot(name, dir, &told(args));
    snap("explain_nothing_yet", &["web", "--at", "2h"]);
    snap("explain_first", &["web"]);
    assert_eq!(bench.ours().len(), 0, "nothing is changed");
    bench.tidegate(&["apply"]).code(0);
    let then = Timestamp::now().to_string();

    bench.load(&[("load", 70.0)]);
    snap("explain_text", &["web", "--region", "local"]);
    snap("explain_json", &["web", "--region", "local", "--output", "json"]);
    snap("explain_of_the_spec", &["db"]);
    bench.tidegate(&["apply"]).code(0);
    snap("explain_at", &["web", "--at", &then]);
    snap("explain_at_json", &["web", "--region", "local", "--at", "0s", "--output", "json"]);
    let errors: String = [
        &["wbe"][..],
        &["web", "--region", "mars"],
        &["db", "--region", "far", "--at", "0s"],
        &["web", "--at", "2026-01-01T00:00:00Z"],
    ]
    .iter()
    .map(|args| format!("$ tidegate explain {}\n{}\n", args.join(" "), told(args)))
    .collect();
    snapshot("explain_errors", dir, &errors);
    for wrong in [&["WEB"][..], &["web", "--at", "monday"], &[]] {
        bench.tidegate(&[&["explain"], wrong].concat()).code(64);
    }
}
