//! A small HTTP server of a test's own: an exporter, a tap in front of a real server, one that never answers.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What a client sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// As it came over the line.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What it is told.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status, more lines of the head, and a body.
    Text(u16, &'static str, String),
    /// Whatever the server at this port of 127.0.0.1 answers.
    From(u16),
    /// Nothing, for as long as the client waits.
    Never,
}

type Answer = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A server on a port of its own. It answers one request per connection.
pub(crate) struct WebServer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    answer: Arc<Mutex<Answer>>,
    is_stopped: Arc<AtomicBool>,
}

impl WebServer {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, is_stopped) =
            (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let answer = Arc::new(Mutex::new(Arc::new(answer) as Answer));
        let shared = (Arc::clone(&seen), Arc::clone(&answer), Arc::clone(&is_stopped));
        std::thread::spawn(move || {
            let (seen, answer, is_stopped) = shared;
            for client in listener.incoming().map_while(Result::ok) {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                // A client that goes away is its own business.
                std::thread::spawn(move || drop(serve(client, &seen, &answer)));
            }
        });
        Self { port, seen, answer, is_stopped }
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Closes the port.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(
    mut client: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &Mutex<Answer>,
) -> io::Result<()> {
    let request = read(&mut client)?;
    seen.lock().unwrap().push(request.clone());
    let answer = Arc::clone(&answer.lock().unwrap());
    match answer(&request) {
        Reply::Text(status, lines, body) => write!(
            client,
            "HTTP/1.1 {status} Said\r\n{lines}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Reply::From(port) => {
            let mut server = TcpStream::connect(("127.0.0.1", port))?;
            let head = request.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            write!(server, "{head}{}", request.body)?;
            io::copy(&mut server, &mut client).map(drop)
        }
        Reply::Never => client.read(&mut [0]).map(drop),
    }
}

fn read(client: &mut TcpStream) -> io::Result<Request> {
    let mut message = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = client.read(&mut chunk)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        message.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&message);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
        });
        if body.len() >= announced.unwrap_or(0) {
            return Ok(Request { head: format!("{head}\r\n\r\n"), body: body.to_owned() });
        }
    }
}
