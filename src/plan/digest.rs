//! The digest of a plan: a hash of what a spec change *states*, so that the plan reviewed and the plan
//! applied can be compared.
//!
//! It covers bounds, policies, templates and routing of the services that differ from the base, and the
//! guard if that differs. It does not cover live counts, times, ids or the names and descriptions meant for
//! people: an autoscaler that moves between review and merge, or an unrelated merge, leaves it unchanged.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::model::{Guard, PlanDigest, Policy, Service, ServiceId, Spec};

/// Version of the canonical form; part of the digest, so that two versions never agree by accident.
pub const DIGEST_VERSION: u32 = 1;

#[derive(Serialize)]
struct Effects<'a> {
    version: u32,
    services: BTreeMap<&'a ServiceId, Option<ServiceEffects<'a>>>,
    /// Absent where it did not change, null where it was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<Option<&'a Guard>>,
}

#[derive(Serialize)]
struct ServiceEffects<'a> {
    provider: &'a Option<crate::model::ProviderName>,
    scalable: bool,
    scale: &'a crate::model::Scale,
    policy: Option<&'a Policy>,
    template: &'a Option<crate::model::Template>,
    storage: &'a Option<crate::model::Storage>,
    routing: &'a Option<crate::model::Routing>,
    drift: crate::model::DriftMode,
}

/// The digest of going from one spec to another.
pub fn digest(base: Option<&Spec>, spec: &Spec) -> PlanDigest {
    let mut services = BTreeMap::new();
    for (id, service) in &spec.services {
        let before = base.and_then(|base| base.services.get(id));
        let differs = before.is_none_or(|before| {
            !std::ptr::eq(before, service)
                && (before != service
                    || base.and_then(|base| base.policy_of(before)) != spec.policy_of(service))
        });
        if differs {
            services.insert(id, Some(effects(spec, service)));
        }
    }
    for id in base.into_iter().flat_map(|base| base.services.keys()) {
        if !spec.services.contains_key(id) {
            services.insert(id, None);
        }
    }
    // A service whose words for people changed differs as a value, but not in its effects.
    if let Some(base) = base {
        services.retain(|id, after| {
            let before = base.services.get(*id).map(|service| canonical(&effects(base, service)));
            before != after.as_ref().map(canonical)
        });
    }
    let guard_before = base.and_then(|base| base.guard.as_ref());
    let guard = spec.guard.as_ref();
    let guard = (guard != guard_before).then_some(guard);
    let bytes = canonical(&Effects { version: DIGEST_VERSION, services, guard });
    let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    PlanDigest(format!("sha256:{hex}"))
}

fn effects<'a>(spec: &'a Spec, service: &'a Service) -> ServiceEffects<'a> {
    ServiceEffects {
        provider: &service.provider,
        scalable: service.scalable,
        scale: &service.scale,
        policy: spec.policy_of(service),
        template: &service.template,
        storage: &service.storage,
        routing: &service.routing,
        drift: service.drift,
    }
}

/// Struct fields in declaration order and maps in key order: one value, one text.
fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
