//! The line: connections, requests read whole, and answers written, cut or never given.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::exchange;
use super::state::State;

/// Larger than anything GitHub would read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What is done about a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// The connection is closed without a word.
    Close,
    /// The connection stays open without a word.
    Hang,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Option<&Value>) -> Self {
        let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        Self { status, headers: Vec::new(), content_type: "application/json; charset=utf-8", body }
    }
}

/// A server on a port of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts listening, before there is a state to answer from.
    pub(crate) fn listen() -> (Self, TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Not by `block_on`: a test may be within a runtime of its own.
        let listener = {
            let _within = runtime.enter();
            TcpListener::from_std(listener).unwrap()
        };
        (Self { port, runtime: Some(runtime) }, listener)
    }

    pub(crate) fn serve(&self, listener: TcpListener, state: &Arc<Mutex<State>>) {
        let state = Arc::clone(state);
        self.runtime.as_ref().unwrap().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let service = service_fn(move |request| answer(request, Arc::clone(&state)));
                tokio::spawn(async move {
                    // A client that goes away is its own business, and so is a fault that we make.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(client), service)
                        .await;
                });
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if body.len() > BODY_BYTES_MAX {
        return Err(io::Error::other("a body without end"));
    }
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        raw_query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body: body.to_vec(),
    };
    // A panic of ours must fail the test and not poison what the test looks at afterwards.
    let outcome = {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let done = AssertUnwindSafe(|| exchange::exchange(&mut state, &asked));
        catch_unwind(done).unwrap_or_else(|_| {
            state.violations.push(format!("the forge broke at {} {}", asked.method, asked.path));
            Outcome::Close
        })
    };
    let answer = match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
        Outcome::Hang => match std::future::pending::<Infallible>().await {},
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status.try_into().unwrap();
    let headers = response.headers_mut();
    if answer.status != 304 && answer.status != 204 {
        headers.insert("content-type", HeaderValue::from_static(answer.content_type));
    }
    for (name, value) in answer.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    }
    Ok(response)
}

/// A part of a path with its `%xx` read.
pub(crate) fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                u8::from_str_radix(&String::from_utf8_lossy(&[*high, *low]), 16).ok()
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
