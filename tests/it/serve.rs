//! The listener against real connections: good deliveries, strangers, slow ones and large ones.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ring::hmac;
use tidegate::forge::hooks::{Hook, read};
use tidegate::model::{PullNumber, Secret};
use tidegate::serve::{HookSetup, Server, start};
use tokio::sync::oneshot;

const SECRET: &str = "It's a Secret to Everybody";
const PULL: &str = r#"{"action":"opened","pull_request":{"number":7,"base":{"ref":"main"}}}"#;

struct Listener {
    addr: SocketAddr,
    woken: Arc<Mutex<Vec<Hook>>>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    async fn start() -> Self {
        let woken = Arc::<Mutex<Vec<Hook>>>::default();
        let sink = Arc::clone(&woken);
        let setup = HookSetup {
            secret: Secret::new(SECRET),
            wake: Arc::new(move |hook| sink.lock().unwrap().push(hook)),
        };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let any = "127.0.0.1:0".parse().unwrap();
        let Server { addr, task } = start(any, Some(setup), stopped).await.unwrap();
        Self { addr, woken, stop: Some(stop), task }
    }

    fn woken(&self) -> Vec<Hook> {
        self.woken.lock().unwrap().clone()
    }

    /// Sends bytes, and gives the status and the whole answer.
    async fn send(&self, request: Vec<u8>) -> (u16, String) {
        let addr = self.addr;
        tokio::task::spawn_blocking(move || exchange(addr, &request)).await.unwrap()
    }

    async fn deliver(&self, event: &str, id: &str, kind: &str, body: &str) -> (u16, String) {
        let headers = format!(
            "X-GitHub-Event: {event}\r\nX-GitHub-Delivery: {id}\r\nContent-Type: {kind}\r\nX-Hub-Signature-256: {}\r\n",
            signature(body)
        );
        self.send(post("/hooks/github", &headers, body)).await
    }
}

fn exchange(addr: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server that refuses early may close before all is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_signed_delivery_wakes_once() {
    let listener = Listener::start().await;
    let json = "application/json";
    let (status, _) = listener.deliver("pull_request", "id-1", json, PULL).await;
    assert_eq!(status, 202);
    let (status, _) = listener.deliver("pull_request", "id-1", json, PULL).await;
    assert_eq!(status, 204, "a replay");
    let form: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", r#"{"ref":"refs/heads/main"}"#)
        .finish();
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(listener.deliver("push", "id-2", kind, &form).await.0, 202);
    assert_eq!(listener.deliver("ping", "id-3", json, r#"{"zen":"x"}"#).await.0, 204);
    assert_eq!(listener.deliver("star", "id-4", json, "{}").await.0, 204);
    assert_eq!(
        listener.woken(),
        [
            Hook::Pull { number: PullNumber(7), base: Some("main".to_owned()) },
            Hook::Push { branch: Some("main".to_owned()) },
        ]
    );
}

#[tokio::test]
async fn strangers_learn_nothing_and_wake_nobody() {
    let listener = Listener::start().await;
    let names = "X-GitHub-Event: pull_request\r\nX-GitHub-Delivery: id\r\n";
    let wrong = format!("{names}X-Hub-Signature-256: {}\r\n", signature("another body"));
    let good = format!("{names}X-Hub-Signature-256: {}\r\n", signature(PULL));
    let unnamed = format!("X-Hub-Signature-256: {}\r\n", signature(PULL));
    let odd = format!("X-GitHub-Event: a b\r\nX-GitHub-Delivery: id\r\n{unnamed}");
    let large = "x".repeat(1024 * 1024 + 1);
    // What is announced is refused before it is sent.
    let announced = format!(
        "POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{wrong}\r\n",
        large.len()
    );
    let in_chunks = format!(
        "POST /hooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{wrong}\r\n{:x}\r\n{large}",
        large.len()
    );
    for (what, request, expected) in [
        ("no signature", post("/hooks/github", names, PULL), 401),
        ("a wrong signature", post("/hooks/github", &wrong, PULL), 401),
        ("a wrong signature of garbage", post("/hooks/github", &wrong, "garbage"), 401),
        ("no event", post("/hooks/github", &unnamed, PULL), 400),
        ("an odd event", post("/hooks/github", &odd, PULL), 400),
        ("a large body", announced.into_bytes(), 413),
        ("a large body in chunks", in_chunks.into_bytes(), 413),
        ("another path", post("/", &good, PULL), 404),
        ("a longer path", post("/hooks/github/x", &good, PULL), 404),
        ("another method", b"GET /hooks/github HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 405),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec(), 400),
    ] {
        let (status, answer) = listener.send(request).await;
        assert_eq!(status, expected, "{what}: {answer}");
        assert!(!answer.contains("sha256") && !answer.contains("ignature"), "{what}: {answer}");
    }
    let (_, answer) = listener.send(post("/hooks/github", names, PULL)).await;
    assert!(answer.contains("content-type: application/problem+json"), "{answer}");
    assert!(
        answer.ends_with(r#"{"status":401,"title":"Unauthorized","type":"about:blank"}"#),
        "{answer}"
    );
    for garbage in
        ["", "{", "[]", "\u{0}", "{\"pull_request\":{\"number\":1e99}}", &"[".repeat(100_000)]
    {
        let (status, answer) =
            listener.deliver("pull_request", "id", "application/json", garbage).await;
        assert_eq!(status, 400, "{answer}");
    }
    assert_eq!(listener.woken(), []);
    // It is there as before.
    assert_eq!(listener.deliver("pull_request", "id", "application/json", PULL).await.0, 202);
}

#[tokio::test]
async fn slow_ones_are_cut_off_and_hold_up_nobody() {
    let listener = Listener::start().await;
    let addr = listener.addr;
    let began = Instant::now();
    let slow = |request: Vec<u8>| {
        tokio::task::spawn_blocking(move || {
            let (status, _) = exchange(addr, &request);
            (status, began.elapsed())
        })
    };
    let head = slow(b"POST /hooks/github HTTP/1.1\r\nHost:".to_vec());
    let mut body =
        post("/hooks/github", &format!("X-Hub-Signature-256: {}\r\n", signature(PULL)), PULL);
    body.truncate(body.len() - 1);
    let body = slow(body);
    assert_eq!(listener.deliver("pull_request", "id", "application/json", PULL).await.0, 202);
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for the slow ones");
    let (status, after) = head.await.unwrap();
    assert!(matches!(status, 0 | 408), "{status}");
    assert!(after < Duration::from_secs(15), "{after:?}");
    let (status, after) = body.await.unwrap();
    assert_eq!(status, 408);
    assert!(after >= Duration::from_secs(9) && after < Duration::from_secs(25), "{after:?}");
}

#[tokio::test]
async fn it_stops_when_told_to() {
    let mut listener = Listener::start().await;
    listener.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), &mut listener.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(listener.addr).is_err(), "the port is closed");

    let any = "127.0.0.1:0".parse().unwrap();
    let server = start(any, None, std::future::pending()).await.unwrap();
    let addr = server.addr;
    let (status, _) =
        tokio::task::spawn_blocking(move || exchange(addr, &post("/hooks/github", "", PULL)))
            .await
            .unwrap();
    assert_eq!(status, 404, "without a secret there is nothing");
    server.task.abort();
}

#[test]
fn saved_deliveries_of_the_forge_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/github/webhooks");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no saved deliveries in {}", folder.display());
        return;
    };
    let mut count = 0;
    for path in files.map(|file| file.unwrap().path()) {
        let event = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let saved: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for payload in saved {
            let hook = read(&event, Some("application/json"), payload.to_string().as_bytes());
            let number = |of: &str| PullNumber(payload[of]["number"].as_u64().unwrap());
            let expected = match event.as_str() {
                "ping" => Hook::Ping,
                "push" => Hook::Push {
                    branch: payload["ref"]
                        .as_str()
                        .unwrap()
                        .strip_prefix("refs/heads/")
                        .map(str::to_owned),
                },
                "pull_request" | "pull_request_review" => Hook::Pull {
                    number: number("pull_request"),
                    base: payload["pull_request"]["base"]["ref"].as_str().map(str::to_owned),
                },
                "issue_comment" => Hook::Comment {
                    number: number("issue"),
                    on_pull: payload["issue"].get("pull_request").is_some(),
                },
                _ => Hook::Other,
            };
            assert_eq!(hook, Ok(expected), "{event}: {payload}");
            count += 1;
        }
    }
    assert!(count >= 4, "{count} deliveries in {}", folder.display());
}
