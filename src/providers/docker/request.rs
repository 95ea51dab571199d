//! A launch -> the body of the daemon's create call. Pure.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, HostConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use super::labels::{self, HealthLabel};
use crate::model::{FailureKind, OwnerId};
use crate::providers::{Launch, ProviderError};

/// Nanoseconds of processor time in a thousandth of a core.
const NANOS_PER_MILLICORE: i64 = 1_000_000;
/// The network mode in which containers have the host's ports.
pub(super) const HOST_NETWORK: &str = "host";

/// What the configuration adds to every container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The network to join.
    pub(super) network: Option<&'a str>,
    /// The address on which ports are published.
    pub(super) bind_address: &'a str,
    /// Whether to run under the daemon's init process.
    pub(super) init: bool,
}

/// Builds the create call of a replica.
pub(super) fn create_body(
    owner: &OwnerId,
    launch: &Launch,
    around: Surroundings<'_>,
) -> Result<ContainerCreateBody, ProviderError> {
    let template = &launch.template;
    let refuse = |what: &str| {
        let message = format!("create replica {}: {what}", launch.key);
        ProviderError::give_up(FailureKind::Invalid, message)
    };
    let image = template.image.clone().ok_or_else(|| refuse("its template has no `image`"))?;
    let first_port = template.ports.first().map(|port| port.container_port);
    let health = match &template.health {
        None => None,
        Some(health) => Some(
            HealthLabel::of(health, first_port)
                .ok_or_else(|| refuse("its health check has no port and the template has none"))?,
        ),
    };
    let mut published: BTreeMap<u16, Option<u16>> = BTreeMap::new();
    if let Some(health) = &health {
        published.insert(health.port, None);
    }
    for port in &template.ports {
        published.insert(port.container_port, port.host_port);
    }
    let ports = if around.network == Some(HOST_NETWORK) { BTreeMap::new() } else { published };
    let memory = template.resources.memory.map(|memory| saturate(memory.bytes));
    Ok(ContainerCreateBody {
        image: Some(image),
        // A template's command is program and arguments: it takes the place of the image's entry point
        // and of its default arguments.
        entrypoint: (!template.command.is_empty()).then(|| template.command.clone()),
        env: Some(environment(launch).map_err(|what| refuse(&what))?),
        labels: Some(labels::of_launch(
            owner,
            launch,
            health.as_ref(),
            first_port.or(health.as_ref().map(|health| health.port)),
        )),
        stop_timeout: Some(saturate(whole_seconds(template.drain))),
        exposed_ports: Some(ports.keys().map(|port| tcp(*port)).collect()),
        host_config: Some(HostConfig {
            port_bindings: Some(bindings(&ports, around.bind_address)),
            network_mode: around.network.map(ToOwned::to_owned),
            nano_cpus: template
                .resources
                .cpu
                .map(|cpu| i64::from(cpu.millicores) * NANOS_PER_MILLICORE),
            memory,
            // Equal to the memory: no swap, so that the limit is one.
            memory_swap: memory,
            init: Some(around.init),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

/// The environment, with the ports that the template wants told; sorted, each name once.
fn environment(launch: &Launch) -> Result<Vec<String>, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in &launch.env {
        // The daemon quotes what it refuses, value and all: so it is refused here.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("`{name}` cannot be the name of an environment variable"));
        }
        if value.expose().contains('\0') {
            return Err(format!("the value of environment variable `{name}` has a NUL character"));
        }
        variables.insert(name.as_str(), value.expose().to_owned());
    }
    for port in &launch.template.ports {
        if let Some(name) = &port.env {
            variables.insert(name, port.container_port.to_string());
        }
    }
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn bindings(ports: &BTreeMap<u16, Option<u16>>, bind_address: &str) -> PortMap {
    ports
        .iter()
        .map(|(container, host)| {
            let binding = PortBinding {
                host_ip: Some(bind_address.to_owned()),
                // Empty: the daemon picks a free one.
                host_port: Some(host.map(|port| port.to_string()).unwrap_or_default()),
            };
            (tcp(*container), Some(vec![binding]))
        })
        .collect::<HashMap<_, _>>()
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

/// Whole seconds, rounded up: the daemon knows no fraction of a second of drain time.
pub(super) fn whole_seconds(duration: std::time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn saturate(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
