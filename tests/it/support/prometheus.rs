//! A real Prometheus on loopback that scrapes an exporter of the test's own every half second.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::web_server::{Reply, WebServer};

/// Time a Prometheus may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What Prometheus scrapes.
pub(crate) struct Exporter {
    server: WebServer,
    text: Arc<Mutex<String>>,
}

impl Exporter {
    pub(crate) fn start(text: &str) -> Self {
        let text = Arc::new(Mutex::new(text.to_owned()));
        let shown = Arc::clone(&text);
        let head = "Content-Type: text/plain; version=0.0.4\r\n";
        let server =
            WebServer::start(move |_| Reply::Text(200, head, shown.lock().unwrap().clone()));
        Self { server, text }
    }

    /// Exposes something else from now on.
    pub(crate) fn set(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }

    pub(crate) fn stop(&self) {
        self.server.stop();
    }
}

/// A running server. It ends with the test.
pub(crate) struct Prometheus {
    pub(crate) port: u16,
    child: Child,
    command: Command,
    dir: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes an exporter. `web` is its web configuration file, if it has one.
    pub(crate) fn start(exporter: &Exporter, web: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 500ms}}\nscrape_configs: [{{job_name: app, static_configs: \
             [{{targets: ['127.0.0.1:{}']}}]}}]\n",
            exporter.server.port
        );
        Self::run(dir, &config, web)
    }

    /// Starts one that scrapes nothing and remembers this, in the OpenMetrics form with time stamps.
    pub(crate) fn start_with_past(samples: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (past, data) = (dir.path().join("past"), dir.path().join("data"));
        fs::write(&past, samples).unwrap();
        let mut promtool = Command::new("promtool");
        promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).args([&past, &data]);
        let done = promtool.output().expect("promtool is missing: apt-get install -y prometheus");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self::run(dir, "global: {}\n", None)
    }

    fn run(dir: tempfile::TempDir, config: &str, web: Option<&str>) -> Self {
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        // Free when it was looked for; nobody else takes it from those that the kernel gives out in turn.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(web) = web {
            command.arg(format!("--web.config.file={web}"));
        }
        let child = command.spawn().expect("prometheus is missing: apt-get install -y prometheus");
        let mut this = Self { port, child, command, dir };
        this.wait_until_it_listens();
        this
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap();
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("prometheus ended with {status}: {}", log());
            }
            assert!(Instant::now() < deadline, "prometheus does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was stopped, with what it knew.
    pub(crate) fn start_again(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.wait_until_it_listens();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
    }
}
