//! A load that a test sets, and services whose counts follow it.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use tidegate::model::TargetId;
use tidegate::record::{HistoryLine, StatusTarget};

use super::controller::Bench;

/// Behaviour of a policy that follows its load at once and exactly, but goes down only after a second.
pub(crate) const AT_ONCE: &str = "{tolerance: 0%, up: {limits: [20], per: 1s}, down: {limits: [20], per: 1s, \
                                  stabilization: 1s}}";

/// The target `service/local`.
pub(crate) fn local(service: &str) -> TargetId {
    TargetId { service: service.try_into().unwrap(), region: "local".try_into().unwrap() }
}

/// `metrics:` of a configuration whose source `script` is the bench's file of loads.
pub(crate) fn script(bench: &Bench) -> String {
    format!("metrics: {{script: {{type: file, path: '{}'}}}}\n", bench.path("load").display())
}

impl Bench {
    /// A bench with the source `script`.
    pub(crate) fn with_script(infra: fn(&std::path::Path) -> super::infra::Infra) -> Self {
        let bench = Self::new(infra);
        bench.write_config(&format!("{}{}", bench.config(), script(&bench)));
        bench
    }

    /// Says what the loads are from now on, as scripts should: at once.
    pub(crate) fn load(&self, loads: &[(&str, f64)]) {
        let mut text = String::new();
        for (name, value) in loads {
            writeln!(text, "{name} {value}").unwrap();
        }
        fs::write(self.path("load.new"), text).unwrap();
        fs::rename(self.path("load.new"), self.path("load")).unwrap();
    }

    /// A service whose count follows this policy, in flow form. `scale` may say more.
    pub(crate) fn moved(&self, id: &str, bounds: [u32; 3], scale: &str, policy: &str) -> String {
        let [min, desired, max] = bounds;
        format!(
            "  - id: {id}\n    scale: {{autoscale: metrics, {scale}policy: {policy}, regions: [{{name: local, \
             min: {min}, desired: {desired}, max: {max}}}]}}\n    template: {}\n",
            self.infra.template("1")
        )
    }

    /// What the status branch says of a service.
    pub(crate) fn told(&self, service: &str) -> Option<StatusTarget> {
        self.status()?.target(&local(service)).cloned()
    }

    /// Whether the status branch says that a service has so many, as decided, and that this is in the way.
    pub(crate) fn rests_at(&self, service: &str, count: u32, refused: Option<&str>) -> bool {
        self.told(service).is_some_and(|told| {
            (told.count, told.effective, told.recorded) == (Some(count), Some(count), count)
                && told.refused.as_ref().map(|refused| refused.reason.as_str()) == refused
        })
    }

    /// The history of a service.
    pub(crate) fn lines(&self, service: &str) -> Vec<HistoryLine> {
        let target = local(service);
        self.history().into_iter().filter(|line| line.target == target).collect()
    }

    /// What `explain` says of a service.
    #[track_caller]
    pub(crate) fn explain(&self, service: &str) -> Value {
        let ran = self.tidegate(&["explain", service, "--output", "json"]).code(0);
        let mut all: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        all.remove(0)
    }

    /// Fails the test unless every recorded decision follows from its recorded inputs.
    #[track_caller]
    pub(crate) fn assert_replays(&self) {
        self.tidegate(&["replay", "--all"]).code(0);
    }
}
