//! Listens: the forge's webhooks, which only wake the loop that asks the forge anyway.
//!
//! Everything that comes in is a stranger's until its signature is verified. So there are limits on connections,
//! time and size before anything is looked at; a connection carries one request; and an error says no more than
//! its status. What is lost here costs waiting for the next poll, and nothing else.

mod hooks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

pub use hooks::HookSetup;

/// Where the forge sends its webhooks.
pub const HOOKS_PATH: &str = "/hooks/github";

/// Connections at once. A forge sends some at a time; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// Time for the head of a request: what comes slower is nobody's webhook.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// Time for a connection as a whole: the forge gives up after ten seconds itself.
const CONNECTION_LIMIT: Duration = Duration::from_secs(20);
/// Bytes of a request's head: GitHub's have about one thousand.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Time for connections that are under way when stopping.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Wait after a connection could not be taken (no free file handles), so that this does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, with the port that the system chose where 0 was asked for.
    pub addr: SocketAddr,
    /// Ends after `stop`, when the requests under way are answered or have had their time.
    pub task: JoinHandle<()>,
}

/// Listens until `stop`. Without `hooks` there is nothing at any path.
///
/// # Errors
///
/// If the address cannot be listened on.
pub async fn start(
    listen: SocketAddr,
    hooks: Option<HookSetup>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Server> {
    let listener = TcpListener::bind(listen).await?;
    let addr = listener.local_addr()?;
    let mut router = Router::new();
    if let Some(hooks) = hooks {
        router = router
            .route(HOOKS_PATH, post(hooks::receive).with_state(Arc::new(hooks::Hooks::new(hooks))));
    }
    let router = router
        .fallback(async || problem(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED));
    let task = tokio::spawn(listen_until(listener, router, stop));
    Ok(Server { addr, task })
}

async fn listen_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut under_way = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, _))) => {
                let router = router.clone();
                under_way.spawn(async move {
                    converse(stream, router).await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => break,
        }
        while under_way.try_join_next().is_some() {}
    }
    drop(listener);
    let rest = async { while under_way.join_next().await.is_some() {} };
    // Who is not done by then is cut off when the set is dropped.
    let _ = tokio::time::timeout(STOP_LIMIT, rest).await;
}

/// One connection, one request.
async fn converse(stream: TcpStream, router: Router) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong here is the other side's, and it was told what there is to tell.
    match tokio::time::timeout(CONNECTION_LIMIT, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}

/// An error after RFC 9457, with no details: who may know them reads the log.
fn problem(status: StatusCode) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body =
        serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16() });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
