//! One pull request, from the merge result to its comment: the same for the controller and for whoever asks on
//! the command line.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::backtests::{self, Past};
use super::compose::{Inputs, Made, Merge, compose};
use super::sight::Sight;
use crate::forge::comment::{Earlier, Links, MEMO_VERSION, Memo};
use crate::git::{GitError, Merged, Mirror};
use crate::model::{CommitId, OwnerId, PullNumber};

/// Plans before the present one that a comment remembers.
const EARLIER_MAX: usize = 20;

/// A pull request to be planned.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) number: PullNumber,
    /// The commit that would be merged.
    pub(crate) head: CommitId,
    /// The commit of the base branch that it would be merged onto.
    pub(crate) base: CommitId,
}

/// What a plan is made of.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) merged: Merged,
    pub(crate) sight: &'a Arc<Sight>,
    pub(crate) links: &'a Links,
    /// Whether metric sources may be asked: never for what a stranger wrote.
    pub(crate) may_ask: bool,
}

impl Making<'_> {
    /// Makes what the pull request is told. Deciding and replaying are all work and no waiting.
    pub(crate) async fn make(
        self,
        job: &Job,
        past: &Past,
        now: Timestamp,
    ) -> Result<Made, GitError> {
        let Self { merged, sight, links, may_ask } = self;
        let read = {
            let sight = sight.clone();
            move || Merge::read(merged, &sight)
        };
        let merge = Arc::new(blocking(read).await?);
        let backtests = backtests::of(past, sight, &merge, may_ask, now).await?;
        let (sight, job, links) = (sight.clone(), job.clone(), links.clone());
        blocking(move || {
            let (sight, merge, backtests) = (&sight, &merge, &backtests);
            compose(&Inputs { job: &job, merge, sight, backtests, links: &links })
        })
        .await
    }
}

impl Job {
    /// What the comment will remember.
    pub(crate) fn memo(
        &self,
        owner: &OwnerId,
        made: &Made,
        sight: &Sight,
        before: Option<&Memo>,
        now: Timestamp,
    ) -> Memo {
        let (mut earlier, mut earlier_left_out) = (Vec::new(), 0);
        if let Some(memo) = before {
            earlier.clone_from(&memo.earlier);
            earlier.push(Earlier {
                planned_at: memo.planned_at,
                head: memo.head.clone(),
                base: memo.base.clone(),
                digest: memo.digest.clone(),
                verdict: memo.verdict.clone(),
            });
            let excess = earlier.len().saturating_sub(EARLIER_MAX);
            earlier.drain(..excess);
            earlier_left_out = memo.earlier_left_out + excess;
        }
        Memo {
            version: MEMO_VERSION,
            owner: owner.clone(),
            head: self.head.clone(),
            base: self.base.clone(),
            from: sight.in_force.as_ref().map(|good| good.commit.clone()),
            digest: made.digest.clone(),
            key: made.key.clone(),
            planned_at: now,
            verdict: made.verdict.clone(),
            phase: made.phase.clone(),
            earlier,
            earlier_left_out,
        }
    }
}

/// Runs work that would keep others from theirs on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GitError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| GitError::Interrupted(error.to_string()))
}

/// Runs a blocking piece of git work off the event loop.
pub(super) async fn with<T: Send + 'static>(
    mirror: &Arc<Mutex<Mirror>>,
    work: impl FnOnce(&Mirror) -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let mirror = mirror.clone();
    blocking(move || work(&mirror.lock().unwrap_or_else(PoisonError::into_inner))).await?
}
