//! The comment of a pull request for whoever asks on the command line, and everything it is made from in one file:
//! the same file gives the same comment, anywhere and any time, without asking anybody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backtests::{self, Past};
use super::compose::{Inputs, Merge, compose};
use super::making::Job;
use super::sight::Sight;
use super::sticky::Board;
use crate::control::source::Good;
use crate::control::{ControlError, Controller};
use crate::forge::ForgeError;
use crate::forge::comment::{self, Backtest, Links, Memo};
use crate::git::{GitError, Merged, Mirror};
use crate::model::{
    Burst, Catalogue, CommitId, Measured, Observed, OwnerId, Pause, Plan, PullNumber, SignalName,
    Sources, TargetId, TargetState,
};
use crate::{plan, spec};

/// Version of the form of a snapshot.
const SNAPSHOT_VERSION: u32 = 1;

/// Why there is no comment to show.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The forge did not answer as needed.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The repository could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The controller's own part.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The pull request is not there.
    #[error("pull request {0} is not at the repository: `refs/pull/{number}/head` is missing", number = .0.0)]
    NoPull(PullNumber),
    /// It would merge into another branch.
    #[error("pull request {number} would merge into `{base}`, and the spec is on `{branch}`")]
    OtherBase {
        /// The pull request.
        number: PullNumber,
        /// Where it would merge.
        base: String,
        /// Where the spec is.
        branch: String,
    },
    /// The snapshot is not one, or of another version.
    #[error("read the snapshot: {0}")]
    Snapshot(String),
}

/// Everything that a pull request's comment is made from. Holds no secret: a spec and a configuration's catalogue
/// only name them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    number: PullNumber,
    head: CommitId,
    base: CommitId,
    merged: Merged,
    in_force: Option<InForce>,
    branch_head: Option<CommitId>,
    catalogue: Catalogue,
    observed: Observed,
    states: Vec<(TargetId, TargetState)>,
    measured: Vec<(TargetId, BTreeMap<SignalName, Measured>)>,
    bursts: Vec<Burst>,
    pauses: Vec<Pause>,
    backtests: Vec<Backtest>,
    links: Links,
    owner: OwnerId,
    /// What the comment that is there remembers.
    before: Option<Memo>,
    now: Timestamp,
}

/// The spec in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InForce {
    commit: CommitId,
    sources: Sources,
}

/// The comment of a pull request.
#[derive(Debug)]
pub struct Preview {
    /// The comment, as it is at the forge.
    pub body: String,
    /// One sentence.
    pub verdict: String,
    /// The plan, where the merge result is valid.
    pub plan: Option<Plan>,
    /// Whether the check would be green.
    pub is_good: bool,
}

impl Snapshot {
    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`PreviewError::Snapshot`].
    pub fn parse(text: &[u8]) -> Result<Self, PreviewError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bad = |error: serde_json::Error| PreviewError::Snapshot(error.to_string());
        let Version { version } = serde_json::from_slice(text).map_err(bad)?;
        if version != SNAPSHOT_VERSION {
            return Err(PreviewError::Snapshot(format!(
                "it has version {version}, and this program reads {SNAPSHOT_VERSION}: use the one that wrote it"
            )));
        }
        serde_json::from_slice(text).map_err(bad)
    }

    /// Makes the comment.
    #[must_use]
    pub fn preview(&self) -> Preview {
        let catalogue = Arc::new(self.catalogue.clone());
        let good = |in_force: &InForce| {
            let spec = spec::load(&in_force.sources, Some(&catalogue)).spec?;
            Some(Arc::new(Good {
                commit: in_force.commit.clone(),
                templates: plan::template_hashes(&spec),
                spec,
                author: String::new(),
                warnings: Vec::new(),
            }))
        };
        let sight = Sight {
            in_force: self.in_force.as_ref().and_then(good),
            branch_head: self.branch_head.clone(),
            queued: Vec::new(),
            catalogue: catalogue.clone(),
            observed: self.observed.clone(),
            states: self.states.iter().cloned().collect(),
            measured: self.measured.iter().cloned().collect(),
            bursts: self.bursts.clone(),
            pauses: self.pauses.clone(),
        };
        let job = Job { number: self.number, head: self.head.clone(), base: self.base.clone() };
        let merge = Merge::read(self.merged.clone(), &sight);
        let made = compose(&Inputs {
            job: &job,
            merge: &merge,
            sight: &sight,
            backtests: &self.backtests,
            links: &self.links,
        });
        let memo = match &self.before {
            // What is there says the same: the controller would leave it alone.
            Some(before) if before.key == made.key => before.clone(),
            before => job.memo(&self.owner, &made, &sight, before.as_ref(), self.now),
        };
        Preview {
            body: comment::body(&memo, &made.section, &self.links),
            verdict: made.verdict,
            plan: made.plan,
            is_good: made.check.state == crate::forge::CheckState::Success,
        }
    }
}

impl Controller {
    /// Gathers what the comment of a pull request is made from. Changes nothing, and writes nothing anywhere.
    ///
    /// # Errors
    /// [`PreviewError`].
    pub async fn snapshot_of_pull(&mut self, number: PullNumber) -> Result<Snapshot, PreviewError> {
        let sight = Arc::new(self.sight().await);
        let setup = self.setup();
        let (branch, path) =
            (setup.config.repository.branch.clone(), setup.config.repository.path.clone());
        let (mut before, mut links, mut may_ask) = (None, Links::default(), false);
        if let Some(forge) = &setup.forge {
            let (pull, _) = forge.pull(number).await?;
            if pull.base != branch {
                return Err(PreviewError::OtherBase { number, base: pull.base, branch });
            }
            may_ask = !pull.is_fork;
            links = Links::of(&forge.web_url());
            let me = forge.me().await?;
            let owner = setup.owner.clone();
            let board = Board { forge: forge.clone(), owner, me, links: links.clone() };
            before = board.find(number).await?.map(|sticky| sticky.memo);
        }
        let dir = setup.config.state_dir.join("pulls.git");
        let mirror = Arc::new(Mutex::new(Mirror::open(&dir, setup.remote.clone())?));
        let fetched = super::making::with(&mirror, move |mirror| {
            let (base, heads) = mirror.fetch_pulls(&branch, &[number])?;
            let (Some(base), Some(head)) = (base, heads.get(&number).cloned()) else {
                return Ok(None);
            };
            let merged = mirror.merge_spec(&base, &head, &path)?;
            Ok(Some((base, head, merged)))
        });
        let Some((base, head, merged)) = fetched.await? else {
            return Err(PreviewError::NoPull(number));
        };
        let in_force = match &sight.in_force {
            Some(good) => {
                let sources = self.source().load(&good.commit, None).await?.sources;
                Some(InForce { commit: good.commit.clone(), sources })
            }
            None => None,
        };
        let setup = self.setup();
        let now = sight.observed.at;
        let merge = Merge::read(merged.clone(), &sight);
        let backtests =
            backtests::of(&Past::of(setup), &sight, &Arc::new(merge), may_ask, now).await?;
        let Sight { branch_head, catalogue, observed, states, measured, bursts, pauses, .. } =
            Arc::unwrap_or_clone(sight);
        Ok(Snapshot {
            version: SNAPSHOT_VERSION,
            number,
            head,
            base,
            merged,
            in_force,
            branch_head,
            catalogue: Arc::unwrap_or_clone(catalogue),
            observed,
            states: states.into_iter().collect(),
            measured: measured.into_iter().collect(),
            bursts,
            pauses,
            backtests,
            links,
            owner: setup.owner.clone(),
            before,
            now,
        })
    }
}
