//! A daemon behind TCP with TLS and client certificates.

use std::path::Path;
use std::process::Command;

use tidegate::model::FailureKind;
use tidegate::providers::docker::config::DockerTls;
use tidegate::providers::{Ctx, Provider as _};

use super::provider;
use crate::support::containers;
use crate::support::dockerd::Dockerd;

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(dir)
        .args(arguments.split(' '))
        .output()
        .expect("openssl is missing: apt-get install -y openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority named `name`.pem and one certificate of it for server and client each.
fn certificates(dir: &Path, authority: &str, leaves: &[&str]) {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key \
             -out {authority}.pem -addext basicConstraints=critical,CA:TRUE"
        ),
    );
    std::fs::write(
        dir.join("leaf.ext"),
        "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
    )
    .unwrap();
    for leaf in leaves {
        openssl(
            dir,
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN={leaf} -keyout {leaf}.key -out {leaf}.csr"
            ),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -days 2 -in {leaf}.csr -CA {authority}.pem -CAkey {authority}.key \
                 -CAcreateserial -extfile leaf.ext -out {leaf}.pem"
            ),
        );
    }
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    certificates(dir.path(), "ours", &["server", "client"]);
    certificates(dir.path(), "theirs", &["stranger"]);
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let (ca, cert, key) = (file("ours.pem"), file("server.pem"), file("server.key"));
    let options = [
        "--host",
        &format!("tcp://127.0.0.1:{port}"),
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
    ];
    let _dockerd = Dockerd::private(&options).await;
    let observe = async |authority: &str, leaf: &str| {
        let mut config = containers::config(&format!("tcp://127.0.0.1:{port}"));
        let tls = DockerTls {
            ca_file: file(&format!("{authority}.pem")),
            cert_file: file(&format!("{leaf}.pem")),
            key_file: file(&format!("{leaf}.key")),
        };
        config.tls.insert("iad".to_owned(), tls);
        let ctx = Ctx { now: jiff::Timestamp::now(), owner: containers::unique_owner() };
        provider(&config).observe(&ctx, &containers::region()).await
    };
    assert_eq!(observe("ours", "client").await, Ok(vec![]));
    for (authority, leaf) in [("theirs", "client"), ("ours", "stranger")] {
        let error = observe(authority, leaf).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
    }
}
