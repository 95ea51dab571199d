//! What the controller sees, shared with whoever plans pull requests: the same world that it decides from, so
//! that planning a stranger's change asks nobody anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::source::Good;
use crate::model::{
    Burst, Catalogue, CommitId, Measured, Observed, Pause, SignalName, Spec, TargetId, TargetState,
};

/// The world, as of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// The spec in force.
    pub(crate) in_force: Option<Arc<Good>>,
    /// The head of the spec branch, as it was seen last.
    pub(crate) branch_head: Option<CommitId>,
    /// The branches and commits of the forge's merge queue.
    pub(crate) queued: Vec<(String, CommitId)>,
    /// What a spec may refer to.
    pub(crate) catalogue: Arc<Catalogue>,
    /// What exists.
    pub(crate) observed: Observed,
    /// What deciding remembers.
    pub(crate) states: BTreeMap<TargetId, TargetState>,
    /// What was measured.
    pub(crate) measured: BTreeMap<TargetId, BTreeMap<SignalName, Measured>>,
    /// Bursts in force.
    pub(crate) bursts: Vec<Burst>,
    /// Pauses in force.
    pub(crate) pauses: Vec<Pause>,
}

impl Sight {
    /// What was measured of the signals of another spec: what is named alike is taken to be the same, and what
    /// is new is absent.
    pub(crate) fn measured_for(&self, spec: &Spec) -> BTreeMap<TargetId, Vec<Measured>> {
        let mut measured = BTreeMap::new();
        for service in spec.services.values() {
            let Some(policy) = spec.policy_of(service) else { continue };
            for region in service.scale.regions.keys() {
                let target = TargetId { service: service.id.clone(), region: region.clone() };
                let known = self.measured.get(&target);
                let values = policy.signals.iter().map(|signal| {
                    let value = known.and_then(|known| known.get(&signal.name));
                    value.cloned().unwrap_or(Measured::Absent)
                });
                let values = values.collect();
                measured.insert(target, values);
            }
        }
        measured
    }

    /// The providers and regions that could not be read, for whoever wants to know whether that changed.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut gaps: Vec<String> = self
            .observed
            .gaps
            .iter()
            .map(|gap| format!("{}/{}", gap.provider, gap.region))
            .collect();
        gaps.sort_unstable();
        gaps
    }
}

/// What was measured, by the names of the signals of the spec that it was measured for.
pub(crate) fn by_name(
    spec: &Spec,
    measured: &BTreeMap<TargetId, Vec<Measured>>,
) -> BTreeMap<TargetId, BTreeMap<SignalName, Measured>> {
    let named = |(target, values): (&TargetId, &Vec<Measured>)| {
        let policy = spec.policy_of(spec.services.get(&target.service)?)?;
        let names = policy.signals.iter().map(|signal| signal.name.clone());
        Some((target.clone(), names.zip(values.iter().cloned()).collect()))
    };
    measured.iter().filter_map(named).collect()
}
