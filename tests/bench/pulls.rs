//! Pull requests with the real program against the test forge: from the poll that sees a new head to the comment, and
//! from the poll that sees a merge to the first action.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::controller::{Bench, Controller, service};
use crate::support::github::{Forge, Merge, Proposal};
use crate::support::infra::Infra;

/// Services of which the spec has so many.
const SIZES: [usize; 2] = [10, 1_000];
/// Pull requests at each size: as many as the client writes about in a minute.
const RUNS: u32 = 6;
const SPEC: &str = "controller/spec.yaml";

/// Both figures at each size.
pub(crate) fn report() -> Value {
    let sizes: Vec<Value> = SIZES.into_iter().map(measured).collect();
    json!({ "pulls": sizes })
}

fn measured(services: usize) -> Value {
    let forge = Forge::start();
    let bench = Bench::on_forge(Infra::fake, &forge);
    bench.set_env("FORGE_TOKEN", &forge.token);
    bench.write_config(&format!(
        "{}forge: {{repo: {}, apiUrl: \"{}\", pollInterval: 1s, credentials: {{tokenRef: env/FORGE_TOKEN}}}}\n",
        bench.config(),
        forge.full_name(),
        forge.api_url(),
    ));
    let spec = |first: u32| {
        let template = bench.infra.template("1");
        let mut text = format!("services:\n{}", service("web", first, &template));
        for n in 1..services {
            text.push_str(&service(&format!("service-{n:04}"), 1, &template));
        }
        text
    };
    forge.push_to("main", &[(SPEC, Some(spec(1).as_bytes()))], "acme");
    let mut controller = bench.run();
    let base = forge.head_of("main");
    controller.wait("the first apply", || {
        bench.status().is_some_and(|status| status.applied_commit == Some(base.clone()))
    });

    let (mut planned, mut acted) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        // Each is another number than the one before.
        let (first, head) = (spec(2 + run % 3), spec(6 + run % 3));
        forge.forget_requests();
        let files: &[(&str, Option<&[u8]>)] = &[(SPEC, Some(first.as_bytes()))];
        let number = forge.open(&Proposal { files, ..Proposal::default() });
        planned.push(until_comment(&forge, &mut controller));
        forge.forget_requests();
        forge.push(number, &[(SPEC, Some(head.as_bytes()))]);
        planned.push(until_comment(&forge, &mut controller));

        let merge = forge.merge(number, Merge::Squash, "ann").unwrap();
        controller.wait("the merge to be applied", || {
            bench.status().is_some_and(|status| status.applied_commit == Some(merge.clone()))
        });
        acted.push(from_merge_to_action(&controller, merge.as_str()));
    }
    controller.end();
    forge.finish();
    json!({
        "services": services,
        "poll that sees a head to comment written, ms": spread(planned),
        "poll that sees a merge to first action, ms": spread(acted),
    })
}

/// From the list that was new to the comment that was written after it.
fn until_comment(forge: &Forge, controller: &mut Controller) -> f64 {
    let is_written =
        |operation: &str| operation.contains("comments") && !operation.starts_with("get ");
    controller.wait("a comment", || forge.requests().iter().any(|r| is_written(&r.operation)));
    let requests = forge.requests();
    let written = requests.iter().find(|r| is_written(&r.operation)).unwrap().at;
    let lists = requests.iter().filter(|r| {
        r.operation == "get /repos/{owner}/{repo}/pulls"
            && r.status == 200
            && r.at < written
            && r.query.contains("open")
    });
    millis(lists.last().expect("a list before the comment").at, written)
}

/// From the log: when the branch was seen to have moved, and when the first action began.
fn from_merge_to_action(controller: &Controller, merge: &str) -> f64 {
    let log = controller.log();
    let mut lines =
        log.lines().skip_while(|l| !(l.contains("the branch moved") && l.contains(merge)));
    let seen = at(lines.next().expect("the poll that saw the merge"));
    millis(seen, at(lines.find(|line| line.contains("action begins")).expect("an action")))
}

fn at(line: &str) -> Timestamp {
    let line: Value = serde_json::from_str(line).unwrap();
    line["timestamp"].as_str().unwrap().parse().unwrap()
}

fn millis(from: Timestamp, to: Timestamp) -> f64 {
    Duration::try_from(to.duration_since(from)).unwrap_or_default().as_secs_f64() * 1000.0
}

/// Least, median, most.
fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let round = |value: f64| (value * 10.0).round() / 10.0;
    let [least, most] = [values[0], values[values.len() - 1]].map(round);
    json!({ "least": least, "median": round(values[values.len() / 2]), "most": most, "runs": values.len() })
}
