//! The two files of a replica: its record, written once by the provider, and its state, written by its
//! supervisor at every change. Neither ever holds the value of an environment variable.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;
use super::layout::{RECORD_FILE, STATE_FILE, STOP_FILE};
use crate::model::{
    CommitId, Ordinal, OwnerId, ProviderName, Region, ReplicaKey, ServiceId, TargetId, TemplateHash,
};

/// The form of the files that this version writes and reads.
const VERSION: u32 = 1;
/// Bytes a record or state may have: a thousand times what is usual.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a file of a replica cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("read {path}: it is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge { path: PathBuf },
    #[error("read {path}: it is not what this version writes")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("read {path}: its version is {version}, this program knows {VERSION}")]
    Version { path: PathBuf, version: u32 },
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
}

/// What a replica is and how to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    pub(super) owner: OwnerId,
    pub(super) provider: ProviderName,
    pub(super) service: ServiceId,
    pub(super) region: Region,
    pub(super) ordinal: Ordinal,
    pub(super) template_hash: TemplateHash,
    pub(super) spec_commit: CommitId,
    pub(super) created_at: Timestamp,
    /// Program and arguments, as the template has them.
    pub(super) command: Vec<String>,
    /// Working folder; without it the replica's own.
    pub(super) cwd: Option<PathBuf>,
    /// The ports it was given; the first is its address.
    pub(super) ports: Vec<GivenPort>,
    /// Names of the template's environment variables.
    pub(super) env: Vec<String>,
    pub(super) health: Option<HealthCheck>,
    pub(super) drain_ms: u64,
    pub(super) log_bytes_max: u64,
}

/// A port on this host that belongs to one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GivenPort {
    /// The variable by which the replica learns it.
    pub(super) env: Option<String>,
    pub(super) port: u16,
}

/// A health check, with its port on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HealthCheck {
    /// Path of a HTTP check; without it the check is a TCP connection.
    pub(super) http_path: Option<String>,
    pub(super) port: u16,
    pub(super) interval_ms: u64,
    pub(super) timeout_ms: u64,
    pub(super) failures: u32,
    pub(super) start_period_ms: u64,
}

/// What a new record is made from, besides the template.
#[derive(Debug)]
pub(super) struct NewRecord<'a> {
    pub(super) owner: &'a OwnerId,
    pub(super) key: &'a ReplicaKey,
    pub(super) template_hash: &'a TemplateHash,
    pub(super) spec_commit: &'a CommitId,
    pub(super) created_at: Timestamp,
}

impl Record {
    /// A record without any of the template's keys.
    pub(super) fn new(new: &NewRecord<'_>) -> Self {
        Self {
            version: VERSION,
            owner: new.owner.clone(),
            provider: new.key.provider.clone(),
            service: new.key.target.service.clone(),
            region: new.key.target.region.clone(),
            ordinal: new.key.ordinal,
            template_hash: new.template_hash.clone(),
            spec_commit: new.spec_commit.clone(),
            created_at: new.created_at,
            command: Vec::new(),
            cwd: None,
            ports: Vec::new(),
            env: Vec::new(),
            health: None,
            drain_ms: 0,
            log_bytes_max: 0,
        }
    }

    /// Whose record it is.
    pub(super) fn key(&self) -> ReplicaKey {
        ReplicaKey {
            target: TargetId { service: self.service.clone(), region: self.region.clone() },
            provider: self.provider.clone(),
            ordinal: self.ordinal,
        }
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// Reads the record of a replica's folder; `None` if it has none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(RECORD_FILE);
        let Some(record) = read_json::<Self>(&path)? else { return Ok(None) };
        check_version(path, record.version)?;
        Ok(Some(record))
    }

    /// Writes the record into a folder that nobody reads yet, and onto the disk.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let path = folder.join(RECORD_FILE);
        let written = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()
        };
        written().map_err(|source| FileError::Write { path: path.clone(), source })
    }
}

/// Where a replica is, as its supervisor last knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    pub(super) supervisor: ProcessIdentity,
    /// The replica's own process, while it runs.
    pub(super) child: Option<ProcessIdentity>,
    pub(super) phase: StoredPhase,
    pub(super) started_at: Option<Timestamp>,
    pub(super) restarts: u32,
    pub(super) last_exit: Option<StoredEvent>,
    pub(super) last_health_failure: Option<StoredEvent>,
}

/// The phases a supervisor can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum StoredPhase {
    Starting,
    Ready,
    Unhealthy { why: String },
    BackOff { until: Timestamp },
    Draining,
    Stopped,
}

/// Something that happened, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StoredEvent {
    pub(super) at: Timestamp,
    pub(super) reason: String,
}

impl State {
    /// The state of a supervisor that starts, with what the one before it left to tell.
    pub(super) fn begin(supervisor: ProcessIdentity, before: Option<&Self>) -> Self {
        Self {
            version: VERSION,
            supervisor,
            child: None,
            phase: StoredPhase::Starting,
            started_at: None,
            restarts: before.map_or(0, |state| state.restarts),
            last_exit: before.and_then(|state| state.last_exit.clone()),
            last_health_failure: before.and_then(|state| state.last_health_failure.clone()),
        }
    }

    /// Reads the state of a replica's folder; `None` if no supervisor ever wrote one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(STATE_FILE);
        let Some(state) = read_json::<Self>(&path)? else { return Ok(None) };
        check_version(path, state.version)?;
        Ok(Some(state))
    }

    /// Replaces the state in one step: a reader sees the old one or the new one.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        replace_json(&folder.join(STATE_FILE), self)
    }
}

/// How a replica is to be stopped, for its supervisor to read when it is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StopOrder {
    pub(super) drain_ms: u64,
}

impl StopOrder {
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FileError> {
        read_json(&folder.join(STOP_FILE))
    }

    pub(super) fn write(self, folder: &Path) -> Result<(), FileError> {
        replace_json(&folder.join(STOP_FILE), &self)
    }
}

fn check_version(path: PathBuf, version: u32) -> Result<(), FileError> {
    if version == VERSION { Ok(()) } else { Err(FileError::Version { path, version }) }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let bytes = match fs::metadata(path).and_then(|meta| {
        if meta.len() > FILE_BYTES_MAX { Ok(None) } else { fs::read(path).map(Some) }
    }) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(FileError::TooLarge { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::Read { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| FileError::Malformed { path: path.to_owned(), source })
}

/// There is one writer of each such file at a time, so that the temporary name is free.
fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let temporary = path.with_extension("json.new");
    let written = || -> io::Result<()> {
        fs::write(&temporary, serde_json::to_vec_pretty(value)?)?;
        fs::rename(&temporary, path)
    };
    written().map_err(|source| FileError::Write { path: path.to_owned(), source })
}
