//! Reads one region of a Docker host: one list call, inspections only of what changed, one probe of each
//! replica that has a health check and is due.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as State, ContainerSummary,
    ContainerSummaryStateEnum as Listed,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::errors::Failure;
use super::facts::{self, Facts, Memory, Run};
use super::host::Host;
use super::labels::{self, Labelled};
use super::request::HOST_NETWORK;
use super::{DockerProvider, health};
use crate::model::{Exit, FailureKind, Phase, Region, Replica};
use crate::providers::{Ctx, ProviderError};

/// Inspections that run at once against one daemon, which answers each in about a millisecond.
const INSPECT_CONCURRENCY: usize = 8;
/// Probes that run at once: each waits for a service and costs the controller a socket.
const PROBE_CONCURRENCY: usize = 64;

/// Time for the list and the inspections of one observation. A daemon answers both in milliseconds, under
/// load in seconds; whoever waits longer holds up the regions that answer.
const READ_LIMIT: Duration = Duration::from_secs(15);
/// Time for a whole observation, and so for its probes what the reads leave: one silent service must not
/// hold up all others.
const OBSERVE_LIMIT: Duration = Duration::from_secs(30);

/// A container of ours as the list has it.
struct Row {
    id: String,
    labelled: Labelled,
    state: State,
    run: Option<Run>,
    address: Option<String>,
    /// Where its health check finds it; differs from the address when the check has its own port.
    probe_address: Option<String>,
}

impl DockerProvider {
    pub(super) async fn observe_region(
        &self,
        ctx: &Ctx,
        region: &Region,
        host: &Host,
    ) -> Result<Vec<Replica>, ProviderError> {
        let probes_end = Instant::now() + OBSERVE_LIMIT;
        let looked_at = tokio::time::timeout(READ_LIMIT, self.read(ctx, region, host))
            .await
            .map_err(|_| {
                ProviderError::retry(
                    FailureKind::Timeout,
                    format!(
                        "list containers in region {region}: no answer within {} s",
                        READ_LIMIT.as_secs()
                    ),
                )
            })??;
        let mut seen: Vec<(Row, Memory, Phase)> = stream::iter(looked_at)
            .map(|(row, memory)| self.with_phase(ctx, row, memory, probes_end))
            .buffer_unordered(PROBE_CONCURRENCY)
            .collect()
            .await;
        seen.sort_by(|(a, _, _), (b, _, _)| a.labelled.key.cmp(&b.labelled.key));
        let memory = seen.iter().map(|(row, memory, _)| (row.id.clone(), memory.clone())).collect();
        self.remember(region, memory);
        Ok(seen.into_iter().map(|(row, memory, phase)| replica(row, memory.facts, phase)).collect())
    }

    /// The list, and an inspection of each container of which not enough is known.
    async fn read(
        &self,
        ctx: &Ctx,
        region: &Region,
        host: &Host,
    ) -> Result<Vec<(Row, Memory)>, ProviderError> {
        let doing = || format!("list containers in region {region}");
        let filter = labels::filter(&ctx.owner, &self.name, region);
        let listed = host.list(filter).await.map_err(|f| f.into_error(&doing(), &[]))?;
        let rows: Vec<Row> = listed
            .into_iter()
            .filter_map(|container| self.row(ctx, region, host, container))
            .collect();
        let before = self.remembered(region);
        let looked_at = stream::iter(rows)
            .map(|row| look_at(host, before.get(&row.id).cloned(), row))
            .buffer_unordered(INSPECT_CONCURRENCY)
            .collect::<Vec<Result<_, Failure>>>()
            .await
            .into_iter()
            .collect::<Result<Vec<Option<(Row, Memory)>>, _>>()
            .map_err(|f| f.into_error(&format!("inspect containers in region {region}"), &[]))?;
        Ok(looked_at.into_iter().flatten().collect())
    }

    fn row(
        &self,
        ctx: &Ctx,
        region: &Region,
        host: &Host,
        container: ContainerSummary,
    ) -> Option<Row> {
        let names = container.names.as_deref().unwrap_or_default();
        let labels = container.labels.as_ref()?;
        let labelled = labels::read(labels, names, &ctx.owner, &self.name, region)?;
        let shares_ports = container
            .host_config
            .as_ref()
            .is_some_and(|config| config.network_mode.as_deref() == Some(HOST_NETWORK));
        let run = Run::of(&container);
        let address_of = |port: u16| {
            if shares_ports {
                return Some(join(host.name(), port));
            }
            let ports = container.ports.as_deref().unwrap_or_default();
            let published =
                ports.iter().find(|p| p.private_port == port && p.public_port.is_some())?;
            let ip = published.ip.as_deref().unwrap_or_default();
            let name = if matches!(ip, "" | "0.0.0.0" | "::") { host.name() } else { ip };
            Some(join(name, published.public_port?))
        };
        Some(Row {
            address: labelled.port.and_then(address_of),
            probe_address: labelled.health.as_ref().and_then(|health| address_of(health.port)),
            id: container.id?,
            state: state_of(container.state),
            run,
            labelled,
        })
    }

    async fn with_phase(
        &self,
        ctx: &Ctx,
        row: Row,
        mut memory: Memory,
        probes_end: Instant,
    ) -> (Row, Memory, Phase) {
        let phase = match row.state {
            _ if self.is_draining(&row.id) => Phase::Draining,
            State::RUNNING => self.phase_of_running(ctx, &row, &mut memory, probes_end).await,
            State::PAUSED => Phase::Unhealthy { why: "the container is paused".to_owned() },
            State::RESTARTING => {
                Phase::BackOff { until: facts::back_off_until(&memory.facts, ctx.now) }
            }
            State::REMOVING | State::STOPPING => Phase::Draining,
            State::CREATED | State::EXITED | State::DEAD | State::EMPTY => Phase::Stopped,
        };
        (row, memory, phase)
    }

    async fn phase_of_running(
        &self,
        ctx: &Ctx,
        row: &Row,
        memory: &mut Memory,
        probes_end: Instant,
    ) -> Phase {
        let Some(label) = &row.labelled.health else { return Phase::Ready };
        let now = Instant::now();
        // One whose turn does not come in time says nothing about its service: it stays as it was.
        if now < probes_end && memory.health.is_due(label, now) {
            let result = match &row.probe_address {
                Some(address) => health::probe(&self.http, label, address, probes_end - now).await,
                None => Err(format!("port {} is not published", label.port)),
            };
            let age = memory.facts.started_at.map_or(Duration::MAX, |started_at| {
                Duration::try_from(ctx.now.duration_since(started_at)).unwrap_or_default()
            });
            memory.health.learn(result, label, age, Instant::now());
        }
        memory.health.phase(label)
    }
}

/// Inspects a container unless what is remembered of it still holds. `None`: it is gone meanwhile.
async fn look_at(
    host: &Host,
    memory: Option<Memory>,
    mut row: Row,
) -> Result<Option<(Row, Memory)>, Failure> {
    let mut memory = memory.unwrap_or_default();
    if row.state == State::RUNNING && row.run.is_some() && memory.run == row.run {
        return Ok(Some((row, memory)));
    }
    let Some(inspected) = host.inspect(&row.id).await? else { return Ok(None) };
    let facts = facts_of(host, &row.id, &memory.facts, &inspected).await;
    if facts.started_at != memory.facts.started_at {
        memory.health = health::HealthMemory::default();
    }
    memory.facts = facts;
    row.state = inspected.state.and_then(|state| state.status).unwrap_or(row.state);
    // One that was restarted between list and inspection is inspected once more next time.
    memory.run = row.run.clone();
    Ok(Some((row, memory)))
}

async fn facts_of(
    host: &Host,
    id: &str,
    before: &Facts,
    inspected: &ContainerInspectResponse,
) -> Facts {
    let Some(state) = &inspected.state else { return before.clone() };
    let mut facts = facts::facts(state, inspected.restart_count);
    let runs = state.status == Some(State::RUNNING);
    if let Some(exit) = &mut facts.last_exit
        && runs
    {
        exit.reason = match &before.last_exit {
            Some(known) if known.at == exit.at => known.reason.clone(),
            // The daemon forgets the reason of an exit when it starts the container again, but not the
            // event. A failure here costs the reason, not the observation.
            _ => reason_of(host, id, exit).await.unwrap_or_else(|| exit.reason.clone()),
        };
    }
    facts
}

async fn reason_of(host: &Host, id: &str, exit: &Exit) -> Option<String> {
    let (since, until) = facts::event_window(exit);
    let events = host.ends(id, since, until).await.ok()?;
    facts::reason_from_events(&events)
}

fn replica(row: Row, facts: Facts, phase: Phase) -> Replica {
    Replica {
        key: row.labelled.key,
        instance: row.id,
        template: row.labelled.template,
        spec_commit: row.labelled.spec_commit,
        phase,
        address: row.address,
        started_at: facts.started_at,
        restarts: facts.restarts,
        last_exit: facts.last_exit,
    }
}

/// The list and the inspection have a type each for the same words.
fn state_of(listed: Option<Listed>) -> State {
    match listed {
        Some(Listed::CREATED) => State::CREATED,
        Some(Listed::RUNNING) => State::RUNNING,
        Some(Listed::PAUSED) => State::PAUSED,
        Some(Listed::RESTARTING) => State::RESTARTING,
        Some(Listed::EXITED) => State::EXITED,
        Some(Listed::REMOVING) => State::REMOVING,
        Some(Listed::DEAD) => State::DEAD,
        Some(Listed::STOPPING) => State::STOPPING,
        Some(Listed::EMPTY) | None => State::EMPTY,
    }
}

fn join(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What is remembered of the containers of one region, by container id.
pub(super) type Memories = BTreeMap<String, Memory>;
