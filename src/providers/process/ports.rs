//! Which ports of this host a new replica is given.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use super::record::{GivenPort, HealthCheck};
use crate::model::{Health, HealthProbe, Template};

/// The variable by which a replica learns its first port, unless its template names another.
const FIRST_PORT_ENV: &str = "PORT";

/// No port of the range is free.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "find a free port: all ports from {first} to {last} are given to replicas or in use; widen `ports` in the \
     provider's configuration"
)]
pub(super) struct Exhausted {
    first: u16,
    last: u16,
}

/// Gives ports to a replica, the first one always: the lowest of the range that no replica has and
/// `is_free` says is free. A fixed port is given as it is; that only one replica may have it was
/// checked long before.
pub(super) fn give(
    template: &Template,
    range: &RangeInclusive<u16>,
    mut taken: BTreeSet<u16>,
    is_free: impl Fn(u16) -> bool,
) -> Result<Vec<GivenPort>, Exhausted> {
    let mut lowest_free = || {
        let port = range
            .clone()
            .find(|port| !taken.contains(port) && is_free(*port))
            .ok_or(Exhausted { first: *range.start(), last: *range.end() })?;
        taken.insert(port);
        Ok(port)
    };
    let Some((first, others)) = template.ports.split_first() else {
        return Ok(vec![GivenPort { env: Some(FIRST_PORT_ENV.to_owned()), port: lowest_free()? }]);
    };
    let mut given = vec![GivenPort {
        env: Some(first.env.clone().unwrap_or_else(|| FIRST_PORT_ENV.to_owned())),
        port: first.host_port.map_or_else(&mut lowest_free, Ok)?,
    }];
    for other in others {
        given.push(GivenPort {
            env: other.env.clone(),
            port: match (other.host_port, &other.env) {
                (Some(fixed), _) => fixed,
                (None, Some(_)) => lowest_free()?,
                // The replica has no way to learn of another port than the one it has in mind.
                (None, None) => other.container_port,
            },
        });
    }
    Ok(given)
}

/// The template's health check with its port on this host: the given one where the template speaks of
/// one of its ports, else the port as written.
pub(super) fn health_check(template: &Template, given: &[GivenPort]) -> Option<HealthCheck> {
    let health: &Health = template.health.as_ref()?;
    let (http_path, inner) = match &health.probe {
        HealthProbe::Http { path, port } => (Some(path.clone()), *port),
        HealthProbe::Tcp { port } => (None, *port),
    };
    let first = given.first()?.port;
    let port = match inner {
        None => first,
        Some(inner) => template
            .ports
            .iter()
            .zip(given)
            .find(|(port, _)| port.container_port == inner)
            .map_or(inner, |(_, given)| given.port),
    };
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Some(HealthCheck {
        http_path,
        port,
        interval_ms: millis(health.interval),
        timeout_ms: millis(health.timeout),
        failures: health.failures,
        start_period_ms: millis(health.start_period),
    })
}

/// Whether nobody listens on the port now, neither on this host's own address nor on all of them.
pub(super) fn is_free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|address| TcpListener::bind((address, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::model::{Port, Resources};

    fn template(ports: Vec<Port>) -> Template {
        Template {
            image: None,
            command: vec!["web".to_owned()],
            env: BTreeMap::new(),
            ports,
            resources: Resources::default(),
            health: None,
            drain: Duration::ZERO,
        }
    }

    fn port(container_port: u16, host_port: Option<u16>, env: Option<&str>) -> Port {
        Port { name: None, container_port, host_port, env: env.map(str::to_owned) }
    }

    fn given(template: &Template, range: RangeInclusive<u16>) -> Result<Vec<u16>, Exhausted> {
        let taken = BTreeSet::from([100, 101]);
        give(template, &range, taken, |port| port != 103)
            .map(|given| given.iter().map(|g| g.port).collect())
    }

    #[test]
    fn the_lowest_ports_that_are_neither_given_nor_in_use_are_given() {
        assert_eq!(given(&template(vec![]), 100..=105), Ok(vec![102]));
        let several = template(vec![
            port(8080, None, Some("WEB")),
            port(9090, None, Some("ADMIN")),
            port(7070, None, None),
            port(6060, Some(6061), None),
        ]);
        assert_eq!(given(&several, 100..=105), Ok(vec![102, 104, 7070, 6061]));
        assert_eq!(given(&several, 100..=103), Err(Exhausted { first: 100, last: 103 }));
    }

    #[test]
    fn a_health_check_follows_its_port_to_the_given_one() {
        let mut template = template(vec![port(8080, None, None), port(9090, None, Some("ADMIN"))]);
        let given = [("PORT", 102), ("ADMIN", 104)]
            .map(|(env, port)| GivenPort { env: Some(env.to_owned()), port });
        for (inner, outer) in [(None, 102), (Some(8080), 102), (Some(9090), 104), (Some(5), 5)] {
            template.health = Some(Health {
                probe: HealthProbe::Tcp { port: inner },
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                failures: 1,
                start_period: Duration::ZERO,
            });
            assert_eq!(health_check(&template, &given).unwrap().port, outer, "{inner:?}");
        }
    }
}
