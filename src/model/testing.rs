//! Builders for the tests of the pure stages.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Autoscale, Bounds, CommitId, Count, DriftMode, Ordinal, Phase, Region, RegionScale, Replica,
    ReplicaKey, Resources, Scale, Service, Strategy, TargetId, Template, TemplateHash,
};

pub(crate) fn target(service: &str, region: &str) -> TargetId {
    TargetId { service: service.try_into().unwrap(), region: region.try_into().unwrap() }
}

pub(crate) fn commit(digit: char) -> CommitId {
    CommitId::try_from(digit.to_string().repeat(40)).unwrap()
}

pub(crate) fn bounds(min: u32, desired: u32, max: u32) -> Bounds {
    Bounds { min: Count(min), desired: Count(desired), max: Count(max) }
}

/// A service with a template, in region `local`, on provider `host`.
pub(crate) fn service(id: &str, autoscale: Autoscale, bounds: Bounds) -> Service {
    let region = Region::try_from("local").unwrap();
    Service {
        id: id.try_into().unwrap(),
        display_name: None,
        description: None,
        provider: Some("host".try_into().unwrap()),
        scalable: true,
        scale: Scale {
            strategy: Strategy::Infra,
            autoscale,
            cooldown: None,
            burst_ttl: None,
            max_hourly_cost: None,
            policy: None,
            regions: BTreeMap::from([(
                region,
                RegionScale { bounds, cooldown: None, burst_ttl: None },
            )]),
        },
        template: Some(Template {
            image: None,
            command: vec!["serve".to_owned()],
            env: BTreeMap::new(),
            ports: Vec::new(),
            resources: Resources::default(),
            health: None,
            drain: Duration::from_secs(1),
        }),
        storage: None,
        routing: None,
        drift: DriftMode::Correct,
    }
}

pub(crate) fn replica(
    target: &TargetId,
    ordinal: u32,
    template: &TemplateHash,
    phase: Phase,
) -> Replica {
    Replica {
        key: ReplicaKey {
            target: target.clone(),
            provider: "host".try_into().unwrap(),
            ordinal: Ordinal(ordinal),
        },
        instance: format!("i{ordinal}"),
        template: template.clone(),
        spec_commit: commit('a'),
        phase,
        address: None,
        started_at: Some(Timestamp::UNIX_EPOCH),
        restarts: 0,
        last_exit: None,
    }
}
