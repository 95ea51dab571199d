//! Brings an image to a Docker host. Called only when a create found the image missing: an image that is
//! there is used as it is, as `docker run` does.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::errors::Failure;
use super::host::Host;
use crate::model::Secret;
use crate::providers::ProviderError;

/// Time without a word from the daemon after which a pull is given up. It reports progress several times
/// a second while data flows, and is silent while it unpacks a large layer.
const STALL_LIMIT: Duration = Duration::from_secs(120);
/// Time for a whole pull. With the other requests of a create it stays below the time that a call has, so
/// that what happened is told here.
const PULL_LIMIT: Duration = Duration::from_secs(12 * 60);
/// Bytes between two progress events: every few seconds on a usual line, and a few dozen events for the
/// largest images.
const PROGRESS_BYTES: i64 = 32 * 1024 * 1024;

/// The login of one image registry.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// User name.
    pub(super) username: String,
    /// Password or token.
    pub(super) password: Secret,
}

/// Pulls an image, telling about it through `tracing`.
pub(super) async fn pull(
    host: &Host,
    image: &str,
    login: Option<&Login>,
) -> Result<(), ProviderError> {
    tokio::time::timeout(PULL_LIMIT, pull_to_the_end(host, image, login))
        .await
        .unwrap_or(Err(Failure::Timeout(PULL_LIMIT)))
        .map_err(|failure| error_of(failure, image, login))
}

/// The error of a pull. One that ran out of time ends the call: attempts one after another would hold up
/// everything else for over an hour.
fn error_of(failure: Failure, image: &str, login: Option<&Login>) -> ProviderError {
    let password: Vec<&Secret> = login.iter().map(|login| &login.password).collect();
    let out_of_time = matches!(failure, Failure::Timeout(_));
    let error = failure.into_error(&format!("pull image {image}"), &password);
    if out_of_time {
        let message =
            format!("{}; it is tried again in the next cycle, or pull it by hand", error.message);
        return ProviderError::give_up(error.kind, message);
    }
    error
}

async fn pull_to_the_end(host: &Host, image: &str, login: Option<&Login>) -> Result<(), Failure> {
    let client = host.client().await?.with_timeout(STALL_LIMIT);
    let (name, tag) = split_reference(image);
    let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
    let credentials = login.map(|login| DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.expose().to_owned()),
        serveraddress: Some(registry_of(image).to_owned()),
        ..DockerCredentials::default()
    });
    let mut stream = pin!(client.create_image(Some(options), None, credentials));
    let mut progress = Progress::default();
    tracing::info!(image, "pulling image");
    loop {
        let line = match tokio::time::timeout(STALL_LIMIT, stream.next()).await {
            Err(_) => Err(Failure::Timeout(STALL_LIMIT)),
            Ok(None) => break,
            Ok(Some(line)) => line.map_err(|error| Failure::of(&error, STALL_LIMIT)),
        };
        match line {
            Ok(line) => progress.take_in(image, &line),
            Err(failure) => {
                host.note(&failure).await;
                return Err(failure);
            }
        }
    }
    tracing::info!(image, "pulled image");
    Ok(())
}

/// Bytes fetched so far, by layer, told at a bounded rate.
#[derive(Debug, Default)]
struct Progress {
    layers: BTreeMap<String, (i64, i64)>,
    told: i64,
}

impl Progress {
    fn take_in(&mut self, image: &str, line: &CreateImageInfo) {
        let (Some(id), Some(detail)) = (&line.id, &line.progress_detail) else { return };
        // Unpacking counts the same bytes again.
        if line.status.as_deref() != Some("Downloading") {
            return;
        }
        let (current, total) = (detail.current.unwrap_or(0), detail.total.unwrap_or(0));
        self.layers.insert(id.clone(), (current, total));
        let done: i64 = self.layers.values().map(|(current, _)| current).sum();
        if done < self.told + PROGRESS_BYTES {
            return;
        }
        self.told = done;
        let total: i64 = self.layers.values().map(|(_, total)| total).sum();
        tracing::info!(image, bytes = done, bytes_known = total, "pulling image");
    }
}

/// Splits a reference into name and tag or digest. Without either the tag is `latest`: the API would
/// otherwise pull every tag there is.
fn split_reference(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        // `name:tag@digest`: the digest alone decides.
        return (split_tag(name).0, digest);
    }
    let (name, tag) = split_tag(image);
    (name, tag.unwrap_or("latest"))
}

fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// The registry host of a reference, by the daemon's rule: a first part with a dot or a port, or
/// `localhost`, else Docker's own.
pub(super) fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureKind, Next};

    #[test]
    fn a_pull_that_takes_too_long_ends_the_call_and_one_that_broke_is_repeated() {
        let error = error_of(Failure::Timeout(PULL_LIMIT), "web:1", None);
        assert_eq!((error.kind, error.next), (FailureKind::Timeout, Next::GiveUp));
        assert_eq!(
            error.message,
            "pull image web:1: no answer within 720 s; it is tried again in the next cycle, or \
             pull it by hand"
        );
        let error = error_of(Failure::Unreachable("broken pipe".to_owned()), "web:1", None);
        assert_eq!(error.next, Next::Retry { after: None });
    }

    #[test]
    fn reads_references_as_the_daemon_does() {
        for (image, registry, name, tag) in [
            ("web", "docker.io", "web", "latest"),
            ("acme/web:1.4", "docker.io", "acme/web", "1.4"),
            ("localhost/web", "localhost", "localhost/web", "latest"),
            ("r.example.com:5000/web", "r.example.com:5000", "r.example.com:5000/web", "latest"),
            ("r.example.com/web:1@sha256:ab", "r.example.com", "r.example.com/web", "sha256:ab"),
        ] {
            assert_eq!(registry_of(image), registry, "{image}");
            assert_eq!(split_reference(image), (name, tag), "{image}");
        }
    }
}
