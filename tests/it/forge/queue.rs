//! The forge's merge queue: its commits need the check that guards the branch, and have no pull request of their own.

use super::scene::{SPEC, Scene};

#[test]
fn what_the_queue_makes_has_its_check_and_no_comment() {
    let scene = Scene::new("");
    let base = scene.push(&[("web", 2, "1")]);
    let mut controller = scene.run();
    scene.wait_for_check(&mut controller, &base, "tidegate/apply", "success");
    scene.forge.forget_requests();

    let good = scene.bench.spec(&[("web", 4, "1")]);
    let queued = |name: &str, spec: &str| {
        let branch = format!("gh-readonly-queue/main/{name}");
        scene.forge.push_to(&branch, &[(SPEC, Some(spec.as_bytes()))], "acme")
    };
    let commit = queued("pr-1-abc", &good);
    let said = scene.wait_for_check(&mut controller, &commit, "tidegate/plan", "success");
    assert!(said.contains("Create 2 replicas"), "{said}");
    let commit = queued("pr-2-def", &good.replace("desired: 4", "desired: 40"));
    let said = scene.wait_for_check(&mut controller, &commit, "tidegate/plan", "failure");
    assert!(said.contains("1 error"), "{said}");

    // The queue of another branch is none of ours.
    let other = "gh-readonly-queue/release/pr-3-abc";
    let other = scene.forge.push_to(other, &[(SPEC, Some(b"services: []\n"))], "acme");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(scene.forge.statuses(&other).len(), 0);
    assert_eq!(scene.forge.counts().writes_in_all(), 2, "each once, and no comment");
    assert_eq!(scene.bench.count("web"), 2, "nothing of the queue is in force");
    controller.end();
    scene.forge.finish();
}
