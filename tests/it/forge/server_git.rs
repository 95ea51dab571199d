//! The forge of the tests merges by git, breaks as it is told, and tells what was done.

use std::process::Command;
use std::time::Duration;

use super::server::{FILE, Right, jwt};
use crate::support::github::{Conflict, Fault, For, Forge, Hook, Merge, Proposal};
use crate::support::web_server::{Reply, WebServer};
use jiff::Timestamp;
use serde_json::json;

/// Merges put on the base branch what GitHub puts there, and say which commit it is.
#[test]
fn merges_make_the_graph_that_github_makes() {
    let forge = Forge::start_api();
    let open = |file: &str| {
        let number = forge.open(&Proposal {
            title: "More",
            files: &[(file, Some(b"1\n"))],
            ..Proposal::default()
        });
        forge.push(number, &[(file, Some(b"2\n"))]);
        number
    };
    let (merged, squashed, rebased) = (open("a"), open("b"), open("c"));
    let parents = |commits: usize| -> Vec<usize> {
        forge.repo.history("main").iter().take(commits).map(|(_, parents)| *parents).collect()
    };
    let message = || {
        let head = git2::Oid::from_str(forge.head_of("main").as_str()).unwrap();
        forge.repo.open().find_commit(head).unwrap().message().unwrap().to_owned()
    };

    let commit = forge.merge(merged, Merge::Merge, "ann").unwrap();
    assert_eq!((commit, parents(1)), (forge.head_of("main"), vec![2]));
    assert_eq!(message(), "Merge pull request #1 from acme/change-1\n\nMore\n");

    let commit = forge.merge(squashed, Merge::Squash, "ann").unwrap();
    assert_eq!((commit, parents(2)), (forge.head_of("main"), vec![1, 2]));
    assert_eq!(message(), "More (#2)\n");

    let before = forge.head_of("main");
    let commit = forge.merge(rebased, Merge::Rebase, "ann").unwrap();
    assert_eq!((commit.clone(), parents(3)), (forge.head_of("main"), vec![1, 1, 1]));
    let record = forge.pull(rebased).merged.unwrap();
    assert_eq!((record.landed.len(), record.own.len()), (2, 2));
    assert_eq!(forge.repo.history("main")[2].0, before, "two copies on top of what was there");
    assert_ne!(commit, forge.pull(rebased).head, "the copies are other commits");
    assert_eq!(forge.repo.file("main", "c").unwrap(), b"2\n");

    let (one, other) = (open("d"), open("e"));
    let both = forge.merge_all(&[one, other], Merge::Squash, "ann").unwrap();
    let history: Vec<_> =
        forge.repo.history("main").into_iter().take(2).map(|(id, _)| id).collect();
    assert_eq!(history, [both[1].clone(), both[0].clone()]);

    let (one, other) =
        (open("f"), forge.open(&Proposal { files: &[("f", Some(b"3\n"))], ..Proposal::default() }));
    forge.merge(one, Merge::Squash, "ann").unwrap();
    for how in [Merge::Merge, Merge::Squash, Merge::Rebase] {
        assert_eq!(forge.merge(other, how, "ann"), Err(Conflict));
    }
    let revert = forge.open_revert(one, "ann").unwrap();
    forge.merge(revert, Merge::Squash, "ann").unwrap();
    assert_eq!(forge.repo.file("main", "f"), None);
}

/// The git server has the heads of all pull requests, those of forks too.
#[test]
fn the_git_server_has_the_heads_of_pull_requests() {
    let forge = Forge::start();
    let number =
        forge.open(&Proposal { files: FILE, fork: Some("mallory"), ..Proposal::default() });
    let head = forge.force_push(number, &[("spec.yaml", Some(b"services: [] # new\n"))]);
    let git = forge.git();
    let url = forge.git_url().replace("://", &format!("://x-access-token:{}@", git.token));
    let listed = Command::new("git")
        .env("no_proxy", "127.0.0.1")
        .args(["ls-remote", &url])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&format!("{head}\trefs/pull/1/head")), "{listed}");
    assert!(!listed.contains("refs/heads/change-1"), "{listed}");
}

/// Faults befall as many requests as they are told to, and a lost answer's change is made.
#[tokio::test]
async fn faults_befall_and_end() {
    let forge = Forge::start_api();
    forge.open(&Proposal { files: FILE, ..Proposal::default() });
    let right = Right::new(&forge);
    forge.fail(Fault::Page503, For::Requests(1));
    let page = right.get("REPO").await;
    assert_eq!(page.status(), 503);
    assert!(page.text().await.unwrap().contains("<html>"));
    assert_eq!(right.get("REPO").await.status(), 200);

    forge.fail(Fault::Closed, For::Ever);
    let comment = || right.ask(reqwest::Method::POST, "REPO/issues/1/comments");
    let comment = || comment().json(&json!({ "body": "x" })).send();
    assert!(comment().await.is_err());
    forge.recover();
    assert_eq!(forge.comments(1).len(), 0);

    forge.fail(Fault::Hang, For::Ever);
    let hanging = right.ask(reqwest::Method::GET, "REPO").timeout(Duration::from_millis(200));
    assert!(hanging.send().await.unwrap_err().is_timeout());

    forge.fail(Fault::AnswerLost, For::Requests(1));
    assert_eq!(right.get("REPO").await.status(), 200, "reads are answered");
    assert!(comment().await.is_err());
    assert_eq!(forge.comments(1).len(), 1);
    assert_eq!(comment().await.unwrap().status(), 201);
    assert_eq!(
        forge.transcript(),
        "POST issues/1/comments -> id1 : \"x\"\nPOST issues/1/comments -> id2 : \"x\"\n"
    );
    forge.finish();
}

/// An App's tokens are given for a good JSON web token only, and end.
#[tokio::test]
async fn the_tokens_of_an_app_end() {
    let forge = Forge::start_api();
    let app = forge.install_app();
    let now = Timestamp::now().as_second();
    let asked = async |issuer: &str, issued: i64, ends: i64| {
        let as_app = Right { token: jwt(&app, issuer, issued, ends), ..Right::new(&forge) };
        as_app.post("/app/installations/815/access_tokens", &json!({})).await
    };
    assert_eq!(asked("4712", now - 60, now + 60).await.status(), 401, "another App");
    assert_eq!(asked("4711", now - 60, now + 700).await.status(), 401, "too far ahead");
    assert_eq!(asked("4711", now - 120, now - 60).await.status(), 401, "ended");
    assert_eq!(asked("4711", now + 60, now + 120).await.status(), 401, "from the future");
    let answer = asked(&app.client_id, now - 60, now + 540).await;
    let answer: serde_json::Value = answer.json().await.unwrap();
    let token = answer["token"].as_str().unwrap().to_owned();
    let by_app = Right { token, ..Right::new(&forge) };
    assert_eq!(by_app.get("REPO").await.status(), 200);
    assert_eq!(by_app.get("/user").await.status(), 403, "an App is no user");
    forge.expire_tokens();
    assert_eq!(by_app.get("REPO").await.status(), 401);
    forge.finish();
}

/// Webhooks are signed over the very bytes, and sent of what happens where a test wants it.
#[test]
fn webhooks_are_signed_and_sent() {
    let vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = "It's a Secret to Everybody";
    assert_eq!(crate::support::github::hooks::signature(secret, b"Hello, World!"), vector);

    let forge = Forge::start_api();
    let listener = WebServer::start(|_| Reply::Text(204, "", String::new()));
    let hook = Hook::new(&format!("http://127.0.0.1:{}/hooks/github", listener.port), secret);
    assert_eq!(forge.deliver(&hook, "ping", &json!({})).answer, Ok(204));
    let form = Hook { is_form: true, ..hook.clone() };
    assert_eq!(forge.deliver(&form, "push", &json!({ "ref": "refs/heads/main" })).answer, Ok(204));
    let seen = listener.seen();
    assert!(seen[0].head.starts_with("POST /hooks/github HTTP/1.1\r\n"), "{}", seen[0].head);
    for request in &seen {
        let signature = crate::support::github::hooks::signature(secret, request.body.as_bytes());
        assert!(request.head.contains(&format!("X-Hub-Signature-256: {signature}")));
    }
    assert!(seen[1].body.starts_with("payload=%7B"), "{}", seen[1].body);

    forge.set_hook(Some(hook.clone()));
    let number = forge.open(&Proposal { files: FILE, ..Proposal::default() });
    forge.comment(number, "ann", "/tidegate plan");
    crate::support::programs::wait_until("two webhooks", || hook.deliveries().len() == 4);
    let bodies: Vec<serde_json::Value> =
        listener.seen()[2..].iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
    let of = |field: &str| bodies.iter().find(|body| !body[field].is_null()).unwrap();
    assert_eq!(of("pull_request")["pull_request"]["head"]["sha"], forge.pull(number).head.as_str());
    assert_eq!(of("comment")["comment"]["body"], "/tidegate plan");
    assert_eq!(of("comment")["repository"]["full_name"], "acme/infra");
    forge.finish();
}
