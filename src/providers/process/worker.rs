//! The small HTTP worker built into the binary, so that a first spec has something to run.
//!
//! `GET /healthz` answers 200, anything else a line that names the replica. It stops gracefully.
#![expect(clippy::disallowed_methods, reason = "a process of its own has an edge of its own")]

use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Bytes of a request's head that are read: requests for demonstration are short.
const HEAD_BYTES_MAX: u64 = 8 * 1024;
/// Time a client may take to send its request.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// Requests answered at once; more wait to be accepted.
const REQUESTS_MAX: usize = 128;

/// How the worker is to misbehave, for trying out what the controller does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// End after this time.
    pub fail_after: Option<Duration>,
    /// The exit code to end with then.
    pub exit_code: u8,
    /// Answer `/healthz` with 503.
    pub unhealthy: bool,
}

/// Who the worker is, from its environment.
#[derive(Debug, Clone)]
struct Identity {
    service: String,
    region: String,
    ordinal: String,
}

impl Identity {
    fn from_environment() -> Self {
        let get = |name| std::env::var(name).unwrap_or_else(|_| "?".to_owned());
        Self {
            service: get("TIDEGATE_SERVICE"),
            region: get("TIDEGATE_REGION"),
            ordinal: get("TIDEGATE_ORDINAL"),
        }
    }

    fn line(&self) -> String {
        let Self { service, region, ordinal } = self;
        format!("{service}/{region}#{ordinal} pid {}\n", std::process::id())
    }
}

/// Serves on this port until SIGTERM; then finishes what it began and ends with code 0.
#[must_use]
pub fn run(port: u16, options: Options) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(port, options)));
    match served {
        Ok(code) => code,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "failed to serve on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16, options: Options) -> io::Result<ExitCode> {
    let mut stop = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let identity = Identity::from_environment();
    let _nobody_reads = write!(io::stdout(), "listening on 127.0.0.1:{port}: {}", identity.line());
    let mut requests = JoinSet::new();
    let failure = async {
        match options.fail_after {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(failure);
    loop {
        tokio::select! {
            accepted = listener.accept(), if requests.len() < REQUESTS_MAX => {
                let (stream, _) = accepted?;
                let answered = answer(stream, identity.clone(), options.unhealthy);
                requests.spawn(tokio::time::timeout(REQUEST_WAIT, answered));
            }
            Some(_done) = requests.join_next() => {}
            _ = stop.recv() => break,
            () = &mut failure => {
                let _nobody_reads = writeln!(io::stderr(), "failing as told");
                return Ok(ExitCode::from(options.exit_code));
            }
        }
    }
    drop(listener);
    while requests.join_next().await.is_some() {}
    let _nobody_reads = writeln!(io::stdout(), "stopped");
    Ok(ExitCode::SUCCESS)
}

async fn answer(mut stream: TcpStream, identity: Identity, unhealthy: bool) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read.take(HEAD_BYTES_MAX)).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    // The rest of the head is read before answering, or closing would cut the answer short.
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/healthz" if unhealthy => ("503 Service Unavailable", "unhealthy as told\n".to_owned()),
        "/healthz" => ("200 OK", "ok\n".to_owned()),
        _ => ("200 OK", identity.line()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    write.write_all(head.as_bytes()).await?;
    write.write_all(body.as_bytes()).await?;
    write.shutdown().await
}
