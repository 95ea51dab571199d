//! The client of GitHub against a server that says exactly what a test wants: limits, pages, faults, secrets.

mod identity;
mod pages;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::forge::github::{Auth, Budget, GitHub, Options};
use tidegate::forge::{Check, CheckState, Context, Forge as _, ForgeError, PullState};
use tidegate::model::{CommitId, PullNumber, Secret};

use crate::support::web_server::{Reply, Request, WebServer};

const TOKEN: &str = "github_pat_hunter2+/secret";
const SHA: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const START: &str = "2026-11-21T10:00:00Z";

/// A clock that a test turns.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.parse::<Timestamp>().unwrap().as_second())))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn set(&self, at: Timestamp) {
        self.0.store(at.as_second(), Ordering::SeqCst);
    }
}

fn options(port: u16, auth: Auth, clock: &Clock) -> Options {
    let clock = clock.clone();
    Options {
        api_url: format!("http://127.0.0.1:{port}"),
        owner: "o".to_owned(),
        repo: "r".to_owned(),
        auth,
        ca_file: None,
        proxy: None,
        now: Arc::new(move || clock.now()),
        budget: Budget::default(),
    }
}

fn with_token(server: &WebServer, clock: &Clock) -> GitHub {
    GitHub::new(options(server.port, Auth::Token(Secret::new(TOKEN)), clock)).unwrap()
}

fn ok(body: &Value) -> Reply {
    text(200, &[], &body.to_string())
}

/// An answer with headers of this moment. A test's few may leak.
fn text(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut lines = String::new();
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        lines.push_str("Content-Type: application/json; charset=utf-8\r\n");
    }
    for (name, value) in headers {
        lines.extend([name, ": ", value, "\r\n"]);
    }
    Reply::Text(status, Box::leak(lines.into_boxed_str()), body.to_owned())
}

fn line(request: &Request) -> String {
    request.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned()
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn pull(number: u64, updated_at: &str) -> Value {
    json!({
        "number": number, "title": format!("t{number}"), "user": { "login": "ann" },
        "head": { "ref": "f", "sha": SHA, "repo": { "id": 1, "full_name": "o/r" } },
        "base": { "ref": "main", "sha": SHA, "repo": { "id": 1, "full_name": "o/r" } },
        "draft": false, "labels": [{ "name": "x" }], "updated_at": updated_at, "state": "open",
        "merged_at": null, "merge_commit_sha": SHA,
    })
}

fn commit() -> CommitId {
    CommitId::try_from(SHA).unwrap()
}

fn check(context: Context, state: CheckState, summary: &str) -> Check {
    Check { context, state, summary: summary.to_owned(), url: None, annotations: Vec::new() }
}

#[tokio::test]
async fn every_request_says_who_asks_for_what() {
    let server = WebServer::start(|_| ok(&json!({ "id": 9, "login": "tide-bot" })));
    let github = with_token(&server, &Clock::new());
    assert_eq!(github.me().await.unwrap(), "tide-bot");
    assert_eq!(github.me().await.unwrap(), "tide-bot");
    assert_eq!(github.create_comment(PullNumber(7), "hällo\n").await.unwrap(), 9);
    github.edit_comment(9, "x").await.unwrap();
    github.delete_comment(9).await.unwrap();
    let seen = server.seen();
    let lines: Vec<String> = seen.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "GET /user",
            "POST /repos/o/r/issues/7/comments",
            "PATCH /repos/o/r/issues/comments/9",
            "DELETE /repos/o/r/issues/comments/9",
        ]
    );
    assert_eq!(seen[1].body, r#"{"body":"hällo\n"}"#);
    for request in &seen {
        for (name, value) in [
            ("authorization", format!("Bearer {TOKEN}")),
            ("accept", "application/vnd.github+json".to_owned()),
            ("x-github-api-version", "2022-11-28".to_owned()),
            ("user-agent", format!("tidegate/{}", env!("CARGO_PKG_VERSION"))),
        ] {
            assert_eq!(header(request, name), Some(value), "{name}");
            let count = request.head.to_lowercase().matches(&format!("\r\n{name}:")).count();
            assert_eq!(count, 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a_long_comment_is_sent_whole_or_refused_and_never_cut() {
    let server = WebServer::start(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let length = body["body"].as_str().unwrap().chars().count();
        let told = format!(r#"{{"message":"{length} is too long (maximum is 65536 characters)"}}"#);
        text(422, &[], &told)
    });
    let github = with_token(&server, &Clock::new());
    let error = github.create_comment(PullNumber(1), &"ä".repeat(65_537)).await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Refused { status: 422, detail, .. } if detail.starts_with("65537 is")),
        "{error}"
    );
}

#[tokio::test]
async fn while_limited_nothing_is_sent() {
    let clock = Clock::new();
    let reset = clock.now().as_second() + 600;
    let server = WebServer::start(move |_| {
        let reset = reset.to_string();
        text(
            403,
            &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", &reset)],
            r#"{"message":"API rate limit exceeded"}"#,
        )
    });
    let github = with_token(&server, &clock);
    let ForgeError::Limited { until, .. } = github.me().await.unwrap_err() else {
        panic!("not limited")
    };
    assert_eq!(until.as_second(), reset + 1);
    for _ in 0..3 {
        assert!(matches!(github.open_pulls("main").await, Err(ForgeError::Limited { .. })));
        assert!(matches!(github.delete_comment(1).await, Err(ForgeError::Limited { .. })));
    }
    assert_eq!(server.seen().len(), 1);

    server.answer(|_| text(429, &[("Retry-After", "30")], "{}"));
    clock.set(until);
    assert!(matches!(github.me().await, Err(ForgeError::Limited { .. })));
    assert_eq!(server.seen().len(), 2);
    server.answer(|_| ok(&json!({ "login": "me" })));
    clock.set(until + jiff::SignedDuration::from_secs(31));
    assert_eq!(github.me().await.unwrap(), "me");
}

#[tokio::test]
async fn writes_stop_at_the_budget_and_reads_go_on() {
    let clock = Clock::new();
    let server = WebServer::start(|_| ok(&json!({ "id": 1, "login": "me" })));
    let mut options = options(server.port, Auth::Token(Secret::new(TOKEN)), &clock);
    options.budget = Budget { per_minute: 2, per_hour: 100 };
    let github = GitHub::new(options).unwrap();
    github.edit_comment(1, "a").await.unwrap();
    github.edit_comment(1, "b").await.unwrap();
    let error = github.edit_comment(1, "c").await.unwrap_err();
    let ForgeError::Limited { until, .. } = error else { panic!("{error}") };
    assert_eq!(until, "2026-11-21T10:01:00Z".parse().unwrap());
    github.me().await.unwrap();
    assert_eq!(server.seen().len(), 3);
    clock.set(until);
    github.edit_comment(1, "c").await.unwrap();
}

#[tokio::test]
async fn faults_are_told_apart_and_show_no_secret() {
    let encoded = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let echo = format!("you sent Bearer {TOKEN} and {encoded}\u{1b}[31m");
    let page = ("Content-Type", "text/html");
    let refusal = json!({ "message": echo, "errors": [{ "field": "body" }] }).to_string();
    let github_of = |reply: Reply| {
        let server = WebServer::start(move |_| reply.clone());
        let github = with_token(&server, &Clock::new());
        (server, github)
    };
    let mut told = Vec::new();
    for (status, headers, body) in [
        (301, vec![("Location", "https://api.github.com/repositories/5/issues")], ""),
        (401, vec![], refusal.as_str()),
        (403, vec![], &refusal),
        (404, vec![], "{}"),
        (410, vec![], "{}"),
        (422, vec![], &refusal),
        (500, vec![], &echo),
        (503, vec![page], "<h1>Unicorn!</h1>"),
        (404, vec![page], "<h1>Proxy</h1>"),
        (200, vec![page], "<h1>Log in</h1>"),
        (200, vec![], r#"{"id":"x"}"#),
        (304, vec![], ""),
    ] {
        let (server, github) = github_of(text(status, &headers, body));
        let error = github.create_comment(PullNumber(1), "x").await.unwrap_err();
        assert_eq!(server.seen().len(), 1, "{status} is not asked again");
        let words = format!("{error} {error:?}");
        assert!(!words.contains("hunter2") && !words.contains(&encoded), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        let kind = match &error {
            ForgeError::Auth { .. } => "auth",
            ForgeError::NotFound { .. } => "not found",
            ForgeError::Limited { .. } => "limited",
            ForgeError::Refused { .. } => "refused",
            ForgeError::Unavailable { .. } => "unavailable",
        };
        told.push(format!("{status} {kind}: {error}").replace(&server.port.to_string(), "PORT"));
    }
    insta::assert_snapshot!(told.join("\n"));

    // Nobody there.
    let (server, github) = github_of(Reply::Never);
    server.stop();
    drop(server);
    let error = github.me().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let breaks = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        for answer in
            ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"login\":", "nonsense\r\n\r\n"]
        {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut chunk = [0; 4096];
            let _ = client.read(&mut chunk).await.unwrap();
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let github =
        GitHub::new(options(port, Auth::Token(Secret::new(TOKEN)), &Clock::new())).unwrap();
    for _ in 0..3 {
        let error = github.me().await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("backtrace"));
    }
    breaks.await.unwrap();
}

#[tokio::test]
async fn pulls_are_read_whatever_is_missing() {
    let list = json!([ghost_of(5), merged_of(4), pull(3, "2026-11-20T09:00:00Z")]);
    let server = WebServer::start(move |_| {
        text(200, &[("Link", "<http://x/>; rel=\"next\"")], &list.to_string())
    });
    let github = with_token(&server, &Clock::new());
    // A next page elsewhere is an error, even where it would not be needed.
    let since = "2026-11-21T00:00:00Z".parse().unwrap();
    assert!(github.closed_pulls("main", since).await.is_err());

    let list = json!([ghost_of(5), merged_of(4), pull(3, "2026-11-20T09:00:00Z")]);
    server.answer(move |request| {
        let host = header(request, "host").unwrap();
        text(200, &[("Link", &format!("<http://{host}/next>; rel=\"next\""))], &list.to_string())
    });
    let asked = server.seen().len();
    let pulls = github.closed_pulls("main", since).await.unwrap();
    assert_eq!(server.seen().len(), asked + 1, "what is older ends it");
    assert_eq!(pulls.len(), 2);
    assert_eq!((pulls[0].author.as_str(), &pulls[0].state), ("ghost", &PullState::Closed));
    assert!(pulls[0].is_fork && pulls[1].is_fork);
    assert_eq!(
        pulls[1].state,
        PullState::Merged { commit: Some(commit()), at: START.parse().unwrap() }
    );

    server.answer(|_| {
        let mut one = merged_of(4);
        one["merged_by"] = json!({ "login": "bob" });
        one["commits"] = 3.into();
        ok(&one)
    });
    let (one, facts) = github.pull(PullNumber(4)).await.unwrap();
    assert_eq!((one.number, facts.by.as_deref(), facts.commits), (PullNumber(4), Some("bob"), 3));
    server.answer(|_| {
        let mut one = pull(4, START);
        one["head"]["sha"] = "../../x".into();
        ok(&one)
    });
    assert!(matches!(github.pull(PullNumber(4)).await, Err(ForgeError::Unavailable { .. })));
}

fn ghost_of(number: u64) -> Value {
    let mut ghost = pull(number, START);
    ghost["user"] = Value::Null;
    ghost["head"]["repo"] = Value::Null;
    ghost["state"] = "closed".into();
    ghost.as_object_mut().unwrap().remove("draft");
    ghost
}

fn merged_of(number: u64) -> Value {
    let mut merged = pull(number, "2026-11-21T09:00:00Z");
    merged["state"] = "closed".into();
    merged["merged_at"] = START.into();
    merged["head"]["repo"]["id"] = 2.into();
    merged
}

#[tokio::test]
async fn comments_have_one_kind_of_line_end() {
    let server = WebServer::start(|_| {
        ok(&json!([
            { "id": 2, "user": null, "body": "a\r\nb\n", "created_at": START, "updated_at": START },
            { "id": 1, "user": { "login": "x" }, "body": null, "created_at": START, "updated_at": START },
        ]))
    });
    let github = with_token(&server, &Clock::new());
    let since: Timestamp = "2026-11-21T10:00:00.7Z".parse().unwrap();
    let comments = github.comments(PullNumber(1), Some(since)).await.unwrap();
    assert_eq!(
        line(&server.seen()[0]),
        "GET /repos/o/r/issues/1/comments?per_page=100&since=2026-11-21T10:00:00Z"
    );
    let texts: Vec<(u64, &str, &str)> = comments
        .iter()
        .map(|comment| (comment.id, comment.author.as_str(), comment.body.as_str()))
        .collect();
    assert_eq!(texts, [(1, "x", ""), (2, "ghost", "a\nb\n")]);
}

#[tokio::test]
async fn who_may_write_is_asked_of_possible_people_alone() {
    let server = WebServer::start(|request| match line(request).as_str() {
        "GET /repos/o/r/collaborators/ann/permission" => {
            ok(&json!({ "permission": "write", "role_name": "maintain" }))
        }
        "GET /repos/o/r/collaborators/renovate%5Bbot%5D/permission" => {
            ok(&json!({ "permission": "read", "role_name": "read" }))
        }
        "GET /repos/o/r/collaborators/eve/permission" => text(404, &[], "{}"),
        line => panic!("{line}"),
    });
    let github = with_token(&server, &Clock::new());
    assert!(github.may_write("ann").await.unwrap());
    for nobody in ["renovate[bot]", "eve", "../x", ""] {
        assert!(!github.may_write(nobody).await.unwrap(), "{nobody}");
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_token_reports_statuses() {
    let server = WebServer::start(|request| {
        if line(request).starts_with("POST") {
            return text(201, &[], "{}");
        }
        ok(&json!({ "statuses": [
            { "context": "ci", "state": "failure", "description": null },
            { "context": "tidegate/plan", "state": "pending", "description": "so" },
        ]}))
    });
    let github = with_token(&server, &Clock::new());
    let mut long = check(Context::Plan, CheckState::Failure, &"ä".repeat(141));
    long.url = Some("https://example.com/1".to_owned());
    github.report(&commit(), &long).await.unwrap();
    let seen = server.seen();
    assert_eq!(line(&seen[0]), format!("POST /repos/o/r/statuses/{SHA}"));
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(
        body,
        json!({
            "state": "failure", "context": "tidegate/plan", "target_url": "https://example.com/1",
            "description": format!("{}…", "ä".repeat(139)),
        })
    );
    let reported = github.reported(&commit(), Context::Plan).await.unwrap().unwrap();
    assert_eq!((reported.state, reported.summary.as_str()), (CheckState::Pending, "so"));
    assert_eq!(github.reported(&commit(), Context::Apply).await.unwrap(), None);
}

#[test]
fn options_that_make_no_sense_are_refused_without_asking_anything() {
    let with = |change: fn(&mut Options)| {
        let mut options = options(1, Auth::Token(Secret::new(TOKEN)), &Clock::new());
        change(&mut options);
        GitHub::new(options).map(drop).unwrap_err().to_string()
    };
    let told = [
        with(|options| options.api_url = "github.com".to_owned()),
        with(|options| options.owner = "../x".to_owned()),
        with(|options| options.auth = Auth::Token(Secret::new("\n"))),
        with(|options| options.auth = Auth::Token(Secret::new("hunter2\r\nX: y"))),
        with(|options| options.proxy = Some("socks5://hunter2".to_owned())),
        with(|options| options.ca_file = Some("/nowhere/ca.pem".into())),
        with(|options| {
            options.auth = Auth::App {
                id: "1".to_owned(),
                installation_id: None,
                private_key: Secret::new("hunter2"),
            };
        }),
    ];
    assert!(!told.join("\n").contains("hunter2"));
    insta::assert_snapshot!(told.join("\n"));

    let github = GitHub::new(options(1, Auth::Token(Secret::new("t\n")), &Clock::new())).unwrap();
    assert!(github.pull_url(PullNumber(7)).ends_with("/o/r/pull/7"));
}
