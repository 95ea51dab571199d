//! Stands between a client and a TCP server, and can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A relay on a port of its own. It lives until the test's process ends.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where clients connect.
    pub(crate) port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    /// Starts one in front of a port of 127.0.0.1.
    pub(crate) fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::<AtomicBool>::default();
        let cut = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !cut.load(Ordering::SeqCst) {
                    std::thread::spawn(move || carry(&client, to));
                }
            }
        });
        Self { port, is_cut }
    }

    /// Lets nothing more through, or lets it through again.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// Carries bytes both ways until one side is done.
fn carry(client: &TcpStream, to: u16) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A connection that breaks is the business of the two ends.
            let _ = io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Write);
    });
    Ok(())
}
