//! Being let in: over http, https, ssh and by path; and being refused with words that help.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate::git::{Auth, GitError, Mirror, Remote};
use tidegate::model::Secret;

use crate::support::git_servers::{GitHttp, GitSsh, remote};
use crate::support::programs::free_port;
use crate::support::repo::{Repo, SPEC};

fn read_main(remote: Remote) -> Result<Vec<u8>, GitError> {
    let dir = TempDir::new().unwrap();
    let mirror = Mirror::open(&dir.path().join("mirror"), remote)?;
    let head = mirror.advertise()?.branch("main").cloned().expect("main is advertised");
    mirror.fetch(&["main"])?;
    assert_eq!(mirror.resolve("main")?, Some(head.clone()));
    let sources = mirror.read_spec(&head, "controller")?;
    assert_eq!(sources.findings, []);
    Ok(sources.spec.expect("spec.yaml is there").bytes)
}

fn refused(remote: Remote) -> String {
    let error = read_main(remote).expect_err("must be refused");
    assert!(!error.is_retryable(), "{error:?}");
    error.to_string()
}

#[test]
fn http_lets_token_and_password_in_and_nobody_else() {
    let server = GitHttp::start();
    server.repo("a.git").commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    let url = server.url("a.git");
    let basic = |password: &str| Auth::Basic {
        username: server.user.to_owned(),
        password: Secret::new(password),
    };
    assert_eq!(read_main(server.remote("a.git")).unwrap(), SPEC.as_bytes());
    assert_eq!(read_main(remote(&url, basic(server.password))).unwrap(), SPEC.as_bytes());

    let wrong = refused(remote(&url, Auth::Token(Secret::new("wr0ng-t0ken"))));
    assert_eq!(
        wrong,
        format!("{url} refused the token: check that it is current and may read this repository")
    );
    assert!(refused(remote(&url, basic("wr0ng"))).contains("user name or password"));
    assert!(refused(remote(&url, Auth::None)).contains("asks for a token or password"));
    let missing = refused(server.remote("nothing.git"));
    assert!(missing.starts_with("no repository at http://127.0.0.1:"), "{missing}");
}

#[test]
fn https_trusts_the_given_authority_only() {
    let server = GitHttp::start_tls();
    server.repo("a.git").commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    let unknown = refused(server.remote("a.git"));
    assert!(unknown.contains("set `caFile`"), "{unknown}");
    let mut trusting = server.remote("a.git");
    trusting.ca_file = Some(server.ca_file());
    assert_eq!(read_main(trusting).unwrap(), SPEC.as_bytes());
    let mut missing = server.remote("a.git");
    missing.ca_file = Some("/nowhere/ca.pem".into());
    assert!(refused(missing).contains("/nowhere/ca.pem"));
}

#[test]
fn ssh_needs_the_right_key_and_the_pinned_host() {
    let server = GitSsh::start();
    server.repo("a.git").commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    assert_eq!(read_main(server.remote("a.git")).unwrap(), SPEC.as_bytes());

    let (other_private, other_public) = server.other_key();
    let with = |key: &str, known: &str| refused(server.remote_with("a.git", key, known));
    assert!(with(&other_private, &server.known_hosts).contains("refused the ssh key"));
    let port = server.port();
    for (known_hosts, expected) in [
        ("\n".to_owned(), format!("run `ssh-keyscan -p {port} 127.0.0.1`")),
        (format!("example.com {other_public}"), "ssh-ed25519 key is not in known_hosts".to_owned()),
        (format!("[127.0.0.1]:{port} {other_public}"), "someone may be in between".to_owned()),
        (
            format!(
                "{known}@revoked * {key}",
                known = server.known_hosts,
                key = { server.known_hosts.split_once(' ').unwrap().1 }
            ),
            "its key is revoked".to_owned(),
        ),
    ] {
        let shown = with(&server.key, &known_hosts);
        assert!(shown.contains(&expected), "{known_hosts}: {shown}");
    }
    let missing = refused(server.remote("nothing.git"));
    assert!(missing.starts_with("no repository at ssh://"), "{missing}");
}

#[test]
fn paths_and_file_urls_need_nothing() {
    let dir = TempDir::new().unwrap();
    let repo = Repo::init(&dir.path().join("a.git"));
    repo.commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    let path = repo.path.display().to_string();
    assert_eq!(read_main(remote(&path, Auth::None)).unwrap(), SPEC.as_bytes());
    assert_eq!(read_main(remote(&format!("file://{path}"), Auth::None)).unwrap(), SPEC.as_bytes());
    assert_eq!(
        refused(remote("/nowhere/a.git", Auth::None)),
        "no repository at /nowhere/a.git: check the address, and that the credentials may see it"
    );
}

#[test]
fn a_redirect_to_another_server_gets_no_credentials() {
    for other in ["127.0.0.1", "127.0.0.2"] {
        let trap = TcpListener::bind((other, 0)).unwrap();
        let address = trap.local_addr().unwrap();
        // Asks whoever comes for credentials, and keeps all that was sent.
        let caught = std::thread::spawn(move || {
            let mut all = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = trap.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    all.extend_from_slice(&buffer[..n]);
                    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\
                                  Content-Length: 0\r\n\r\n";
                    let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
                }
                if all.ends_with(b"done") {
                    break;
                }
            }
            String::from_utf8_lossy(&all).into_owned()
        });
        let server = GitHttp::start_with(
            &format!("location /moved {{ return 302 http://{address}$request_uri; }}"),
            false,
        );
        let shown = refused(server.remote("moved/a.git"));
        assert!(shown.contains("redirects to another server"), "{shown}");
        std::io::Write::write_all(&mut std::net::TcpStream::connect(address).unwrap(), b"done")
            .unwrap();
        let seen = caught.join().unwrap();
        assert!(!seen.to_lowercase().contains("authorization"), "{other}: {seen}");
    }
}

#[test]
fn silence_and_closed_ports_end_in_time_and_are_tried_again() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let dir = TempDir::new().unwrap();
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/a.git"), "did not answer in time"),
        (format!("ssh://git@127.0.0.1:{port}/a.git"), "did not answer in time"),
        (format!("http://127.0.0.1:{}/a.git", free_port()), "no connection to"),
    ] {
        let mut remote = remote(&url, Auth::None);
        remote.connect_timeout = Duration::from_millis(500);
        remote.io_timeout = Duration::from_millis(500);
        let mirror = Mirror::open(&dir.path().join("mirror"), remote).unwrap();
        let begun = Instant::now();
        let error = mirror.advertise().expect_err(&url);
        assert!(begun.elapsed() < Duration::from_secs(5), "{url}: {:?}", begun.elapsed());
        assert!(error.is_retryable(), "{url}: {error:?}");
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
}
