//! What people do to a spec repository, and what the running controller makes of it.

use std::net::TcpListener;

use tidegate::record::{Health, LineOutcome};

use crate::support::controller::{Bench, Controller, service};
use crate::support::git_servers::{GitHttp, GitSsh};
use crate::support::infra::Infra;

const BROKEN: &str =
    "services:\n  - id: web\n    scale: {regions: [{name: local, min: 5, desired: 1, max: 2}]}\n";

/// Waits until the status branch says that the newest commit was refused with these words.
#[track_caller]
fn wait_for_refusal(controller: &mut Controller, bench: &Bench, words: &str) {
    controller.wait(&format!("the refusal that says {words:?}"), || {
        let refused = bench.status().and_then(|status| status.refused);
        refused.is_some_and(|refused| refused.findings.iter().any(|text| text.contains(words)))
    });
}

/// Waits until the status branch says that all is well.
#[track_caller]
fn wait_for_peace(controller: &mut Controller, bench: &Bench) {
    controller.wait("peace", || {
        bench.status().is_some_and(|status| {
            status.refused.is_none()
                && status.health == Health::Ok
                && status.targets.iter().all(|target| target.count == Some(target.ready))
        })
    });
}

#[test]
fn a_merged_change_becomes_processes_and_a_line_of_history() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::process, &server);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let mut controller = bench.run();
    controller.wait("the first replica", || bench.count("web") == 1);
    let newest = bench.push(&bench.spec(&[("web", 3, "1")]));
    controller.wait("three recorded", || {
        bench.status().is_some_and(|s| s.applied_commit.as_ref() == Some(&newest))
    });
    wait_for_peace(&mut controller, &bench);
    assert!(bench.ours().iter().all(|seen| seen.is_whole));
    let history = bench.history();
    let last = history.last().unwrap();
    assert_eq!((last.from, last.to), (1, 3));
    assert_eq!((&last.spec_commit, last.actor.as_str()), (&newest, "Ann"));
    bench.assert_history_is_true();
    let plan = bench.repo.file("tidegate/status", &format!("plans/{newest}.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    let status = bench.status().unwrap();
    assert_eq!(plan["digest"].as_str(), Some(status.plan_digest.as_str()));
    assert_eq!(last.plan_digest.as_ref(), Some(&status.plan_digest));

    // The replicas outlive the controller, and the next one takes them up as they are.
    let before = bench.ours();
    controller.end();
    assert_eq!(bench.ours(), before);
    let commits = bench.repo.history("tidegate/status").len();
    let started = || {
        let log = std::fs::read_to_string(bench.path("run.log")).unwrap();
        log.matches("\"running\"").count()
    };
    let started_before = started();
    let mut controller = bench.run();
    controller.wait("its start", || started() > started_before);
    bench.tidegate(&["plan", "--detailed-exitcode"]).code(0);
    controller.end();
    assert_eq!(bench.ours(), before);
    assert_eq!(bench.repo.history("tidegate/status").len(), commits, "an idle run commits nothing");
}

#[test]
fn whatever_happens_to_the_branch_nothing_is_harmed_and_the_status_says_why() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    let good = bench.push(&bench.spec(&[("web", 2, "1")]));
    let mut controller = bench.run();
    controller.wait("two replicas", || bench.count("web") == 2);
    let before = bench.ours();

    let refused = bench.push(BROKEN);
    wait_for_refusal(&mut controller, &bench, "controller/spec.yaml:3:");
    let status = bench.status().unwrap();
    assert_eq!(status.spec_commit, good, "the last good commit stays in force");
    assert_eq!(status.refused.unwrap().commit, Some(refused));
    assert_eq!(status.health, Health::Degraded);

    bench.push("");
    wait_for_refusal(&mut controller, &bench, "empty-spec");
    bench.push("services: [");
    wait_for_refusal(&mut controller, &bench, "bad-yaml");
    let repository = bench.repo.open();
    let empty = repository.treebuilder(None).unwrap().write().unwrap();
    bench.repo.commit_tree("main", empty);
    wait_for_refusal(&mut controller, &bench, "controller");
    bench.repo.delete_branch("main");
    wait_for_refusal(&mut controller, &bench, "branch `main` does not exist");

    // Emptied on purpose or by accident: what vanished is held, not destroyed.
    bench.repo.set_branch("main", git2::Oid::from_str(good.as_str()).unwrap());
    wait_for_peace(&mut controller, &bench);
    bench.push("services: []\n");
    controller.wait("the hold", || {
        bench.status().is_some_and(|status| {
            status.targets.iter().any(|t| t.held.iter().any(|h| h.reason == "vanished-service"))
        })
    });
    assert_eq!(bench.ours(), before, "nothing was touched all the while");

    // A force-push to a commit without a common past is a commit like any other.
    bench.repo.delete_branch("main");
    bench.push(&bench.spec(&[("web", 3, "1")]));
    controller.wait("three replicas", || bench.count("web") == 3);
    wait_for_peace(&mut controller, &bench);
    controller.end();
    bench.assert_history_is_true();
}

#[test]
fn a_service_that_fails_does_not_stop_the_others() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::process, &server);
    bench.write_config(&format!("{}secrets: {{db/url: env/NOT_SET}}\n", bench.config()));
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = port.local_addr().unwrap().port();
    let worker = env!("CARGO_BIN_EXE_tidegate");
    let secretive = service(
        "secretive",
        1,
        &format!("{{command: [{worker}, worker], env: {{DB: {{secretRef: db/url}}}}}}"),
    );
    let portless = service(
        "portless",
        1,
        &format!("{{command: [{worker}, worker], ports: [{{containerPort: {number}, hostPort: {number}}}]}}"),
    )
    .replace("max: 9", "max: 1");
    bench.push(&format!("{}{secretive}{portless}", bench.spec(&[("web", 2, "1")])));
    let mut controller = bench.run();
    controller.wait("both failures on record", || {
        bench.status().is_some_and(|status| {
            let failed = |service: &str, words: &str| {
                status.targets.iter().any(|target| {
                    target.target.service.as_str() == service
                        && target.last_error.as_ref().is_some_and(|error| error.contains(words))
                })
            };
            failed("secretive", "env/NOT_SET") && failed("portless", "exit")
        })
    });
    assert_eq!(bench.count("web"), 2);
    assert_eq!(bench.count("secretive"), 0);
    let status = bench.status().unwrap();
    assert_eq!(status.health, Health::Degraded);

    // What goes on failing is not told again and again.
    let lines = bench.history().len();
    let ticks = controller.log().matches("an action failed").count();
    controller.wait("further attempts", || {
        let log = std::fs::read_to_string(bench.path("run.log")).unwrap();
        log.matches("an action failed").count() > ticks + 2
    });
    assert_eq!(bench.history().len(), lines, "{:#?}", bench.history());

    drop(port);
    controller.wait("its port's return", || {
        bench.status().is_some_and(|status| {
            status.targets.iter().any(|t| {
                t.target.service.as_str() == "portless" && t.ready == 1 && t.last_error.is_none()
            })
        })
    });
    controller.end();
    bench.assert_history_is_true();
}

#[test]
fn a_newer_commit_takes_over_from_one_that_is_being_applied() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::process, &server);
    // Runs, and never gets ready.
    let slow = "{command: [sleep, \"1000\"], drain: 1s, ports: [{containerPort: 8080, env: PORT}], \
                health: {http: {path: /}, startPeriod: 10m}}";
    let old = bench.push(&format!("services:\n{}", service("web", 2, slow)));
    let mut controller = bench.run();
    controller.wait("two that start", || bench.count("web") == 2);
    let newer = bench.push(&bench.spec(&[("web", 1, "1")]));
    controller.wait("the newer commit's end", || {
        bench.status().is_some_and(|s| s.applied_commit.as_ref() == Some(&newer))
    });
    wait_for_peace(&mut controller, &bench);
    controller.end();
    let history = bench.history();
    let of_old = history.iter().find(|line| line.spec_commit == old).unwrap();
    assert_eq!(of_old.outcome, LineOutcome::Superseded);
    assert_eq!((of_old.from, of_old.to), (0, 2));
    assert_eq!(history.last().unwrap().outcome, LineOutcome::Applied);
    assert!(bench.ours().iter().all(|seen| seen.is_whole) && bench.count("web") == 1);
    bench.assert_history_is_true();
}

#[test]
fn a_repository_behind_ssh_is_followed_and_written() {
    let server = GitSsh::start();
    let bench = Bench::over_ssh(Infra::fake, &server);
    bench.push(&bench.spec(&[("web", 2, "1")]));
    let mut controller = bench.run();
    wait_for_peace(&mut controller, &bench);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    controller.wait("one replica", || bench.count("web") == 1);
    controller.end();
    bench.assert_history_is_true();
}
