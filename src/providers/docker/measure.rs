//! What containers use, as the daemon counts it: one list call, and one reading of each that runs.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{ContainerMemoryStats, ContainerStatsResponse, ContainerSummaryStateEnum};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::host::Host;
use super::{DockerProvider, labels, lock};
use crate::model::{Region, ReplicaKey};
use crate::providers::{Ctx, ProviderError, Usage};

/// Readings at once from one daemon, which reads each from the kernel.
const STATS_CONCURRENCY: usize = 8;
/// Time between two readings that make a rate.
const BETWEEN_MIN: Duration = Duration::from_millis(500);
/// Nanoseconds of a second, in which the daemon counts processor time.
const NANOSECONDS: f64 = 1e9;

/// The processor time of one run of a container, and when the daemon read it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    cpu_ns: u64,
    at: Timestamp,
    /// Cores, from the reading before to this one.
    rate: Option<f64>,
}

/// The readings before, of the containers of one region, by container id.
pub(super) type Readings = BTreeMap<String, Reading>;

impl DockerProvider {
    pub(super) async fn measure_region(
        &self,
        ctx: &Ctx,
        region: &Region,
        host: &Host,
    ) -> Result<Vec<Usage>, ProviderError> {
        let doing = || format!("measure containers in region {region}");
        let filter = labels::filter(&ctx.owner, &self.name, region);
        let listed = host.list(filter).await.map_err(|f| f.into_error(&doing(), &[]))?;
        let running: Vec<(String, ReplicaKey)> = listed
            .into_iter()
            .filter(|container| container.state == Some(ContainerSummaryStateEnum::RUNNING))
            .filter_map(|container| {
                let names = container.names.as_deref().unwrap_or_default();
                let labels = container.labels.as_ref()?;
                let labelled = labels::read(labels, names, &ctx.owner, &self.name, region)?;
                Some((container.id?, labelled.key))
            })
            .collect();
        let read = |(id, key): (String, ReplicaKey)| async move {
            host.stats(&id).await.map(|stats| (id, key, stats))
        };
        let read: Vec<_> = stream::iter(running)
            .map(read)
            .buffer_unordered(STATS_CONCURRENCY)
            .try_collect()
            .await
            .map_err(|f| f.into_error(&doing(), &[]))?;
        let mut before = lock(&self.readings);
        let before = before.entry(region.clone()).or_default();
        let mut seen = Readings::new();
        let mut usages = Vec::new();
        for (id, key, stats) in read {
            // One that ended meanwhile uses nothing.
            let Some(stats) = stats else { continue };
            let reading = reading(&stats).map(|reading| next(before.get(&id), reading));
            usages.push(Usage {
                key,
                cpu_cores: reading.and_then(|reading| reading.rate),
                memory_bytes: stats.memory_stats.as_ref().and_then(memory),
                at: ctx.now,
            });
            seen.extend(reading.map(|reading| (id, reading)));
        }
        *before = seen;
        usages.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(usages)
    }
}

fn reading(stats: &ContainerStatsResponse) -> Option<Reading> {
    let cpu_ns = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
    let at = stats.read.as_ref()?.parse().ok()?;
    Some(Reading { cpu_ns, at, rate: None })
}

/// What is kept of a reading: with a rate, if there is one. The count of a container that was started again
/// begins anew.
fn next(earlier: Option<&Reading>, reading: Reading) -> Reading {
    let Some(earlier) = earlier.filter(|earlier| earlier.cpu_ns <= reading.cpu_ns) else {
        return reading;
    };
    let between = Duration::try_from(reading.at.duration_since(earlier.at)).unwrap_or_default();
    if between < BETWEEN_MIN {
        return *earlier;
    }
    let used = (reading.cpu_ns - earlier.cpu_ns) as f64 / NANOSECONDS;
    Reading { rate: Some(used / between.as_secs_f64()), ..reading }
}

/// Memory without the file cache that is given back when somebody needs it: what `docker stats` shows, for
/// both versions of control groups.
fn memory(stats: &ContainerMemoryStats) -> Option<u64> {
    let of = |key: &str| stats.stats.as_ref().and_then(|stats| stats.get(key).copied());
    let cache = of("total_inactive_file").or_else(|| of("inactive_file")).unwrap_or(0);
    Some(stats.usage?.saturating_sub(cache))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_from_two_readings_of_one_run() {
        let at = |ms, cpu_ns| Reading {
            cpu_ns,
            at: Timestamp::from_millisecond(ms).unwrap(),
            rate: None,
        };
        let first = next(None, at(0, 5_000_000_000));
        assert_eq!(first.rate, None);
        let second = next(Some(&first), at(2000, 6_000_000_000));
        assert_eq!(second.rate, Some(0.5));
        assert_eq!(next(Some(&second), at(2100, 9_000_000_000)), second);
        assert_eq!(next(Some(&second), at(4000, 1_000_000)).rate, None);
    }

    #[test]
    fn memory_that_is_given_back_on_demand_does_not_count() {
        let with = |key: &str| ContainerMemoryStats {
            usage: Some(100),
            stats: Some([(key.to_owned(), 30)].into()),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(memory(&with("inactive_file")), Some(70));
        assert_eq!(memory(&with("total_inactive_file")), Some(70));
        assert_eq!(memory(&with("other")), Some(100));
        assert_eq!(memory(&ContainerMemoryStats::default()), None);
    }
}
