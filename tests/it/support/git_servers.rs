//! Real git servers on loopback, each with its own folder, port and configuration: smart HTTP by nginx and
//! git's own http-backend, and ssh by OpenSSH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate::git::{Auth, Remote, RepoUrl};
use tidegate::model::Secret;

use super::programs::{Running, free_port, program, wait_until};
use super::repo::Repo;

/// Requests that git's http-backend serves at the same time.
const BACKENDS: &str = "4";

/// A remote with timeouts fit for tests.
pub(crate) fn remote(url: &str, auth: Auth) -> Remote {
    let mut remote = Remote::new(RepoUrl::parse(url).unwrap()).with_auth(auth);
    remote.connect_timeout = Duration::from_secs(10);
    remote.io_timeout = Duration::from_secs(20);
    remote
}

/// A smart HTTP server: nginx, fcgiwrap and `git http-backend`, with basic authentication on everything.
#[derive(Debug)]
pub(crate) struct GitHttp {
    /// A user who may read and write.
    pub(crate) user: &'static str,
    /// That user's password.
    pub(crate) password: &'static str,
    /// A token that may read and write.
    pub(crate) token: &'static str,
    /// Where the served repositories are.
    pub(crate) dir: PathBuf,
    scheme: &'static str,
    port: u16,
    temp: TempDir,
    _servers: [Running; 2],
}

impl GitHttp {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with("", false)
    }

    /// Starts one with TLS and a certificate for 127.0.0.1 that nobody knows: see [`Self::ca_file`].
    pub(crate) fn start_tls() -> Self {
        Self::start_with("", true)
    }

    /// Starts one with further nginx directives inside its `server` block.
    pub(crate) fn start_with(directives: &str, tls: bool) -> Self {
        let (user, password, token) = ("alice", "open-sesame", "tok3n-for-tests");
        let temp = TempDir::new().unwrap();
        let base = temp.path();
        let dir = base.join("repositories");
        fs::create_dir(&dir).unwrap();
        write_users(base, user, password, token);
        let backend = program("git-http-backend", "git");
        let socket = base.join("fcgi");
        let port = free_port();
        let at = |name: &str| base.join(name).display().to_string();
        let (listen, certificate) = if tls {
            make_certificate(base);
            let lines =
                format!("ssl_certificate {}; ssl_certificate_key {};", at("cert"), at("key"));
            (format!("{port} ssl"), lines)
        } else {
            (port.to_string(), String::new())
        };
        // Without a master process there is one process, which ends with the test.
        let config = format!(
            "daemon off; master_process off; pid {pid}; error_log {errors};
             events {{ worker_connections 64; }}
             http {{
               access_log {access};
               client_body_temp_path {t}/1; proxy_temp_path {t}/2; fastcgi_temp_path {t}/3;
               uwsgi_temp_path {t}/4; scgi_temp_path {t}/5;
               client_max_body_size 0;
               server {{
                 listen 127.0.0.1:{listen}; {certificate}
                 {directives}
                 location / {{
                   auth_basic git; auth_basic_user_file {users};
                   fastcgi_pass unix:{socket};
                   fastcgi_param SCRIPT_FILENAME {backend};
                   fastcgi_param GIT_PROJECT_ROOT {dir};
                   fastcgi_param GIT_HTTP_EXPORT_ALL 1;
                   fastcgi_param PATH_INFO $uri;
                   fastcgi_param QUERY_STRING $query_string;
                   fastcgi_param REQUEST_METHOD $request_method;
                   fastcgi_param CONTENT_TYPE $content_type;
                   fastcgi_param CONTENT_LENGTH $content_length;
                   fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
                   fastcgi_param REMOTE_USER $remote_user;
                   fastcgi_param REMOTE_ADDR $remote_addr;
                 }}
               }}
             }}",
            pid = at("pid"),
            errors = at("errors"),
            access = at("access"),
            t = base.display(),
            users = at("users"),
            socket = socket.display(),
            backend = backend.display(),
            dir = dir.display(),
        );
        fs::write(base.join("conf"), config).unwrap();
        let backends = Running::start(
            Command::new(program("fcgiwrap", "fcgiwrap"))
                .args(["-c", BACKENDS, "-s"])
                .arg(format!("unix:{}", socket.display()))
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", base)
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "safe.directory")
                .env("GIT_CONFIG_VALUE_0", "*")
                .stdin(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_until("fcgiwrap's start", || socket.exists());
        let nginx = Running::start(
            Command::new(program("nginx", "nginx-light"))
                .arg("-c")
                .arg(base.join("conf"))
                .arg("-p")
                .arg(base)
                .arg("-e")
                .arg(base.join("errors"))
                .stdin(Stdio::null()),
        )
        .wait_for_port(port);
        let scheme = if tls { "https" } else { "http" };
        Self { user, password, token, dir, scheme, port, temp, _servers: [nginx, backends] }
    }

    /// The address of a repository on this server.
    pub(crate) fn url(&self, repo: &str) -> String {
        format!("{}://127.0.0.1:{}/{repo}", self.scheme, self.port)
    }

    /// A new, empty repository on this server.
    pub(crate) fn repo(&self, name: &str) -> Repo {
        Repo::init(&self.dir.join(name))
    }

    /// A repository's remote, with the token.
    pub(crate) fn remote(&self, repo: &str) -> Remote {
        remote(&self.url(repo), Auth::Token(Secret::new(self.token)))
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets the user in with another password only, from now on.
    pub(crate) fn change_password(&self, password: &str) {
        write_users(self.temp.path(), self.user, password, self.token);
    }

    /// The authority that signed the server's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.temp.path().join("cert")
    }

    /// The requests it has answered so far, as `METHOD /path?query status`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.temp.path().join("access")).unwrap_or_default();
        log.lines()
            .filter_map(|line| {
                let (_, rest) = line.split_once('"')?;
                let (request, rest) = rest.split_once('"')?;
                let status = rest.split_whitespace().next()?;
                Some(format!("{} {status}", request.strip_suffix(" HTTP/1.1")?))
            })
            .collect()
    }
}

fn write_users(base: &std::path::Path, user: &str, password: &str, token: &str) {
    let users = format!("{user}:{{PLAIN}}{password}\nx-access-token:{{PLAIN}}{token}\n");
    fs::write(base.join("users"), users).unwrap();
}

fn make_certificate(base: &std::path::Path) {
    let done = Command::new(program("openssl", "openssl"))
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(base.join("key"))
        .arg("-out")
        .arg(base.join("cert"))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success(), "openssl made no certificate");
}

/// An ssh server with a host key of its own, that lets one key in.
#[derive(Debug)]
pub(crate) struct GitSsh {
    /// Where the served repositories are.
    pub(crate) dir: PathBuf,
    /// The private key that is let in.
    pub(crate) key: String,
    /// The right `known_hosts` text.
    pub(crate) known_hosts: String,
    port: u16,
    temp: TempDir,
    _server: Running,
}

impl GitSsh {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let temp = TempDir::new().unwrap();
        let base = temp.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o700)).unwrap();
        let dir = base.join("repositories");
        fs::create_dir(&dir).unwrap();
        // Where sshd, when root, confines its unprivileged half.
        let _ = fs::create_dir_all("/run/sshd");
        make_key(base, "host");
        make_key(base, "client");
        fs::copy(base.join("client.pub"), base.join("authorized")).unwrap();
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {b}/host\nAuthorizedKeysFile {b}/authorized\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n\
             PermitRootLogin prohibit-password\nPidFile none\nLogLevel ERROR\n",
            b = base.display()
        );
        fs::write(base.join("conf"), config).unwrap();
        let server = Running::start(
            Command::new(program("sshd", "openssh-server"))
                .args(["-D", "-E"])
                .arg(base.join("log"))
                .arg("-f")
                .arg(base.join("conf"))
                .stdin(Stdio::null()),
        )
        .wait_for_port(port);
        let public = fs::read_to_string(base.join("host.pub")).unwrap();
        let known_hosts = format!("[127.0.0.1]:{port} {public}");
        let key = fs::read_to_string(base.join("client")).unwrap();
        Self { dir, key, known_hosts, port, temp, _server: server }
    }

    /// The address of a repository on this server.
    pub(crate) fn url(&self, repo: &str) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}/{repo}", user.trim(), self.port, self.dir.display())
    }

    /// A new, empty repository on this server.
    pub(crate) fn repo(&self, name: &str) -> Repo {
        Repo::init(&self.dir.join(name))
    }

    /// A repository's remote, with the right key and `known_hosts`.
    pub(crate) fn remote(&self, repo: &str) -> Remote {
        self.remote_with(repo, &self.key, &self.known_hosts)
    }

    /// A repository's remote with another key or `known_hosts`.
    pub(crate) fn remote_with(&self, repo: &str, key: &str, known_hosts: &str) -> Remote {
        let known_hosts = known_hosts.as_bytes().to_vec();
        remote(&self.url(repo), Auth::SshKey { key: Secret::new(key), known_hosts })
    }

    /// A fresh key: its private and its public text.
    pub(crate) fn other_key(&self) -> (String, String) {
        make_key(self.temp.path(), "other");
        let read = |name: &str| fs::read_to_string(self.temp.path().join(name)).unwrap();
        (read("other"), read("other.pub"))
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn make_key(base: &std::path::Path, name: &str) {
    let done = Command::new(program("ssh-keygen", "openssh-client"))
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(base.join(name))
        .status()
        .unwrap();
    assert!(done.success(), "ssh-keygen made no key");
}
