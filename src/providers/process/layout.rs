//! Where everything lies below the provider's folder. Does no I/O.

use std::path::{Path, PathBuf};

use crate::model::{OwnerId, ProviderName, Region, ReplicaKey};

/// The record of a replica, inside its folder.
pub(super) const RECORD_FILE: &str = "replica.json";
/// The supervisor's state, inside a replica's folder.
pub(super) const STATE_FILE: &str = "state.json";
/// How the replica is to be stopped, inside its folder; written by the one who stops it.
pub(super) const STOP_FILE: &str = "stop.json";
/// The lock a supervisor holds while it lives, inside a replica's folder; also the name of the
/// provider-wide lock, inside the provider's folder.
pub(super) const LOCK_FILE: &str = "lock";
/// What a supervisor has to say when it cannot do its work, inside a replica's folder.
pub(super) const SUPERVISOR_LOG_FILE: &str = "supervisor.log";
/// The replica's own working folder, inside its folder.
pub(super) const WORK_FOLDER: &str = "work";

/// The paths below one provider's folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Held while ports are given out and folders come and go.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(LOCK_FILE)
    }

    /// Records of all providers and owners that share the folder.
    pub(super) fn replicas(&self) -> PathBuf {
        self.dir.join("replicas")
    }

    /// Folders on their way in: nobody reads them.
    pub(super) fn incoming(&self) -> PathBuf {
        self.dir.join("incoming")
    }

    /// Folders on their way out: nobody reads them.
    pub(super) fn outgoing(&self) -> PathBuf {
        self.dir.join("outgoing")
    }

    /// The services of one owner.
    pub(super) fn services(&self, provider: &ProviderName, owner: &OwnerId) -> PathBuf {
        self.replicas().join(folder_name(provider)).join(owner.as_str())
    }

    /// The replicas of one service in one region.
    pub(super) fn ordinals(service_folder: &Path, region: &Region) -> PathBuf {
        service_folder.join(region.as_str())
    }

    /// One replica.
    pub(super) fn replica(&self, owner: &OwnerId, key: &ReplicaKey) -> PathBuf {
        let service = self.services(&key.provider, owner).join(key.target.service.as_str());
        Self::ordinals(&service, &key.target.region).join(key.ordinal.to_string())
    }
}

/// A provider's name may hold `/` and start with `.`; a folder's must not.
fn folder_name(provider: &ProviderName) -> String {
    let name = provider.as_str().replace('/', "%2F");
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_name_cannot_leave_the_folder() {
        let folder = |name: &str| folder_name(&ProviderName::try_from(name).unwrap());
        assert_eq!(folder("host"), "host");
        assert_eq!(folder("eu.host"), "eu.host");
        assert_eq!(folder(".."), "%2E.");
        assert_eq!(folder("../../etc"), "%2E.%2F..%2Fetc");
    }
}
