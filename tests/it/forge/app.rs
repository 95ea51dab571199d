//! A controller that is a GitHub App, at an Enterprise server, or that is woken by webhooks.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::github::{AppKey, CheckRunRecord, Forge, Hook, Merge, Options};

use super::scene::{SPEC, Scene};

/// The App's own user.
const APP: &str = "tide-app[bot]";

/// A scene whose controller is an App.
fn scene(options: Options, webhook: &str) -> (Scene, AppKey) {
    let forge = Forge::start_with(Options { is_served: true, ..options });
    let key = forge.install_app();
    let scene = Scene::with(forge, "");
    let file = scene.bench.path("app.pem");
    std::fs::write(&file, &key.private_key).unwrap();
    let app = format!("{{app: {{id: {}, privateKeyRef: file/{}}}}}", key.id, file.display());
    scene.configure(webhook, &app);
    (scene, key)
}

/// The last check run of a pull request's head.
fn check_run(scene: &Scene, number: u64) -> Option<CheckRunRecord> {
    scene.forge.check_runs(&scene.forge.pull(number).head).pop()
}

#[test]
fn an_app_shows_findings_beside_their_lines() {
    let options = Options { base_path: "/api/v3", ..Options::default() };
    let (scene, _) = scene(options, "");
    let ids: Vec<String> = (0..70).map(|n| format!("s{n:02}")).collect();
    let services: Vec<(&str, u32, &str)> = ids.iter().map(|id| (id.as_str(), 0, "1")).collect();
    scene.push(&services);
    let mut controller = scene.run();

    // One wrong line, and its place.
    let base = scene.bench.spec(&services);
    let number = scene.open_text("Wrong", &base.replacen("max: 9", "maxx: 9", 1));
    controller.wait("a check run", || {
        check_run(&scene, number).is_some_and(|run| run.conclusion.as_deref() == Some("failure"))
    });
    let run = check_run(&scene, number).unwrap();
    let found: Vec<_> = run
        .annotations
        .iter()
        .map(|a| (a["path"].as_str().unwrap(), a["start_line"].as_u64().unwrap(), &a["message"]))
        .collect();
    assert!(
        found.iter().any(|(path, line, message)| {
            (*path, *line) == (SPEC, 3) && message.as_str().unwrap().contains("maxx")
        }),
        "{found:#?}"
    );
    assert_eq!((run.name.as_str(), run.status.as_str()), ("tidegate/plan", "completed"));
    scene.wait_for_comment(&mut controller, number, "maxx");
    assert_eq!(scene.forge.comments(number)[0].author, APP);

    // So many that they go in several requests, each once.
    let all = base.replace("max: 9", "maxx: 9");
    scene.forge.push(number, &[(SPEC, Some(all.as_bytes()))]);
    controller.wait("all findings", || {
        check_run(&scene, number).is_some_and(|run| run.annotations.len() > 50)
    });
    scene.let_rounds_pass(&mut controller, 3);
    let run = check_run(&scene, number).unwrap();
    let mut places: Vec<String> = run
        .annotations
        .iter()
        .map(|a| format!("{}:{} {}", a["path"], a["start_line"], a["message"]))
        .collect();
    let count = places.len();
    places.sort();
    places.dedup();
    assert!(count >= 70 && places.len() == count, "{count}: {places:#?}");
    let counts = scene.forge.counts();
    let created = counts.writes["post /repos/{owner}/{repo}/check-runs"];
    let updated = counts.writes["patch /repos/{owner}/{repo}/check-runs/{check_run_id}"];
    assert_eq!((created, updated), (2, count.div_ceil(50) - 1), "{}", scene.forge.transcript());

    // Put right, and merged.
    let right = base.replacen("desired: 0", "desired: 2", 1);
    scene.forge.push(number, &[(SPEC, Some(right.as_bytes()))]);
    controller.wait("success", || {
        check_run(&scene, number).is_some_and(|run| run.conclusion.as_deref() == Some("success"))
    });
    assert_eq!(check_run(&scene, number).unwrap().annotations.len(), 0);
    let merge = scene.forge.merge(number, Merge::Rebase, "ann").unwrap();
    scene.wait_for_comment(&mut controller, number, "### Applied");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    assert_eq!(scene.bench.count("s00"), 2);
    assert_eq!(scene.forge.all_comments(number).len(), 1);
    controller.end();
    scene.forge.finish();
}

#[test]
fn tokens_that_end_are_renewed_and_nothing_is_said_twice() {
    let (scene, _) = scene(Options::default(), "");
    scene.push(&[("web", 1, "1")]);
    let first = scene.open("More web", &[("web", 2, "1")]);
    let mut controller = scene.run();
    scene.wait_for_comment(&mut controller, first, "Create 1 replica");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(scene.forge.tokens_given(), 1);

    // Taken back early: the one that is refused is changed, once.
    scene.forge.expire_tokens();
    let second = scene.open("Even more web", &[("web", 3, "1")]);
    scene.wait_for_comment(&mut controller, second, "Create 2 replicas");
    scene.let_rounds_pass(&mut controller, 3);
    assert_eq!(scene.forge.tokens_given(), 2);

    // Of tokens that end within minutes each is changed before it ends, never used after.
    scene.forge.set_token_life(Duration::from_secs(240));
    scene.forge.expire_tokens();
    scene.forge.forget_requests();
    let third = scene.open("Most web", &[("web", 4, "1")]);
    scene.wait_for_comment(&mut controller, third, "Create 3 replicas");
    scene.let_rounds_pass(&mut controller, 2);
    assert!(scene.forge.tokens_given() > 3);
    let refused = scene.forge.counts().refused;
    assert_eq!(refused, 1, "{:#?}", scene.forge.requests());
    for number in [first, second, third] {
        assert_eq!(scene.forge.all_comments(number).len(), 1);
        let runs = scene.forge.check_runs(&scene.forge.pull(number).head);
        assert_eq!(runs.len(), 1, "{runs:#?}");
    }
    controller.end();
    scene.forge.finish();
}

#[test]
fn webhooks_make_everything_happen_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::new("");
    scene.bench.set_env("HOOK_SECRET", "it-is-us");
    // Nothing is looked for without being told within the time of this test.
    let config = scene.bench.config().replace("pollInterval: 1s", "pollInterval: 10m");
    scene.bench.write_config(&format!(
        "{config}api: {{listen: \"127.0.0.1:{port}\"}}\nforge: {{repo: {}, apiUrl: \"{}\", pollInterval: 10m, \
         webhookSecretRef: env/HOOK_SECRET, credentials: {{tokenRef: env/FORGE_TOKEN}}}}\n",
        scene.forge.full_name(),
        scene.forge.api_url(),
    ));
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.run();
    let is_listed = || {
        let requests = scene.forge.requests();
        requests.iter().any(|request| request.query.contains("state=open"))
    };
    controller.wait("the first look at the pull requests", is_listed);

    // A stranger tells, and nobody listens.
    let url = format!("http://127.0.0.1:{port}/hooks/github");
    let stranger = Hook::new(&url, "it-is-us-too");
    scene.forge.set_hook(Some(stranger.clone()));
    let number = scene.open("More web", &[("web", 2, "1")]);
    controller.wait("an answer", || stranger.deliveries().len() == 1);
    assert_eq!(stranger.deliveries()[0].answer, Ok(401));

    let hook = Hook::new(&url, "it-is-us");
    scene.forge.set_hook(Some(hook.clone()));
    assert!(scene.comment(number).is_none());
    let second = scene.open("New", &[("web", 1, "1"), ("new", 1, "1")]);
    scene.wait_for_comment(&mut controller, second, "new");
    // What the stranger told of is found at the same time, and by nothing he said.
    scene.wait_for_comment(&mut controller, number, "Create 1 replica");

    let spec = scene.bench.spec(&[("web", 3, "1")]);
    let head = scene.forge.push(number, &[(SPEC, Some(spec.as_bytes()))]);
    scene.wait_for_comment(&mut controller, number, "Create 2 replicas");
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");

    let before = scene.forge.comments(number)[0].history.len();
    scene.forge.permit("ann", "write");
    scene.forge.comment(number, "ann", "/tidegate plan");
    controller.wait("the plan to be made again", || {
        scene.forge.comments(number)[0].history.len() > before
    });

    let merge = scene.forge.merge(number, Merge::Squash, "ann").unwrap();
    controller.wait("the merge to be applied", || scene.bench.count("web") == 3);
    scene.wait_for_comment(&mut controller, number, "### Applied");
    scene.wait_for_check(&mut controller, &merge, "tidegate/apply", "success");
    scene.push(&[("web", 2, "1")]);
    controller.wait("the push to be applied", || scene.bench.count("web") == 2);
    let answers: Vec<_> = hook.deliveries().into_iter().map(|delivery| delivery.answer).collect();
    assert!(answers.iter().all(|answer| *answer == Ok(202)), "{answers:?}");
    controller.end();
    scene.forge.finish();
}
