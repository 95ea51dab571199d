//! The shell: strings the stages together and owns everything that lasts.
//!
//! [`Controller::tick`] is the only place that knows all stages and their order. [`run`] is the loop
//! around it. Nothing is decided here.

mod cycle;
mod deciding;
mod desk;
mod error;
mod journal;
mod lock;
mod memory;
pub mod overrides;
mod pending;
mod publish;
mod published;
pub mod pulls;
mod reload;
mod replay;
pub mod run;
mod setup;
mod source;
mod tick;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use cycle::{Planned, Ticked};
pub use desk::{Desk, DeskError, Settled};
pub use error::ControlError;
pub use lock::LockError;
pub use publish::Pushed;
pub use published::published_status;
pub use pulls::{Preview, PreviewError, Snapshot};
pub use replay::{Replayed, decide_again, replay};
pub use setup::{Access, Setup, SetupError};
pub use source::{Good, Loaded, Polled, Source};

use crate::apply::{self, Clock, Progress};
use crate::git::{GitError, Mirror, Signature};
use crate::model::{CommitId, Decision, Observed, Plan, PlanDigest, Spec, TargetId};
use crate::observe::signals::Signals;
use crate::providers::Ctx;
use crate::record::Book;
use crate::{observe, plan};
use deciding::Deciding;
use lock::StateLock;
use memory::Memory;
use overrides::TakenUp;
use publish::{Publisher, PublisherError, WriterOptions};
use published::read_status;
use pulls::{Fact, Sight, by_name};
use source::Judged;

/// How long the first look waits where a provider's rate has no reading to be counted from: twice the least time
/// between two readings.
const RATE_WAIT: Duration = Duration::from_secs(1);

/// Told of every action's begin and end.
pub type OnProgress = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// The spec that was last applied in full.
#[derive(Debug, Clone)]
struct Applied {
    commit: CommitId,
    spec: Arc<Good>,
}

/// Everything that lasts from one cycle to the next.
pub struct Controller {
    setup: Setup,
    clock: Arc<dyn Clock>,
    source: Source,
    applied: Option<Applied>,
    /// Targets whose part of the commit in force was done in full, since this run began.
    done: BTreeSet<TargetId>,
    stated: Option<(CommitId, PlanDigest)>,
    deciding: Deciding,
    memory: Option<Memory>,
    book: Book,
    publisher: Option<Publisher>,
    progress: OnProgress,
    dry_run: bool,
    apply_max: Option<Duration>,
    /// Where pull requests are planned from what is seen here, while the loop runs.
    pulls: Option<pulls::Link>,
    _lock: Option<StateLock>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("setup", &self.setup).finish_non_exhaustive()
    }
}

/// What a controller is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look: nothing is locked, changed or published.
    Look,
    /// To act: the state folder is locked, plans are applied, and history is published.
    Act,
}

impl Controller {
    /// Opens the mirror and takes up where the status branch and the journal left off.
    ///
    /// # Errors
    /// [`ControlError`] when the repository cannot be reached or the state folder not be used.
    pub async fn start(
        setup: Setup,
        clock: Arc<dyn Clock>,
        purpose: Purpose,
        progress: OnProgress,
    ) -> Result<Self, ControlError> {
        let state_dir = setup.config.state_dir.clone();
        let state = |doing| {
            let folder = state_dir.display().to_string();
            move |source| ControlError::State { doing, folder, source }
        };
        std::fs::create_dir_all(&state_dir).map_err(state("create the state folder"))?;
        let dry_run = setup.config.dry_run;
        let lock = match purpose {
            Purpose::Act => Some(StateLock::take(&state_dir, clock.as_ref()).await?),
            Purpose::Look => None,
        };
        let config = &setup.config;
        let mirror = Mirror::open(&source::mirror_dir(&state_dir), setup.remote.clone())?;
        if let Some(aside) = mirror.moved_aside() {
            tracing::warn!(aside = %aside.display(), "the mirror was broken and is fetched anew");
        }
        let mut source =
            Source::new(mirror, config.repository.branch.clone(), config.repository.path.clone());
        if purpose == Purpose::Act {
            source.act();
        }
        let status = read_status(&source, &config.status.branch).await?;
        if let Some(theirs) = status.as_ref().and_then(|status| status.owner.as_ref())
            && *theirs != setup.owner
        {
            return Err(ControlError::Owner {
                branch: config.status.branch.clone(),
                theirs: theirs.clone(),
                ours: setup.owner.clone(),
            });
        }
        let publisher = match purpose {
            Purpose::Act if !dry_run => {
                let options = WriterOptions {
                    dir: state_dir.join("writer.git"),
                    remote: setup.status_remote.clone(),
                    branch: config.status.branch.clone(),
                    protected: config.repository.branch.clone(),
                    author: Signature {
                        name: config.status.author_name.clone(),
                        email: config.status.author_email.clone(),
                    },
                };
                let batch = config.status.batch;
                let publisher = Publisher::new(options, &state_dir, batch, status.clone())
                    .map_err(|error| match error {
                        PublisherError::Git(error) => error.into(),
                        PublisherError::Journal(source) => {
                            state("open the journal of unpublished history")(source)
                        }
                    })?;
                Some(publisher)
            }
            Purpose::Act | Purpose::Look => None,
        };
        let run = run_id(clock.as_ref());
        let unpublished = publisher.as_ref().map(Publisher::unpublished).unwrap_or_default();
        let book = Book::restore(run, status.as_ref(), &unpublished);

        let recorded = status.as_ref().map(|status| &status.spec_commit);
        source.recover(recorded, &setup.catalogue).await?;
        let mut applied = None;
        if let Some(commit) = status.as_ref().and_then(|status| status.applied_commit.clone()) {
            applied = match source.good() {
                Some(good) if good.commit == commit => Some(good.clone()),
                _ => source.load_applied(&commit, &setup.catalogue).await.map(Arc::new),
            }
            .map(|spec| Applied { commit, spec });
        }
        let store = config.store_file();
        let (memory, stored) = match purpose {
            Purpose::Act => {
                let retention = config.store.retention.clone();
                let (memory, stored) = Memory::open(&store, retention).await;
                (Some(memory), stored)
            }
            Purpose::Look => (None, Memory::look(&store).await),
        };
        let signals = Signals::new(setup.sources.clone(), config.interval);
        let deciding = Deciding::resume(clock.now().into(), purpose, &book, stored, signals);
        let stated = status.map(|status| (status.spec_commit, status.plan_digest));
        Ok(Self {
            setup,
            clock,
            source,
            applied,
            done: BTreeSet::new(),
            stated,
            deciding,
            memory,
            book,
            publisher,
            progress,
            dry_run,
            apply_max: None,
            pulls: None,
            _lock: lock,
        })
    }

    /// The spec repository.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The parts it was made from.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Looks for a new commit, and adopts it if it is good.
    ///
    /// # Errors
    /// [`GitError`] when the repository cannot be reached; the spec in force stays.
    pub async fn poll(&mut self) -> Result<Polled, GitError> {
        let status_branch = &self.setup.config.status.branch;
        let gate = self.pulls.as_ref().map(|pulls| &pulls.gate);
        let polled = self.source.poll(&self.setup.catalogue, status_branch, gate).await;
        // A pause counts also where the spec cannot be read.
        let is_overridden = self.source.has_looked() && self.take_up_overrides().await;
        let polled = polled?;
        self.tell_polled(&polled);
        if let (false, Some(publisher)) = (self.source.has_status_branch(), &mut self.publisher) {
            publisher.branch_is_gone();
        }
        if let Polled::Adopted(_) = polled {
            self.done.clear();
        }
        Ok(if polled == Polled::Unchanged && is_overridden { Polled::Overridden } else { polled })
    }

    /// Tells whoever plans pull requests what a poll found.
    fn tell_polled(&mut self, polled: &Polled) {
        let judged = self.source.take_judged();
        let Some(pulls) = &self.pulls else { return };
        let at = self.clock.now();
        pulls.moved(self.source.head_seen(), self.source.queued());
        if let Some(Judged { commit, judgement }) = judged {
            pulls.tell(Fact::Judged { commit, judgement, at });
        } else if let (Polled::Refused, Some(refused)) = (polled, self.source.refused())
            && let Some(commit) = refused.commit.clone()
        {
            pulls.tell(Fact::Refused { commit, findings: refused.findings.clone(), at });
        }
    }

    /// From now on nothing is put in force that is not what was reviewed; for a cycle without the loop.
    ///
    /// # Errors
    /// [`ControlError`] when the mirror of pull requests cannot be used.
    pub fn guard(&mut self) -> Result<(), ControlError> {
        self.pulls = pulls::Link::alone(&self.setup)?;
        Ok(())
    }

    /// Plans pull requests from what is seen here from now on.
    pub(crate) fn attach(&mut self, pulls: Option<pulls::Link>) {
        self.pulls = pulls;
    }

    /// Shares what was seen with whoever plans pull requests.
    fn show(&self, observed: &Observed) {
        if let Some(pulls) = &self.pulls {
            pulls.show(self.sight_of(observed.clone()));
        }
    }

    /// Looks, for a pull request's plan.
    async fn sight(&mut self) -> Sight {
        let observed = match self.source.good().cloned() {
            Some(good) => self.look(&good.spec).await,
            None => Observed { at: self.clock.now(), replicas: Vec::new(), gaps: Vec::new() },
        };
        self.sight_of(observed)
    }

    fn sight_of(&self, observed: Observed) -> Sight {
        let in_force = self.source.good().cloned();
        let measured = in_force.as_ref().map(|good| by_name(&good.spec, &self.deciding.measured));
        let overrides = self.deciding.overrides.set();
        Sight {
            in_force,
            branch_head: self.source.head_seen().cloned(),
            queued: self.source.queued().to_vec(),
            catalogue: self.setup.catalogue.clone(),
            observed,
            states: self.deciding.states.clone(),
            measured: measured.unwrap_or_default(),
            bursts: overrides.bursts().to_vec(),
            pauses: overrides.pauses().to_vec(),
        }
    }

    /// Reads bursts and pauses where somebody else wrote to the status branch. What cannot be read now is
    /// said, and what was in force stays.
    async fn take_up_overrides(&mut self) -> bool {
        if let Some(publisher) = &mut self.publisher {
            for pushed in publisher.take_pushed() {
                self.deciding.overrides.pushed(&pushed);
            }
        }
        let branch = &self.setup.config.status.branch;
        match self.deciding.overrides.take_up(&self.source, branch).await {
            Ok(TakenUp::Changed) => {
                tracing::info!("bursts and pauses were taken up");
                true
            }
            Ok(TakenUp::Unchanged | TakenUp::Unreadable) => false,
            Err(error) => {
                tracing::warn!(%error, "could not read bursts and pauses");
                false
            }
        }
    }

    /// The commit that a branch, tag, full reference name or id means in the spec repository now; it is in
    /// the mirror then. `None` when it means nothing there, or an id several things.
    ///
    /// # Errors
    /// [`GitError`] when the repository cannot be reached.
    pub async fn resolve(&self, rev: &str) -> Result<Option<CommitId>, GitError> {
        let rev = rev.to_owned();
        self.source.with_mirror(move |mirror| mirror.find(&rev)).await
    }

    /// Observes, decides and plans; changes nothing.
    ///
    /// # Errors
    /// [`ControlError::NoSpec`] while no commit has been good yet.
    pub async fn plan(&mut self) -> Result<Planned, ControlError> {
        Ok(self.plan_of(self.good_or_none()?).await)
    }

    fn good_or_none(&self) -> Result<Arc<Good>, ControlError> {
        self.source.good().cloned().ok_or_else(|| {
            let why = self.source.refused().map(|refused| refused.findings.join("; "));
            ControlError::NoSpec(why.unwrap_or_else(|| "none was read yet".to_owned()))
        })
    }

    /// The plan for a given spec, be it in force or not.
    pub async fn plan_of(&mut self, good: Arc<Good>) -> Planned {
        let observed = self.look(&good.spec).await;
        let (now, prices) = (observed.at.into(), &self.setup.catalogue.prices);
        let decisions = self.deciding.preview(now, &good, &observed, prices);
        let plan = self.plan_from(&good, &observed, &decisions);
        Planned { good, observed, plan }
    }

    /// Reads the world and, beside it, the signals.
    async fn look(&mut self, spec: &Spec) -> Observed {
        let ctx = self.ctx();
        self.deciding.signals.start(&ctx, spec, &self.setup.providers);
        let observed = self.observe(spec).await;
        let mut measured = self.deciding.signals.collect(spec, &observed).await;
        if !self.deciding.has_looked && self.deciding.lacks_a_rate(spec, &measured) {
            // A rate is between two readings, and this is the first of this run.
            self.clock.sleep(RATE_WAIT).await;
            self.deciding.signals.start(&self.ctx(), spec, &self.setup.providers);
            measured = self.deciding.signals.collect(spec, &observed).await;
        }
        self.deciding.has_looked = true;
        self.deciding.measured = measured.into_targets();
        observed
    }

    fn ctx(&self) -> Ctx {
        Ctx { now: self.clock.now(), owner: self.setup.owner.clone() }
    }

    async fn observe(&self, spec: &Spec) -> Observed {
        let ctx = self.ctx();
        let scope = observe::scope(Some(spec), &self.setup.providers, self.book.places());
        observe::collect(&ctx, &self.setup.providers, &scope).await
    }

    fn plan_from(&self, good: &Good, observed: &Observed, decisions: &[Decision]) -> Plan {
        plan::plan(&plan::Input {
            spec: &good.spec,
            spec_commit: &good.commit,
            base: self.applied.as_ref().map(|applied| (&applied.spec.spec, &applied.commit)),
            templates: &good.templates,
            observed,
            decisions,
            done: &self.done,
            prices: &self.setup.catalogue.prices,
            now: observed.at,
        })
    }

    /// Publishes all there is, now.
    ///
    /// # Errors
    /// [`GitError`] when the push fails; nothing is lost, the next push carries it.
    pub async fn flush(&mut self) -> Result<(), GitError> {
        let now = self.clock.now();
        if let Some(memory) = &self.memory {
            memory.flush().await;
        }
        match &mut self.publisher {
            Some(publisher) => publisher.flush(now).await,
            None => Ok(()),
        }
    }

    /// Whether a push is under way.
    pub(crate) fn is_publishing(&self) -> bool {
        self.publisher.as_ref().is_some_and(Publisher::is_busy)
    }

    /// Starts a push if one is due, and takes the result of one that ended. Returns when the next is due.
    pub(crate) async fn publish_if_due(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        let publisher = self.publisher.as_mut()?;
        if let Some(Err(error)) = publisher.finish(now, false).await {
            tracing::warn!(%error, "could not publish status and history; trying again");
        }
        match publisher.due_at(now) {
            Some(due) if due <= now => {
                publisher.start(now);
                None
            }
            Some(due) => Some(apply::elapsed(now, due)),
            None => None,
        }
    }
}

/// Unique to this run: the time, and a random part for two that start at once.
fn run_id(clock: &dyn Clock) -> String {
    let millis = clock.now().as_millisecond();
    format!("{millis:x}-{:08x}", fastrand::u32(..))
}
