//! Ways past a hold that are none: a stranger's decoy, many commits, looking, applying by hand, a changed
//! configuration. And who may command.

use std::fs;

use tidegate::model::CommitId;

use super::holds::{assert_counts, begin, merge_another, spec, wait_for_hold};
use super::scene::{SPEC, Scene};
use crate::support::controller::Controller;
use crate::support::github::{BOT, Fault, For, Merge, Proposal};

/// Commits beside the spec: more than one page of anything has.
const BESIDE: usize = 120;

/// A scene in which more of `web` was merged than was shown, with the pull request, its commit and the digits.
fn held() -> (Scene, Controller, u64, CommitId, String) {
    let (scene, mut controller) = begin("");
    let (number, merge) =
        merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 5, "1"));
    let digits = wait_for_hold(&scene, &mut controller, number, &merge);
    (scene, controller, number, merge, digits)
}

/// Gives the controller another configuration, and waits until it is in use.
fn change_configuration(scene: &Scene, controller: &mut Controller) {
    let config = fs::read_to_string(scene.bench.path("tidegate.yaml")).unwrap();
    let prices = "prices: {currency: EUR, perReplicaHour: {default: 0.01}}\n";
    scene.bench.write_config(&format!("{config}{prices}"));
    controller.wait_for_log("the changed configuration is in use");
}

#[test]
fn a_strangers_plan_of_the_same_content_is_no_review_of_ours() {
    for fork in [None, Some("rob")] {
        let (scene, mut controller) = begin("");
        let open = |title: &str, fork: Option<&str>, text: &str| {
            scene.forge.open(&Proposal {
                title,
                fork,
                author: fork.unwrap_or("ann"),
                files: &[(SPEC, Some(text.as_bytes()))],
                ..Proposal::default()
            })
        };
        let reviewed = open("More", fork, &spec(1, 3, "1"));
        scene.wait_for_plan(&mut controller, reviewed);
        let decoy = open("Decoy", Some("mallory"), &spec(1, 5, "1"));
        scene.wait_for_plan(&mut controller, decoy);
        scene.assert_quiet(&mut controller);
        assert!(scene.comment(decoy).unwrap().contains("Create 4 replicas"));

        // Nobody can plan what is pushed last.
        scene.forge.fail(Fault::Page503, For::Ever);
        scene.forge.push(reviewed, &[(SPEC, Some(spec(1, 5, "1").as_bytes()))]);
        let merge = scene.forge.merge(reviewed, Merge::Squash, "ann").unwrap();
        controller.wait_for_log("it is not known yet whether the new commit is what was reviewed");
        assert_counts(&scene, 1, 1);
        scene.forge.recover();
        wait_for_hold(&scene, &mut controller, reviewed, &merge);
        scene.assert_quiet(&mut controller);
        assert_counts(&scene, 1, 1);
        let comment = scene.comment(decoy).unwrap();
        assert!(!comment.contains("Merged by") && !comment.contains("### Applied"), "{comment}");
        assert!(!comment.contains("### Held"), "{comment}");
        controller.end();
        scene.forge.finish();
    }
}

#[test]
fn many_commits_beside_the_spec_wash_no_hold_away() {
    let (scene, mut controller, number, _merge, digits) = held();
    let mut last = None;
    for n in 0..BESIDE {
        let text = format!("# infra {n}\n");
        let files: &[(&str, Option<&[u8]>)] = &[("README.md", Some(text.as_bytes()))];
        last = Some(scene.forge.push_to("main", files, "acme"));
    }
    controller.wait("the last of them to be refused", || {
        scene.bench.status().is_some_and(|status| {
            let refused = status.refused.and_then(|refused| refused.commit);
            refused == last || status.applied_commit == last
        })
    });
    scene.assert_quiet(&mut controller);
    assert_counts(&scene, 1, 1);
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("### Held") && comment.contains(&digits), "{comment}");

    scene.forge.permit("ann", "write");
    scene.forge.comment(number, "ann", &format!("/tidegate apply {digits}"));
    scene.wait_for_comment(&mut controller, number, "### Applied");
    assert_counts(&scene, 1, 5);
    controller.end();
    scene.forge.finish();
}

#[test]
fn looking_puts_nothing_in_force_for_the_next_start() {
    let (scene, mut controller, number, merge, digits) = held();
    let looked = scene.bench.tidegate(&["plan"]).code(0);
    assert!(looked.stdout.contains("web/local"), "{looked}");
    let looked = scene.bench.tidegate(&["explain", "web"]);
    assert!(looked.stdout.contains("web"), "{looked}");
    let before = scene.forge.transcript();
    controller.restart(|| scene.bench.run());
    scene.assert_quiet(&mut controller);
    assert_eq!(wait_for_hold(&scene, &mut controller, number, &merge), digits);
    assert_eq!(scene.forge.transcript(), before, "what was said before is said again");
    assert_counts(&scene, 1, 1);
    assert!(scene.bench.history().iter().all(|line| line.to < 3), "nothing of it was applied");
    controller.end();
    scene.forge.finish();
}

#[test]
fn applying_by_hand_passes_the_same_gate() {
    let (scene, controller, number, merge, digits) = held();
    controller.end();
    let before = scene.forge.transcript();
    let ran = scene.bench.tidegate(&["apply"]).code(1);
    let agree = format!("/tidegate apply {digits}");
    assert!(ran.stderr.contains("is held") && ran.stderr.contains(&agree), "{ran}");
    assert_counts(&scene, 1, 1);
    assert_eq!(scene.forge.transcript(), before, "what applies by hand tells nobody");
    assert!(scene.bench.history().iter().all(|line| line.to < 3), "nothing of it was applied");

    let mut controller = scene.bench.run();
    scene.assert_quiet(&mut controller);
    assert_eq!(wait_for_hold(&scene, &mut controller, number, &merge), digits);
    assert_counts(&scene, 1, 1);
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_is_refused_is_said_once_whoever_starts_anew() {
    let (scene, mut controller) = begin("");
    let files: &[(&str, Option<&[u8]>)] = &[(SPEC, Some(b"services: 7\n"))];
    let wrong = scene.forge.push_to("main", files, "acme");
    scene.wait_for_check(&mut controller, &wrong, "tidegate/apply", "failure");
    scene.assert_quiet(&mut controller);
    let before = scene.forge.transcript();
    change_configuration(&scene, &mut controller);
    scene.let_rounds_pass(&mut controller, 4);
    controller.restart(|| scene.bench.run());
    scene.let_rounds_pass(&mut controller, 4);
    assert_eq!(scene.forge.transcript(), before, "what was said before is said again");
    assert_counts(&scene, 1, 1);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_changed_configuration_forgets_no_hold() {
    let (scene, mut controller, number, merge, digits) = held();
    let before = scene.forge.transcript();
    change_configuration(&scene, &mut controller);
    scene.assert_quiet(&mut controller);
    assert_eq!(wait_for_hold(&scene, &mut controller, number, &merge), digits);
    assert_eq!(scene.forge.transcript(), before, "what was said before is said again");
    assert_counts(&scene, 1, 1);

    scene.forge.permit("ann", "write");
    scene.forge.comment(number, "ann", &format!("/tidegate apply {digits}"));
    scene.wait_for_applied(&mut controller, number, &merge);
    assert_counts(&scene, 1, 5);
    controller.end();
    scene.forge.finish();
}

#[test]
fn whoever_the_token_is_of_may_command() {
    let (scene, mut controller) = begin("");
    let number = scene.open_text("More", &spec(1, 3, "1"));
    scene.wait_for_plan(&mut controller, number);
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.comment_writes(number), 1);
    scene.forge.comment(number, BOT, "/tidegate plan");
    scene.wait_for_comment(&mut controller, number, "1 earlier plan");
    scene.assert_quiet(&mut controller);
    // The first plan, the command, and the second plan.
    assert_eq!(scene.comment_writes(number), 3, "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_the_forge_could_not_name_in_time_has_its_last_word_all_the_same() {
    let scene = Scene::new("onMismatch: apply, ");
    scene.push(&[("web", 2, "1")]);
    let mut controller = scene.run();
    let number = scene.open("More web", &[("web", 3, "1")]);
    scene.wait_for_comment(&mut controller, number, "### Planned");
    // Nobody can say what the merge is from, and with `apply` nobody is waited for.
    scene.forge.fail(Fault::Closed, For::Ever);
    let other = scene.bench.spec(&[("web", 4, "1")]);
    scene.forge.push(number, &[(SPEC, Some(other.as_bytes()))]);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait("the merge to be applied", || scene.bench.count("web") == 4);
    scene.forge.recover();
    scene.wait_for_comment(&mut controller, number, "### Applied");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    controller.end();
    scene.forge.finish();
}
