//! The built-in source `provider`: what the replicas of a target use, on average over the ready ones. Pure;
//! the readings are taken by [`Provider::measure`](crate::providers::Provider::measure).

use std::collections::HashMap;

use crate::model::{Measured, Moment, Observed, Phase, Replica, ReplicaKey, Service, TargetId};
use crate::providers::Usage;

/// Percent of one core, or of one whole.
const PERCENT: f64 = 100.0;

/// Which of the built-in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// Processor time, in percent of the replica's limit, without one of one core.
    CpuPercent,
    /// Memory, in percent of the replica's limit.
    MemoryPercent,
    /// Memory, in bytes.
    MemoryBytes,
    /// How many replicas are ready.
    Ready,
}

impl Metric {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "cpuPercent" => Self::CpuPercent,
            "memoryPercent" => Self::MemoryPercent,
            "memoryBytes" => Self::MemoryBytes,
            "ready" => Self::Ready,
            _ => return None,
        })
    }

    /// Whether the provider must be asked, besides being observed.
    pub(super) fn needs_usage(self) -> bool {
        self != Self::Ready
    }
}

/// What is known of one provider's region.
pub(super) struct Known<'a> {
    /// When and what was observed.
    pub(super) observed: &'a Observed,
    /// The replicas of the target.
    pub(super) replicas: &'a [Replica],
    /// The usage of the region's replicas; `Err` why it could not be measured.
    pub(super) usage: Result<&'a HashMap<ReplicaKey, Usage>, Measured>,
}

/// One metric of one target.
pub(super) fn measure(
    metric: Metric,
    target: &TargetId,
    service: &Service,
    known: Known<'_>,
) -> Measured {
    let Some(provider) = &service.provider else {
        return failed("the service has no provider");
    };
    let gap = known
        .observed
        .gaps
        .iter()
        .find(|gap| gap.provider == *provider && gap.region == target.region);
    if let Some(gap) = gap {
        return failed(&format!("the replicas could not be read: {}", gap.error));
    }
    let is_ready = |r: &&Replica| r.key.provider == *provider && r.phase == Phase::Ready;
    let ready = known.replicas.iter().filter(is_ready);
    if metric == Metric::Ready {
        return Measured::Value {
            value: ready.count() as f64,
            at: Moment::from(known.observed.at),
        };
    }
    let limits = service.template.as_ref().map(|template| &template.resources);
    let whole = match metric {
        Metric::MemoryBytes | Metric::Ready => 1.0,
        Metric::CpuPercent => {
            let cores = limits.and_then(|limits| limits.cpu);
            cores.map_or(1.0, |cpu| f64::from(cpu.millicores) / 1000.0) / PERCENT
        }
        Metric::MemoryPercent => match limits.and_then(|limits| limits.memory) {
            Some(memory) => memory.bytes as f64 / PERCENT,
            None => {
                return failed(
                    "memoryPercent is of the limit, and there is none: set `template.resources.memory`, or use memoryBytes",
                );
            }
        },
    };
    let usage = match known.usage {
        Ok(usage) => usage,
        Err(failure) => return failure,
    };
    let (mut sum, mut count, mut oldest) = (0.0, 0u32, None);
    for used in ready.filter_map(|replica| usage.get(&replica.key)) {
        let value = match metric {
            Metric::CpuPercent => used.cpu_cores,
            Metric::MemoryPercent | Metric::MemoryBytes => used.memory_bytes.map(|b| b as f64),
            Metric::Ready => None,
        };
        let Some(value) = value else { continue };
        sum += value;
        count += 1;
        let at = Moment::from(used.at);
        oldest = Some(oldest.map_or(at, |oldest: Moment| oldest.min(at)));
    }
    match oldest {
        Some(at) => Measured::Value { value: sum / f64::from(count) / whole, at },
        None => Measured::Absent,
    }
}

pub(super) fn failed(why: &str) -> Measured {
    Measured::Failed(why.into())
}
