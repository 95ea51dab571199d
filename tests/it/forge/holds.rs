//! What was merged is not what was reviewed, or nobody can say whether it is.

use std::time::Instant;

use tidegate::model::CommitId;

use super::scene::{SPEC, Scene};
use crate::support::controller::Controller;
use crate::support::github::{Fault, For, Merge};

/// A spec of two services whose counts and templates are far enough from each other that changes of both merge.
pub(super) fn spec(api: u32, web: u32, version: &str) -> String {
    let service = |id: &str, count: u32, version: &str| {
        format!(
            "  - id: {id}\n    scale: {{regions: [{{name: local, min: 0, desired: {count}, max: 9}}]}}\n    \
             displayName: One of two\n    description: Nothing else\n    \
             template: {{image: a, env: {{VERSION: \"{version}\"}}, drain: 1s}}\n"
        )
    };
    format!("services:\n{}{}", service("api", api, "1"), service("web", web, version))
}

/// A scene with 1 `api` and 1 `web`, and a controller.
pub(super) fn begin(rules: &str) -> (Scene, Controller) {
    let scene = Scene::new(rules);
    push(&scene, &spec(1, 1, "1"));
    let controller = scene.run();
    (scene, controller)
}

fn push(scene: &Scene, spec: &str) -> CommitId {
    scene.forge.push_to("main", &[(SPEC, Some(spec.as_bytes()))], "acme")
}

/// A pull request whose plan shows `shown`, and that is merged as `merged` behind the back of its plan.
pub(super) fn merge_another(
    scene: &Scene,
    controller: &mut Controller,
    shown: &str,
    merged: &str,
) -> (u64, CommitId) {
    let number = scene.open_text("More", shown);
    scene.wait_for_plan(controller, number);
    let mut commit = None;
    controller.restart(|| {
        scene.forge.push(number, &[(SPEC, Some(merged.as_bytes()))]);
        commit = Some(scene.forge.merge(number, Merge::Squash, "ann").unwrap());
        scene.bench.run()
    });
    (number, commit.unwrap())
}

/// Waits until a merge is held and everybody is told; gives the digits that the comment asks for.
pub(super) fn wait_for_hold(
    scene: &Scene,
    controller: &mut Controller,
    number: u64,
    merge: &CommitId,
) -> String {
    scene.wait_for_comment(controller, number, "### Held");
    scene.wait_for_check(controller, merge, "tidegate/apply", "failure");
    controller.wait("the status to say why", || {
        scene.bench.status().and_then(|status| status.refused).is_some_and(|refused| {
            refused.commit.as_ref() == Some(merge)
                && refused.findings.iter().any(|why| why.contains("/tidegate apply"))
        })
    });
    let comment = scene.comment(number).unwrap();
    let (_, rest) = comment.split_once("/tidegate apply ").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

pub(super) fn assert_counts(scene: &Scene, api: usize, web: usize) {
    assert_eq!(["api", "web"].map(|id| scene.bench.count(id)), [api, web]);
}

#[test]
fn what_was_not_reviewed_is_held_until_somebody_who_may_agrees() {
    let (scene, mut controller) = begin("");
    scene.forge.permit("ann", "write");
    scene.forge.permit("rob", "read");
    let (number, merge) =
        merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 5, "1"));
    let digits = wait_for_hold(&scene, &mut controller, number, &merge);
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("desired: 3") && comment.contains("desired: 5"), "{comment}");
    scene.assert_quiet(&mut controller);

    let agree = format!("/tidegate apply {digits}");
    let (wrong, quoted) = ("/tidegate apply 0123456789ab", format!("> {agree}"));
    for (who, what) in [("rob", agree.as_str()), ("ann", wrong), ("ann", &quoted)] {
        scene.forge.comment(number, who, what);
        scene.assert_quiet(&mut controller);
    }
    assert_counts(&scene, 1, 1);
    assert!(scene.comment(number).unwrap().contains("### Held"));

    scene.forge.comment(number, "ann", &agree);
    scene.wait_for_applied(&mut controller, number, &merge);
    assert_counts(&scene, 1, 5);
    controller.wait("the status to be clear", || scene.bench.status().unwrap().refused.is_none());
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_revert_ends_a_hold_planned_or_not() {
    let (scene, mut controller) = begin("");
    let (number, merge) =
        merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 5, "1"));
    wait_for_hold(&scene, &mut controller, number, &merge);
    let revert = scene.forge.open_revert(number, "ann").unwrap();
    scene.wait_for_plan(&mut controller, revert);
    let undone = scene.forge.merge(revert, Merge::Squash, "ann").unwrap();
    scene.wait_for_applied(&mut controller, revert, &undone);
    scene.wait_for_comment(&mut controller, number, "### Superseded");
    controller.wait("the status to be clear", || scene.bench.status().unwrap().refused.is_none());

    let (number, merge) =
        merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 6, "1"));
    wait_for_hold(&scene, &mut controller, number, &merge);
    // In a hurry, and nobody waits for the plan.
    scene.forge.fail(Fault::Closed, For::Ever);
    let revert = scene.forge.open_revert(number, "ann").unwrap();
    let undone = scene.forge.merge(revert, Merge::Squash, "ann").unwrap();
    scene.forge.recover();
    scene.wait_for_comment(&mut controller, number, "### Superseded");
    scene.wait_for_applied(&mut controller, revert, &undone);
    controller.wait("the status to be clear", || scene.bench.status().unwrap().refused.is_none());
    assert_counts(&scene, 1, 1);
    assert!(scene.bench.history().iter().all(|line| line.to < 3), "nothing of it was applied");
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_rebase_is_compared_as_a_whole_whatever_its_last_commit_changes() {
    let (scene, mut controller) = begin("");
    let number = scene.open_text("More", &spec(2, 1, "1"));
    scene.wait_for_plan(&mut controller, number);
    let mut merge = None;
    controller.restart(|| {
        scene.forge.push(number, &[(SPEC, Some(spec(2, 4, "1").as_bytes()))]);
        scene.forge.push(number, &[("NOTES.md", Some(b"notes\n"))]);
        merge = Some(scene.forge.merge(number, Merge::Rebase, "ann").unwrap());
        scene.bench.run()
    });
    let merge = merge.unwrap();
    wait_for_hold(&scene, &mut controller, number, &merge);
    assert_counts(&scene, 1, 1);
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_was_not_reviewed_is_applied_and_told_where_the_operator_wants_that() {
    let (scene, mut controller) = begin("onMismatch: apply,");
    let (number, merge) =
        merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 5, "1"));
    let comment = scene.wait_for_applied(&mut controller, number, &merge);
    assert!(comment.contains("not quite what was reviewed"), "{comment}");
    assert!(comment.contains("desired: 3") && comment.contains("desired: 5"), "{comment}");
    assert_counts(&scene, 1, 5);
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_base_that_moved_elsewhere_holds_nothing_and_one_that_moved_here_does() {
    let (scene, mut controller) = begin("");
    // Elsewhere, unseen by a controller that runs, and by one that did not make the plan.
    for (is_restarted, api, web) in [(false, 2, 2), (true, 3, 3)] {
        let number = scene.open_text("More web", &spec(api - 1, web, "1"));
        scene.wait_for_plan(&mut controller, number);
        let move_and_merge = || {
            push(&scene, &spec(api, web - 1, "1"));
            scene.forge.merge(number, Merge::Merge, "ann").unwrap()
        };
        let merge = if is_restarted {
            let mut merge = None;
            controller.restart(|| {
                merge = Some(move_and_merge());
                scene.bench.run()
            });
            merge.unwrap()
        } else {
            move_and_merge()
        };
        let comment = scene.wait_for_applied(&mut controller, number, &merge);
        assert!(!comment.contains("not quite what was reviewed"), "{comment}");
        assert_counts(&scene, api as usize, web as usize);
    }
    assert!(!controller.log().contains("is held"), "{}", controller.log());

    // In the same service: the merge brings a template with it that nobody saw beside this count.
    let number = scene.open_text("Still more web", &spec(3, 6, "1"));
    scene.wait_for_plan(&mut controller, number);
    let mut merge = None;
    controller.restart(|| {
        push(&scene, &spec(3, 3, "2"));
        merge = Some(scene.forge.merge(number, Merge::Merge, "ann").unwrap());
        scene.bench.run()
    });
    wait_for_hold(&scene, &mut controller, number, &merge.unwrap());
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("VERSION: '1'") && comment.contains("VERSION: '2'"), "{comment}");
    assert_counts(&scene, 3, 3);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_plan_that_somebody_edited_is_no_review() {
    let (scene, mut controller) = begin("");
    let number = scene.open_text("More", &spec(1, 3, "1"));
    scene.wait_for_plan(&mut controller, number);
    let mut merge = None;
    controller.restart(|| {
        let comment = scene.forge.comments(number).remove(0);
        let edited = comment.body.replace("Create 2 replicas", "Create 0 replicas");
        assert_ne!(edited, comment.body);
        scene.forge.edit_comment(comment.id, "rob", &edited);
        merge = Some(scene.forge.merge(number, Merge::Squash, "ann").unwrap());
        scene.bench.run()
    });
    let merge = merge.unwrap();
    let digits = wait_for_hold(&scene, &mut controller, number, &merge);
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("was edited by hand"), "{comment}");
    assert_counts(&scene, 1, 1);
    scene.forge.permit("ann", "write");
    scene.forge.comment(number, "ann", &format!("/tidegate apply {digits}"));
    scene.wait_for_applied(&mut controller, number, &merge);
    assert_counts(&scene, 1, 3);
    controller.end();
    scene.forge.finish();
}

#[test]
fn an_outage_of_the_forge_delays_only_the_words_where_the_plan_is_known() {
    let (scene, mut controller) = begin("");
    let number = scene.open_text("More", &spec(1, 3, "1"));
    scene.wait_for_plan(&mut controller, number);
    let begun = Instant::now();
    scene.forge.fail(Fault::Page503, For::Ever);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait("the merge to be applied", || scene.bench.count("web") == 3);
    let log = || std::fs::read_to_string(scene.bench.path("run.log")).unwrap();
    controller.wait("some tries", || log().matches("could not do all that pull").count() >= 3);
    assert!(scene.comment(number).unwrap().contains("### Planned"));
    assert!(!controller.log().contains("is held"), "{}", controller.log());
    let lasted = begun.elapsed().as_secs_f64();
    scene.forge.recover();
    let comment = scene.wait_for_applied(&mut controller, number, &merge);
    // How long the apply took, not how long nobody could be told.
    let (_, took) = comment.split_once("### Applied in ").unwrap();
    let took: f64 = took.split(' ').next().unwrap().parse().unwrap();
    assert!(took < lasted / 2.0, "{took} s of {lasted} s");
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    controller.end();
    scene.forge.finish();
}

#[test]
fn an_outage_of_the_forge_holds_what_nobody_can_compare() {
    let (scene, mut controller) = begin("");
    let number = scene.open_text("More", &spec(1, 3, "1"));
    scene.wait_for_plan(&mut controller, number);
    let mut merge = None;
    controller.restart(|| {
        scene.forge.fail(Fault::Page503, For::Ever);
        merge = Some(scene.forge.merge(number, Merge::Squash, "ann").unwrap());
        scene.bench.run()
    });
    let merge = merge.unwrap();
    let why = "it is not known yet whether the new commit is what was reviewed";
    controller.wait_for_log(why);
    controller.wait("the status to say why", || {
        let refused = scene.bench.status().and_then(|status| status.refused);
        refused.is_some_and(|refused| refused.findings.iter().any(|found| found.contains(why)))
    });
    assert_counts(&scene, 1, 1);
    scene.forge.recover();
    let comment = scene.wait_for_applied(&mut controller, number, &merge);
    assert!(!comment.contains("not quite what was reviewed"), "{comment}");
    assert_counts(&scene, 1, 3);
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_pull_request_that_shows_what_is_held_applies_it_too() {
    let (scene, mut controller) = begin("");
    let (held, merge) = merge_another(&scene, &mut controller, &spec(1, 3, "1"), &spec(1, 5, "1"));
    wait_for_hold(&scene, &mut controller, held, &merge);
    let both = scene.open_text("More api", &spec(4, 5, "1"));
    scene.wait_for_plan(&mut controller, both);
    let shown = scene.comment(both).unwrap();
    assert!(shown.contains("`api/local`") && shown.contains("`web/local`"), "{shown}");
    let merge = scene.forge.merge(both, Merge::Rebase, "ann").unwrap();
    scene.wait_for_applied(&mut controller, both, &merge);
    assert_counts(&scene, 4, 5);
    scene.wait_for_comment(&mut controller, held, "### Superseded");
    assert!(scene.comment(held).unwrap().contains(&format!("/pull/{both}")));
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}
