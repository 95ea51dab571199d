//! The forge's merge queue: it makes commits on branches of its own, and waits for the checks that guard the spec
//! branch to be good on them before it makes them the branch's head.

use std::sync::Arc;

use super::compose::{Inputs, Merge, compose};
use super::making::{Job, blocking};
use super::sight::Sight;
use super::sticky::Board;
use super::worker::{Trouble, Worker};
use crate::git::Merged;
use crate::model::{CommitId, PullNumber};

/// Checked commits of the queue that are remembered: more than a queue holds.
const CHECKED_MAX: usize = 200;

impl Worker {
    /// Says of each commit in the merge queue whether it may become the head of the branch.
    pub(super) async fn check_queue(
        &mut self,
        sight: &Arc<Sight>,
        board: &Board,
    ) -> Result<(), Trouble> {
        for (branch, commit) in &sight.queued {
            if self.queue_checked.contains(commit) || self.parts.dry_run {
                continue;
            }
            let Some(base) = sight.branch_head.clone() else { return Ok(()) };
            let merged = self.queued(branch.clone(), commit.clone(), base.clone()).await?;
            let job = Job { number: PullNumber(0), head: commit.clone(), base };
            let (sight, links) = (sight.clone(), self.parts.links.clone());
            let made = blocking(move || {
                let merge = Merge::read(merged, &sight);
                let (sight, merge) = (&sight, &merge);
                compose(&Inputs { job: &job, merge, sight, backtests: &[], links: &links })
            })
            .await?;
            match board.forge.report(commit, &made.check).await {
                Err(error) if !error.concerns_all() => {
                    tracing::warn!(%commit, %error, "could not say what becomes of a queued merge");
                }
                told => told?,
            }
            if self.queue_checked.len() >= CHECKED_MAX {
                self.queue_checked.clear();
            }
            self.queue_checked.insert(commit.clone());
        }
        Ok(())
    }

    /// What a commit of the queue makes of the spec.
    async fn queued(
        &self,
        branch: String,
        commit: CommitId,
        base: CommitId,
    ) -> Result<Merged, Trouble> {
        let (path, spec_branch) = (self.parts.path.clone(), self.parts.branch.clone());
        let merged = self.with_mirror(move |mirror| {
            mirror.fetch(&[&spec_branch, &branch])?;
            Ok(Merged {
                conflicts: Vec::new(),
                sources: Some(mirror.read_spec(&commit, &path)?),
                spec_tree: mirror.spec_tree(&commit, &path)?,
                base_tree: mirror.spec_tree(&base, &path)?,
            })
        });
        Ok(merged.await?)
    }
}
