//! Pulling images, from a small registry inside the test.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidegate::model::{FailureKind, Next, ProviderName, Secret, Template};
use tidegate::providers::docker::DockerProvider;
use tidegate::providers::{Applied, Provider as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{World, create};
use crate::support::containers::{self, shell};

/// A registry with one image, `acme/web:1`; a private one wants the login of `me` with `open-sesame`.
async fn registry(private: bool) -> String {
    let mut layer = Vec::new();
    // An image of one empty folder: 512 bytes of tar header and two empty blocks.
    let mut header = [0u8; 512];
    header[..4].copy_from_slice(b"etc/");
    header[100..107].copy_from_slice(b"0000755");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(b"00000000000");
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'5';
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    layer.extend_from_slice(&header);
    layer.extend_from_slice(&[0; 1024]);
    let digest = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        format!("sha256:{hex}")
    };
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}
    })
    .to_string()
    .into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": digest(&config)
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": layer.len(), "digest": digest(&layer)
        }]
    })
    .to_string()
    .into_bytes();
    let blobs = BTreeMap::from([
        (digest(&config), config),
        (digest(&layer), layer),
        (digest(&manifest), manifest.clone()),
        ("1".to_owned(), manifest),
    ]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let blobs = Arc::new(blobs);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let blobs = Arc::clone(&blobs);
            tokio::spawn(async move {
                let mut request = Vec::new();
                // The daemon tries TLS first, and plain HTTP once that is refused.
                let mut first = [0u8];
                if stream.peek(&mut first).await.is_err() || first == [0x16] {
                    return;
                }
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    request.push(byte);
                }
                let answer = answer(private, &String::from_utf8_lossy(&request), &blobs);
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    host
}

fn answer(private: bool, request: &str, blobs: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // Base64 of `me:open-sesame`.
    let logged_in = request.contains("Basic bWU6b3Blbi1zZXNhbWU=");
    let wanted = path.rsplit('/').next().unwrap_or_default();
    let error = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"{code}"}}]}}"#);
    let (status, kind, body) = if private && !logged_in {
        ("401 Unauthorized", "application/json", error("UNAUTHORIZED").into_bytes())
    } else if path == "/v2/" {
        ("200 OK", "application/json", b"{}".to_vec())
    } else if let Some(body) = blobs.get(wanted) {
        let manifest = "application/vnd.docker.distribution.manifest.v2+json";
        let kind = if path.contains("/manifests/") { manifest } else { "application/octet-stream" };
        ("200 OK", kind, body.clone())
    } else {
        ("404 Not Found", "application/json", error("MANIFEST_UNKNOWN").into_bytes())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\
         WWW-Authenticate: Basic realm=\"test\"\r\n\r\n",
        body.len()
    );
    let mut answer = head.into_bytes();
    if method != "HEAD" {
        answer.extend_from_slice(&body);
    }
    answer
}

fn of_image(image: &str) -> Template {
    Template { image: Some(image.to_owned()), ..shell("") }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_pulled_first() {
    let world = World::new().await;
    let image = format!("{}/acme/web:1", registry(false).await);
    assert_eq!(world.create(of_image(&image)).await, Ok(Applied::Done));
    // The image holds no program at all.
    let replica = world.until(|replica| replica.last_exit.is_some()).await;
    assert_eq!(replica.last_exit.unwrap().reason, "exit code 127 (program not found)");
    let pulled = world.dockerd.client().inspect_image(&image).await.unwrap();
    assert!(pulled.repo_tags.unwrap().contains(&image));
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_given_up_by_name() {
    let world = World::new().await;
    let image = format!("{}/acme/web:2", registry(false).await);
    let error = world.create(of_image(&image)).await.unwrap_err();
    assert_eq!((error.kind, error.next), (FailureKind::NotFound, Next::GiveUp), "{error}");
    assert!(error.message.starts_with(&format!("pull image {image}: ")), "{error}");
    assert_eq!(world.observe().await, []);
}

#[tokio::test]
async fn a_registry_that_is_away_is_tried_again() {
    let world = World::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = world.create(of_image(&format!("{gone}/acme/web:1"))).await.unwrap_err();
    assert_eq!(error.next, Next::Retry { after: None }, "{error}");
}

#[tokio::test]
async fn a_registry_is_given_its_login_and_the_password_stays_secret() {
    let world = World::new().await;
    let host = registry(true).await;
    let image = format!("{host}/acme/web:1");
    let error = world.create(of_image(&image)).await.unwrap_err();
    assert_eq!((error.kind, error.next), (FailureKind::Denied, Next::GiveUp), "{error}");

    let mut config = containers::config(&world.dockerd.host);
    let login = serde_json::json!({"username": "me", "passwordRef": "env/PASSWORD"});
    config.registries.insert(host.clone(), serde_json::from_value(login).unwrap());
    let name = || ProviderName::try_from("edge").unwrap();
    assert!(DockerProvider::new(name(), &config, &BTreeMap::new()).is_err());
    let passwords = BTreeMap::from([(host, Secret::new("open-sesame"))]);
    let provider = DockerProvider::new(name(), &config, &passwords).unwrap();
    assert!(!format!("{provider:?}").contains("open-sesame"));
    let call = create(of_image(&image));
    assert_eq!(provider.apply(&world.ctx(), &call).await, Ok(Applied::Done));
}
