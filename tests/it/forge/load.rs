//! Much at once: hundreds of open pull requests, and thousands of services in one.

use std::fmt::Write as _;

use crate::support::github::{Logged, Proposal};

use super::scene::{SPEC, Scene};

/// Writes about pull requests that were done, oldest first.
fn done(scene: &Scene) -> Vec<Logged> {
    let mut requests = scene.forge.requests();
    requests.retain(|request| request.is_write() && (200..300).contains(&request.status));
    let is_apply = |request: &Logged| {
        request.body.as_ref().is_some_and(|body| body["context"] == "tidegate/apply")
    };
    requests.retain(|request| !is_apply(request));
    requests
}

fn listings(scene: &Scene) -> Vec<Logged> {
    let mut requests = scene.forge.requests();
    requests.retain(|request| request.operation == "get /repos/{owner}/{repo}/pulls");
    requests.retain(|request| request.query.contains("state=open"));
    requests
}

/// Opens so many pull requests beside the spec, with a label.
fn open_beside(scene: &Scene, count: u64, labels: &[&str]) {
    for n in 1..=count {
        let path = format!("notes/{n}.md");
        let files = [(path.as_str(), Some(&b"A note.\n"[..]))];
        scene.forge.open(&Proposal { files: &files, labels, ..Proposal::default() });
    }
}

#[test]
fn of_hundreds_the_newest_come_first_and_no_limit_is_met() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    open_beside(&scene, 275, &[]);
    let newest: Vec<u64> =
        (0..25).map(|n| scene.open("More web", &[("web", 2 + n % 7, "1")])).collect();
    let mut controller = scene.run();
    // 25 comments and statuses, and some statuses more, are the writes of a minute.
    controller.wait_for_log("waiting before the next call to the forge");
    scene.bench.infra.with_world(|world| world.replicas.clear());
    controller.wait("the lost replica to be back", || scene.bench.count("web") == 1);

    let done = done(&scene);
    assert_eq!(scene.forge.counts().writes_in_all(), 60, "{}", scene.forge.transcript());
    let oldest_said = 301 - u64::try_from(done.len() - 25).unwrap();
    let order: Vec<u64> = done
        .iter()
        .filter_map(|write| write.path.split("/issues/").nth(1)?.strip_suffix("/comments"))
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(order, newest.iter().rev().copied().collect::<Vec<_>>());
    for number in 1..=300 {
        let head = scene.forge.pull(number).head;
        let said = scene.forge.status(&head, "tidegate/plan");
        assert_eq!(said.is_some(), number >= oldest_said, "#{number}: {said:?}");
        assert_eq!(scene.forge.comments(number).len(), usize::from(number > 275), "#{number}");
    }
    let pages = listings(&scene);
    assert!(pages.iter().all(|page| page.query.contains("per_page=100")), "{pages:#?}");
    let requests = scene.forge.requests();
    // One list of three pages, one of what was closed; of each new one its comments and its statuses, and its
    // comments again after writing.
    assert!(requests.len() < 60 + 3 * 40 + 20, "{} requests", requests.len());
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_list_that_did_not_change_costs_nothing_and_a_moved_base_is_no_news() {
    let scene = Scene::new("plan: {ignoreLabels: [skip]},");
    scene.push(&[("web", 1, "1")]);
    // A list whose last page is full is read again, because only its headers say that it is the last.
    open_beside(&scene, 279, &["skip"]);
    for n in 0..20 {
        scene.open("More web", &[("web", 2 + n % 7, "1")]);
    }
    let mut controller = scene.run();
    controller.wait("everything to be said", || done(&scene).len() >= 40);
    scene.let_rounds_pass(&mut controller, 18);
    assert_eq!(done(&scene).len(), 40, "{}", scene.forge.transcript());
    scene.forge.forget_requests();
    scene.let_rounds_pass(&mut controller, 9);
    let mut costly = scene.forge.requests();
    costly.retain(|request| request.status != 304);
    assert!(costly.is_empty(), "{costly:#?}");

    let moved = scene.forge.push_to("main", &[("README.md", Some(b"moved\n"))], "acme");
    controller.wait("the base's new head to be seen", || {
        scene.bench.status().is_some_and(|status| status.spec_commit == moved)
    });
    scene.let_rounds_pass(&mut controller, 9);
    assert_eq!(done(&scene).len(), 0, "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

/// A spec of thousands of services without replicas, in one version.
fn thousands(scene: &Scene, version: &str, desired: u32) -> String {
    let template = scene.bench.infra.template(version);
    let mut spec = "services:\n".to_owned();
    for n in 0..5_000 {
        let _ = writeln!(
            spec,
            "  - id: s{n:04}\n    scale: {{regions: [{{name: local, min: 0, desired: {desired}, max: 9}}]}}\n    \
             template: {template}"
        );
    }
    spec
}

#[test]
fn a_plan_of_thousands_of_services_is_one_comment_and_keeps_nobody_waiting() {
    let scene = Scene::new("");
    let base = thousands(&scene, "1", 0);
    let own = scene.bench.service("own", 1, "1");
    scene.forge.push_to("main", &[(SPEC, Some(format!("{base}{own}").as_bytes()))], "acme");
    let mut controller = scene.bench.run();
    controller.wait("the first apply", || scene.bench.count("own") == 1);
    scene.let_rounds_pass(&mut controller, 1);

    let changed = thousands(&scene, "2", 1);
    let number = scene.open_text("Everything", &format!("{changed}{own}"));
    scene.bench.infra.with_world(|world| world.replicas.clear());
    controller.wait("the lost replica to be back", || scene.bench.count("own") == 1);
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    scene.let_rounds_pass(&mut controller, 2);
    let comment = scene.comment(number).unwrap();
    assert!(comment.chars().count() <= 65_536, "{} characters", comment.chars().count());
    assert!(comment.contains("Create 5000 replicas"), "{comment:.2000}");
    assert_eq!(done(&scene).len(), 2, "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}
