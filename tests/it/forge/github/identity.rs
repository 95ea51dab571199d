//! As whom and on which way requests are sent: an App and its tokens, check runs, which only an App may write,
//! and a proxy.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tidegate::forge::github::{Auth, GitHub};
use tidegate::forge::{Annotation, CheckState, Context, Forge as _, ForgeError};
use tidegate::model::Secret;

use super::{Clock, SHA, TOKEN, check, commit, header, line, ok, options, text};
use crate::support::web_server::{Reply, Request, WebServer};

/// A GitHub that knows an App: takes its signed statement, and the newest token it gave.
struct AppSide {
    tokens: Mutex<u32>,
    clock: Clock,
}

impl AppSide {
    fn answer(&self, request: &Request) -> Reply {
        let bearer = header(request, "authorization").unwrap();
        let bearer = bearer.strip_prefix("Bearer ").unwrap();
        let line = line(request);
        if line == "GET /app" || line.contains("installation") {
            let claims = bearer.split('.').nth(1).expect("a signed statement");
            let claims: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            assert_eq!(claims["iss"], "12345");
        }
        let mut tokens = self.tokens.lock().unwrap();
        match line.as_str() {
            "GET /app" => ok(&json!({ "slug": "tide" })),
            "GET /repos/o/r/installation" => ok(&json!({ "id": 77 })),
            "POST /app/installations/77/access_tokens" => {
                assert_eq!(request.body, r#"{"repositories":["r"]}"#);
                *tokens += 1;
                let ends = self.clock.now() + jiff::SignedDuration::from_hours(1);
                let token = format!("ghs_{}_{}", *tokens, "x".repeat(500));
                text(201, &[], &json!({ "token": token, "expires_at": ends }).to_string())
            }
            _ if !bearer.starts_with(&format!("ghs_{}_", *tokens)) => text(
                401,
                &[],
                &json!({ "message": format!("Bad credentials {bearer}") }).to_string(),
            ),
            _ if line.starts_with("GET") && line.contains("/check-runs?") => ok(&json!({
                "total_count": 3, "check_runs": [
                    run(5, "completed", "success", "tide", "old"),
                    run(9, "completed", "failure", "tide", "new"),
                    run(11, "completed", "success", "evil", "theirs"),
                ]
            })),
            _ => text(201, &[], r#"{"id":42}"#),
        }
    }
}

fn run(id: u64, status: &str, conclusion: &str, app: &str, title: &str) -> Value {
    json!({
        "id": id, "name": "tidegate/plan", "status": status, "conclusion": conclusion,
        "app": { "slug": app }, "output": { "title": title },
    })
}

fn app_key() -> Secret {
    let output = Command::new("openssl")
        .args(["genrsa", "-traditional", "2048"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl can be run");
    assert!(output.status.success());
    Secret::new(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn an_app_gets_a_token_keeps_it_and_changes_it_in_time_and_once_when_refused() {
    let clock = Clock::new();
    let side = Arc::new(AppSide { tokens: Mutex::new(0), clock: clock.clone() });
    let answers = Arc::clone(&side);
    let server = WebServer::start(move |request| answers.answer(request));
    let auth = Auth::App { id: "12345".to_owned(), installation_id: None, private_key: app_key() };
    let github = GitHub::new(options(server.port, auth, &clock)).unwrap();

    assert_eq!(github.me().await.unwrap(), "tide[bot]");
    github.edit_comment(1, "a").await.unwrap();
    github.edit_comment(1, "b").await.unwrap();
    assert_eq!(*side.tokens.lock().unwrap(), 1, "kept");
    clock.set("2026-11-21T10:54:59Z".parse().unwrap());
    github.edit_comment(1, "c").await.unwrap();
    assert_eq!(*side.tokens.lock().unwrap(), 1, "five minutes and a second before its end");
    clock.set("2026-11-21T10:55:01Z".parse().unwrap());
    github.edit_comment(1, "d").await.unwrap();
    assert_eq!(*side.tokens.lock().unwrap(), 2);

    // Taken back by somebody: one new one, and the request again.
    *side.tokens.lock().unwrap() = 7;
    github.edit_comment(1, "e").await.unwrap();
    assert_eq!(*side.tokens.lock().unwrap(), 8);

    // Every token refused: said so after the second one.
    let answers = Arc::clone(&side);
    server.answer(move |request| {
        let reply = answers.answer(request);
        if line(request).contains("issues") {
            let bearer = header(request, "authorization").unwrap();
            return text(401, &[], &json!({ "message": format!("no {bearer}") }).to_string());
        }
        reply
    });
    let asked = server.seen().len();
    let error = github.edit_comment(1, "f").await.unwrap_err();
    assert!(matches!(error, ForgeError::Auth { .. }), "{error}");
    assert!(!error.to_string().contains("ghs_"), "{error}");
    let lines: Vec<String> = server.seen()[asked..].iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "PATCH /repos/o/r/issues/comments/1",
            "GET /repos/o/r/installation",
            "POST /app/installations/77/access_tokens",
            "PATCH /repos/o/r/issues/comments/1",
        ]
    );
}

#[tokio::test]
async fn an_app_reports_plans_as_check_runs_with_findings_in_batches() {
    let clock = Clock::new();
    let side = AppSide { tokens: Mutex::new(0), clock: clock.clone() };
    let server = WebServer::start(move |request| side.answer(request));
    let auth =
        Auth::App { id: "12345".to_owned(), installation_id: Some(77), private_key: app_key() };
    let github = GitHub::new(options(server.port, auth, &clock)).unwrap();

    let mut failed = check(Context::Plan, CheckState::Failure, "205 findings");
    failed.annotations = (1..=205)
        .map(|n| Annotation {
            path: "web.yaml".to_owned(),
            line: n,
            end_line: n,
            is_error: n % 2 == 0,
            title: "code".to_owned(),
            message: "m".to_owned(),
        })
        .collect();
    github.report(&commit(), &failed).await.unwrap();
    let seen = server.seen();
    let lines: Vec<String> = seen[1..].iter().map(line).collect();
    let patch = "PATCH /repos/o/r/check-runs/42";
    assert_eq!(lines, ["POST /repos/o/r/check-runs", patch, patch, patch]);
    let bodies: Vec<Value> =
        seen[1..].iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    assert_eq!(bodies[0]["name"], "tidegate/plan");
    assert_eq!(bodies[0]["head_sha"], SHA);
    assert_eq!(
        (&bodies[0]["status"], &bodies[0]["conclusion"]),
        (&json!("completed"), &json!("failure"))
    );
    let said = bodies[0]["output"]["summary"].as_str().unwrap();
    assert!(said.ends_with("5 more findings are not shown beside their lines."), "{said}");
    let mut lines = Vec::new();
    for body in &bodies {
        let annotations = body["output"]["annotations"].as_array().unwrap();
        assert_eq!(annotations.len(), 50);
        lines.extend(annotations.iter().map(|one| one["start_line"].as_u64().unwrap()));
    }
    assert!(lines.into_iter().eq(1..=200), "each once and in order");

    github.report(&commit(), &check(Context::Plan, CheckState::Pending, "…")).await.unwrap();
    let pending: Value = serde_json::from_str(&server.seen().last().unwrap().body).unwrap();
    assert_eq!((&pending["status"], pending.get("conclusion")), (&json!("in_progress"), None));
    github.report(&commit(), &check(Context::Apply, CheckState::Success, "done")).await.unwrap();
    assert_eq!(line(server.seen().last().unwrap()), format!("POST /repos/o/r/statuses/{SHA}"));

    let reported = github.reported(&commit(), Context::Plan).await.unwrap().unwrap();
    assert_eq!((reported.state, reported.summary.as_str()), (CheckState::Failure, "new"));
}

#[tokio::test]
async fn through_a_proxy_every_connection_is_a_tunnel() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let server = WebServer::start(|_| ok(&json!({ "login": "me" })));
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = proxy.local_addr().unwrap().port();
    let target = format!("127.0.0.1:{}", server.port);
    let seen = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        let mut lines = BufReader::new(&mut client).lines();
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
            head.push(line);
        }
        let mut upstream = tokio::net::TcpStream::connect(target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        head
    });
    let mut options = options(server.port, Auth::Token(Secret::new(TOKEN)), &Clock::new());
    options.proxy = Some(format!("http://us%65r:p+w@127.0.0.1:{port}"));
    assert!(!format!("{options:?}").contains("p+w") && !format!("{options:?}").contains(TOKEN));
    let github = GitHub::new(options).unwrap();
    assert_eq!(github.me().await.unwrap(), "me");
    drop(github);
    let head = seen.await.unwrap();
    assert_eq!(head[0], format!("CONNECT 127.0.0.1:{} HTTP/1.1", server.port));
    let auth = format!("proxy-authorization: basic {}", STANDARD.encode("user:p+w"));
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case(&auth)), "{head:?}");
    assert!(!head.iter().any(|line| line.contains("hunter2")));
}
