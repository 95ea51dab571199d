//! The spec in force: the newest good commit of the spec branch, kept whatever happens to the branch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::pulls::{Gate, Judgement};
use crate::git::{GitError, Mirror};
use crate::model::{
    Catalogue, CommitId, Diagnostic, ServiceId, Severity, Sources, Spec, TemplateHash,
};
use crate::record::Refused;
use crate::{plan, spec};

/// A spec that was found valid, with what is computed once from it.
#[derive(Debug)]
pub struct Good {
    /// Its commit.
    pub commit: CommitId,
    /// Its content.
    pub spec: Spec,
    /// Hash of each service's template.
    pub templates: BTreeMap<ServiceId, TemplateHash>,
    /// Who wrote the commit.
    pub author: String,
    /// Findings that did not make it invalid.
    pub warnings: Vec<Diagnostic>,
}

impl Good {
    /// Logs the findings that did not make it invalid.
    fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(commit = %self.commit, code = %warning.code, "{}", finding(warning));
        }
    }
}

/// What loading one commit gave.
#[derive(Debug)]
pub struct Loaded {
    /// The spec, when it is valid.
    pub good: Option<Good>,
    /// All findings.
    pub diagnostics: Vec<Diagnostic>,
    /// The text they point into.
    pub sources: Sources,
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nothing new.
    Unchanged,
    /// A new commit, and it is in force.
    Adopted(CommitId),
    /// No new commit, but somebody set or ended a burst or a pause.
    Overridden,
    /// Something new that is refused; the last good commit stays in force.
    Refused,
}

/// What the gate said of a head.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) commit: CommitId,
    pub(super) judgement: Judgement,
}

/// The spec repository, as the controller sees it.
#[derive(Debug)]
pub struct Source {
    mirror: Arc<Mutex<Mirror>>,
    branch: String,
    path: String,
    seen: Option<CommitId>,
    good: Option<Arc<Good>>,
    /// The head, where it is good and may not be put in force.
    held: Option<Arc<Good>>,
    /// What was last judged about a new head.
    judged: Option<Judged>,
    refused: Option<Refused>,
    /// Whether what is adopted here is what is in force for a controller that starts next.
    is_acting: bool,
    has_status_branch: bool,
    status_head: Option<CommitId>,
    /// Heads of the forge's merge queue for the spec branch.
    queued: Vec<(String, CommitId)>,
    has_looked: bool,
}

/// Where GitHub keeps the branches of its merge queues, by base branch.
const MERGE_QUEUE: &str = "gh-readonly-queue/";
/// Name of the mirror's ref that keeps the last good commit from being pruned.
const PIN_GOOD: &str = "last-good";
/// Findings of a refused commit that the status names; the rest is counted.
const FINDINGS_MAX: usize = 20;

impl Source {
    pub(super) fn new(mirror: Mirror, branch: String, path: String) -> Self {
        Self {
            mirror: Arc::new(Mutex::new(mirror)),
            branch,
            path,
            seen: None,
            good: None,
            held: None,
            judged: None,
            refused: None,
            is_acting: false,
            has_status_branch: true,
            status_head: None,
            queued: Vec::new(),
            has_looked: false,
        }
    }

    /// From now on what is adopted is kept for the next start. Who only looks must not do so: he may see what
    /// the controller holds.
    pub(super) fn act(&mut self) {
        self.is_acting = true;
    }

    /// Whether the last poll saw the status branch.
    pub(super) fn has_status_branch(&self) -> bool {
        self.has_status_branch
    }

    /// Whether any poll has seen the repository's branches.
    pub(super) fn has_looked(&self) -> bool {
        self.has_looked
    }

    /// The commit at which the last poll saw the status branch.
    pub(super) fn status_head(&self) -> Option<&CommitId> {
        self.status_head.as_ref()
    }

    /// The head of the spec branch that was looked into last.
    pub(super) fn head_seen(&self) -> Option<&CommitId> {
        self.seen.as_ref()
    }

    /// The branches of the forge's merge queue, and the commits that it is about to make the head of the spec branch.
    pub(super) fn queued(&self) -> &[(String, CommitId)] {
        &self.queued
    }

    /// The folder of the spec.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The spec branch.
    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    /// The spec in force.
    #[must_use]
    pub fn good(&self) -> Option<&Arc<Good>> {
        self.good.as_ref()
    }

    /// What is refused, if the branch's head is not the spec in force.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// Forgets what was seen, so that the next poll reads the head again: the configuration changed.
    pub(super) fn forget_seen(&mut self) {
        self.seen = None;
        // What is said of the head is said anew, to whoever listens by then.
        self.refused = None;
    }

    /// Runs a blocking piece of git work off the event loop.
    pub(super) async fn with_mirror<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Mirror) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let mirror = self.mirror.clone();
        tokio::task::spawn_blocking(move || {
            let mut mirror = mirror.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut mirror)
        })
        .await
        .unwrap_or_else(|error| Err(GitError::Interrupted(error.to_string())))
    }

    /// The head of the spec branch on the server: one ref advertisement and nothing else.
    pub(super) async fn head(&self) -> Result<Option<CommitId>, GitError> {
        let branch = self.branch.clone();
        self.with_mirror(move |mirror| Ok(mirror.advertise()?.branch(&branch).cloned())).await
    }

    /// Looks for something new, and adopts it if it is good.
    pub(super) async fn poll(
        &mut self,
        catalogue: &Catalogue,
        status_branch: &str,
        gate: Option<&Gate>,
    ) -> Result<Polled, GitError> {
        let advertised = self.with_mirror(|mirror| mirror.advertise()).await?;
        self.has_looked = true;
        self.status_head = advertised.branch(status_branch).cloned();
        self.has_status_branch = self.status_head.is_some();
        let queue = format!("{MERGE_QUEUE}{}/", self.branch);
        let queued = advertised.branches().filter(|name| name.starts_with(&queue));
        let with_commit = |name: &str| Some((name.to_owned(), advertised.branch(name)?.clone()));
        self.queued = queued.filter_map(with_commit).collect();
        let Some(head) = advertised.branch(&self.branch).cloned() else {
            let sentence = format!(
                "branch `{}` does not exist in the spec repository; the last good commit stays in force",
                self.branch
            );
            // When it comes back, be it at the same commit, it is read again.
            self.seen = None;
            self.held = None;
            return Ok(self.refuse(None, vec![sentence]));
        };
        if self.seen.as_ref() == Some(&head) {
            // Somebody may have agreed meanwhile, or the forge may know by now.
            return match self.held.clone() {
                Some(good) => self.admit(good, catalogue, gate).await,
                None => Ok(Polled::Unchanged),
            };
        }
        tracing::debug!(commit = %head, "the branch moved");
        let branch = self.branch.clone();
        self.with_mirror(move |mirror| mirror.fetch(&[&branch])).await?;
        let loaded = self.load(&head, Some(catalogue)).await?;
        self.seen = Some(head.clone());
        self.held = loaded.good.map(Arc::new);
        match self.held.clone() {
            // Held until it is admitted: what cannot be judged now is judged with the next poll.
            Some(good) => self.admit(good, catalogue, gate).await,
            None => {
                let errors: Vec<String> = loaded
                    .diagnostics
                    .iter()
                    .filter(|diagnostic| diagnostic.severity == Severity::Error)
                    .map(finding)
                    .collect();
                Ok(self.refuse(Some(head), errors))
            }
        }
    }

    /// Puts a good head in force, unless the gate keeps it.
    async fn admit(
        &mut self,
        good: Arc<Good>,
        catalogue: &Catalogue,
        gate: Option<&Gate>,
    ) -> Result<Polled, GitError> {
        let judgement = match gate {
            Some(gate) => gate.judge(self, catalogue, self.good.as_deref(), &good).await?,
            None => Judgement::Go { pulls: Vec::new(), is_new: true },
        };
        let commit = good.commit.clone();
        let sentence = judgement.sentence(&commit);
        let polled = match sentence {
            None => {
                self.adopt(good).await?;
                Polled::Adopted(commit.clone())
            }
            Some(sentence) => {
                self.held = Some(good);
                self.refuse(Some(commit.clone()), vec![sentence])
            }
        };
        self.judged = (polled != Polled::Unchanged).then_some(Judged { commit, judgement });
        Ok(polled)
    }

    /// What was judged about a new head since this was asked last.
    pub(super) fn take_judged(&mut self) -> Option<Judged> {
        self.judged.take()
    }

    /// Puts a good spec in force.
    async fn adopt(&mut self, good: Arc<Good>) -> Result<(), GitError> {
        good.warn();
        if self.is_acting {
            let commit = good.commit.clone();
            self.with_mirror(move |mirror| mirror.pin(PIN_GOOD, &commit)).await?;
        }
        self.good = Some(good);
        self.held = None;
        self.refused = None;
        Ok(())
    }

    fn refuse(&mut self, commit: Option<CommitId>, mut findings: Vec<String>) -> Polled {
        if findings.len() > FINDINGS_MAX {
            let more = findings.len() - FINDINGS_MAX;
            findings.truncate(FINDINGS_MAX);
            findings.push(format!("and {more} more: run `tidegate validate`"));
        }
        let refused = Refused { commit, findings };
        if self.refused.as_ref() == Some(&refused) {
            return Polled::Unchanged;
        }
        self.refused = Some(refused);
        Polled::Refused
    }

    /// After a start at which the head is not good: takes up the last good commit, from the mirror's own
    /// memory or from the status branch's, whichever is newer. The status branch is behind when the last run
    /// was killed before it pushed, and the mirror when another machine ran meanwhile.
    pub(super) async fn recover(
        &mut self,
        recorded: Option<&CommitId>,
        catalogue: &Catalogue,
    ) -> Result<(), GitError> {
        let recorded = recorded.cloned();
        let candidates = self
            .with_mirror(move |mirror| {
                let pinned = mirror.pinned(PIN_GOOD);
                let is_recorded_newer = match (&pinned, &recorded) {
                    (Some(pinned), Some(recorded)) => mirror.is_in_history_of(pinned, recorded),
                    (None, _) | (_, None) => false,
                };
                Ok(if is_recorded_newer { [recorded, pinned] } else { [pinned, recorded] })
            })
            .await?;
        for commit in candidates.iter().flatten() {
            if let Some(good) = self.load_if_known(commit, Some(catalogue)).await {
                good.warn();
                self.good = Some(Arc::new(good));
                // If it is still the head, the first poll need not read it again.
                self.seen = Some(commit.clone());
                return Ok(());
            }
        }
        Ok(())
    }

    /// The spec that was applied last, if the mirror has it: also when it names what is configured no more.
    pub(super) async fn load_applied(
        &self,
        commit: &CommitId,
        catalogue: &Catalogue,
    ) -> Option<Good> {
        if let Some(good) = self.load_if_known(commit, Some(catalogue)).await {
            return Some(good);
        }
        let mut good = self.load_if_known(commit, None).await?;
        for service in good.spec.services.values_mut() {
            if service.provider.is_none() {
                service.provider = catalogue.default_for(service.scale.strategy).cloned();
            }
        }
        Some(good)
    }

    /// The spec at a commit, if the mirror has it and it is valid.
    pub(super) async fn load_if_known(
        &self,
        commit: &CommitId,
        catalogue: Option<&Catalogue>,
    ) -> Option<Good> {
        self.load(commit, catalogue).await.ok()?.good
    }

    /// Reads and checks the spec at a commit.
    pub async fn load(
        &self,
        commit: &CommitId,
        catalogue: Option<&Catalogue>,
    ) -> Result<Loaded, GitError> {
        let (commit, path) = (commit.clone(), self.path.clone());
        let catalogue = catalogue.cloned();
        self.with_mirror(move |mirror| {
            let sources = mirror.read_spec(&commit, &path)?;
            let loaded = spec::load(&sources, catalogue.as_ref());
            let author = mirror.commit_info(&commit)?.author;
            let good = loaded.spec.map(|spec| Good {
                templates: plan::template_hashes(&spec),
                commit,
                spec,
                author,
                warnings: loaded.diagnostics.clone(),
            });
            Ok(Loaded { good, diagnostics: loaded.diagnostics, sources })
        })
        .await
    }
}

/// One finding in one line, for logs and the status file.
fn finding(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.position.as_ref().map_or_else(String::new, |position| {
        format!("{}:{}:{} ", position.file, position.line, position.column)
    });
    let message = plan::render::harmless(&diagnostic.message);
    format!("{place}{} {message}", diagnostic.code)
}

/// Where the mirror lives inside the state folder.
pub(super) fn mirror_dir(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("mirror.git")
}
