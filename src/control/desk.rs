//! Where people ask for bursts and pauses and look things up: the spec and the status branch, without a
//! controller. It need not be the machine that the controller runs on.
//!
//! What is asked for is committed to the status branch by a writer of its own, and applied anew to whatever the
//! branch holds by then, so that neither another person nor a running controller loses anything by it. Nothing
//! here touches a provider. All functions block: call them from a blocking thread.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tempfile::TempDir;

use super::setup::{Access, SetupError};
use super::source::mirror_dir;
use crate::config::Config;
use crate::config::secrets::SecretSource;
use crate::git::{Change, Edit, GitError, Mirror, Published, Signature, StatusWriter};
use crate::model::{Catalogue, CommitId, OwnerId, Severity, Spec};
use crate::record::overrides::{
    Effect, OVERRIDES_BYTES_MAX, OVERRIDES_PATH, Order, OrderError, OverrideSet, OverridesError,
};
use crate::record::{self, Query, Told};
use crate::spec;

/// The writer's clone inside the state folder: beside the controller's, which is locked while it runs.
const CLONE: &str = "desk.git";
/// Tries to have the clone while another one uses it: for half a minute, a fetch and a push over a slow line.
const CLONE_TRIES_MAX: u32 = 600;
/// Pause between two such tries.
const CLONE_TRY_EVERY: Duration = Duration::from_millis(50);
/// Bytes of a file of a day's history: a part is full at 1 MiB, and its last line may be long.
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Parts of a day that are read: some two million lines.
const PARTS_MAX: usize = 1_000;

/// Why something cannot be asked for, or looked up.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The repository cannot be read or written.
    #[error(transparent)]
    Git(#[from] GitError),
    /// What is asked for is refused.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The overrides that are there cannot be understood.
    #[error(transparent)]
    Overrides(#[from] OverridesError),
    /// The status branch is another controller's.
    #[error(
        "write to the status branch `{branch}`: it belongs to owner `{theirs}`, and this configuration's is `{ours}`; \
         use the configuration of the controller that is meant"
    )]
    Owner {
        /// The status branch.
        branch: String,
        /// The owner that the branch names.
        theirs: OwnerId,
        /// The owner of this configuration.
        ours: OwnerId,
    },
    /// There is no spec to check against.
    #[error("find the spec: branch `{branch}` has no valid one ({why}); run `tidegate validate`")]
    NoSpec {
        /// The spec branch.
        branch: String,
        /// The first finding.
        why: String,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What it does.
    pub effect: Effect,
    /// The commit of the status branch that does it; absent for a dry run, and where it was so already.
    pub commit: Option<CommitId>,
}

/// The owner that a status file names; all else in it may be of any version.
#[derive(Debug, Default, Deserialize)]
struct Owned {
    #[serde(default)]
    owner: Option<OwnerId>,
}

/// The part of a status file that says which spec is in force.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InForce {
    spec_commit: CommitId,
}

/// The spec repository, for one request.
#[derive(Debug)]
pub struct Desk {
    config: Config,
    access: Access,
    mirror: Mirror,
    folder: PathBuf,
    /// Where the folder is when the state folder is not for us; removed at the end.
    _temporary: Option<TempDir>,
}

impl Desk {
    /// Opens the mirror in the state folder, or, where this user or machine cannot have that, one for this time
    /// only. Talks to nobody.
    ///
    /// # Errors
    /// [`DeskError`] when credentials or folders cannot be read.
    pub fn open(config: Config, secrets: &dyn SecretSource) -> Result<Self, DeskError> {
        let access = Access::build(&config, secrets)?;
        let state = config.state_dir.clone();
        let opened = std::fs::create_dir_all(&state)
            .map_err(|source| GitError::Io { path: state.clone(), source })
            .and_then(|()| Mirror::open(&mirror_dir(&state), access.remote.clone()));
        let (mirror, folder, temporary) = match opened {
            Ok(mirror) => (mirror, state, None),
            Err(GitError::Io { .. } | GitError::Owner(_)) => {
                let temporary = tempfile::tempdir()
                    .map_err(|source| GitError::Io { path: std::env::temp_dir(), source })?;
                let folder = temporary.path().to_owned();
                (
                    Mirror::open(&mirror_dir(&folder), access.remote.clone())?,
                    folder,
                    Some(temporary),
                )
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { config, access, mirror, folder, _temporary: temporary })
    }

    /// Checks what is asked for against the spec, and commits it to the status branch, which is made if there is
    /// none. Of a dry run, only the commit is missing.
    ///
    /// # Errors
    /// [`DeskError`]; nothing has changed then, unless it was the answer to a push that got lost.
    pub fn settle(
        &self,
        order: &Order,
        now: Timestamp,
        is_dry_run: bool,
    ) -> Result<Settled, DeskError> {
        let (commit, spec) = match order.needs_spec() {
            true => self.spec().map(|(commit, spec)| (Some(commit), spec))?,
            false => (None, Spec::default()),
        };
        // Prices and default providers come from the configuration; no provider has to be there for them.
        let catalogue = self.config.catalogue(BTreeMap::new(), BTreeMap::new());
        let mut effect = None;
        let mut make = |writer: &StatusWriter| -> Result<Change, DeskError> {
            let (change, made) =
                self.change(writer, order, commit.as_ref(), &spec, &catalogue, now)?;
            effect = Some(made);
            Ok(change)
        };
        let mut writer = self.writer()?;
        let commit = if is_dry_run {
            writer.head()?;
            make(&writer)?;
            None
        } else {
            let mut jitter = fastrand::f64;
            match writer.publish_made(&mut make, now, &mut jitter, &mut std::thread::sleep)? {
                Published::Committed { commit, .. } => Some(commit),
                Published::Unchanged => None,
            }
        };
        // A change is made at least once before anything can be published or found unchanged.
        let effect = effect.ok_or_else(|| {
            GitError::Interrupted("the status branch was never looked at".to_owned())
        })?;
        Ok(Settled { effect, commit })
    }

    /// The commit that an order makes on the branch as the writer sees it.
    fn change(
        &self,
        writer: &StatusWriter,
        order: &Order,
        commit: Option<&CommitId>,
        spec: &Spec,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<(Change, Effect), DeskError> {
        let owned: Owned = match writer.read(record::STATUS_PATH)? {
            Some(status) => serde_yaml::from_slice(&status).unwrap_or_default(),
            None => Owned::default(),
        };
        if let Some(theirs) = owned.owner.filter(|theirs| *theirs != self.access.owner) {
            let (branch, ours) = (self.config.status.branch.clone(), self.access.owner.clone());
            return Err(DeskError::Owner { branch, theirs, ours });
        }
        let mut set = match writer.read(OVERRIDES_PATH)? {
            Some(bytes) if bytes.len() > OVERRIDES_BYTES_MAX => {
                let why = format!("it has {} bytes", bytes.len());
                return Err(OverridesError::Malformed(why).into());
            }
            Some(bytes) => OverrideSet::parse(&bytes)?,
            None => OverrideSet::default(),
        };
        let effect = order.apply(spec, catalogue, &mut set, now.into())?;
        let mut message = effect.message.clone();
        if let Some(commit) = commit {
            let _ = writeln!(message, "Tidegate-Spec-Commit: {commit}");
        }
        let edit =
            Edit::Put { path: OVERRIDES_PATH.to_owned(), content: set.render().into_bytes() };
        Ok((Change { edits: vec![edit], message }, effect))
    }

    /// The spec at the head of its branch; where that is not valid, the one that the status branch says is in
    /// force: a bad commit must not keep anyone from a burst.
    fn spec(&self) -> Result<(CommitId, Spec), DeskError> {
        let (branch, status) = (&self.config.repository.branch, &self.config.status.branch);
        self.mirror.fetch(&[branch])?;
        let missing = || DeskError::NoSpec { branch: branch.clone(), why: "no commit".to_owned() };
        let head = self.mirror.resolve(branch)?.ok_or_else(missing)?;
        let refused = match self.spec_at(&head)? {
            Ok(spec) => return Ok((head, spec)),
            Err(why) => DeskError::NoSpec { branch: branch.clone(), why },
        };
        let Some(published) = self.mirror.find(status)? else { return Err(refused) };
        let bytes = self.mirror.read_file(&published, record::STATUS_PATH, PART_BYTES_MAX)?;
        let in_force = bytes.and_then(|bytes| serde_yaml::from_slice::<InForce>(&bytes).ok());
        let Some(InForce { spec_commit }) = in_force else { return Err(refused) };
        // After a force-push it may be on no branch any more.
        match self.spec_at(&spec_commit) {
            Ok(Ok(spec)) => Ok((spec_commit, spec)),
            Ok(Err(_)) | Err(_) => Err(refused),
        }
    }

    /// The spec at a commit, or the first thing that is wrong with it.
    fn spec_at(&self, commit: &CommitId) -> Result<Result<Spec, String>, GitError> {
        let sources = self.mirror.read_spec(commit, &self.config.repository.path)?;
        let loaded = spec::load(&sources, None);
        Ok(loaded.spec.ok_or_else(|| {
            let first = loaded.diagnostics.iter().find(|found| found.severity == Severity::Error);
            first.map_or_else(String::new, |found| crate::plan::render::harmless(&found.message))
        }))
    }

    /// The writer's clone; waits for somebody else's use of it to end.
    fn writer(&self) -> Result<StatusWriter, DeskError> {
        let dir = self.folder.join(CLONE);
        for _try in 1..CLONE_TRIES_MAX {
            match self.open_writer(&dir) {
                Err(GitError::InUse(_)) => std::thread::sleep(CLONE_TRY_EVERY),
                result => return Ok(result?),
            }
        }
        Ok(self.open_writer(&dir)?)
    }

    fn open_writer(&self, dir: &Path) -> Result<StatusWriter, GitError> {
        let status = &self.config.status;
        let author =
            Signature { name: status.author_name.clone(), email: status.author_email.clone() };
        let remote = self.access.status_remote.clone();
        StatusWriter::open(dir, remote, &status.branch, &self.config.repository.branch, author)
    }

    /// The lines of history that are wanted; none where there is no status branch yet.
    ///
    /// # Errors
    /// [`DeskError`] when the branch cannot be fetched or read.
    pub fn history(&self, query: &Query) -> Result<Told, DeskError> {
        let mut told = Told::default();
        let branch = &self.config.status.branch;
        let Some(head) = self.mirror.advertise()?.branch(branch).cloned() else { return Ok(told) };
        self.mirror.fetch(&[branch])?;
        for stem in query.days() {
            let mut parts = Vec::new();
            while let Some(part) = self.part(&head, &stem, parts.len())? {
                parts.push(part);
            }
            if !query.take(&mut told, &parts) {
                break;
            }
        }
        Ok(told)
    }

    fn part(
        &self,
        head: &CommitId,
        stem: &str,
        number: usize,
    ) -> Result<Option<Vec<u8>>, GitError> {
        if number >= PARTS_MAX {
            return Ok(None);
        }
        self.mirror.read_file(head, &record::part_path(stem, number), PART_BYTES_MAX)
    }
}
