//! The three calls, each idempotent, each safe to cut short at any request: what an earlier attempt left
//! behind is found by name, checked by labels and carried on from.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as State};

use super::errors::{self, Failure};
use super::host::Host;
use super::labels::{self, Labelled};
use super::pull::{self, Login};
use super::request::{self, Surroundings};
use super::{DockerProvider, Draining};
use crate::model::{FailureKind, Next, ReplicaKey, Secret};
use crate::providers::{Applied, Ctx, Launch, ProviderError};

/// A container that was found under a replica's name.
struct Found {
    id: String,
    state: State,
    /// `None`: not ours.
    labelled: Option<Labelled>,
}

impl DockerProvider {
    /// Makes the replica and starts it.
    pub(super) async fn create(
        &self,
        ctx: &Ctx,
        host: &Host,
        launch: &Launch,
    ) -> Result<Applied, ProviderError> {
        let name = labels::container_name(&ctx.owner, &launch.key);
        let around = Surroundings {
            network: self.network.as_deref(),
            bind_address: &self.bind_address,
            init: self.init,
        };
        let body = request::create_body(&ctx.owner, launch, around)?;
        let image = launch.template.image.as_deref().unwrap_or_default();
        let secrets: Vec<&Secret> = launch.env.iter().map(|(_, value)| value).collect();
        let doing = format!("create container {name} from image {image}");
        let mut created = host.create(&name, body.clone()).await;
        if is_missing_image(&created) {
            self.fetch(host, image).await?;
            created = host.create(&name, body).await;
        }
        match created {
            Ok(id) => {
                self.run(host, &name, &id, &secrets).await?;
                Ok(Applied::Done)
            }
            Err(failure) if failure.status() == Some(409) => {
                let found = self.find(ctx, host, &launch.key, &name).await?;
                self.carry_on(host, launch, &name, found, &secrets).await
            }
            Err(failure) => Err(failure.into_error(&doing, &secrets)),
        }
    }

    /// Starts a replica that exists and is stopped.
    pub(super) async fn start(
        &self,
        ctx: &Ctx,
        host: &Host,
        launch: &Launch,
    ) -> Result<Applied, ProviderError> {
        let name = labels::container_name(&ctx.owner, &launch.key);
        let secrets: Vec<&Secret> = launch.env.iter().map(|(_, value)| value).collect();
        match self.find(ctx, host, &launch.key, &name).await? {
            None => Err(ProviderError::give_up(
                FailureKind::NotFound,
                format!("start container {name}: it is gone; the next cycle plans anew"),
            )),
            Some(found) if found.labelled.is_none() => Err(foreign(&name, "start")),
            Some(found) if is_running(found.state) => Ok(Applied::AlreadySo),
            Some(found) => {
                self.run(host, &name, &found.id, &secrets).await?;
                Ok(Applied::Done)
            }
        }
    }

    /// Stops the replica, giving it its drain time, and removes it.
    pub(super) async fn destroy(
        &self,
        ctx: &Ctx,
        host: &Host,
        key: &ReplicaKey,
        drain: std::time::Duration,
    ) -> Result<Applied, ProviderError> {
        let name = labels::container_name(&ctx.owner, key);
        // A foreign container under our name is not our replica: ours does not exist.
        let Some(Found { id, labelled: Some(labelled), .. }) =
            self.find(ctx, host, key, &name).await?
        else {
            return Ok(Applied::AlreadySo);
        };
        // A service that is gone from the spec has left its drain time here only.
        let drain = drain.max(labelled.drain);
        // From here on by id: the name may pass to another container at any moment.
        let _draining = Draining::begin(&self.draining, &id);
        let force = match host.stop(&id, request::whole_seconds(drain)).await {
            Ok(()) => false,
            Err(failure) if failure.status() == Some(404) => return Ok(Applied::Done),
            // It had its time and the daemon could not stop it; removal by force kills it again.
            Err(Failure::Timeout(_)) | Err(Failure::Status { code: 500, .. }) => true,
            Err(failure) => return Err(failure.into_error(&format!("stop container {name}"), &[])),
        };
        match host.remove(&id, force).await {
            Ok(()) => Ok(Applied::Done),
            Err(failure) if failure.status() == Some(404) => Ok(Applied::Done),
            Err(failure) => Err(failure.into_error(&format!("remove container {name}"), &[])),
        }
    }

    /// What to do with a container that is there although it was about to be created.
    async fn carry_on(
        &self,
        host: &Host,
        launch: &Launch,
        name: &str,
        found: Option<Found>,
        secrets: &[&Secret],
    ) -> Result<Applied, ProviderError> {
        let busy = |what: &str| ProviderError {
            kind: FailureKind::Conflict,
            next: Next::Retry { after: Some(errors::BUSY_RETRY) },
            message: format!("create container {name}: {what}"),
        };
        let Some(Found { id, state, labelled }) = found else {
            return Err(busy("another of that name was just removed"));
        };
        let Some(labelled) = labelled else { return Err(foreign(name, "create")) };
        if labelled.template != launch.template_hash {
            return Err(ProviderError::give_up(
                FailureKind::Conflict,
                format!(
                    "create container {name}: it exists with template {}, not {}; the next cycle \
                     replaces it",
                    labelled.template, launch.template_hash
                ),
            ));
        }
        match state {
            State::REMOVING | State::DEAD | State::STOPPING => {
                Err(busy("the one of that name is being removed"))
            }
            state if is_running(state) => Ok(Applied::AlreadySo),
            _ => {
                self.run(host, name, &id, secrets).await?;
                Ok(Applied::Done)
            }
        }
    }

    async fn run(
        &self,
        host: &Host,
        name: &str,
        id: &str,
        secrets: &[&Secret],
    ) -> Result<(), ProviderError> {
        let started = host.start(id).await;
        started.map_err(|failure| failure.into_error(&format!("start container {name}"), secrets))
    }

    async fn fetch(&self, host: &Host, image: &str) -> Result<(), ProviderError> {
        let login: Option<&Login> = self.logins.get(pull::registry_of(image));
        pull::pull(host, image, login).await
    }

    async fn find(
        &self,
        ctx: &Ctx,
        host: &Host,
        key: &ReplicaKey,
        name: &str,
    ) -> Result<Option<Found>, ProviderError> {
        let inspected = host.inspect(name).await;
        let inspected = inspected
            .map_err(|failure| failure.into_error(&format!("inspect container {name}"), &[]))?;
        Ok(inspected.map(|container| self.sort(ctx, key, container)))
    }

    fn sort(&self, ctx: &Ctx, key: &ReplicaKey, container: ContainerInspectResponse) -> Found {
        let names: Vec<String> = container.name.into_iter().collect();
        let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
        let region = &key.target.region;
        let labelled = labels::read(&labels, &names, &ctx.owner, &self.name, region)
            .filter(|labelled| labelled.key == *key);
        let state = container.state.and_then(|state| state.status).unwrap_or(State::EMPTY);
        Found { id: container.id.unwrap_or_default(), state, labelled }
    }
}

fn is_running(state: State) -> bool {
    match state {
        State::RUNNING | State::RESTARTING | State::PAUSED => true,
        State::EMPTY
        | State::CREATED
        | State::REMOVING
        | State::EXITED
        | State::DEAD
        | State::STOPPING => false,
    }
}

fn is_missing_image<T>(result: &Result<T, Failure>) -> bool {
    match result {
        Err(Failure::Status { code: 404, message }) => message.contains("No such image"),
        _ => false,
    }
}

fn foreign(name: &str, word: &str) -> ProviderError {
    ProviderError::give_up(
        FailureKind::Conflict,
        format!(
            "{word} container {name}: a container of that name exists that this controller did not \
             make; remove or rename it"
        ),
    )
}
