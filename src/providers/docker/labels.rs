//! How a container says whose replica it is: its name and its labels. Pure.
//!
//! A container is ours when all identity labels are there *and* it has the name they imply. The name makes
//! a second container with the same identity impossible (the daemon refuses it), and keeps away
//! containers that inherited our labels from an image committed from one of ours.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{
    CommitId, Health, HealthProbe, Ordinal, OwnerId, ProviderName, Region, ReplicaKey, ServiceId,
    TargetId, TemplateHash, format_duration, parse_duration,
};
use crate::providers::Launch;

/// Whose replica it is.
pub(super) const OWNER: &str = "dev.tidegate.owner";
/// The name of the provider that made it.
pub(super) const PROVIDER: &str = "dev.tidegate.provider";
/// The service it belongs to.
pub(super) const SERVICE: &str = "dev.tidegate.service";
/// The region it is in: several regions may share a daemon.
pub(super) const REGION: &str = "dev.tidegate.region";
/// Which of the target's replicas it is.
pub(super) const ORDINAL: &str = "dev.tidegate.ordinal";
/// Hash of the template it was made from.
pub(super) const TEMPLATE: &str = "dev.tidegate.template";
/// The spec commit it was made for.
pub(super) const SPEC_COMMIT: &str = "dev.tidegate.spec-commit";
/// The drain time it was made with: it gets no less when it is destroyed.
pub(super) const DRAIN: &str = "dev.tidegate.drain";
/// The container port that is the replica's address; empty without one.
pub(super) const PORT: &str = "dev.tidegate.port";
/// How to tell that it serves, as JSON: observing has no template at hand. Empty without a health check.
pub(super) const HEALTH: &str = "dev.tidegate.health";

/// Hexadecimal digits of the identity's hash in a name. With the readable part equal, 32 bits are plenty.
const NAME_HASH_BYTES: usize = 4;

/// The name of a replica's container: readable, and unambiguous through its last part (`a` + `b-c` and
/// `a-b` + `c` read the same). At most 220 bytes, under the 255 that a file name may have.
pub(super) fn container_name(owner: &OwnerId, key: &ReplicaKey) -> String {
    let ReplicaKey { target: TargetId { service, region }, provider, ordinal } = key;
    // No part can hold a line feed, so the joined text is unambiguous.
    let identity = format!("{owner}\n{provider}\n{service}\n{region}\n{ordinal}");
    let mut name = format!("tidegate-{owner}-{service}-{region}-{ordinal}-");
    for byte in Sha256::digest(identity).iter().take(NAME_HASH_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The labels of a new container.
pub(super) fn of_launch(
    owner: &OwnerId,
    launch: &Launch,
    health: Option<&HealthLabel>,
    port: Option<u16>,
) -> HashMap<String, String> {
    let ReplicaKey { target, provider, ordinal } = &launch.key;
    let health = health.and_then(|health| serde_json::to_string(health).ok());
    // Every label is set, also to nothing: an image that was committed from one of our containers has
    // them all, and what is not set here would be taken from there.
    HashMap::from([
        (OWNER.to_owned(), owner.to_string()),
        (PROVIDER.to_owned(), provider.to_string()),
        (SERVICE.to_owned(), target.service.to_string()),
        (REGION.to_owned(), target.region.to_string()),
        (ORDINAL.to_owned(), ordinal.to_string()),
        (TEMPLATE.to_owned(), launch.template_hash.to_string()),
        (SPEC_COMMIT.to_owned(), launch.spec_commit.to_string()),
        (DRAIN.to_owned(), format_duration(launch.template.drain)),
        (PORT.to_owned(), port.map(|port| port.to_string()).unwrap_or_default()),
        (HEALTH.to_owned(), health.unwrap_or_default()),
    ])
}

/// What a container's labels say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labelled {
    /// Identity.
    pub(super) key: ReplicaKey,
    /// Hash of the template it was made from.
    pub(super) template: TemplateHash,
    /// The spec commit it was made for.
    pub(super) spec_commit: CommitId,
    /// The container port that is its address.
    pub(super) port: Option<u16>,
    /// How to tell that it serves.
    pub(super) health: Option<HealthLabel>,
    /// The drain time it was made with; none when nobody can tell.
    pub(super) drain: Duration,
}

/// What a list of the containers of this owner, provider and region is filtered by.
pub(super) fn filter(owner: &OwnerId, provider: &ProviderName, region: &Region) -> Vec<String> {
    vec![format!("{OWNER}={owner}"), format!("{PROVIDER}={provider}"), format!("{REGION}={region}")]
}

/// Reads the labels of a container of this owner, provider and region; `None` when it is not one, or when
/// its name is not the one its labels imply.
pub(super) fn read(
    labels: &HashMap<String, String>,
    names: &[String],
    owner: &OwnerId,
    provider: &ProviderName,
    region: &Region,
) -> Option<Labelled> {
    let get = |label: &str| labels.get(label).map(String::as_str);
    if get(OWNER)? != owner.as_str()
        || get(PROVIDER)? != provider.as_str()
        || get(REGION)? != region.as_str()
    {
        return None;
    }
    let key = ReplicaKey {
        target: TargetId {
            service: ServiceId::try_from(get(SERVICE)?).ok()?,
            region: region.clone(),
        },
        provider: provider.clone(),
        ordinal: Ordinal(get(ORDINAL)?.parse().ok()?),
    };
    let name = container_name(owner, &key);
    // The daemon writes names with a leading slash.
    if !names.iter().any(|n| n.strip_prefix('/').unwrap_or(n) == name) {
        return None;
    }
    Some(Labelled {
        key,
        template: get(TEMPLATE)?.into(),
        spec_commit: CommitId::try_from(get(SPEC_COMMIT)?).ok()?,
        port: get(PORT).and_then(|port| port.parse().ok()),
        health: get(HEALTH).and_then(|json| serde_json::from_str(json).ok()),
        drain: get(DRAIN).and_then(|text| parse_duration(text).ok()).unwrap_or_default(),
    })
}

/// A health check as a label holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthLabel {
    /// The path to ask for; without it a connection that is accepted is enough.
    pub(super) path: Option<String>,
    /// Port inside the container.
    pub(super) port: u16,
    /// Least time between a probe that went well and the next.
    pub(super) interval_ms: u64,
    /// Time one probe may take.
    pub(super) timeout_ms: u64,
    /// Failures in a row that make a replica unhealthy.
    pub(super) failures: u32,
    /// Time after a start during which failures do not count.
    pub(super) start_period_ms: u64,
}

impl HealthLabel {
    /// The label of a template's health check; `None` when it names no port and the template has none.
    pub(super) fn of(health: &Health, first_port: Option<u16>) -> Option<Self> {
        let (path, port) = match &health.probe {
            HealthProbe::Http { path, port } => (Some(path.clone()), *port),
            HealthProbe::Tcp { port } => (None, *port),
        };
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Some(Self {
            path,
            port: port.or(first_port)?,
            interval_ms: ms(health.interval),
            timeout_ms: ms(health.timeout),
            failures: health.failures,
            start_period_ms: ms(health.start_period),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Resources, Template};

    fn key(service: &str, region: &str, provider: &str) -> ReplicaKey {
        ReplicaKey {
            target: TargetId {
                service: ServiceId::try_from(service).unwrap(),
                region: Region::try_from(region).unwrap(),
            },
            provider: ProviderName::try_from(provider).unwrap(),
            ordinal: Ordinal(0),
        }
    }

    #[test]
    fn what_a_launch_does_not_have_hides_what_its_image_was_labelled_with() {
        let launch = Launch {
            key: key("web", "iad", "edge"),
            template: Template {
                image: Some("committed-from-one-of-ours".to_owned()),
                command: Vec::new(),
                env: BTreeMap::new(),
                ports: Vec::new(),
                resources: Resources::default(),
                health: None,
                drain: Duration::from_secs(300),
            },
            env: Vec::new(),
            template_hash: TemplateHash::from("0123456789ab"),
            spec_commit: CommitId::try_from("0123456789012345678901234567890123456789").unwrap(),
        };
        let owner = OwnerId::try_from("acme").unwrap();
        let mut labels = HashMap::from([
            (PORT.to_owned(), "80".to_owned()),
            (HEALTH.to_owned(), "{\"port\":80}".to_owned()),
        ]);
        labels.extend(of_launch(&owner, &launch, None, None));
        let ReplicaKey { target, provider, .. } = &launch.key;
        let names = [container_name(&owner, &launch.key)];
        let labelled = read(&labels, &names, &owner, provider, &target.region).unwrap();
        assert_eq!((labelled.port, labelled.health), (None, None));
        assert_eq!(labelled.drain, launch.template.drain);
    }

    #[test]
    fn names_are_readable_and_unambiguous() {
        let owner = OwnerId::try_from("acme").unwrap();
        let name = container_name(&owner, &key("web", "iad", "edge"));
        insta::assert_snapshot!(name, @"tidegate-acme-web-iad-0-5eae80d2");
        let others = [
            key("web-iad", "iad", "edge"),
            key("web", "iad", "acme/edge"),
            key("iad-web", "iad", "edge"),
        ];
        for other in others {
            assert_ne!(container_name(&owner, &other), name);
        }
        assert_ne!(
            container_name(&owner, &key("web", "eu-west", "edge")),
            container_name(&owner, &key("web-eu", "west", "edge"))
        );
        let long = "x".repeat(63);
        let owner = OwnerId::try_from(long.as_str()).unwrap();
        let mut longest = key(&long, &long, "edge");
        longest.ordinal = Ordinal(u32::MAX);
        assert!(container_name(&owner, &longest).len() <= 220);
    }
}
