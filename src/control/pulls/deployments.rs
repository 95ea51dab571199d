//! What becomes of merged pull requests, from the merge until it is applied: pure, a fact in, what changed out.

use jiff::Timestamp;

use super::facts::Fact;
use super::judgement::{Judgement, MergedPull, Mismatch};
use crate::forge::comment::{Merge, Phase};
use crate::model::{CommitId, PlanDigest, PullNumber};

/// Deployments that are remembered: the one in hand, and those before it whose last word is not written yet.
const DEPLOYMENTS_MAX: usize = 50;

/// A commit that was put in force, or was to be, and the pull requests that came with it.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// The commit of the spec branch.
    pub(crate) commit: CommitId,
    /// The pull requests, newest first.
    pub(crate) pulls: Vec<MergedPull>,
    /// When it was seen.
    pub(crate) seen_at: Timestamp,
    /// How it stands.
    pub(crate) stand: Stand,
    /// What was reported last.
    pub(crate) reported: Option<Stand>,
    /// What the checks of its commits say.
    pub(crate) checked: Option<Stand>,
    /// Whether some of what is not reported may have been, because reporting it broke off, or by a run before.
    pub(crate) is_unsure: bool,
    /// Actions done so far.
    actions: usize,
}

impl Deployment {
    /// Whether it says of this already that it is held.
    fn is_held_as(&self, mismatch: &Mismatch) -> bool {
        let Stand::Held { digest } = &self.stand else { return false };
        *digest == mismatch.digest && self.pulls.first() == Some(&mismatch.pull)
    }
}

/// How a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It is in force, and nothing was done for it yet.
    Adopted,
    Applying {
        actions: usize,
    },
    Applied {
        took_ms: u64,
        actions: usize,
    },
    Failed {
        took_ms: u64,
        failures: Vec<String>,
    },
    Waiting {
        waits: Vec<String>,
    },
    Superseded {
        by: CommitId,
        by_pull: Option<PullNumber>,
    },
    Held {
        digest: PlanDigest,
    },
    Refused {
        findings: Vec<String>,
    },
}

impl Stand {
    /// Whether nothing follows.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Applied { .. } | Self::Superseded { .. })
    }

    /// Whether there is anything worth saying: that nothing was done yet is not.
    pub(crate) fn is_said(&self) -> bool {
        *self != Self::Adopted
    }

    /// As the comment of a pull request says it.
    pub(crate) fn phase(&self, merged: Merge) -> Phase {
        match self.clone() {
            Self::Adopted => Phase::Applying { merged, actions: 0 },
            Self::Applying { actions } => Phase::Applying { merged, actions },
            Self::Applied { took_ms, actions } => Phase::Applied { merged, took_ms, actions },
            Self::Failed { took_ms, failures } => Phase::Failed { merged, took_ms, failures },
            Self::Waiting { waits } => Phase::Waiting { merged, waits },
            Self::Superseded { by, by_pull } => Phase::Superseded { merged, by, by_pull },
            Self::Held { digest } => {
                let differences = merged.differences.clone();
                Phase::Held { merged, digest, differences }
            }
            Self::Refused { findings } => Phase::Refused { merged, findings },
        }
    }
}

/// All deployments whose last word is not written yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Deployments {
    pub(crate) all: Vec<Deployment>,
}

impl Deployments {
    /// Takes note of what happened.
    pub(crate) fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Judged { commit, judgement, at } => self.judged(commit, judgement, at),
            Fact::Refused { commit, findings, at } => {
                self.begin(commit, Vec::new(), at, Stand::Refused { findings });
            }
            Fact::Began { commit, actions } => {
                if let Some(deployment) = self.of(&commit)
                    && matches!(deployment.stand, Stand::Adopted)
                    && actions > 0
                {
                    deployment.stand = Stand::Applying { actions };
                }
            }
            Fact::Cycled { commit, is_in_full, is_cut, actions, failures, waits, at } => {
                let Some(deployment) = self.of(&commit) else { return };
                if deployment.stand.is_final() {
                    // Not said yet, because the forge does not answer: what happens meanwhile is another matter.
                    return;
                }
                deployment.actions += actions;
                let took_ms = millis(deployment.seen_at, at);
                let actions = deployment.actions;
                deployment.stand = if is_in_full {
                    Stand::Applied { took_ms, actions }
                } else if !failures.is_empty() {
                    // Told once: that it is tried again and fails again is no news.
                    match &deployment.stand {
                        before @ Stand::Failed { failures: of, .. }
                            if targets(of).eq(targets(&failures)) =>
                        {
                            before.clone()
                        }
                        _ => Stand::Failed { took_ms, failures },
                    }
                } else if !waits.is_empty() && !is_cut {
                    Stand::Waiting { waits }
                } else {
                    return;
                };
            }
        }
    }

    fn judged(&mut self, commit: CommitId, judgement: Judgement, at: Timestamp) {
        match judgement {
            Judgement::Go { pulls, is_new } => {
                if !is_new && pulls.is_empty() {
                    // A commit beside the spec: what is in hand goes on under its name.
                    if let Some(last) = self.all.last_mut().filter(|last| !last.stand.is_final()) {
                        last.commit = commit;
                    }
                    return;
                }
                let newest = pulls.first().map(|pull| pull.number);
                // What was said of them before, that they are held, is over.
                self.forget(&pulls);
                for older in &mut self.all {
                    let is_same = older.commit == commit;
                    if !older.stand.is_final() && !is_same {
                        older.stand = Stand::Superseded { by: commit.clone(), by_pull: newest };
                    }
                }
                self.begin(commit, pulls, at, Stand::Adopted);
            }
            Judgement::Hold(mismatches) => {
                for mismatch in mismatches {
                    if self.all.iter().any(|known| known.is_held_as(&mismatch)) {
                        continue;
                    }
                    let stand = Stand::Held { digest: mismatch.digest };
                    self.begin(commit.clone(), vec![mismatch.pull], at, stand);
                }
            }
            Judgement::Wait(_) => {}
        }
    }

    /// Forgets what was said of these before: something else is said of them now.
    fn forget(&mut self, pulls: &[MergedPull]) {
        self.all.retain(|known| {
            !known.pulls.iter().any(|old| pulls.iter().any(|new| new.number == old.number))
        });
    }

    /// Begins a deployment; one of the same commit with the same pull requests goes on.
    pub(crate) fn begin(
        &mut self,
        commit: CommitId,
        pulls: Vec<MergedPull>,
        at: Timestamp,
        stand: Stand,
    ) {
        let numbers = |pulls: &[MergedPull]| pulls.iter().map(|p| p.number).collect::<Vec<_>>();
        let is_same = |known: &&mut Deployment| {
            known.commit == commit && numbers(&known.pulls) == numbers(&pulls)
        };
        // Which pull request a refused commit is from is found out later.
        let is_refused = matches!(stand, Stand::Refused { .. });
        let is_refused_again = |known: &&mut Deployment| is_refused && known.commit == commit;
        if let Some(known) = self.all.iter_mut().find(is_refused_again) {
            known.stand = stand;
            return;
        }
        if let Some(known) = self.all.iter_mut().find(is_same) {
            known.stand = stand;
            known.pulls = pulls;
            return;
        }
        self.forget(&pulls);
        // A run before this one may have said of the same commit that it is not put in force.
        let is_unsure = matches!(stand, Stand::Held { .. } | Stand::Refused { .. });
        self.all.push(Deployment {
            commit,
            pulls,
            seen_at: at,
            stand,
            reported: None,
            checked: None,
            is_unsure,
            actions: 0,
        });
        if self.all.len() > DEPLOYMENTS_MAX {
            self.all.remove(0);
        }
    }

    fn of(&mut self, commit: &CommitId) -> Option<&mut Deployment> {
        self.all.iter_mut().rev().find(|deployment| {
            deployment.commit == *commit
                && !matches!(
                    deployment.stand,
                    Stand::Held { .. } | Stand::Refused { .. } | Stand::Superseded { .. }
                )
        })
    }

    /// Forgets what is said and final.
    pub(crate) fn tidy(&mut self) {
        self.all.retain(|deployment| {
            !(deployment.stand.is_final()
                && deployment.reported.as_ref() == Some(&deployment.stand))
        });
    }
}

/// What failed, whatever a provider says of it this time.
fn targets(failures: &[String]) -> impl Iterator<Item = &str> {
    failures.iter().map(|failure| failure.split(':').next().unwrap_or_default())
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
