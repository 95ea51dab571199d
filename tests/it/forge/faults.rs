//! Days on which the forge is not well, limits, and people (and programs) who write where the controller does:
//! the controller goes on, asks little, and in the end everything is said once.

use std::time::{Duration, Instant};

use crate::support::github::{Fault, For, Forge, Logged, Merge, Secondary};

use super::scene::{SPEC, Scene};

const CREATED: &str = "post /repos/{owner}/{repo}/issues/{issue_number}/comments";
const EDITED: &str = "patch /repos/{owner}/{repo}/issues/comments/{comment_id}";
const STATUS: &str = "post /repos/{owner}/{repo}/statuses/{sha}";

/// Writes done so far: comments created, comments edited, statuses.
fn writes(scene: &Scene) -> (usize, usize, usize) {
    let counts = scene.forge.counts();
    let of = |operation: &str| counts.writes.get(operation).copied().unwrap_or(0);
    assert_eq!(of(CREATED) + of(EDITED) + of(STATUS), counts.writes_in_all(), "{counts:?}");
    (of(CREATED), of(EDITED), of(STATUS))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn an_outage_holds_up_words_alone() {
    let scene = Scene::new("");
    scene.push(&[("api", 1, "1"), ("web", 1, "1")]);
    let merged = scene.open("More web", &[("api", 1, "1"), ("web", 3, "1")]);
    let changed = scene.open("More api", &[("api", 2, "1"), ("web", 1, "1")]);
    let mut controller = scene.run();
    for number in [merged, changed] {
        let head = scene.forge.pull(number).head;
        scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    }
    scene.let_rounds_pass(&mut controller, 2);

    scene.forge.forget_requests();
    scene.forge.fail(Fault::Page503, For::Ever);
    let start = Instant::now();
    let opened = scene.open("A third", &[("api", 1, "1"), ("web", 1, "1"), ("new", 1, "1")]);
    let further = scene.bench.spec(&[("api", 4, "1"), ("web", 1, "1")]);
    let head = scene.forge.push(changed, &[(SPEC, Some(further.as_bytes()))]);
    // What was merged is what was planned: nobody has to be asked.
    let merge = scene.forge.merge(merged, Merge::Merge, "ann").unwrap();
    controller.wait("the merge to be applied", || scene.bench.count("web") == 3);
    scene.forge.fail(Fault::Closed, For::Ever);
    scene.bench.infra.with_world(|world| world.replicas.retain(|r| r.ordinal.0 != 0));
    controller.wait("the lost replicas to be back", || scene.bench.count("web") == 3);
    // Decisions every second, and yet: 1 s, 2 s, 4 s, 8 s.
    controller.wait("an outage of 14 seconds", || start.elapsed() > seconds(14));
    let asked = scene.forge.requests().len();
    assert!((2..=7).contains(&asked), "{asked} requests: {:#?}", scene.forge.requests());
    assert_eq!(writes(&scene), (0, 0, 0));

    scene.forge.recover();
    scene.wait_for_comment(&mut controller, merged, "### Applied");
    scene.wait_for_comment(&mut controller, opened, "new");
    scene.wait_for_comment(&mut controller, changed, "Create 3 replicas");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    for head in [&head, &scene.forge.pull(opened).head] {
        scene.wait_for_check(&mut controller, head, "tidegate/plan", "success");
    }
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(writes(&scene), (1, 2, 3), "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_nobody_reviewed_waits_for_the_forge_only_where_it_is_to_be_held() {
    let scene = Scene::new("onMismatch: apply,");
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.run();
    scene.forge.fail(Fault::Hang, For::Ever);
    let number = scene.open("More web", &[("web", 5, "1")]);
    // Nobody's pull request: the forge would have to be asked whether it is.
    scene.push(&[("web", 2, "1")]);
    controller.wait("the push to be applied", || scene.bench.count("web") == 2);

    scene.configure("onMismatch: hold,", "{tokenRef: env/FORGE_TOKEN}");
    controller.wait_for_log("the changed configuration is in use");
    scene.forge.fail(Fault::Closed, For::Ever);
    let pushed = scene.push(&[("web", 3, "1")]);
    controller.wait("the push to be held", || {
        let refused = scene.bench.status().and_then(|status| status.refused);
        refused.is_some_and(|refused| refused.commit.as_ref() == Some(&pushed))
    });
    assert_eq!(scene.bench.count("web"), 2);
    scene.forge.recover();
    controller.wait("the push to be applied", || scene.bench.count("web") == 3);
    scene.wait_for_comment(&mut controller, number, "conflict");
    controller.end();
    scene.forge.finish();
}

/// Fails the test if anything was asked between the first refusal and `pause` after it.
#[track_caller]
fn assert_silence(scene: &Scene, status: u16, pause: Duration) {
    let requests = scene.forge.requests();
    let refusal = requests.iter().position(|request| request.status == status).unwrap();
    let next = requests.get(refusal + 1).expect("a request after the limit");
    let silence = next.at.duration_since(requests[refusal].at);
    assert!(silence.unsigned_abs() >= pause, "asked again after {silence:?}: {next:?}");
}

#[test]
fn limits_are_kept_to_and_everything_is_said_after_them() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.run();
    scene.let_rounds_pass(&mut controller, 1);
    let is_refused = |status: u16| scene.forge.requests().iter().any(|r| r.status == status);

    // A secondary limit that says for how long.
    let limit = |status, only_writes| {
        let (retry_after, requests) = (Some(seconds(3)), Some(1));
        scene.forge.limit_secondary(Secondary { status, retry_after, only_writes, requests });
    };
    scene.forge.forget_requests();
    limit(403, true);
    let number = scene.open("More web", &[("web", 2, "1")]);
    scene.wait_for_comment(&mut controller, number, "Create 1 replica");
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    assert_silence(&scene, 403, seconds(3));

    scene.forge.forget_requests();
    limit(429, false);
    let spec = scene.bench.spec(&[("web", 3, "1")]);
    scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
    scene.wait_for_comment(&mut controller, number, "Create 2 replicas");
    assert_silence(&scene, 429, seconds(3));
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");

    // The hour's requests are used up, until it is over.
    scene.forge.forget_requests();
    scene.forge.limit_primary(0, seconds(4));
    let spec = scene.bench.spec(&[("web", 4, "1")]);
    scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
    controller.wait("a refusal", || is_refused(403));
    scene.bench.infra.with_world(|world| world.replicas.clear());
    controller.wait("the lost replica to be back", || scene.bench.count("web") == 1);
    scene.wait_for_comment(&mut controller, number, "Create 3 replicas");
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    assert_silence(&scene, 403, seconds(2));
    scene.let_rounds_pass(&mut controller, 2);
    assert_eq!(writes(&scene), (0, 1, 1), "{}", scene.forge.transcript());
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    controller.end();
    scene.forge.finish();
}

/// Fails the test where the same was written to the same place twice in a row.
#[track_caller]
fn assert_nothing_twice(forge: &Forge) {
    let requests = forge.requests();
    let is_done = |request: &&Logged| request.is_write() && (200..300).contains(&request.status);
    let done: Vec<&Logged> = requests.iter().filter(is_done).collect();
    for (at, write) in done.iter().enumerate() {
        let before = done[..at].iter().rev().find(|before| before.path == write.path);
        assert!(before.is_none_or(|before| before.body != write.body), "twice: {write:#?}");
    }
}

#[test]
fn an_answer_that_is_lost_makes_nothing_said_twice() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.run();
    scene.let_rounds_pass(&mut controller, 2);
    scene.forge.forget_requests();
    scene.forge.fail(Fault::AnswerLost, For::Requests(2));
    let number = scene.open("More web", &[("web", 2, "1")]);
    let lost = |text: &str| controller_log(&scene).matches(text).count();
    controller.wait("both answers to be lost", || lost("no usable answer") >= 2);
    scene.let_rounds_pass(&mut controller, 2);
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    assert_eq!(writes(&scene), (1, 0, 1), "{}", scene.forge.transcript());

    scene.forge.fail(Fault::AnswerLost, For::Requests(2));
    let spec = scene.bench.spec(&[("web", 3, "1")]);
    let head = scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    controller.wait("both answers to be lost", || lost("no usable answer") >= 4);
    scene.let_rounds_pass(&mut controller, 2);
    assert_eq!(writes(&scene), (1, 1, 2), "{}", scene.forge.transcript());

    scene.forge.fail(Fault::AnswerLost, For::Requests(2));
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Applied");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    scene.let_rounds_pass(&mut controller, 2);
    assert_nothing_twice(&scene.forge);
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    assert!(!controller.log().contains("another controller"), "{}", controller.log());
    controller.end();
    scene.forge.finish();
}

fn controller_log(scene: &Scene) -> String {
    std::fs::read_to_string(scene.bench.path("run.log")).unwrap()
}

#[test]
fn a_kill_while_many_are_planned_leaves_no_second_comment() {
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let numbers: Vec<u64> =
        (2..=9).map(|count| scene.open("More web", &[("web", count, "1")])).collect();
    let mut controller = scene.run();
    for kill_at in [2, 5] {
        let commented = || numbers.iter().filter(|n| !scene.forge.comments(**n).is_empty()).count();
        controller.wait("some comments", || commented() >= kill_at);
        controller.restart(|| scene.bench.run());
    }
    for number in &numbers {
        let head = scene.forge.pull(*number).head;
        scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    }
    scene.let_rounds_pass(&mut controller, 3);
    for number in &numbers {
        assert_eq!(scene.forge.all_comments(*number).len(), 1, "#{number}");
        assert_eq!(scene.forge.statuses(&scene.forge.pull(*number).head).len(), 1, "#{number}");
    }
    let (created, edited, _) = writes(&scene);
    assert_eq!((created, edited), (8, 0), "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_revoked_token_floods_nobody_and_its_successor_is_taken_up() {
    let scene = Scene::new("");
    let file = scene.bench.path("token");
    std::fs::write(&file, format!("{}\n", scene.forge.token)).unwrap();
    scene.configure("", &format!("{{tokenRef: file/{}}}", file.display()));
    scene.push(&[("web", 1, "1")]);
    let numbers: Vec<u64> =
        (2..=9).map(|count| scene.open("More web", &[("web", count, "1")])).collect();
    let mut controller = scene.run();
    let commented = || numbers.iter().filter(|n| !scene.forge.comments(**n).is_empty()).count();
    controller.wait("a comment", || commented() > 0);

    // In the middle of it, with much left to say.
    scene.forge.revoke(&scene.forge.token);
    let start = Instant::now();
    controller.wait_for_log("refused the credentials (Bad credentials)");
    scene.bench.infra.with_world(|world| world.replicas.clear());
    controller.wait("the lost replica to be back", || scene.bench.count("web") == 1);
    controller.wait("eight seconds", || start.elapsed() > seconds(8));
    assert!(commented() < numbers.len());
    let refused = scene.forge.counts().refused;
    assert!((1..=5).contains(&refused), "{refused} requests: {:#?}", scene.forge.requests());

    let token = scene.forge.token_of(crate::support::github::BOT);
    let new = scene.bench.path("token.new");
    std::fs::write(&new, format!("{token}\n")).unwrap();
    std::fs::rename(new, file).unwrap();
    for number in &numbers {
        let head = scene.forge.pull(*number).head;
        scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    }
    scene.let_rounds_pass(&mut controller, 2);
    let (created, edited, _) = writes(&scene);
    assert_eq!((created, edited), (8, 0), "{}", scene.forge.transcript());
    let log = controller.log();
    assert!(!log.contains(&token) && !log.contains(&scene.forge.token), "{log}");
    controller.end();
    scene.forge.finish();
}
