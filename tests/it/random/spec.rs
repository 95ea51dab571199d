//! A spec as data that people edit at random, and the YAML it is committed as.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use fastrand::Rng;

pub(super) const IDS: [&str; 4] = ["api", "db", "job", "web"];
pub(super) const REGIONS: [&str; 3] = ["ams", "fra", "iad"];
/// Enough that two targets make a mass of which the guard may hold half.
const MAX: u32 = 12;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spec {
    pub(super) services: BTreeMap<&'static str, Service>,
    pub(super) allow: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    /// Desired count by region.
    pub(super) regions: BTreeMap<&'static str, u32>,
    template: u32,
    autoscale: &'static str,
    policy: Policy,
}

/// What moves the count of a service that is `metrics`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Policy {
    /// Nothing: the count is `desired`.
    None,
    /// A replica for each [`PER_REPLICA`] of the load.
    Total,
    /// And all there may be when it has been high for a while.
    Rule,
}

const POLICIES: [Policy; 3] = [Policy::None, Policy::Total, Policy::Rule];
const PER_REPLICA: f64 = 10.0;
const HIGH: f64 = 60.0;

impl Service {
    /// The count of a region at rest, under a load that has been so for long.
    pub(super) fn rests_at(&self, region: &str, load: f64) -> u32 {
        let desired = self.regions[region];
        if self.autoscale != "metrics" || self.policy == Policy::None {
            return desired;
        }
        let is_high = self.policy == Policy::Rule && load > HIGH;
        let wanted = if is_high { MAX } else { (load / PER_REPLICA).ceil() as u32 };
        wanted.min(max(desired))
    }

    fn policy(&self, id: &str) -> String {
        let rules = match self.policy {
            Policy::None => return String::new(),
            Policy::Total => String::new(),
            Policy::Rule => format!(
                "rules: [{{name: high, when: {{signal: load, above: {HIGH}, for: 30s}}, to: {MAX}}}], "
            ),
        };
        format!(
            "      policy: {{signals: {{load: {{source: script, metric: {id}, maxAge: 1m}}}}, targets: \
             [{{signal: load, perReplica: {PER_REPLICA}}}], {rules}behavior: {{tolerance: 0%, up: {{limits: \
             [{MAX}], per: 15s}}, down: {{limits: [3], per: 15s, stabilization: 45s}}}}}}\n"
        )
    }
}

fn max(desired: u32) -> u32 {
    desired.max(1) + 2
}

impl Spec {
    /// Changes one thing, and says which.
    pub(super) fn edit(&mut self, rng: &mut Rng) -> String {
        let present: Vec<&'static str> = self.services.keys().copied().collect();
        let kind = rng.u32(0..12);
        let Some(id) = rng.choice(present) else { return self.add(rng) };
        let service = self.services.get_mut(id).unwrap();
        let region = rng.choice(service.regions.keys().copied().collect::<Vec<_>>()).unwrap();
        match kind {
            0 | 1 => self.add(rng),
            2 => {
                self.services.remove(id);
                format!("removes {id}")
            }
            3..=5 => {
                let desired = if rng.u32(0..6) == 0 { rng.u32(0..=MAX) } else { rng.u32(0..5) };
                service.regions.insert(region, desired);
                format!("sets {id}/{region} to {desired}")
            }
            6 | 7 => {
                service.template += 1;
                format!("changes the template of {id}")
            }
            8 => {
                let region = REGIONS[rng.usize(..3)];
                service.regions.entry(region).or_insert_with(|| rng.u32(1..4));
                format!("adds {id}/{region}")
            }
            9 if service.regions.len() > 1 => {
                service.regions.remove(region);
                format!("removes {id}/{region}")
            }
            10 => {
                let modes = ["manual", "metrics", "disabled"];
                service.autoscale = modes[rng.usize(..3)];
                service.policy = POLICIES[rng.usize(..3)];
                format!("makes {id} {} with policy {:?}", service.autoscale, service.policy)
            }
            _ => {
                let id = IDS[rng.usize(..4)];
                if !self.allow.remove(id) {
                    self.allow.insert(id);
                }
                format!("allows to destroy {:?}", self.allow)
            }
        }
    }

    fn add(&mut self, rng: &mut Rng) -> String {
        let id = IDS[rng.usize(..4)];
        let mut regions = BTreeMap::new();
        for _ in 0..rng.u32(1..3) {
            regions.insert(REGIONS[rng.usize(..3)], rng.u32(0..5));
        }
        let autoscale = ["manual", "metrics"][rng.usize(..2)];
        let policy = POLICIES[rng.usize(..3)];
        let service = Service { regions, template: rng.u32(0..3), autoscale, policy };
        let text = format!("states {id} as {service:?}");
        self.services.insert(id, service);
        text
    }

    /// Lets everything go that is gone from the spec.
    pub(super) fn allow_all(&mut self) {
        self.allow.extend(IDS);
    }

    pub(super) fn yaml(&self) -> String {
        let mut out = String::new();
        out.push_str(if self.services.is_empty() { "services: []\n" } else { "services:\n" });
        for (id, service) in &self.services {
            let policy =
                if service.autoscale == "metrics" { service.policy(id) } else { String::new() };
            let _ = write!(
                out,
                "  - id: {id}\n    provider: fake\n    scale:\n      autoscale: {}\n{policy}      regions:\n",
                service.autoscale
            );
            for (region, desired) in &service.regions {
                let max = max(*desired);
                let _ = writeln!(
                    out,
                    "        - {{name: {region}, min: 0, desired: {desired}, max: {max}}}"
                );
            }
            let _ = writeln!(out, "    template: {{command: [serve, v{}]}}", service.template);
        }
        if !self.allow.is_empty() {
            let ids: Vec<&str> = self.allow.iter().copied().collect();
            let _ =
                writeln!(out, "guard: {{allowDestroy: [{}], until: 2099-01-01}}", ids.join(", "));
        }
        out
    }
}
