//! Counts the replicas of every target, in one pass over what was observed.

use std::collections::BTreeMap;

use crate::model::{
    Count, Gap, Observed, Phase, ProviderName, Region, Replica, ServiceId, TargetId, TemplateHash,
};

/// What is known about a target's replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Replicas that exist and are not draining; `None` where the world could not be read.
    pub count: Option<Count>,
    /// Those of them that are ready.
    pub ready: Count,
    /// Those of them that are starting.
    pub starting: Count,
    /// Whether some were made from another template than the spec's.
    pub is_rolling_out: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    count: Count,
    ready: Count,
    starting: Count,
    is_rolling_out: bool,
}

/// Counts of all targets.
#[derive(Debug)]
pub(super) struct Supplies<'a> {
    counts: BTreeMap<&'a TargetId, Counted>,
    gaps: &'a [Gap],
}

impl<'a> Supplies<'a> {
    pub(super) fn of(
        observed: &'a Observed,
        templates: &BTreeMap<ServiceId, TemplateHash>,
    ) -> Self {
        let counts = observed
            .by_target()
            .map(|(target, found)| (target, count(found, templates.get(&target.service))));
        Self { counts: counts.collect(), gaps: &observed.gaps }
    }

    pub(super) fn get(&self, target: &TargetId, provider: Option<&ProviderName>) -> Supply {
        let counted = self.counts.get(target).copied().unwrap_or_default();
        let Counted { count, ready, starting, is_rolling_out } = counted;
        let is_unknown = provider.is_none_or(|provider| self.has_gap(provider, &target.region));
        Supply { count: (!is_unknown).then_some(count), ready, starting, is_rolling_out }
    }

    fn has_gap(&self, provider: &ProviderName, region: &Region) -> bool {
        self.gaps.iter().any(|gap| gap.provider == *provider && gap.region == *region)
    }
}

/// Counts the replicas that are not on their way out.
fn count(found: &[Replica], template: Option<&TemplateHash>) -> Counted {
    let mut counted = Counted::default();
    for replica in found {
        match replica.phase {
            Phase::Draining => continue,
            Phase::Ready => counted.ready.0 += 1,
            Phase::Starting => counted.starting.0 += 1,
            Phase::Unhealthy { .. } | Phase::BackOff { .. } | Phase::Stopped => {}
        }
        counted.count.0 += 1;
        counted.is_rolling_out |= template.is_some_and(|template| replica.template != *template);
    }
    counted
}
