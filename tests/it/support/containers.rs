//! What the Docker tests have in common: a configuration, templates, and cleaning up.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tidegate::model::{
    Health, HealthProbe, OwnerId, Port, Region, ReplicaKey, Resources, Template,
};
use tidegate::providers::docker::config::DockerConfig;

use super::dockerd::{Dockerd, IMAGE};

/// A configuration with one region, `iad`, on this host.
pub(crate) fn config(host: &str) -> DockerConfig {
    serde_json::from_value(serde_json::json!({"hosts": {"iad": host}})).unwrap()
}

/// The region of [`config`].
pub(crate) fn region() -> Region {
    Region::try_from("iad").unwrap()
}

/// An owner that no other test has.
pub(crate) fn unique_owner() -> OwnerId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = Timestamp::now().as_microsecond();
    OwnerId::try_from(format!("t{now}-{}-{number}", std::process::id())).unwrap()
}

/// A template that runs a shell line.
pub(crate) fn shell(line: &str) -> Template {
    Template {
        image: Some(IMAGE.to_owned()),
        command: ["sh", "-c", line].map(ToOwned::to_owned).to_vec(),
        env: BTreeMap::new(),
        ports: Vec::new(),
        resources: Resources::default(),
        health: None,
        drain: Duration::from_secs(1),
    }
}

/// A template that serves HTTP and has a health check.
pub(crate) fn web() -> Template {
    Template {
        ports: vec![Port {
            name: Some("http".to_owned()),
            container_port: 8080,
            host_port: None,
            env: Some("PORT".to_owned()),
        }],
        health: Some(Health {
            probe: HealthProbe::Http { path: "/healthz".to_owned(), port: None },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            failures: 2,
            start_period: Duration::from_secs(10),
        }),
        ..shell("exec httpd -f -p $PORT -h /www")
    }
}

/// The name a replica's container has, computed apart from the product: it is a promise to other
/// versions of it.
pub(crate) fn name_of(owner: &OwnerId, key: &ReplicaKey) -> String {
    let ReplicaKey { target, provider, ordinal } = key;
    let (service, region) = (&target.service, &target.region);
    let identity = format!("{owner}\n{provider}\n{service}\n{region}\n{ordinal}");
    let digest = Sha256::digest(identity);
    let hash: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tidegate-{owner}-{service}-{region}-{ordinal}-{hash}")
}

/// Removes every container of an owner, also after a failed test.
pub(crate) fn remove_all_of(dockerd: &Dockerd, owner: &OwnerId) {
    let docker = |arguments: &[&str]| {
        Command::new("docker").args(["--host", &dockerd.host]).args(arguments).output().unwrap()
    };
    for owner in [owner.to_string(), format!("{owner}-x")] {
        let filter = format!("label=dev.tidegate.owner={owner}");
        let ids = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let ids = String::from_utf8_lossy(&ids.stdout).into_owned();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&[&["rm", "--force"], &ids[..]].concat());
        }
    }
}
