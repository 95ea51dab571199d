//! Stands between a Docker client and the daemon's socket and breaks chosen requests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the daemon sees the request.
    CutBefore,
    /// The daemon does what was asked; the connection breaks before it answers.
    CutAfter,
    /// Answered with this status; the daemon never sees it.
    Answer(u16),
}

/// Which requests to delay, and for how long.
type Late = (Box<dyn Fn(&str) -> bool + Send>, Duration);

#[derive(Default)]
struct Script {
    /// What is delayed.
    late: Option<Late>,
    /// Delayed requests that the daemon has answered.
    delivered: usize,
    /// The requests so far, as `METHOD /path`.
    seen: Vec<String>,
    /// Faults by the number of the request since the last reset.
    faults: Vec<(usize, Fault)>,
    /// What every request meets that has no fault of its own.
    always: Option<Fault>,
}

/// A proxy on a socket of its own. The client opens one connection per request.
pub(crate) struct FaultProxy {
    /// As `hosts:` of the configuration wants it.
    pub(crate) host: String,
    script: Arc<Mutex<Script>>,
    accepting: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl FaultProxy {
    /// Starts a proxy in front of a daemon's socket.
    pub(crate) fn start(daemon: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("proxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (daemon, script) = (daemon.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A broken connection is what this proxy is for.
                    let _ = serve(client, daemon, script).await;
                });
            }
        });
        Self { host: format!("unix://{}", socket.display()), script, accepting, _dir: dir }
    }

    /// Forgets requests and faults; the next request is number 0.
    pub(crate) fn reset(&self) {
        *self.script.lock().unwrap() = Script::default();
    }

    /// Breaks the n-th request from now on.
    pub(crate) fn break_nth(&self, n: usize, fault: Fault) {
        self.reset();
        self.script.lock().unwrap().faults.push((n, fault));
    }

    /// Delays the requests (`METHOD /path`) that match, also past the end of whoever made them.
    pub(crate) fn delay_matching(
        &self,
        matches: impl Fn(&str) -> bool + Send + 'static,
        time: Duration,
    ) {
        self.reset();
        self.script.lock().unwrap().late = Some((Box::new(matches), time));
    }

    /// Waits until a delayed request has reached the daemon and was answered.
    pub(crate) async fn delivered(&self) {
        for _ in 0..400 {
            if self.script.lock().unwrap().delivered > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the delayed request never reached the daemon");
    }

    /// Breaks every request, or with `None` no more.
    pub(crate) fn break_all(&self, fault: Option<Fault>) {
        self.script.lock().unwrap().always = fault;
    }

    /// The requests since the last reset.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.script.lock().unwrap().seen.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut client: UnixStream,
    daemon: PathBuf,
    script: Arc<Mutex<Script>>,
) -> std::io::Result<()> {
    let request = read_message(&mut client).await?;
    let (fault, late) = {
        let mut script = script.lock().unwrap();
        let number = script.seen.len();
        script.seen.push(first_line(&request));
        let own = script.faults.iter().find(|(n, _)| *n == number).map(|(_, fault)| *fault);
        let line = first_line(&request);
        let late =
            script.late.as_ref().filter(|(matches, _)| matches(&line)).map(|(_, time)| *time);
        (own.or(script.always), late)
    };
    match fault {
        Some(Fault::CutBefore) => return Ok(()),
        Some(Fault::Answer(status)) => {
            let body = r#"{"message":"planted failure"}"#;
            let head = format!(
                "HTTP/1.1 {status} Planted\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(head.as_bytes()).await;
        }
        Some(Fault::CutAfter) | None => {}
    }
    if let Some(time) = late {
        tokio::time::sleep(time).await;
    }
    let mut upstream = UnixStream::connect(daemon).await?;
    upstream.write_all(&request).await?;
    if late.is_some() {
        read_message(&mut upstream).await?;
        script.lock().unwrap().delivered += 1;
        return Ok(());
    }
    if fault == Some(Fault::CutAfter) {
        read_message(&mut upstream).await?;
        return Ok(());
    }
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

/// Reads one message: head, and the body where its length is given.
async fn read_message(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut chunk = vec![0u8; 16 * 1024];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        message.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&message);
        if let Some(head_end) = text.find("\r\n\r\n") {
            let length = text[..head_end]
                .lines()
                .find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length:").map(str::to_owned)
                })
                .map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if message.len() >= head_end + 4 + length {
                return Ok(message);
            }
        }
    }
}

fn first_line(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let mut words = text.split_whitespace();
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default();
    format!("{method} {path}")
}
