//! Others write where the controller writes: people edit, delete and copy its comment, and a second controller
//! runs by mistake.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use crate::support::controller::Controller;
use crate::support::github::{BOT, Secondary};

use super::scene::{SPEC, Scene};

const CREATED: &str = "post /repos/{owner}/{repo}/issues/{issue_number}/comments";
const EDITED: &str = "patch /repos/{owner}/{repo}/issues/comments/{comment_id}";

/// Comments created and edited since this was asked last.
fn news(scene: &Scene) -> (usize, usize) {
    let counts = scene.forge.counts();
    scene.forge.forget_requests();
    let of = |operation: &str| counts.writes.get(operation).copied().unwrap_or(0);
    (of(CREATED), of(EDITED))
}

fn push(scene: &Scene, controller: &mut Controller, number: u64, count: u32) {
    let spec = scene.bench.spec(&[("web", count, "1")]);
    let head = scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
    scene.wait_for_check(controller, &head, "tidegate/plan", "success");
}

#[test]
fn what_people_do_to_the_comment_is_put_right_with_the_next_news() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let number = scene.open("More web", &[("web", 2, "1")]);
    let mut controller = scene.run();
    scene.wait_for_comment(&mut controller, number, "Create 1 replica");
    scene.let_rounds_pass(&mut controller, 2);
    let comment = scene.forge.comments(number).remove(0);
    assert_eq!((news(&scene), comment.author.as_str()), ((1, 0), BOT));

    // Another text, and no text of ours at all: no quarrel, and the next plan is in its place.
    let rewritten = comment.body.replace("Create 1 replica", "Create nothing");
    for (text, count) in [(rewritten.as_str(), 3), ("Gone.", 4)] {
        scene.forge.edit_comment(comment.id, "ann", text);
        scene.let_rounds_pass(&mut controller, 3);
        assert_eq!(news(&scene), (0, 0));
        push(&scene, &mut controller, number, count);
        assert_eq!(news(&scene), (0, 1));
        let body = scene.comment(number).unwrap();
        assert!(body.contains(&format!("Create {} replicas", count - 1)), "{body}");
    }

    // A restarted controller sees that the comment is not what it wrote, and writes it once.
    let ours = scene.comment(number).unwrap();
    scene.forge.edit_comment(comment.id, "ann", &ours.replace("Create 3", "Create 0"));
    controller.restart(|| scene.bench.run());
    scene.wait_for_comment(&mut controller, number, "Create 3 replicas");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(news(&scene), (0, 1));

    // What is not to be known as ours any more is left alone.
    scene.forge.edit_comment(comment.id, "ann", "Gone.");
    controller.restart(|| scene.bench.run());
    scene.wait_for_comment(&mut controller, number, "Create 3 replicas");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(news(&scene), (1, 0));
    assert_eq!(scene.forge.comments(number)[0].body, "Gone.");

    // A deleted one is not missed before there is something to say.
    let second = scene.forge.comments(number)[1].id;
    scene.forge.delete_comment(second, "ann");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(news(&scene), (0, 0));
    push(&scene, &mut controller, number, 5);
    scene.let_rounds_pass(&mut controller, 2);
    assert_eq!(news(&scene), (1, 0));
    assert!(scene.comment(number).unwrap().contains("Create 4 replicas"));
    assert!(!controller.log().contains("another controller"), "{}", controller.log());
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_copy_of_the_comment_by_somebody_else_is_nobodys() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let first = scene.open("More web", &[("web", 2, "1")]);
    let mut controller = scene.run();
    scene.wait_for_comment(&mut controller, first, "Create 1 replica");
    let copied = scene.comment(first).unwrap();
    controller.end();

    // The same change in another pull request: its plan would be told already, were the copy ours.
    let second = scene.open("More web, too", &[("web", 2, "1")]);
    let copy = scene.forge.comment(second, "eve", &copied);
    let mut controller = scene.run();
    controller.wait("a comment of ours", || scene.forge.comments(second).len() == 2);
    scene.let_rounds_pass(&mut controller, 2);
    let comments = scene.forge.comments(second);
    assert_eq!((comments[0].id, comments[0].body.as_str()), (copy, copied.as_str()));
    assert_eq!(comments[1].author, BOT);
    assert_eq!(news(&scene), (2, 0), "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

#[test]
fn two_controllers_of_one_owner_keep_one_comment_and_say_that_they_are_two() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.run();
    let (config, log) = (scene.bench.path("second.yaml"), scene.bench.path("second.log"));
    let text = std::fs::read_to_string(scene.bench.path("tidegate.yaml")).unwrap();
    let state = scene.bench.path("state").display().to_string();
    std::fs::write(&config, text.replace(&state, &format!("{state}2"))).unwrap();
    let child = scene
        .bench
        .command(&["run", "--log", "tidegate=debug"])
        .env("TIDEGATE_CONFIG", &config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut second = Controller::new(child, log);
    let polls = || {
        let requests = scene.forge.requests();
        requests.iter().filter(|request| request.path == "/user").count()
    };
    second.wait("both to look at the forge", || polls() == 2);
    scene.let_rounds_pass(&mut second, 4);

    // Both find no comment, and both may write only then.
    scene.forge.limit_secondary(Secondary {
        only_writes: true,
        retry_after: Some(Duration::from_secs(3)),
        requests: Some(2),
        ..Secondary::default()
    });
    let number = scene.open("More web", &[("web", 2, "1")]);
    let another = "another controller with the same owner";
    controller.wait_for_log(another);
    second.wait_for_log(another);
    scene.let_rounds_pass(&mut controller, 8);
    assert!(scene.comment(number).unwrap().contains("Create 1 replica"));
    assert_eq!(scene.forge.comments(number).len(), 1);
    assert_eq!(news(&scene), (2, 1), "{}", scene.forge.transcript());

    push(&scene, &mut controller, number, 3);
    scene.let_rounds_pass(&mut controller, 8);
    let (created, edited) = news(&scene);
    assert!(created == 0 && edited <= 2, "created {created}, edited {edited}");
    assert!(scene.comment(number).unwrap().contains("Create 2 replicas"));
    controller.end();
    second.end();
    scene.forge.finish();
}
