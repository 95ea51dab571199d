//! The status file, as it is on the status branch.

use super::source::Source;
use super::{ControlError, Setup};
use crate::git::Mirror;
use crate::record::{self, STATUS_VERSION, StatusFile};

/// The largest status file that is read.
const STATUS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The status file at the head of the status branch, if the branch exists.
pub(super) async fn read_status(
    source: &Source,
    branch: &str,
) -> Result<Option<StatusFile>, ControlError> {
    let (name, spec_branch) = (branch.to_owned(), source.branch().to_owned());
    let bytes = source
        .with_mirror(move |mirror| {
            let advertised = mirror.advertise()?;
            // The commits that the status names are in the history of the spec branch.
            if advertised.branch(&spec_branch).is_some() {
                mirror.fetch(&[&spec_branch])?;
            }
            let Some(commit) = advertised.branch(&name).cloned() else { return Ok(None) };
            mirror.fetch(&[&name])?;
            mirror.read_file(&commit, record::STATUS_PATH, STATUS_BYTES_MAX)
        })
        .await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let status: StatusFile = serde_yaml::from_slice(&bytes).map_err(|error| {
        ControlError::Status { branch: branch.to_owned(), message: error.to_string() }
    })?;
    if status.version > STATUS_VERSION {
        let message =
            format!("it has version {}, and this program knows {STATUS_VERSION}", status.version);
        return Err(ControlError::Status { branch: branch.to_owned(), message });
    }
    Ok(Some(status))
}

/// Reads the status branch without a controller: what `tidegate status` shows.
///
/// # Errors
/// [`ControlError`] when it cannot be reached or read.
pub async fn published_status(setup: &Setup) -> Result<Option<StatusFile>, ControlError> {
    let mirror = Mirror::open(&setup.mirror_dir(), setup.remote.clone())?;
    let repository = &setup.config.repository;
    let source = Source::new(mirror, repository.branch.clone(), repository.path.clone());
    read_status(&source, &setup.config.status.branch).await
}
