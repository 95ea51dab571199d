//! What `apply` and `run` say about what they did, and could not do, to people, scripts and logs.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use tidegate::providers::testing::{Fault, FaultKind};

use super::{said, snapshot};
use crate::support::controller::Bench;
use crate::support::infra::Infra;

#[test]
fn every_output_says_what_became_of_the_plan() {
    let bench = Bench::new(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "off");
    let apply = |args: &[&str]| said(&bench.tidegate(&[&["apply"], args].concat()));
    let snap = |name: &str, text: &str| snapshot(name, bench.dir.path(), text);

    bench.push(&bench.spec(&[("web", 1, "1")]));
    snap("apply_dry_run_json", &apply(&["--dry-run", "--output", "json"]));
    snap("apply_json", &apply(&["--output", "json"]));
    snap("apply_again_json", &apply(&["--output", "json"]));
    bench.push(&bench.spec(&[("web", 2, "1")]));
    snap("apply_markdown", &apply(&["--output", "markdown"]));
    snap("apply_again_markdown", &apply(&["--output", "markdown"]));

    bench.push(&bench.spec(&[("web", 3, "1")]));
    let denied = || Fault { op: "create".to_owned(), kind: FaultKind::Denied };
    bench.infra.with_world(|world| world.faults.push_back(denied()));
    snap("apply_failed_json", &apply(&["--output", "json"]));
    bench.infra.with_world(|world| world.faults.push_back(denied()));
    snap("apply_failed", &apply(&[]));
}

#[test]
fn what_a_provider_that_is_down_keeps_from_being_done_is_a_failure() {
    let bench = Bench::new(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "off");
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let gone = bench.path("no.sock");
    let docker = format!("{{type: docker, hosts: {{local: \"unix://{}\"}}}}", gone.display());
    bench.write_config(&bench.config().replace(&bench.infra.config(), &docker));
    snapshot("apply_gap", bench.dir.path(), &said(&bench.tidegate(&["apply"])));
    let ran = bench.tidegate(&["apply", "--output", "json"]).code(1);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["result"], "held");
    assert_eq!(document["outcomes"], serde_json::json!([]));
}

#[test]
fn where_nobody_watches_an_apply_is_logged() {
    let bench = Bench::new(Infra::fake);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let ran = bench.tidegate(&["apply"]).code(0);
    let lines: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_create = |line: &&serde_json::Value| line["action"] == "create";
    let create = lines.iter().find(is_create).unwrap_or_else(|| panic!("{ran}"));
    assert_eq!(create["replica"], "web/local#0");
    assert_eq!(create["level"], "INFO");
}

#[test]
fn a_dry_run_logs_each_plan_once() {
    let bench = Bench::new(Infra::fake);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let mut command = bench.command(&["run", "--dry-run", "--log-format", "json"]);
    let mut child =
        command.stderr(Stdio::piped()).stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut plans = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let message = line["message"].as_str().unwrap_or_default();
        let Some(plan) = message.strip_prefix("plan: ") else { continue };
        plans.push(plan.to_owned());
        match plans.len() {
            1 => drop(bench.push(&bench.spec(&[("web", 2, "1")]))),
            2 => drop(bench.push("services: []\n")),
            _ => break,
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = [
        "Create 1 replica; 0 replicas exist now.",
        "Create 2 replicas; 0 replicas exist now.",
        "No changes: 0 targets are as the spec says.",
    ];
    assert_eq!(plans, expected);
    assert_eq!((bench.ours().len(), bench.status()), (0, None), "nothing was changed");
}
