//! How the comment looks.

use std::fmt::Write as _;

use super::*;
use crate::model::Phase as ReplicaPhase;
use crate::model::testing::{replica, target};

const SHOP: &str = r#"
services:
  - id: web
    description: The storefront
    scale:
      autoscale: metrics
      cooldown: 5m
      policy: http
      regions:
        - {name: iad, min: 1, desired: 2, max: 6}
        - {name: fra, min: 1, desired: 1, max: 4}
    template:
      command: ["/web", "--port", "8080"]
      env: {LOG_LEVEL: info, DATABASE_URL: {secretRef: web/database-url}}
      ports: [{name: http, containerPort: 8080}]
      drain: 30s
  - id: jobs
    scale: {regions: [{name: iad, min: 0, desired: 40, max: 50}]}
    template: {command: [jobs]}
policies:
  - name: http
    signals: {cpu: {source: provider, metric: cpuPercent}}
    targets: [{signal: cpu, average: 70}]
    schedules:
      - {name: business-hours, start: "0 8 * * 1-5", end: "0 18 * * 1-5", timezone: Europe/Berlin, replicas: 4}
"#;

fn shot(name: &str, memo: &Memo, section: &Section) {
    let text = body(memo, section, &links());
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("<!-- tidegate:pull:acme "), "{first}");
    let hidden = "<!-- tidegate:pull:acme MEMO HASH -->";
    insta::assert_snapshot!(name, format!("{hidden}\n{rest}"));
}

#[test]
fn a_first_plan() {
    let after = spec(SHOP);
    let plan = plan_of(None, &after, &observed(Vec::new()));
    let notes = ["the base branch moved once".to_owned()];
    let section = section(None, &after, &plan, &[], &notes);
    let memo = Memo {
        verdict: plan::render::verdict(&plan),
        from: None,
        earlier: vec![earlier("Create 1 replica; 0 replicas exist now."), earlier("Not valid.")],
        earlier_left_out: 3,
        ..memo(Phase::Planned)
    };
    shot("first_plan", &memo, &section);
}

/// Web runs and its policy and bounds change; jobs is taken out while it runs.
#[test]
fn a_changed_policy_and_a_service_that_vanishes() {
    let base = spec(SHOP);
    let start = SHOP.find("  - id: jobs").unwrap();
    let end = SHOP.find("policies:").unwrap();
    let without_jobs = [&SHOP[..start], &SHOP[end..]].concat();
    let after = spec(
        &without_jobs
            .replace("average: 70", "average: 55")
            .replace("desired: 2, max: 6", "desired: 2, max: 3")
            .replace("LOG_LEVEL: info", "LOG_LEVEL: debug, EXTRA: \"1\""),
    );
    let hash = base.services.values().nth(1).unwrap().template.as_ref().unwrap().hash();
    let mut world: Vec<_> =
        (0..4).map(|n| replica(&target("web", "iad"), n, &hash, ReplicaPhase::Ready)).collect();
    world.extend((0..2).map(|n| replica(&target("jobs", "iad"), n, &hash, ReplicaPhase::Ready)));
    let plan = plan_of(Some(&base), &after, &observed(world));
    let backtests = [Backtest {
        target: target("web", "iad"),
        table: "| | old | new |\n| --- | --- | --- |\n| replica-hours | 48.0 | 52.5 |".to_owned(),
        chart: Some("xychart-beta\n  line [1, 2, 3]".to_owned()),
        note: Some("two hours of the week have no recording".to_owned()),
    }];
    let section = section(Some(&base), &after, &plan, &backtests, &[]);
    let memo = Memo { verdict: plan::render::verdict(&plan), ..memo(Phase::Planned) };
    shot("changed_policy", &memo, &section);
}

#[test]
fn no_changes_is_said_so() {
    let after = spec("services: []");
    let plan = plan_of(Some(&after), &after, &observed(Vec::new()));
    let memo = Memo { verdict: plan::render::verdict(&plan), ..memo(Phase::Planned) };
    shot("no_changes", &memo, &section(Some(&after), &after, &plan, &[], &[]));
}

#[test]
fn an_invalid_spec_with_its_lines() {
    let text =
        SHOP.replace("min: 0, desired: 40", "min: 60, desired: 40").replace("drain", "drian");
    let sources = sources(&text);
    let findings = spec::load(&sources, None).diagnostics;
    assert!(findings.len() > 1, "{findings:#?}");
    let section = invalid(&findings, &sources, &commit('c'), &links());
    let memo = Memo { verdict: "2 errors.".to_owned(), digest: None, ..memo(Phase::Invalid) };
    shot("invalid", &memo, &section);
}

#[test]
fn a_conflict_names_the_files() {
    let paths = ["controller/spec.yaml".to_owned(), "controller/services/a b.yaml".to_owned()];
    let memo = Memo {
        verdict: "It conflicts with the base branch in 2 files.".to_owned(),
        digest: None,
        ..memo(Phase::Conflict)
    };
    shot("conflict", &memo, &conflict(&paths));
}

#[test]
fn every_phase_has_a_head() {
    let words = ["web/iad: max is 8, reviewed was 6".to_owned(), "jobs/iad: gone".to_owned()];
    let mut heads = String::new();
    for (name, phase) in phases(&words) {
        let head = head::head(&memo(phase), &links());
        assert!(!head.contains("0 of 0"), "{head}");
        let _ = writeln!(heads, "==== {name}\n{head}");
    }
    insta::assert_snapshot!("heads", heads);
}
