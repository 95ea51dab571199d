//! Reads replicas from their folders: three small files each, no process list. Blocks its thread.

use std::path::Path;

use super::folders::{FolderError, read_record, sub_folders};
use super::layout::Layout;
use super::lock;
use super::record::{FileError, Record, State, StoredEvent, StoredPhase};
use crate::model::{Exit, OwnerId, Phase, ProviderName, Region, Replica};

/// Why the replicas could not be read in full.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObserveError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("read the lock in {folder}")]
    Lock { folder: std::path::PathBuf, source: std::io::Error },
    #[error("read {folder}: its record is that of {found}; folders must not be copied or moved")]
    Misplaced { folder: std::path::PathBuf, found: String },
}

/// Every replica of one owner in one region, sorted by key.
pub(super) fn observe(
    layout: &Layout,
    provider: &ProviderName,
    owner: &OwnerId,
    region: &Region,
) -> Result<Vec<Replica>, ObserveError> {
    let mut replicas = Vec::new();
    for (_, service) in sub_folders(&layout.services(provider, owner))? {
        for (_, folder) in sub_folders(&Layout::ordinals(&service, region))? {
            let Some(record) = read_record(&folder)? else { continue };
            if layout.replica(owner, &record.key()) != folder
                || record.owner != *owner
                || record.provider != *provider
            {
                let found = format!("{} of {}", record.key(), record.owner);
                return Err(ObserveError::Misplaced { folder, found });
            }
            replicas.extend(look_at(&folder, record)?);
        }
    }
    replicas.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(replicas)
}

/// One replica; `None` if it was removed meanwhile.
fn look_at(folder: &Path, record: Record) -> Result<Option<Replica>, ObserveError> {
    // The lock before the state: a supervisor writes its state after it took the lock and before it
    // gives it back.
    let is_supervised = lock::is_held(folder)
        .map_err(|source| ObserveError::Lock { folder: folder.to_owned(), source })?;
    let state = match State::read(folder) {
        Ok(state) => state,
        // Nobody is going to mend it, but a start or a destroy gets by without it.
        Err(FileError::Malformed { .. }) if !is_supervised => None,
        Err(error) => return Err(error.into()),
    };
    if state.is_none() && !folder.exists() {
        return Ok(None);
    }
    let key = record.key();
    let child = state.as_ref().filter(|_| is_supervised).and_then(|state| state.child.as_ref());
    Ok(Some(Replica {
        key,
        instance: child.map_or_else(|| "none".to_owned(), |child| child.pid.to_string()),
        template: record.template_hash,
        spec_commit: record.spec_commit,
        phase: phase(is_supervised, state.as_ref()),
        address: record.ports.first().map(|given| format!("127.0.0.1:{}", given.port)),
        started_at: state.as_ref().filter(|_| is_supervised).and_then(|state| state.started_at),
        restarts: state.as_ref().map_or(0, |state| state.restarts),
        last_exit: state.and_then(|state| state.last_exit).map(exit),
    }))
}

fn phase(is_supervised: bool, state: Option<&State>) -> Phase {
    if !is_supervised {
        return Phase::Stopped;
    }
    match state.map(|state| &state.phase) {
        None | Some(StoredPhase::Starting) => Phase::Starting,
        Some(StoredPhase::Ready) => Phase::Ready,
        Some(StoredPhase::Unhealthy { why }) => Phase::Unhealthy { why: why.clone() },
        Some(StoredPhase::BackOff { until }) => Phase::BackOff { until: *until },
        Some(StoredPhase::Draining | StoredPhase::Stopped) => Phase::Draining,
    }
}

fn exit(event: StoredEvent) -> Exit {
    Exit { at: event.at, reason: event.reason }
}
