//! `burst`, `pause` and `resume`: what is asked for, refused and said.

use std::fmt::Write as _;
use std::fs;

use super::{said, snapshot};
use crate::support::controller::{Bench, STATUS_BRANCH};
use crate::support::git_servers::{GitHttp, GitSsh};
use crate::support::infra::Infra;

const ANN: &str = "Ann <ann@example.com>";

/// `web` in two regions with a burst TTL, and `db` whose count only commits change.
const SPEC: &str = "services:
  - id: web
    scale:
      burstTTL: 30m
      maxHourlyCost: 0.05
      regions:
        - {name: local, min: 1, desired: 2, max: 6}
        - {name: far, min: 0, desired: 0, max: 4, burstTTL: 10m}
    template: {image: a}
  - id: db
    scale: {autoscale: disabled, regions: [{name: local, min: 1, desired: 1, max: 1}]}
    template: {image: a}
";

fn bench() -> Bench {
    let bench = Bench::new(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "warn");
    let prices = "prices: {currency: EUR, perReplicaHour: {default: 0.01}}\n";
    bench.write_config(&format!("{}{prices}", bench.config()));
    fs::write(bench.path(".gitconfig"), "[user]\n\tname = Ann\n\temail = ann@example.com\n")
        .unwrap();
    bench.push(SPEC);
    bench
}

fn file(bench: &Bench) -> String {
    let bytes = bench.repo.file(STATUS_BRANCH, "overrides.yaml");
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

fn message(bench: &Bench) -> String {
    let repository = bench.repo.open();
    let head = repository.find_reference(&format!("refs/heads/{STATUS_BRANCH}")).unwrap();
    head.peel_to_commit().unwrap().message().unwrap().to_owned()
}

#[test]
fn a_burst_and_a_pause_from_begin_to_end() {
    let bench = bench();
    let dir = bench.dir.path();
    let snap = |name: &str, args: &[&str]| snapshot(name, dir, &said(&bench.tidegate(args)));
    let burst = ["burst", "web", "--region", "local", "--replicas", "4", "--reason", "TV spot"];

    snap("burst_dry_run", &[&burst[..], &["--dry-run"]].concat());
    assert_eq!(bench.repo.open().references().unwrap().count(), 1, "there is only the spec");
    snap("burst", &burst);
    snapshot("burst_message", dir, &message(&bench));
    assert!(file(&bench).contains(ANN), "{}", file(&bench));
    snap(
        "burst_with_warnings",
        &["burst", "web", "-n", "9", "-m", "a \u{202e}lot", "--author", "Bob"],
    );
    snap("burst_again", &["burst", "web", "--region", "local", "-n", "5", "-m", "more"]);
    snap("pause_json", &["pause", "web", "--for", "2h", "-m", "migration", "--output", "json"]);
    snapshot("overrides_file", dir, &file(&bench));
    snap("resume", &["resume", "web"]);
    snap("resume_again", &["resume", "web"]);
    snap("burst_end_json", &["burst", "--end", "web", "--output", "json"]);
    assert_eq!(file(&bench), "version: 1\nbursts: []\npauses: []\n");
    snap("burst_end_again", &["burst", "--end", "web"]);
}

#[test]
fn what_may_not_be_is_refused() {
    let bench = bench();
    let mut all = String::new();
    let mut refused = |args: &[&str]| {
        write!(all, "$ tidegate {}\n{}\n", args.join(" "), said(&bench.tidegate(args))).unwrap();
    };
    for args in [
        &["burst", "wbe", "-n", "3", "-m", "r"][..],
        &["burst", "web", "--region", "mars", "-n", "3", "-m", "r"],
        &["burst", "db", "-n", "3", "-m", "r"],
        &["burst", "web", "--for", "20m", "-n", "3", "-m", "r"],
        &["burst", "web", "--region", "local", "--for", "31m", "-n", "3", "-m", "r"],
        &["pause", "db", "--for", "31d", "-m", "r"],
        &["pause", "db", "-m", "a \u{1b}[31mred one"],
        &["burst", "web", "-n", "0", "-m", "r"],
        &["burst", "web", "-n", "3"],
        &["burst", "WEB", "-n", "3", "-m", "r"],
        &["burst", "--end", "web", "-n", "3"],
        &["pause", "web"],
    ] {
        refused(args);
    }
    assert_eq!(bench.repo.open().references().unwrap().count(), 1, "nothing was written");

    let newer = b"version: 2\nsomething: else\n";
    bench.repo.commit(STATUS_BRANCH, &[("overrides.yaml", newer)]);
    refused(&["pause", "web", "-m", "r"]);
    assert_eq!(file(&bench).as_bytes(), newer);
    bench.repo.commit(
        STATUS_BRANCH,
        &[("overrides.yaml", b"version: 1\n"), ("status.yaml", b"version: 9\nowner: another\n")],
    );
    refused(&["pause", "web", "-m", "r"]);
    refused(&["resume", "web"]);
    assert_eq!(file(&bench), "version: 1\n");
    snapshot("asking_refused", bench.dir.path(), &all);
}

#[test]
fn a_bad_commit_keeps_nobody_from_a_burst() {
    let bench = bench();
    bench.push("services: 1\n");
    let burst = ["burst", "web", "-n", "3", "-m", "r"];
    snapshot("burst_no_spec", bench.dir.path(), &said(&bench.tidegate(&burst)));
    bench.push(&bench.spec(&[("web", 1, "1")]));
    bench.tidegate(&["apply"]).code(0);
    bench.push("services: 1\n");
    bench.tidegate(&burst).code(0);
    assert!(file(&bench).contains("service: web"), "by the spec that is in force");
}

#[test]
fn it_needs_no_more_than_the_configuration_and_a_way_to_the_repository() {
    let (http, ssh) = (GitHttp::start(), GitSsh::start());
    for bench in [Bench::over_http(Infra::fake, &http), Bench::over_ssh(Infra::fake, &ssh)] {
        bench.push(&bench.spec(&[("web", 1, "1")]));
        // No state folder to be had, and a provider whose credentials are elsewhere.
        fs::write(bench.path("not-a-folder"), "").unwrap();
        let state = bench.path("state").display().to_string();
        let nowhere = bench.path("not-a-folder/state").display().to_string();
        let edge = "edge: {type: docker, hosts: {local: \"unix:///no.sock\"}, \
                    registries: {example.com: {username: a, passwordRef: env/NOPE}}}";
        let config = bench.config().replace(&state, &nowhere);
        bench.write_config(&config.replace("providers:\n", &format!("providers:\n  {edge}\n")));
        bench.tidegate(&["burst", "web", "-n", "3", "-m", "r", "--author", "A"]).code(0);
        assert!(file(&bench).contains("replicas: 3"));
        bench.tidegate(&["history"]).code(0);
    }
}
