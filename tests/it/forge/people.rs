//! What people do to pull requests, and what is made of it: commands, forks, drafts, labels, conflicts.

use std::fs;
use std::process::Stdio;

use super::scene::{SPEC, Scene};
use crate::support::controller::Controller;
use crate::support::github::{Merge, Proposal};
use crate::support::web_server::{Reply, WebServer};

const BASE: [(&str, u32, &str); 2] = [("api", 1, "1"), ("web", 1, "1")];
const MORE: [(&str, u32, &str); 2] = [("api", 1, "1"), ("web", 3, "1")];

/// A scene with 1 `api` and 1 `web`, and a controller.
fn begin(rules: &str) -> (Scene, Controller) {
    let scene = Scene::new(rules);
    scene.push(&BASE);
    let controller = scene.run();
    (scene, controller)
}

/// Waits until the comment of a pull request was written so often.
#[track_caller]
fn wait_for_writes(scene: &Scene, controller: &mut Controller, number: u64, writes: usize) {
    controller.wait(&format!("write {writes} of the comment of #{number}"), || {
        scene.comment_writes(number) >= writes
    });
    scene.assert_quiet(controller);
    assert_eq!(scene.comment_writes(number), writes, "{}", scene.forge.transcript());
}

#[test]
fn who_may_write_has_a_pull_request_planned_again_and_nobody_else() {
    let (scene, mut controller) = begin("");
    scene.forge.permit("ann", "write");
    scene.forge.permit("rob", "read");
    let number = scene.planned(&mut controller, "More", &MORE);
    let ours = scene.comment_writes(number);
    for (who, what) in [
        ("rob", "/tidegate plan"),
        ("stranger", "/tidegate plan"),
        ("ann", "> /tidegate plan"),
        ("ann", "Please run\n/tidegate plan"),
        ("ann", "/tidegate plan, please"),
    ] {
        scene.forge.comment(number, who, what);
    }
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.comment_writes(number), ours);

    scene.forge.comment(number, "ann", "/tidegate plan\r\n\r\nThe counts moved.");
    wait_for_writes(&scene, &mut controller, number, ours + 1);
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("1 earlier plan"), "{comment}");

    // Often in the same second as what was heard before.
    for again in 1..=4 {
        scene.forge.comment(number, "rob", "Why?");
        let listened = || {
            let requests = scene.forge.requests();
            requests.iter().filter(|r| r.method == "GET" && r.path.ends_with("/comments")).count()
        };
        let before = listened();
        controller.wait("that to be heard", || listened() > before);
        scene.forge.comment(number, "ann", "/tidegate plan");
        controller.wait("another plan", || scene.comment_writes(number) == ours + 1 + again);
    }

    // While nobody listens.
    scene.assert_quiet(&mut controller);
    controller.kill();
    scene.forge.comment(number, "ann", "/tidegate plan");
    let mut controller = scene.bench.run();
    wait_for_writes(&scene, &mut controller, number, ours + 6);
    controller.restart(|| scene.bench.run());
    wait_for_writes(&scene, &mut controller, number, ours + 6);
    controller.end();
    scene.forge.finish();
}

#[test]
fn nothing_that_a_stranger_wrote_is_asked_of_a_metric_source() {
    let scene = Scene::new("");
    let answer = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let head = "Content-Type: application/json\r\n";
    let source = WebServer::start(move |_| Reply::Text(200, head, answer.to_owned()));
    let config = fs::read_to_string(scene.bench.path("tidegate.yaml")).unwrap();
    let url = format!("http://127.0.0.1:{}", source.port);
    scene
        .bench
        .write_config(&format!("{config}metrics:\n  prom: {{type: prometheus, url: \"{url}\"}}\n"));
    scene.push(&BASE);
    let mut controller = scene.run();
    let with_query = |query: &str| {
        let spec = scene.bench.spec(&BASE).replacen(
            "scale: {regions",
            "scale: {autoscale: metrics, policy: load, regions",
            1,
        );
        format!(
            "{spec}policies:\n  - name: load\n    signals: {{load: {{source: prom, query: '{query}'}}}}\n    \
             targets: [{{signal: load, perReplica: 10}}]\n"
        )
    };
    let theirs = with_query("sum(stolen)");
    let proposal = Proposal {
        title: "Trust me",
        author: "mallory",
        fork: Some("mallory"),
        files: &[(SPEC, Some(theirs.as_bytes()))],
        ..Proposal::default()
    };
    let number = scene.forge.open(&proposal);
    scene.wait_for_plan(&mut controller, number);
    assert!(scene.comment(number).unwrap().contains("`api/local`"));
    scene.assert_quiet(&mut controller);
    assert!(source.seen().is_empty(), "{:?}", source.seen());

    let number = scene.open_text("Ours", &with_query("sum(ours)"));
    scene.wait_for_plan(&mut controller, number);
    controller.wait("the question of one of ours", || !source.seen().is_empty());
    let asked =
        source.seen().iter().map(|seen| format!("{}{}", seen.head, seen.body)).collect::<String>();
    assert!(asked.contains("ours") && !asked.contains("stolen"), "{asked}");
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_the_operator_wants_planned_is_planned_and_nothing_else() {
    let rules = "plan: {forks: false, drafts: false, labels: [scale], ignoreLabels: [wip]},";
    let (scene, mut controller) = begin(rules);
    scene.forge.push_to("release", &[("README.md", Some(b"old\n"))], "acme");
    let spec = scene.bench.spec(&MORE);
    let files: &[(&str, Option<&[u8]>)] = &[(SPEC, Some(spec.as_bytes()))];
    let plain = Proposal { files, labels: &["scale"], ..Proposal::default() };
    let open = |proposal: &Proposal<'_>| scene.forge.open(proposal);
    let fork = open(&Proposal { fork: Some("mallory"), ..plain.clone() });
    let draft = open(&Proposal { is_draft: true, ..plain.clone() });
    let unlabelled = open(&Proposal { labels: &["other"], ..plain.clone() });
    let ignored = open(&Proposal { labels: &["scale", "wip"], ..plain.clone() });
    let elsewhere = open(&Proposal { base: "release", ..plain.clone() });
    let wanted = open(&plain);
    scene.wait_for_plan(&mut controller, wanted);
    scene.assert_quiet(&mut controller);
    let is_alone = |number: u64| {
        scene.comment(number).is_none()
            && scene.forge.statuses(&scene.forge.pull(number).head).is_empty()
    };
    for number in [fork, draft, unlabelled, ignored, elsewhere] {
        assert!(is_alone(number), "#{number}: {}", scene.forge.transcript());
    }

    scene.forge.set_draft(draft, false);
    scene.forge.set_labels(unlabelled, &["scale", "other"]);
    scene.forge.set_labels(ignored, &["scale"]);
    for number in [draft, unlabelled, ignored] {
        scene.wait_for_plan(&mut controller, number);
        assert!(scene.comment(number).is_some());
    }
    scene.assert_quiet(&mut controller);
    assert!(is_alone(fork) && is_alone(elsewhere), "{}", scene.forge.transcript());
    controller.end();
    scene.forge.finish();
}

#[test]
fn only_the_newest_are_planned_where_there_are_more_than_are_wanted() {
    let scene = Scene::new("plan: {maxOpen: 2},");
    scene.push(&BASE);
    let open = |web: u32| scene.open("More", &[("api", 1, "1"), ("web", web, "1")]);
    let numbers = [2, 3, 4, 5].map(open);
    let mut controller = scene.run();
    for number in &numbers[2..] {
        scene.wait_for_plan(&mut controller, *number);
    }
    scene.assert_quiet(&mut controller);
    let commented =
        || numbers.iter().filter(|n| scene.comment(**n).is_some()).copied().collect::<Vec<_>>();
    assert_eq!(commented(), numbers[2..]);
    scene.forge.close(numbers[3]);
    scene.wait_for_plan(&mut controller, numbers[1]);
    scene.assert_quiet(&mut controller);
    assert_eq!(commented(), numbers[1..]);
    controller.end();
    scene.forge.finish();
}

#[test]
fn what_touches_nothing_of_the_spec_has_a_green_check_and_no_comment() {
    let (scene, mut controller) = begin("");
    let files: &[(&str, Option<&[u8]>)] = &[("README.md", Some(b"words\n"))];
    let number = scene.forge.open(&Proposal { files, ..Proposal::default() });
    scene.wait_for_plan(&mut controller, number);
    let head = scene.forge.pull(number).head;
    let said = scene.forge.status(&head, "tidegate/plan").unwrap().1;
    assert_eq!(said, "does not change the spec");
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.comment(number), None);

    let (base, more) = (scene.bench.spec(&BASE), scene.bench.spec(&MORE));
    for (spec, text) in
        [(&more, "### Planned"), (&base, "### Nothing of the spec"), (&more, "### Planned")]
    {
        scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
        scene.wait_for_plan(&mut controller, number);
        scene.wait_for_comment(&mut controller, number, text);
    }
    wait_for_writes(&scene, &mut controller, number, 3);
    assert!(scene.comment(number).unwrap().contains("2 earlier plans"));
    controller.end();
    scene.forge.finish();
}

#[test]
fn a_conflict_is_said_and_its_end_is_planned_also_after_a_forced_push() {
    let (scene, mut controller) = begin("");
    let number = scene.planned(&mut controller, "More", &MORE);
    let base = scene.push(&[("api", 1, "1"), ("web", 2, "1")]);
    scene.wait_for_comment(&mut controller, number, "### Does not merge");
    let head = scene.forge.pull(number).head;
    let said = scene.wait_for_check(&mut controller, &head, "tidegate/plan", "failure");
    assert_eq!(said, format!("does not merge: conflict in {SPEC}"));
    wait_for_writes(&scene, &mut controller, number, 2);

    let spec = scene.bench.spec(&[("api", 1, "1"), ("web", 4, "1")]);
    let forced = scene.forge.force_push(number, &[(SPEC, Some(spec.as_bytes()))]);
    scene.wait_for_comment(&mut controller, number, "Create 2 replicas");
    scene.wait_for_check(&mut controller, &forced, "tidegate/plan", "success");
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains(forced.as_str()) && comment.contains(base.as_str()), "{comment}");
    wait_for_writes(&scene, &mut controller, number, 3);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    scene.wait_for_applied(&mut controller, number, &merge);
    assert_eq!(scene.bench.count("web"), 4);
    controller.end();
    scene.forge.finish();
}

#[test]
fn controllers_of_two_owners_have_a_comment_each() {
    let (scene, mut controller) = begin("");
    let config = fs::read_to_string(scene.bench.path("tidegate.yaml")).unwrap();
    let owner = format!("{}-nbr", scene.bench.owner);
    let config = config
        .replace(&format!("owner: {}", scene.bench.owner), &format!("owner: {owner}"))
        .replace("branch: tidegate/status", "branch: neighbour/status")
        .replace("/state\n", "/neighbour\n");
    let path = scene.bench.path("neighbour.yaml");
    fs::write(&path, config).unwrap();
    let log = scene.bench.path("neighbour.log");
    let mut command = scene.bench.command(&["run", "--log", "tidegate=debug"]);
    command.env("TIDEGATE_CONFIG", &path).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(&log).unwrap());
    let mut neighbour = Controller::new(command.spawn().unwrap(), log);
    let theirs = || {
        let seen = scene.bench.infra.seen();
        seen.iter().filter(|replica| replica.owner == owner).count()
    };
    neighbour.wait("the neighbour's first apply", || theirs() == 2);

    let number = scene.open("More", &MORE);
    let comment_of = |owner: &str| {
        let comments = scene.forge.comments(number);
        let mark = format!("tidegate:pull:{owner} ");
        let mut ours = comments.into_iter().filter(|comment| comment.body.contains(&mark));
        let first = ours.next()?;
        assert!(ours.next().is_none(), "two comments of {owner}");
        Some(first.body)
    };
    let both_say = |text: &str| {
        [&scene.bench.owner, &owner].iter().all(|o| comment_of(o).is_some_and(|c| c.contains(text)))
    };
    controller.wait("a plan of each", || both_say("### Planned"));
    scene.let_rounds_pass(&mut controller, 4);
    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait("an outcome of each", || both_say("### Applied"));
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    assert_eq!((scene.bench.count("web"), theirs()), (3, 4));
    scene.let_rounds_pass(&mut controller, 6);
    scene.assert_quiet(&mut controller);
    assert_eq!(scene.forge.all_comments(number).len(), 2);
    assert!(scene.comment_writes(number) <= 6, "{}", scene.forge.transcript());
    neighbour.end();
    controller.end();
    scene.forge.finish();
}
