//! Kills, requests to end, a git server that is away, and another writer on the status branch.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tidegate::git::{Edit, GitError, Signature, StatusWriter};
use tidegate::record::Kind;

use crate::support::controller::{Bench, STATUS_BRANCH, service};
use crate::support::git_servers::GitHttp;
use crate::support::infra::Infra;
use crate::support::relay::Relay;

#[test]
fn killed_in_the_middle_of_a_rollout_the_next_controller_finishes_it() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::process, &server);
    bench.push(&bench.spec(&[("web", 3, "1")]));
    let mut controller = bench.run();
    controller.wait("three replicas", || bench.count("web") == 3);
    controller.wait("them on record", || !bench.history().is_empty());
    let old: BTreeSet<String> = bench.ours().into_iter().map(|seen| seen.template).collect();
    let newest = bench.push(&bench.spec(&[("web", 3, "2")]));
    let fresh = || bench.ours().iter().filter(|seen| !old.contains(&seen.template)).count();
    controller.wait("the first of the new", || fresh() > 0);
    controller.kill();
    assert!(fresh() < 3, "the rollout was over before the kill");

    let mut controller = bench.run();
    controller.wait("the end of the rollout", || {
        bench.status().is_some_and(|s| s.applied_commit.as_ref() == Some(&newest))
    });
    controller.end();
    assert_eq!((fresh(), bench.count("web")), (3, 3));
    assert!(bench.ours().iter().all(|seen| seen.is_whole), "{:#?}", bench.ours());
    bench.assert_history_is_true();
}

#[test]
fn asked_to_end_it_finishes_the_action_in_hand_and_publishes() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::process, &server);
    // Takes its whole drain time to end.
    let stubborn = "{command: [sh, -c, \"trap '' TERM; while :; do sleep 1; done\"], drain: 3s}";
    bench.push(&format!("services:\n{}", service("web", 2, stubborn)));
    let mut controller = bench.run();
    controller.wait("two on record", || bench.history().last().is_some_and(|line| line.to == 2));
    bench.push(&format!("services:\n{}", service("web", 1, stubborn)));
    controller.wait_for_log(r#""action":"destroy""#);
    controller.ask_to_end();
    controller.wait_for_end();
    assert_eq!(bench.count("web"), 1);
    let last = bench.history().pop().unwrap();
    assert_eq!((last.from, last.to, last.kind), (2, 1, Kind::Change));
    bench.assert_history_is_true();
}

#[test]
fn without_the_git_server_it_goes_on_and_tells_later() {
    let server = GitHttp::start();
    let relay = Relay::start(server.port());
    let url = format!("http://127.0.0.1:{}/spec.git", relay.port);
    let bench = Bench::over_http_at(Infra::fake, &server, &url);
    bench.push(&bench.spec(&[("web", 3, "1")]));
    let mut controller = bench.run();
    controller.wait("three on record", || bench.history().last().is_some_and(|line| line.to == 3));

    relay.cut(true);
    // Somebody removes one replica, and then two; each time they are brought back.
    for left in [2, 1] {
        bench.infra.with_world(|world| world.replicas.truncate(left));
        controller.wait("their return", || bench.count("web") == 3);
    }
    controller.wait_for_log("could not publish");
    let published = bench.history().len();
    // A cycle writes down what it did after it did it.
    let journal = bench.path("state/journal.jsonl");
    let lines = || std::fs::read_to_string(&journal).unwrap_or_default().lines().count();
    controller.wait("all four lines in the journal", || lines() == 4);
    // What is not published yet survives a kill.
    controller.kill();
    relay.cut(false);
    let mut controller = bench.run();
    controller.wait("the rest of the history", || bench.history().len() >= published + 4);
    controller.end();
    let story: Vec<_> = bench.history().iter().map(|l| (l.kind, l.from, l.to)).collect();
    let lost_and_restored =
        [(Kind::Drift, 3, 2), (Kind::Change, 2, 3), (Kind::Drift, 3, 1), (Kind::Change, 1, 3)];
    assert_eq!(story[story.len() - 4..], lost_and_restored);
    assert_eq!(story.len(), published + 4);
    bench.assert_history_is_true();
}

#[test]
fn another_writer_on_the_status_branch_loses_nothing_and_neither_does_the_controller() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let mut controller = bench.run();
    let scratch = bench.path("other-writer");
    let author = Signature { name: "Other".to_owned(), email: "other@example.com".to_owned() };
    let remote = server.remote("spec.git");
    let writer = StatusWriter::open(&scratch, remote, STATUS_BRANCH, "main", author);
    let mut writer = writer.unwrap();
    for n in 0..12_u32 {
        // The controller has something to say while the other one writes.
        bench.push(&bench.spec(&[("web", 1 + n % 2, "1")]));
        let line = (format!("other-{n}"), format!("{{\"id\":\"other-{n}\"}}"));
        let edit = Edit::Append { path_stem: "notes/other".to_owned(), lines: vec![line] };
        loop {
            let mut random = || 0.5;
            let edits = std::slice::from_ref(&edit);
            let now = Timestamp::UNIX_EPOCH;
            match writer.publish(edits, "Note\n", now, &mut random, &mut std::thread::sleep) {
                Err(GitError::Rejected { .. }) => {}
                published => break drop(published.unwrap()),
            }
        }
        let count = 1 + n as usize % 2;
        controller.wait("the count", || bench.count("web") == count);
    }
    controller.end();
    let notes = bench.repo.file(STATUS_BRANCH, "notes/other.jsonl").unwrap();
    let notes: BTreeSet<&str> = std::str::from_utf8(&notes).unwrap().lines().collect();
    assert_eq!(notes.len(), 12);
    assert!(bench.repo.history(STATUS_BRANCH).iter().all(|(_, parents)| *parents <= 1));
    bench.assert_history_is_true();
}
