//! The forge of the tests is itself as GitHub describes it.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE_NO_PAD as URL_SAFE};
use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, Response};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::support::github::{AppKey, BOT, Counts, Forge, Options, Proposal, Secondary, extract};

/// A client that does everything right.
pub(super) struct Right<'a> {
    pub(super) forge: &'a Forge,
    pub(super) token: String,
    pub(super) client: Client,
}

impl<'a> Right<'a> {
    pub(super) fn new(forge: &'a Forge) -> Self {
        Self {
            forge,
            token: forge.token.clone(),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.replace("REPO", &format!("/repos/{}", self.forge.full_name()));
        self.client
            .request(method, format!("{}{path}", self.forge.api_url()))
            .header("user-agent", "test")
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("authorization", format!("Bearer {}", self.token))
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Response {
        self.ask(Method::POST, path).json(body).send().await.unwrap()
    }
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

pub(super) const FILE: &[(&str, Option<&[u8]>)] = &[("spec.yaml", Some(b"services: []\n"))];

/// A JSON web token as an App makes it.
pub(super) fn jwt(app: &AppKey, issuer: &str, issued: i64, ends: i64) -> String {
    let pem: String = app.private_key_pkcs8.lines().filter(|l| !l.starts_with("---")).collect();
    let key = RsaKeyPair::from_pkcs8(&BASE64.decode(pem).unwrap()).unwrap();
    let part = |value: Value| URL_SAFE.encode(value.to_string());
    let claims = json!({ "iat": issued, "exp": ends, "iss": issuer });
    let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
    let mut signature = vec![0; key.public_key().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE.encode(signature))
}

/// The extract in the sources is the one that the whole description gives.
#[test]
fn the_extract_is_what_the_description_says() {
    let Some(whole) = extract::whole_description() else {
        println!("the whole description is not here: the extract is not compared");
        return;
    };
    let text = extract::to_text(&extract::extract(&whole));
    if std::env::var_os("TIDEGATE_WRITE_EXTRACT").is_some() {
        std::fs::write(extract::committed_path(), &text).unwrap();
    }
    let committed = std::fs::read_to_string(extract::committed_path()).unwrap();
    assert!(committed == text, "the extract is not of this description: make it anew");
}

/// Every operation, asked well, is answered as the description says, and nothing is held against the client.
#[tokio::test]
async fn every_operation_is_answered_as_described() {
    let forge = Forge::start_with(Options { base_path: "/api/v3", ..Options::default() });
    let app = forge.install_app();
    let number =
        forge.open(&Proposal { files: FILE, fork: Some("mallory"), ..Proposal::default() });
    let head = forge.pull(number).head;
    let by_bot = Right::new(&forge);
    let now = Timestamp::now().as_second();
    let as_app = Right { token: jwt(&app, "4711", now - 60, now + 540), ..Right::new(&forge) };

    as_app.json("/app").await;
    as_app.json("/app/installations").await;
    as_app.json("REPO/installation").await;
    let answer = as_app.post("/app/installations/815/access_tokens", &json!({})).await;
    assert_eq!(answer.status(), 201);
    let token = answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("ghs_") && token.len() > 200, "{token}");
    let by_app = Right { token, ..Right::new(&forge) };

    assert_eq!(by_bot.json("/user").await["login"], BOT);
    by_bot.json("/rate_limit").await;
    by_bot.json("REPO").await;
    let pulls = by_bot
        .json("REPO/pulls?state=all&base=main&sort=updated&direction=desc&per_page=100&page=1")
        .await;
    assert_eq!(pulls[0]["head"]["repo"]["owner"]["login"], "mallory");
    by_bot.json("REPO/pulls/1").await;
    forge.delete_fork(number);
    assert_eq!(by_bot.json("REPO/pulls/1").await["head"]["repo"], Value::Null);
    by_bot.json(&format!("REPO/commits/{head}/pulls")).await;
    by_bot.json("REPO/collaborators/mallory/permission").await;

    let comment = by_app.post("REPO/issues/1/comments", &json!({ "body": "a plan" })).await;
    let comment: Value = comment.json().await.unwrap();
    assert_eq!(comment["user"]["login"], "tide-app[bot]");
    let path = format!("REPO/issues/comments/{}", comment["id"]);
    let edit = by_app.ask(Method::PATCH, &path).json(&json!({ "body": "another" }));
    assert_eq!(edit.send().await.unwrap().status(), 200);
    assert_eq!(by_bot.json(&path).await["body"], "another");
    by_bot.json("REPO/issues/1/comments?since=2026-01-01T00:00:00Z").await;
    assert_eq!(by_app.ask(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(forge.all_comments(number)[0].history, ["a plan"]);

    let status = json!({ "state": "pending", "context": "tidegate/plan", "description": "soon" });
    assert_eq!(by_bot.post(&format!("REPO/statuses/{head}"), &status).await.status(), 201);
    assert_eq!(by_bot.json(&format!("REPO/commits/{head}/status")).await["state"], "pending");
    by_bot.json(&format!("REPO/commits/{head}/statuses")).await;

    let run = json!({ "name": "tidegate/plan", "head_sha": head.as_str() });
    assert_eq!(by_bot.post("REPO/check-runs", &run).await.status(), 403, "not for people");
    let run: Value = by_app.post("REPO/check-runs", &run).await.json().await.unwrap();
    let path = format!("REPO/check-runs/{}", run["id"]);
    let done = by_app.ask(Method::PATCH, &path).json(&json!({ "conclusion": "success" }));
    assert_eq!(done.send().await.unwrap().status(), 200);
    assert_eq!(by_app.json(&path).await["status"], "completed");
    let runs =
        by_app.json(&format!("REPO/commits/{head}/check-runs?check_name=tidegate/plan")).await;
    assert_eq!(runs["total_count"], 1);

    let asked: BTreeSet<String> = forge.requests().into_iter().map(|r| r.operation).collect();
    let described = extract::OPERATIONS.iter().map(|(method, path)| format!("{method} {path}"));
    assert_eq!(asked, described.collect::<BTreeSet<_>>());
    forge.finish();
}

/// What the description does not allow is refused, and found when the test ends.
#[tokio::test]
async fn what_is_not_described_is_refused_and_remembered() {
    let forge = Forge::start_api();
    forge.open(&Proposal { files: FILE, ..Proposal::default() });
    let right = Right::new(&forge);
    let head = forge.pull(1).head;
    let (status, comments) = (format!("REPO/statuses/{head}"), "REPO/issues/1/comments");
    let get = |path: &str| right.ask(Method::GET, path);
    let post = |path: &str, body: Value| right.ask(Method::POST, path).json(&body);
    let without = |name: &'static str| {
        let mut request = get("REPO").build().unwrap();
        request.headers_mut().remove(name);
        RequestBuilder::from_parts(right.client.clone(), request)
    };
    let long = |chars: usize| "\u{e9}".repeat(chars);
    let wrong = [
        (get("REPO/pulls/1/reviews"), 404, "no such operation is described"),
        (right.ask(Method::DELETE, "REPO"), 404, "no such operation is described"),
        (without("user-agent"), 403, "there is no User-Agent"),
        (without("authorization"), 401, "there is no Authorization"),
        (without("accept"), 415, "Must accept"),
        (without("x-github-api-version"), 400, "X-GitHub-Api-Version"),
        (get("REPO/pulls?state=opened"), 422, "`state` is `opened`"),
        (get("REPO/pulls?per_page=101"), 422, "`per_page` is not from 1 to 100"),
        (get("REPO/pulls?since=2026-01-01T00:00:00Z"), 422, "no query parameter `since`"),
        (get("REPO/issues/1/comments?since=yesterday"), 422, "`since` is `yesterday`"),
        (get("REPO/pulls/one"), 422, "`pull_number` is `one`"),
        (post(comments, json!({ "body": 1 })), 422, "1 is not of type"),
        (post(comments, json!({ "text": "x" })), 422, "\"body\" is a required property"),
        (post(comments, json!({ "body": long(65_537) })), 422, "maximum is 65536 characters"),
        (post(&status, json!({ "state": "good" })), 422, "\"good\" is not one of"),
        (post(&status, json!({ "state": "error", "colour": "red" })), 422, "no field `colour`"),
        (
            post(&status, json!({ "state": "error", "description": long(141) })),
            422,
            "maximum is 140 characters",
        ),
    ];
    for (request, status, violation) in wrong {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{violation}");
        let error: Value = answer.json().await.unwrap();
        assert!(error["message"].is_string() && error["documentation_url"].is_string(), "{error}");
        let violations = forge.take_violations();
        let [found] = violations.as_slice() else { panic!("{violation}: {violations:?}") };
        assert!(found.contains(violation), "{violation}: {found}");
    }
    let fits = post(comments, json!({ "body": long(65_536) })).send().await.unwrap();
    assert_eq!(fits.status(), 201);
    assert_eq!(forge.take_violations(), Vec::<String>::new());

    get("REPO/pulls/1/reviews").send().await.unwrap();
    let ends = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| forge.finish()));
    let words = ends.unwrap_err().downcast::<String>().unwrap();
    assert!(words.contains("/repos/acme/infra/pulls/1/reviews"), "{words}");
}

/// What somebody may not see is not there, and bad credentials are refused; neither is the client's fault.
#[tokio::test]
async fn who_may_not_is_told_so() {
    let forge = Forge::start_api();
    let stranger = Right { token: forge.token_of("mallory"), ..Right::new(&forge) };
    assert_eq!(stranger.get("REPO").await.status(), 404);
    forge.set_private(false);
    assert_eq!(stranger.get("REPO").await.status(), 200);
    assert_eq!(stranger.get("REPO/collaborators/ann/permission").await.status(), 403);
    forge.revoke(&stranger.token);
    assert_eq!(stranger.get("REPO").await.status(), 401);
    forge.finish();
}

/// Lists come in pages, and `Link` leads through them.
#[tokio::test]
async fn lists_come_in_pages() {
    let forge = Forge::start_api();
    let number = forge.open(&Proposal { files: FILE, ..Proposal::default() });
    for n in 1..=35 {
        forge.comment(number, "ann", &format!("comment {n}"));
    }
    let right = Right::new(&forge);
    let first = right.get("REPO/issues/1/comments").await;
    let path = format!("{}/repos/acme/infra/issues/1/comments", forge.api_url());
    assert_eq!(
        header(&first, "link"),
        format!("<{path}?page=2>; rel=\"next\", <{path}?page=2>; rel=\"last\"")
    );
    assert_eq!(first.json::<Vec<Value>>().await.unwrap().len(), 30);
    let second = right.get("REPO/issues/1/comments?per_page=10&page=2").await;
    let link = header(&second, "link");
    for rel in ["1>; rel=\"prev\"", "3>; rel=\"next\"", "4>; rel=\"last\"", "1>; rel=\"first\""] {
        assert!(link.contains(&format!("?per_page=10&page={rel}")), "{link}");
    }
    assert_eq!(second.json::<Value>().await.unwrap()[0]["body"], "comment 11");
    assert_eq!(header(&right.get("REPO/issues/1/comments?per_page=35").await, "link"), "");
    forge.finish();
}

/// A question whose answer is known is answered with 304 and costs nothing.
#[tokio::test]
async fn an_unchanged_answer_costs_nothing() {
    let forge = Forge::start_api();
    let right = Right::new(&forge);
    let first = right.get("REPO/pulls").await;
    let tag = header(&first, "etag");
    let again = || right.ask(Method::GET, "REPO/pulls").header("if-none-match", &tag).send();
    let same = again().await.unwrap();
    assert_eq!(same.status(), 304);
    assert_eq!(header(&same, "etag"), tag);
    assert_eq!(header(&same, "x-ratelimit-remaining"), header(&first, "x-ratelimit-remaining"));
    forge.open(&Proposal { files: FILE, ..Proposal::default() });
    assert_eq!(again().await.unwrap().status(), 200);
    let Counts { reads, unchanged, .. } = forge.counts();
    assert_eq!((reads, unchanged, forge.used()), (2, 1, 2));
    forge.finish();
}

/// Limits refuse with GitHub's words and headers, and end.
#[tokio::test]
async fn limits_refuse_and_end() {
    let forge = Forge::start_api();
    forge.open(&Proposal { files: FILE, ..Proposal::default() });
    let right = Right::new(&forge);
    forge.limit_primary(1, Duration::from_secs(3_600));
    assert_eq!(right.get("REPO").await.status(), 200);
    let refused = right.get("REPO").await;
    assert_eq!(
        (refused.status().as_u16(), header(&refused, "x-ratelimit-remaining")),
        (403, "0".into())
    );
    let reset: i64 = header(&refused, "x-ratelimit-reset").parse().unwrap();
    assert!((3_500..=3_600).contains(&(reset - Timestamp::now().as_second())), "{reset}");
    forge.limit_primary(0, Duration::ZERO);
    assert_eq!(right.get("REPO").await.status(), 200, "it has reset");

    let retry_after = Some(Duration::from_secs(7));
    let requests = Some(1);
    forge.limit_secondary(Secondary { status: 429, retry_after, requests, only_writes: true });
    assert_eq!(right.get("REPO").await.status(), 200);
    let body = json!({ "body": "x" });
    let comment = || right.post("REPO/issues/1/comments", &body);
    let refused = comment().await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, "7".into()));
    let words = refused.json::<Value>().await.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(words.contains("secondary rate limit"), "{words}");

    for _ in 0..80 {
        assert_eq!(comment().await.status(), 201);
    }
    assert_eq!(forge.take_violations(), Vec::<String>::new());
    assert_eq!(comment().await.status(), 403);
    assert!(forge.take_violations()[0].contains("80 content-creating requests in a minute"));
    assert_eq!(forge.comments(1).len(), 80);
}
