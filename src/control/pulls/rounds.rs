//! One round: every open pull request that is to be planned and is not yet, newest first.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::compose::Made;
use super::making::{Job, Making};
use super::reviews::Review;
use super::sight::Sight;
use super::sticky::{Board, Command, Sticky, commands};
use super::worker::{Known, PlannedFor, Trouble, Worker};
use crate::config::PullRules;
use crate::forge::comment::Phase;
use crate::forge::{Comment, DESCRIPTION_CHARS_MAX, ForgeError, Pull, PullState, Reported};
use crate::model::{CommitId, PullNumber};
use crate::plan::render::inert::cut;

impl Worker {
    /// Looks at the open pull requests, and does what each needs.
    pub(super) async fn round(&mut self) -> Result<(), Trouble> {
        let Some(sight) = self.sights.borrow().clone() else { return Ok(()) };
        self.has_looked = true;
        let board = self.board().await?;
        self.resume(&sight, &board).await?;
        self.check_queue(&sight, &board).await?;
        let listing = self.parts.forge.open_pulls(&self.parts.branch).await?;
        let chosen = choose(&self.parts.rules, &listing.items);
        let numbers: BTreeSet<PullNumber> = chosen.iter().map(|pull| pull.number).collect();
        let now = self.clock.now();
        let gone = self.known.keys().filter(|number| !numbers.contains(number));
        self.left.extend(gone.map(|number| (*number, now)));
        self.known.retain(|number, _| numbers.contains(number));
        self.follow_left(&sight, &board).await?;
        for pull in chosen {
            let (now, number) = (self.clock.now(), pull.number);
            let known = self.known.entry(number).or_insert_with(|| Known::new(pull.clone(), now));
            if known.pull.updated_at != pull.updated_at {
                known.touched_at = Some(now);
            }
            known.pull = pull;
            let Some(touched_at) = known.touched_at.filter(|_| known.sticky.is_some()) else {
                continue;
            };
            self.hear(number, &board).await?;
            if now.duration_since(touched_at) >= TIMES_APART
                && let Some(known) = self.known.get_mut(&number)
            {
                known.touched_at = None;
            }
        }
        self.hear_about_held(&board).await?;
        self.plan_all(&sight, &board).await
    }

    async fn plan_all(&mut self, sight: &Arc<Sight>, board: &Board) -> Result<(), Trouble> {
        let due = |known: &Known| {
            let now = || PlannedFor::of(known.pull.head.clone(), sight);
            known.is_asked || known.planned_for.as_ref().is_none_or(|planned| *planned != now())
        };
        let due: Vec<PullNumber> =
            self.known.iter().rev().filter(|(_, k)| due(k)).map(|(number, _)| *number).collect();
        if due.is_empty() {
            return Ok(());
        }
        let (branch, all) =
            (self.parts.branch.clone(), self.known.keys().copied().collect::<Vec<_>>());
        let wanted = due.clone();
        let (base, heads) = self
            .with_mirror(move |mirror| {
                mirror.keep_pulls(&all)?;
                mirror.fetch_pulls(&branch, &wanted)
            })
            .await?;
        let Some(base) = base else { return Ok(()) };
        for number in due {
            // What was merged goes first: somebody waits for it.
            self.listen();
            self.report_deployments().await?;
            let head = heads.get(&number).cloned();
            let listed = self.known.get(&number).map(|known| known.pull.head.clone());
            let Some(seen) = head.clone().or(listed) else { continue };
            let planned_for = PlannedFor::of(seen, sight);
            // One whose head could not be fetched is left alone until it, or what it stands on, moves.
            if let Some(head) = head {
                let job = Job { number, head, base: base.clone() };
                match self.plan_one(&job, sight, board).await {
                    Ok(()) => {}
                    Err(Trouble::Forge(error)) if !error.concerns_all() => {
                        tracing::warn!(%number, %error, "could not tell a pull request its plan");
                    }
                    // What is wrong with one is not to keep the others waiting.
                    Err(Trouble::Git(error)) if !error.is_retryable() => {
                        tracing::warn!(%number, %error, "could not plan a pull request");
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
            if let Some(known) = self.known.get_mut(&number) {
                known.planned_for = Some(planned_for);
                known.is_asked = false;
            }
        }
        Ok(())
    }

    async fn plan_one(
        &mut self,
        job: &Job,
        sight: &Arc<Sight>,
        board: &Board,
    ) -> Result<(), Trouble> {
        let Job { number, head, base } = job.clone();
        let path = self.parts.path.clone();
        let (ours, theirs) = (base.clone(), head.clone());
        let merged =
            self.with_mirror(move |mirror| mirror.merge_spec(&ours, &theirs, &path)).await?;
        let trees = (merged.spec_tree.clone(), merged.base_tree.clone());
        let is_fork = self.known.get(&number).is_none_or(|known| known.pull.is_fork);
        let making = Making { merged, sight, links: &self.parts.links, may_ask: !is_fork };
        let made = making.make(job, &self.parts.past, self.clock.now()).await?;
        if self.parts.dry_run {
            tracing::info!(%number, verdict = made.verdict, "dry run: nothing is written at the forge");
            return Ok(());
        }
        let Some(known) = self.known.get_mut(&number) else { return Ok(()) };
        let sticky = match &known.sticky {
            Some(sticky) => sticky.clone(),
            None => {
                let comments = board.forge.comments(number, None).await?;
                let sticky = board.ours(&comments);
                // A command that was given while nobody listened, after the plan that is there.
                if let Some(sticky) = &sticky {
                    known.is_asked |=
                        is_plan_asked(&comments, sticky.memo.planned_at, board).await?;
                }
                known.heard_until = last_of(&comments);
                known.sticky = Some(sticky.clone());
                sticky
            }
        };
        if self.is_merged(job, &made, sticky.as_ref(), board).await? {
            return Ok(());
        }
        let Some(known) = self.known.get_mut(&number) else { return Ok(()) };
        let is_told = sticky.as_ref().is_some_and(|s| s.memo.key == made.key && s.is_intact);
        let is_asked = known.is_asked;
        let is_needed = match (&sticky, &made.phase) {
            (None, Phase::Untouched) => false,
            (Some(sticky), Phase::Untouched) => sticky.memo.phase != Phase::Untouched,
            (Some(_) | None, _) => !is_told || is_asked,
        };
        if is_needed {
            let before = sticky.as_ref().map(|sticky| &sticky.memo);
            let memo = job.memo(&self.parts.owner, &made, sight, before, self.clock.now());
            let written = board.write(number, sticky.as_ref(), memo, made.section.clone()).await;
            if let Some(known) = self.known.get_mut(&number) {
                known.sticky = match &written {
                    Ok(written) => Some(Some(written.clone())),
                    Err(error) if error.may_be_done() => None,
                    Err(_) => Some(sticky),
                };
            }
            written?;
        }
        let review = Review {
            is_fork,
            head: head.clone(),
            base: base.clone(),
            from: sight.in_force.as_ref().map(|good| good.commit.clone()),
            digest: made.digest.clone(),
            spec_tree: trees.0,
            base_tree: trees.1,
        };
        self.parts.reviews.note(number, review);
        self.check(number, &head, &made, board).await
    }

    /// Whether a pull request that is listed as open is merged already: its comment then shows what was reviewed,
    /// and must not be made anew from a base that has it.
    async fn is_merged(
        &self,
        job: &Job,
        made: &Made,
        sticky: Option<&Sticky>,
        board: &Board,
    ) -> Result<bool, ForgeError> {
        let deployed = self.deployments.all.iter().flat_map(|deployment| &deployment.pulls);
        let is_deployed = deployed.into_iter().any(|pull| pull.number == job.number)
            || self.merged.contains_key(&job.number);
        let Some(Sticky { memo, .. }) = sticky else { return Ok(is_deployed) };
        if is_deployed || memo.phase.merge().is_some() {
            return Ok(true);
        }
        let is_undone = memo.phase == Phase::Planned
            && made.phase != Phase::Planned
            && memo.head == job.head
            && memo.base != job.base;
        if !is_undone {
            return Ok(false);
        }
        Ok(board.forge.pull(job.number).await?.0.state != PullState::Open)
    }

    /// Says how the check stands, where that is news.
    async fn check(
        &mut self,
        number: PullNumber,
        head: &CommitId,
        made: &Made,
        board: &Board,
    ) -> Result<(), Trouble> {
        let Some(known) = self.known.get_mut(&number) else { return Ok(()) };
        // As the forge keeps it: what is too long for it is cut.
        let summary = cut(&made.check.summary, DESCRIPTION_CHARS_MAX);
        let wanted = Reported { state: made.check.state, summary };
        let reported = match &known.check {
            Some((commit, reported)) if commit == head => reported.clone(),
            // A head that came while this run watched has no check of ours yet.
            Some(_) => None,
            None => board.forge.reported(head, made.check.context).await?,
        };
        let is_said = reported.as_ref() == Some(&wanted);
        known.check = Some((head.clone(), reported));
        if !is_said {
            let mut check = made.check.clone();
            check.url = Some(board.forge.pull_url(number));
            let said = board.forge.report(head, &check).await;
            if said.as_ref().is_err_and(ForgeError::may_be_done) {
                // Read again before it is said again.
                known.check = None;
            }
            said?;
        }
        known.check = Some((head.clone(), Some(wanted)));
        Ok(())
    }

    /// Reads what people wrote on a pull request since this was done last, and heeds their commands.
    async fn hear(&mut self, number: PullNumber, board: &Board) -> Result<(), ForgeError> {
        let Some(known) = self.known.get_mut(&number) else { return Ok(()) };
        let (since, last) = known.heard_until.unzip();
        let mut comments = board.forge.comments(number, since).await?;
        if let Some(Some(written)) = &known.sticky {
            board.look_for_others(number, &comments, written);
        }
        // By their ids: of two in the same second one may have been there last time.
        comments.retain(|comment| Some(comment.id) > last);
        let is_asked = is_plan_asked(&comments, Timestamp::UNIX_EPOCH, board).await?;
        known.heard_until = last_of(&comments).or(known.heard_until);
        known.is_asked |= is_asked;
        Ok(())
    }
}

/// Whether somebody who may asks for a new plan in these comments.
async fn is_plan_asked(
    comments: &[Comment],
    after: Timestamp,
    board: &Board,
) -> Result<bool, ForgeError> {
    for (login, command) in commands(comments, after) {
        if command == Command::Plan && board.forge.may_write(login).await? {
            tracing::info!(login, "planning a pull request again, as asked in a comment");
            return Ok(true);
        }
    }
    Ok(false)
}

/// When the last of these was written, and its id.
fn last_of(comments: &[Comment]) -> Option<(Timestamp, u64)> {
    comments.iter().map(|comment| (comment.created_at, comment.id)).max_by_key(|(_, id)| *id)
}

/// How long a pull request's time of change may stay the same while it changes: the forge's times are of whole
/// seconds, and a list may be a moment older than what happens.
const TIMES_APART: SignedDuration = SignedDuration::from_secs(2);
/// A pull request that changed less long ago than this when it is first seen may be changing still; more than
/// clocks differ by.
const FRESH: SignedDuration = SignedDuration::from_mins(1);

impl Known {
    fn new(pull: Pull, now: Timestamp) -> Self {
        let is_fresh = now.duration_since(pull.updated_at) < FRESH;
        Self {
            touched_at: is_fresh.then_some(now),
            pull,
            planned_for: None,
            sticky: None,
            check: None,
            heard_until: None,
            // What was written while it was planned for the first time is not heard by that.
            is_asked: false,
        }
    }
}

/// The pull requests that are planned, newest first.
fn choose(rules: &PullRules, pulls: &[Pull]) -> Vec<Pull> {
    let has_any = |pull: &Pull, labels: &[String]| labels.iter().any(|l| pull.labels.contains(l));
    let chosen = pulls
        .iter()
        .filter(|pull| rules.forks || !pull.is_fork)
        .filter(|pull| rules.drafts || !pull.is_draft)
        .filter(|pull| rules.labels.is_empty() || has_any(pull, &rules.labels))
        .filter(|pull| !has_any(pull, &rules.ignore_labels));
    chosen.take(rules.max_open).cloned().collect()
}
