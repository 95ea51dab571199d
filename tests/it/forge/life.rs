//! The life of a pull request: one comment, no needless write, and the outcome where the plan was.

use super::scene::{SPEC, Scene};
use crate::support::github::Merge;

#[test]
fn from_an_invalid_spec_to_applied_in_one_comment() {
    let scene = Scene::new("");
    let base = [("api", 1, "1"), ("web", 2, "1")];
    scene.push(&base);
    let mut controller = scene.run();

    // Opened, invalid.
    let broken = scene.bench.spec(&base).replace("desired: 2, max", "desired: 2, maxx");
    let number = scene.open_text("More web", &broken);
    scene.wait_for_comment(&mut controller, number, "maxx");
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "failure");

    // Fixed.
    let fixed = scene.bench.spec(&[("api", 1, "1"), ("web", 4, "1")]);
    let head = scene.forge.push(number, &[(SPEC, Some(fixed.as_bytes()))]);
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    scene.wait_for_comment(&mut controller, number, "Create 2 replicas");
    insta::assert_snapshot!("life_planned", tidied(&scene, number));

    // The base moves: a file beside the spec, which changes nothing of the plan.
    let moved = scene.forge.push_to("main", &[("README.md", Some(b"moved\n"))], "acme");
    controller.wait("the base's new head to be seen", || {
        scene.bench.status().is_some_and(|status| status.spec_commit == moved)
    });
    // The live count moves: somebody takes a replica away, and it comes back.
    scene.bench.infra.with_world(|world| world.replicas.retain(|r| r.ordinal.0 != 1));
    controller.wait("the replica to be back", || scene.bench.count("web") == 2);
    scene.let_rounds_pass(&mut controller, 3);

    // Merged, applied.
    let merge = scene.forge.merge(number, Merge::Merge, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Applied");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    assert_eq!(scene.bench.count("web"), 4);
    scene.let_rounds_pass(&mut controller, 3);
    insta::assert_snapshot!("life_applied", tidied(&scene, number));
    insta::assert_snapshot!("life_transcript", super::timeless(&scene.forge.transcript()));
    let writes = scene.forge.counts();
    assert_eq!(writes.writes["post /repos/{owner}/{repo}/issues/{issue_number}/comments"], 1);
    controller.end();
    scene.forge.finish();
}

/// A comment with what differs from run to run replaced.
fn tidied(scene: &Scene, number: u64) -> String {
    let text = scene.comment(number).unwrap();
    let mut shown = String::new();
    for line in text.lines().filter(|line| !line.starts_with("<!-- tidegate:pull:")) {
        shown.push_str(line);
        shown.push('\n');
    }
    super::tidied(&shown, scene)
}
