//! What the gate says of a new commit, and what it remembers of one that it does not let pass.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::reviews::{APPROVAL_DIGITS_MIN, Reviews};
use crate::model::{CommitId, PlanDigest, PullNumber};

/// The longest pause between two questions about the same commit.
const ASK_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A pull request that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergedPull {
    pub(crate) number: PullNumber,
    /// Its commit on the base branch.
    pub(crate) commit: CommitId,
    /// How it differs from what was reviewed.
    pub(crate) differences: Vec<String>,
}

/// Something merged that is not what was reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) pull: MergedPull,
    /// The digest of what was merged.
    pub(crate) digest: PlanDigest,
}

/// What becomes of a new commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is put in force.
    Go {
        /// The pull requests that came with it, newest first.
        pulls: Vec<MergedPull>,
        /// Whether anything of the spec is another than in the commit before.
        is_new: bool,
    },
    /// It is held, because of these.
    Hold(Vec<Mismatch>),
    /// It is held until something is known.
    Wait(String),
}

impl Judgement {
    /// Why a commit is not put in force, for people; `None` where it is.
    pub(crate) fn sentence(&self, commit: &CommitId) -> Option<String> {
        match self {
            Self::Go { .. } => None,
            Self::Wait(why) => Some(format!("{} is held: {why}", commit.short())),
            Self::Hold(mismatches) => {
                let pulls: Vec<String> = mismatches
                    .iter()
                    .map(|Mismatch { pull, digest }| {
                        let digits = digest.as_str().strip_prefix("sha256:").unwrap_or_default();
                        format!(
                            "what pull request {} merged is not what its plan showed: revert it, or comment \
                             `/tidegate apply {}` there",
                            pull.number,
                            digits.get(..APPROVAL_DIGITS_MIN).unwrap_or(digits)
                        )
                    })
                    .collect();
                Some(format!("{} is held: {}", commit.short(), pulls.join("; ")))
            }
        }
    }
}

/// What was judged of the commit that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Option<Judged>>);

/// A commit that is not put in force yet.
#[derive(Debug)]
struct Judged {
    in_force: CommitId,
    new: CommitId,
    judgement: Judgement,
    began: Instant,
    tries: u32,
    again: Instant,
}

impl Waiting {
    fn judged_last(&self) -> MutexGuard<'_, Option<Judged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was judged of the same commit before, where asking again would be too early, or of no use: what is held
    /// stays held until somebody agrees to all of it.
    pub(crate) fn judged(
        &self,
        in_force: &CommitId,
        new: &CommitId,
        reviews: &Reviews,
    ) -> Option<Judgement> {
        let last = self.judged_last();
        let last = last.as_ref().filter(|last| last.in_force == *in_force && last.new == *new)?;
        let is_early = match &last.judgement {
            Judgement::Go { .. } => false,
            Judgement::Wait(_) => Instant::now() < last.again,
            Judgement::Hold(mismatches) => {
                !mismatches.iter().all(|mismatch| reviews.is_approved(&mismatch.digest))
            }
        };
        is_early.then(|| last.judgement.clone())
    }

    /// How long a commit waits already.
    pub(crate) fn time(&self, new: &CommitId) -> Duration {
        let last = self.judged_last();
        let same = last.as_ref().filter(|last| last.new == *new);
        same.map_or(Duration::ZERO, |last| last.began.elapsed())
    }

    /// Notes what is judged of a commit; the next question about it comes later each time.
    pub(crate) fn note(&self, in_force: &CommitId, new: &CommitId, judgement: &Judgement) {
        let mut last = self.judged_last();
        let now = Instant::now();
        let same = last.take().filter(|last| last.new == *new);
        let (began, tries) = same.map_or((now, 0), |last| (last.began, last.tries + 1));
        let pause = Duration::from_secs(1 << tries.min(6)).min(ASK_PAUSE_MAX);
        *last = Some(Judged {
            in_force: in_force.clone(),
            new: new.clone(),
            judgement: judgement.clone(),
            began,
            tries,
            again: now + pause,
        });
    }
}
