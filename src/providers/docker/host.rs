//! One Docker host: a client that is made when it is first needed, and the calls this provider makes, each
//! with a time limit.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ClientError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStatsResponse, ContainerSummary,
    EventMessage,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use super::endpoint::Endpoint;
use super::errors::Failure;

/// Time to agree on an API version with a daemon: it answers from memory.
const NEGOTIATE_LIMIT: Duration = Duration::from_secs(5);
/// Time for a call that only reads. A daemon under load takes seconds to list a thousand containers.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Time for a call that creates, starts or removes. Disk and network set-up are in it.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);
/// Time a stop may take over its drain time, for the kill and the clean-up.
const STOP_OVER_DRAIN: Duration = Duration::from_secs(30);
/// Time for a look into the daemon's recent events, which it holds in memory.
const EVENTS_LIMIT: Duration = Duration::from_secs(3);
/// Most events of one container that are read: more than any run ends with.
const EVENTS_MAX: usize = 32;
/// Longest drain time the API can carry.
const DRAIN_SECONDS_MAX: u64 = i32::MAX as u64;

/// One Docker host.
pub(super) struct Host {
    endpoint: Endpoint,
    /// Made on first use; dropped whenever the host could not be reached, because it may come back as
    /// another version.
    client: Mutex<Option<Docker>>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Makes a client name the API version it agreed on in every request. By itself it names none, and then a
/// daemon answers by its newest version: what a request means would change with an upgrade of the daemon.
fn pinned(client: Docker) -> Docker {
    let version = client.client_version();
    let prefix = format!("/v{}.{}", version.major_version, version.minor_version);
    client.with_request_modifier(move |mut request| {
        let uri = request.uri();
        if let (Some(scheme), Some(host), Some(path)) =
            (uri.scheme(), uri.authority(), uri.path_and_query())
            && let Ok(pinned) = format!("{scheme}://{host}{prefix}{path}").parse()
        {
            *request.uri_mut() = pinned;
        }
        request
    })
}

impl Host {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, client: Mutex::new(None) }
    }

    /// The name under which this controller reaches the host itself.
    pub(super) fn name(&self) -> &str {
        self.endpoint.host_name()
    }

    /// A client that speaks a version the daemon understands.
    pub(super) async fn client(&self) -> Result<Docker, Failure> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let of = |error: &ClientError| Failure::of(error, NEGOTIATE_LIMIT);
        let client = self.endpoint.connect(NEGOTIATE_LIMIT).map_err(|e| of(&e))?;
        let client = tokio::time::timeout(NEGOTIATE_LIMIT, client.negotiate_version())
            .await
            .map_err(|_| Failure::Timeout(NEGOTIATE_LIMIT))?
            .map_err(|e| of(&e))?;
        let client = pinned(client);
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Forgets the client after a failure that says the daemon is not what it was.
    pub(super) async fn note(&self, failure: &Failure) {
        match failure {
            Failure::Status { code: 400, message } if !message.contains("client version") => {}
            Failure::Status { code, .. } if *code != 400 => {}
            _ => *self.client.lock().await = None,
        }
    }

    async fn call<T, F, Fut>(&self, limit: Duration, request: F) -> Result<T, Failure>
    where
        F: FnOnce(Docker) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let client = self.client().await?.with_timeout(limit);
        // The client's own limit ends with the head of the answer; this one covers the body.
        let result = match tokio::time::timeout(limit, request(client)).await {
            Ok(result) => result.map_err(|error| Failure::of(&error, limit)),
            Err(_) => Err(Failure::Timeout(limit)),
        };
        if let Err(failure) = &result {
            self.note(failure).await;
        }
        result
    }

    /// Every container with all of these labels (`label=value`), running or not.
    pub(super) async fn list(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Failure> {
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.call(
            READ_LIMIT,
            move |client| async move { client.list_containers(Some(options)).await },
        )
        .await
    }

    /// One container, by name or id; `None` when there is none.
    pub(super) async fn inspect(
        &self,
        container: &str,
    ) -> Result<Option<ContainerInspectResponse>, Failure> {
        let found =
            self.call(READ_LIMIT, |client| async move {
                client.inspect_container(container, None).await
            })
            .await;
        match found {
            Err(failure) if failure.status() == Some(404) => Ok(None),
            other => other.map(Some),
        }
    }

    /// One reading of what a container uses, without the wait for a second one; `None` when there is none.
    pub(super) async fn stats(
        &self,
        container: &str,
    ) -> Result<Option<ContainerStatsResponse>, Failure> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let read = self
            .call(READ_LIMIT, |client| async move {
                pin!(client.stats(container, Some(options))).next().await.transpose()
            })
            .await;
        match read {
            Err(failure) if failure.status() == Some(404) => Ok(None),
            other => other,
        }
    }

    /// Creates a container and does not start it.
    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, Failure> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.call(CHANGE_LIMIT, move |client| async move {
            client.create_container(Some(options), body).await.map(|created| created.id)
        })
        .await
    }

    /// Starts a container; one that runs already is left as it is.
    pub(super) async fn start(&self, container: &str) -> Result<(), Failure> {
        self.call(
            CHANGE_LIMIT,
            |client| async move { client.start_container(container, None).await },
        )
        .await
    }

    /// Asks a container to stop and kills it after the drain time.
    pub(super) async fn stop(&self, container: &str, drain_seconds: u64) -> Result<(), Failure> {
        let drain_seconds = drain_seconds.min(DRAIN_SECONDS_MAX);
        let t = i32::try_from(drain_seconds).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(t).build();
        let limit = Duration::from_secs(drain_seconds) + STOP_OVER_DRAIN;
        self.call(limit, move |client| async move {
            client.stop_container(container, Some(options)).await
        })
        .await
    }

    /// Removes a container, but none of its volumes. `force` kills one that still runs.
    pub(super) async fn remove(&self, container: &str, force: bool) -> Result<(), Failure> {
        let options = RemoveContainerOptionsBuilder::new().force(force).v(false).build();
        self.call(CHANGE_LIMIT, move |client| async move {
            client.remove_container(container, Some(options)).await
        })
        .await
    }

    /// What the daemon remembers of how a container's runs ended within a time (`seconds.nanoseconds`).
    pub(super) async fn ends(
        &self,
        container: &str,
        since: String,
        until: String,
    ) -> Result<Vec<EventMessage>, Failure> {
        let options = EventsOptions {
            since: Some(since),
            until: Some(until),
            filters: Some(HashMap::from([
                ("type".to_owned(), vec!["container".to_owned()]),
                ("container".to_owned(), vec![container.to_owned()]),
                ("event".to_owned(), vec!["die".to_owned(), "oom".to_owned()]),
            ])),
        };
        self.call(EVENTS_LIMIT, move |client| async move {
            let mut events = pin!(client.events(Some(options)).take(EVENTS_MAX));
            let mut all = Vec::new();
            while let Some(event) = events.next().await {
                all.push(event?);
            }
            Ok(all)
        })
        .await
    }
}
