//! What becomes of merged pull requests, by each way in which a forge merges, and what becomes of commits that
//! nobody proposed.

use super::scene::{SPEC, Scene};
use super::world::{lift, refuse_creations, silence_creations};
use crate::support::github::{Fault, For, Merge};

const BASE: [(&str, u32, &str); 3] = [("api", 1, "1"), ("web", 1, "1"), ("work", 1, "1")];

/// The base with other counts.
fn counts(api: u32, web: u32, work: u32) -> [(&'static str, u32, &'static str); 3] {
    [("api", api, "1"), ("web", web, "1"), ("work", work, "1")]
}

/// A pull request of three commits, the last of which is beside the spec.
fn of_three_commits(scene: &Scene, title: &str, steps: [[(&str, u32, &str); 3]; 2]) -> u64 {
    let number = scene.open(title, &steps[0]);
    scene.forge.push(number, &[(SPEC, Some(scene.bench.spec(&steps[1]).as_bytes()))]);
    scene.forge.push(number, &[("NOTES.md", Some(title.as_bytes()))]);
    number
}

#[test]
fn every_way_to_merge_is_applied_and_said_on_the_merged_commit() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let mut api: u32 = 1;
    for how in [Merge::Merge, Merge::Squash, Merge::Rebase] {
        let steps = [counts(api + 1, api, 1), counts(api + 1, api + 1, 1)];
        let number = of_three_commits(&scene, &format!("{how:?}"), steps);
        scene.wait_for_plan(&mut controller, number);
        let planned = scene.comment_writes(number);
        let merge = scene.forge.merge(number, how, "ann").unwrap();
        scene.wait_for_applied(&mut controller, number, &merge);
        api += 1;
        assert_eq!(["api", "web"].map(|id| scene.bench.count(id)), [api as usize; 2], "{how:?}");
        scene.assert_quiet(&mut controller);
        let writes = scene.comment_writes(number) - planned;
        assert!((1..=2).contains(&writes), "{how:?}: {}", scene.forge.transcript());
        let statuses = scene.forge.statuses(&merge);
        assert!((1..=2).contains(&statuses.len()), "{how:?}: {statuses:#?}");
        // A commit in the middle of a rebase was never a head of the branch.
        let landed = scene.forge.pull(number).merged.unwrap().landed;
        for commit in landed.iter().filter(|commit| **commit != merge) {
            assert!(scene.forge.statuses(commit).is_empty(), "{how:?}: {commit}");
        }
    }
    controller.end();
    scene.forge.finish();
}

#[test]
fn every_way_to_merge_is_compared_with_the_plan_also_by_a_controller_that_did_not_make_it() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let mut api: u32 = 1;
    for how in [Merge::Merge, Merge::Squash, Merge::Rebase] {
        let steps = [counts(api + 1, api, 1), counts(api + 1, api + 1, 1)];
        let number = of_three_commits(&scene, &format!("{how:?}"), steps);
        scene.wait_for_plan(&mut controller, number);
        controller.kill();
        let merge = scene.forge.merge(number, how, "ann").unwrap();
        controller = scene.bench.run();
        let comment = scene.wait_for_applied(&mut controller, number, &merge);
        assert!(!comment.contains("before it could be planned"), "{comment}");
        api += 1;
        assert_eq!(["api", "web"].map(|id| scene.bench.count(id)), [api as usize; 2], "{how:?}");
    }
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn pull_requests_that_arrive_together_are_all_applied() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let changes = [counts(2, 1, 1), counts(1, 2, 1), counts(1, 1, 2)];
    let queue = changes.map(|to| scene.planned(&mut controller, "In a queue", &to));
    let merges = scene.forge.merge_all(&queue, Merge::Squash, "ann").unwrap();
    for (number, merge) in queue.iter().zip(&merges) {
        scene.wait_for_applied(&mut controller, *number, merge);
    }
    assert_eq!(["api", "web", "work"].map(|id| scene.bench.count(id)), [2, 2, 2]);
    scene.assert_quiet(&mut controller);

    // Each by its own push, faster than anybody polls.
    let changes = [counts(3, 2, 2), counts(2, 3, 2), counts(2, 2, 3)];
    let singly = changes.map(|to| scene.planned(&mut controller, "On its own", &to));
    let merges = singly.map(|number| scene.forge.merge(number, Merge::Merge, "ann").unwrap());
    controller
        .wait("all three", || ["api", "web", "work"].map(|id| scene.bench.count(id)) == [3, 3, 3]);
    for (number, merge) in singly.iter().zip(&merges) {
        // One may have been seen in a cycle of its own, and a newer one taken over.
        controller.wait("the last word", || {
            let comment = scene.comment(*number).unwrap();
            comment.contains("### Applied") || comment.contains("### Superseded")
        });
        scene.wait_for_check(&mut controller, merge, "tidegate/apply", "success");
    }
    scene.assert_quiet(&mut controller);
    for number in queue.iter().chain(&singly) {
        assert_eq!(scene.forge.all_comments(*number).len(), 1);
    }
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_nobody_proposed_has_a_check_and_what_is_beside_the_spec_has_nothing() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    scene.assert_quiet(&mut controller);
    scene.forge.forget_requests();
    let direct = scene.push(&counts(2, 1, 1));
    scene.wait_for_check(&mut controller, &direct, "tidegate/apply", "success");
    assert_eq!(scene.bench.count("api"), 2);
    scene.assert_quiet(&mut controller);
    let writes = scene.forge.counts().writes;
    assert_eq!(writes.keys().collect::<Vec<_>>(), ["post /repos/{owner}/{repo}/statuses/{sha}"]);
    assert_eq!(writes.values().sum::<usize>(), scene.forge.statuses(&direct).len());

    scene.forge.forget_requests();
    let beside = scene.forge.push_to("main", &[("README.md", Some(b"beside\n"))], "acme");
    controller.wait("the commit to be seen", || {
        scene.bench.status().is_some_and(|status| status.spec_commit == beside)
    });
    let closed = scene.planned(&mut controller, "Never mind", &counts(3, 1, 1));
    assert_eq!(scene.forge.counts().writes_in_all(), 2, "{}", scene.forge.transcript());
    scene.forge.close(closed);
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.forge.counts().writes_in_all(), 2, "{}", scene.forge.transcript());
    assert_eq!(scene.bench.count("api"), 2);
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_newer_merge_supersedes_an_older_apply_and_both_say_so() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let older = scene.planned(&mut controller, "Slow", &counts(5, 1, 1));
    let newer = scene.planned(&mut controller, "Fast", &counts(1, 2, 1));
    silence_creations(&scene, 60);
    let slow = scene.forge.merge(older, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, older, "### Applying");
    let fast = scene.forge.merge(newer, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, older, "### Superseded");
    lift(&scene);
    scene.wait_for_applied(&mut controller, newer, &fast);
    let comment = scene.comment(older).unwrap();
    assert!(comment.contains(&format!("/commit/{fast}")), "{comment}");
    assert!(comment.contains(&format!("/pull/{newer}")), "{comment}");
    let said = scene.wait_for_check(&mut controller, &slow, "tidegate/apply", "success");
    assert!(said.contains("superseded by"), "{said}");
    assert_eq!(["api", "web"].map(|id| scene.bench.count(id)), [5, 2]);
    scene.assert_quiet(&mut controller);
    assert!(scene.comment(older).unwrap().contains("### Superseded"));
    controller.end();
    scene.bench.assert_history_is_true();
    scene.forge.finish();
}

#[test]
fn a_failed_apply_says_what_failed_and_ends_well_or_is_reverted() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    refuse_creations(&scene);
    let number = scene.planned(&mut controller, "More", &counts(2, 1, 1));
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Failed");
    let said = scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "failure");
    assert_eq!(said, "1 action failed, and it is tried again");
    let comment = scene.comment(number).unwrap();
    assert!(
        comment.contains("403 forbidden") && comment.contains("It is tried again"),
        "{comment}"
    );
    // It fails again and again, which is no news.
    scene.assert_quiet(&mut controller);
    lift(&scene);
    scene.wait_for_applied(&mut controller, number, &merge);
    assert_eq!(scene.bench.count("api"), 2);

    refuse_creations(&scene);
    let number = scene.planned(&mut controller, "Still more", &counts(2, 4, 1));
    let merge = scene.forge.merge(number, Merge::Merge, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Failed");
    let revert = scene.forge.open_revert(number, "ann").unwrap();
    scene.wait_for_plan(&mut controller, revert);
    let undone = scene.forge.merge(revert, Merge::Squash, "ann").unwrap();
    scene.wait_for_applied(&mut controller, revert, &undone);
    scene.wait_for_comment(&mut controller, number, "### Superseded");
    assert!(scene.comment(number).unwrap().contains(&format!("/pull/{revert}")));
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    lift(&scene);
    scene.assert_quiet(&mut controller);
    assert_eq!(["api", "web"].map(|id| scene.bench.count(id)), [2, 1]);
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_is_merged_invalid_is_refused_until_it_is_fixed() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let broken =
        scene.bench.spec(&counts(2, 1, 1)).replacen("desired: 2, max", "desired: 2, maxx", 1);
    let number = scene.open_text("Broken", &broken);
    scene.wait_for_comment(&mut controller, number, "### Not valid");
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Refused");
    let said = scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "failure");
    assert!(said.contains("the last good commit stays in force"), "{said}");
    let comment = scene.comment(number).unwrap();
    let head = comment.split("<!-- tidegate:plan -->").next().unwrap();
    assert!(head.contains("maxx"), "{comment}");
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.bench.count("api"), 1);
    assert!(scene.bench.status().unwrap().applied_commit.is_some_and(|commit| commit != merge));

    let fix = scene.planned(&mut controller, "Fixed", &counts(3, 1, 1));
    let fixed = scene.forge.merge(fix, Merge::Squash, "ann").unwrap();
    scene.wait_for_applied(&mut controller, fix, &fixed);
    assert_eq!(scene.bench.count("api"), 3);
    scene.wait_for_comment(&mut controller, number, "### Superseded");
    scene.assert_quiet(&mut controller);
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_is_merged_before_it_was_planned_is_applied_and_says_so() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    // The forge does not answer, and `hold` waits for it: there might be a plan.
    scene.forge.fail(Fault::Closed, For::Ever);
    let number = scene.open("Quick", &counts(2, 1, 1));
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait_for_log("is not known yet whether the new commit is what was reviewed");
    assert_eq!(scene.bench.count("api"), 1);
    scene.forge.recover();
    let comment = scene.wait_for_applied(&mut controller, number, &merge);
    assert!(comment.contains("It was merged before it could be planned"), "{comment}");
    assert_eq!(scene.bench.count("api"), 2);
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    assert!(scene.forge.statuses(&scene.forge.pull(number).head).is_empty(), "no plan was made");
    controller.end();
    scene.forge.finish();
}

#[test]
fn the_last_word_is_said_once_also_after_a_kill() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    silence_creations(&scene, 60);
    let number = scene.planned(&mut controller, "More", &counts(2, 1, 1));
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Applying");
    controller.kill();
    lift(&scene);
    let mut controller = scene.bench.run();
    scene.wait_for_applied(&mut controller, number, &merge);
    scene.assert_quiet(&mut controller);
    let comments = scene.forge.all_comments(number);
    let heads: Vec<&str> = comments[0]
        .history
        .iter()
        .chain([&comments[0].body])
        .map(|body| body.lines().find(|line| line.starts_with("###")).unwrap())
        .collect();
    let last = heads.last().unwrap();
    assert_eq!(heads, ["### Planned", "### Applying", last]);
    let finals = scene.forge.statuses(&merge).iter().filter(|s| s.state == "success").count();
    assert_eq!(finals, 1);

    // Nor is anything said again by the next one.
    controller.kill();
    scene.forge.forget_requests();
    let mut controller = scene.bench.run();
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(scene.forge.transcript(), "");
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_kill_between_two_writes_leaves_neither_unsaid() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let number = scene.planned(&mut controller, "More", &counts(2, 1, 1));
    // What is written is there, and the controller does not know it.
    scene.forge.fail(Fault::AnswerLost, For::Ever);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait("something to be written", || {
        scene.comment(number).unwrap().contains("### Appl")
            || !scene.forge.statuses(&merge).is_empty()
    });
    controller.wait("the apply", || scene.bench.count("api") == 2);
    controller.wait_for_log("could not do all that pull requests need");
    controller.kill();
    scene.forge.recover();
    let mut controller = scene.bench.run();
    scene.wait_for_applied(&mut controller, number, &merge);
    controller.end();
    scene.forge.finish();
}

#[test]
fn of_two_that_propose_the_same_only_the_merged_one_says_so() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let mut api = 1;
    for how in [Some(Merge::Squash), Some(Merge::Rebase), None] {
        api += 1;
        let other = scene.planned(&mut controller, "The same", &counts(api, 1, 1));
        let number = scene.planned(&mut controller, "The same", &counts(api, 1, 1));
        let writes = |number| scene.comment_writes(number);
        match how {
            Some(how) => {
                let merge = scene.forge.merge(number, how, "ann").unwrap();
                scene.wait_for_applied(&mut controller, number, &merge);
            }
            None => {
                let direct = scene.push(&counts(api, 1, 1));
                scene.wait_for_check(&mut controller, &direct, "tidegate/apply", "success");
                scene.wait_for_comment(&mut controller, number, "### Nothing of the spec");
            }
        }
        scene.wait_for_comment(&mut controller, other, "### Nothing of the spec");
        scene.assert_quiet(&mut controller);
        assert_eq!(writes(other), 2, "{how:?}: {}", scene.forge.transcript());
        scene.forge.close(other);
    }
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_kill_after_a_revert_leaves_nobody_the_wrong_last_word() {
    let scene = Scene::new("");
    scene.push(&BASE);
    let mut controller = scene.run();
    let number = scene.planned(&mut controller, "More", &counts(2, 1, 1));
    // Everything happens while nobody can be told, and then nobody is there who knows.
    refuse_creations(&scene);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Failed");
    scene.forge.fail(Fault::Closed, For::Ever);
    let revert = scene.forge.open_revert(number, "ann").unwrap();
    controller.kill();
    lift(&scene);
    let undone = scene.forge.merge(revert, Merge::Squash, "ann").unwrap();
    scene.forge.recover();
    let mut controller = scene.bench.run();
    scene.wait_for_applied(&mut controller, revert, &undone);
    scene.assert_quiet(&mut controller);
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("### Superseded"), "{comment}");
    let said = scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    assert!(said.contains("superseded"), "{said}");
    assert_eq!(scene.bench.count("api"), 1);
    controller.end();
    scene.forge.finish();
}
