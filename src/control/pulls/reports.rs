//! Says at the forge what becomes of what was merged: in the same comment that showed the plan, and as a check on
//! the commit.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::deployments::{Deployment, Stand};
use super::judgement::MergedPull;
use super::reviews::names;
use super::sight::Sight;
use super::sticky::{Board, Command, Sticky, commands};
use super::worker::{Trouble, Worker};
use crate::apply::elapsed;
use crate::control::run::Event;
use crate::forge::comment::{self, MEMO_VERSION, Memo, Merge, Phase, Section};
use crate::forge::{Check, CheckState, Context, ForgeError, PullState};
use crate::model::{CommitId, PlanDigest, PullNumber};

/// How long ago a pull request may have been merged for its comment to be brought up to date after a restart.
const RESUME_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// For so long the forge may not know yet that a pull request is merged whose commit is on the branch.
const LAG_MAX: Duration = Duration::from_secs(60);

/// What a comment is to say of a merge.
struct Word {
    number: PullNumber,
    /// What the merge put on the base branch.
    commit: CommitId,
    /// The comment as it is there.
    sticky: Option<Sticky>,
    memo: Memo,
    section: Section,
}

impl Worker {
    /// Says what is not said yet.
    pub(super) async fn report_deployments(&mut self) -> Result<(), Trouble> {
        for at in 0..self.deployments.all.len() {
            let Some(deployment) = self.deployments.all.get(at) else { continue };
            let stand = deployment.stand.clone();
            if !stand.is_said() || deployment.reported.as_ref() == Some(&stand) {
                continue;
            }
            let deployment = deployment.clone();
            match self.report(at, &deployment).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(Trouble::Forge(error)) if !error.concerns_all() => {
                    tracing::warn!(commit = %deployment.commit, %error, "could not say what became of a merge");
                }
                Err(trouble) => {
                    if let Some(deployment) = self.deployments.all.get_mut(at) {
                        deployment.is_unsure = true;
                    }
                    return Err(trouble);
                }
            }
            if let Some(deployment) = self.deployments.all.get_mut(at) {
                deployment.reported = Some(stand);
                deployment.is_unsure = false;
            }
        }
        self.deployments.tidy();
        Ok(())
    }

    /// First the checks, then the comments: a comment is what tells the next run that all is said. Gives whether
    /// all is said that is to be said.
    async fn report(&mut self, at: usize, deployment: &Deployment) -> Result<bool, Trouble> {
        if self.parts.dry_run {
            return Ok(true);
        }
        let board = self.board().await?;
        let pulls = match &deployment.stand {
            // Of a commit that is refused nobody has said yet which pull request it is from.
            Stand::Refused { .. } if deployment.pulls.is_empty() => {
                self.pulls_of(&deployment.commit, deployment.seen_at).await?
            }
            _ => deployment.pulls.clone(),
        };
        let (mut words, mut told, mut is_all) = (Vec::new(), Vec::new(), true);
        for pull in &pulls {
            if let Some(word) = self.word(deployment, pull, &board).await? {
                // The last commit of a pull request is not always the one that changed the spec.
                told.push(MergedPull { commit: word.commit.clone(), ..pull.clone() });
                words.push(word);
                continue;
            }
            // Somebody pushed what it proposes, or merged another that proposes the same.
            let others = self.pulls_of(&pull.commit, deployment.seen_at).await?;
            for other in others.into_iter().filter(|other| other.number != pull.number) {
                if let Some(word) = self.word(deployment, &other, &board).await? {
                    told.push(MergedPull { differences: pull.differences.clone(), ..other });
                    words.push(word);
                }
            }
            if words.is_empty() && elapsed(deployment.seen_at, self.clock.now()) < LAG_MAX {
                told.push(pull.clone());
                is_all = false;
            }
        }
        let mut commits: Vec<&CommitId> = words.iter().map(|word| &word.commit).collect();
        let is_of_one = matches!(deployment.stand, Stand::Held { .. });
        if !is_of_one && !commits.contains(&&deployment.commit) {
            commits.push(&deployment.commit);
        }
        if deployment.checked.as_ref() != Some(&deployment.stand) {
            let url = words.first().map(|word| board.forge.pull_url(word.number));
            let check = check(&deployment.stand, url);
            for commit in commits {
                if deployment.is_unsure && is_said(commit, &check, &board).await? {
                    continue;
                }
                board.forge.report(commit, &check).await?;
            }
        }
        if let Some(deployment) = self.deployments.all.get_mut(at) {
            deployment.checked = Some(deployment.stand.clone());
            deployment.pulls = told;
        }
        for word in words {
            let Word { number, sticky, memo, section, .. } = word;
            if sticky.as_ref().is_some_and(|sticky| sticky.memo.phase == memo.phase) {
                continue;
            }
            let written = board.write(number, sticky.as_ref(), memo, section).await;
            if written.as_ref().is_err_and(ForgeError::may_be_done) {
                // Read again before it is written again.
                self.merged.remove(&number);
                if let Some(known) = self.known.get_mut(&number) {
                    known.sticky = None;
                }
            }
            self.merged.insert(number, written?);
            while self.merged.len() > MERGED_MAX {
                self.merged.pop_first();
            }
        }
        Ok(is_all)
    }

    /// What the comment of one merged pull request is to say; `None` where the forge does not call it merged.
    async fn word(
        &self,
        deployment: &Deployment,
        pull: &MergedPull,
        board: &Board,
    ) -> Result<Option<Word>, Trouble> {
        let of_open =
            || self.known.get(&pull.number).and_then(|known| known.sticky.clone()).flatten();
        let sticky = match self.merged.get(&pull.number).cloned().or_else(of_open) {
            Some(sticky) => Some(sticky),
            None => board.find(pull.number).await?,
        };
        let before = sticky.as_ref().and_then(|sticky| sticky.memo.phase.merge().cloned());
        let merge = match before {
            Some(merge) if merge.commit == pull.commit => {
                Merge { differences: pull.differences.clone(), ..merge }
            }
            Some(_) | None => {
                let (listed, facts) = board.forge.pull(pull.number).await?;
                let commit = match listed.state {
                    PullState::Merged { commit: Some(commit), .. } => commit,
                    PullState::Merged { commit: None, .. } => pull.commit.clone(),
                    PullState::Open | PullState::Closed => return Ok(None),
                };
                Merge {
                    commit,
                    by: facts.by,
                    seen_at: deployment.seen_at,
                    differences: pull.differences.clone(),
                }
            }
        };
        let commit = merge.commit.clone();
        let phase = deployment.stand.phase(merge);
        let (memo, section) = match &sticky {
            Some(Sticky { memo, section, .. }) => (Memo { phase, ..memo.clone() }, section.clone()),
            None => (self.unplanned(deployment, phase), comment::unplanned()),
        };
        Ok(Some(Word { number: pull.number, commit, sticky, memo, section }))
    }

    /// The memo of a pull request that was merged before it could be planned.
    fn unplanned(&self, deployment: &Deployment, phase: Phase) -> Memo {
        Memo {
            version: MEMO_VERSION,
            owner: self.parts.owner.clone(),
            head: deployment.commit.clone(),
            base: deployment.commit.clone(),
            from: None,
            digest: None,
            key: String::new(),
            planned_at: deployment.seen_at,
            verdict: "merged before it was planned".to_owned(),
            phase,
            earlier: Vec::new(),
            earlier_left_out: 0,
        }
    }

    /// The pull requests whose merge a commit is.
    async fn pulls_of(
        &self,
        commit: &CommitId,
        seen_at: Timestamp,
    ) -> Result<Vec<MergedPull>, ForgeError> {
        let since = seen_at.checked_sub(RESUME_WITHIN).unwrap_or(seen_at);
        let closed = self.parts.forge.closed_pulls(&self.parts.branch, since).await?;
        let is_it = |state: &PullState| matches!(state, PullState::Merged { commit: Some(merged), .. } if merged == commit);
        let pulls = closed.iter().filter(|pull| is_it(&pull.state)).map(|pull| MergedPull {
            number: pull.number,
            commit: commit.clone(),
            differences: Vec::new(),
        });
        Ok(pulls.collect())
    }

    /// After a restart: takes up the pull requests that were merged, and whose comment does not say how it
    /// ended.
    pub(super) async fn resume(&mut self, sight: &Sight, board: &Board) -> Result<(), Trouble> {
        let Some(in_force) = sight.in_force.as_ref().map(|good| good.commit.clone()) else {
            return Ok(());
        };
        if self.is_resumed {
            return Ok(());
        }
        let now = self.clock.now();
        let since = now.checked_sub(RESUME_WITHIN).unwrap_or(now);
        let closed = self.parts.forge.closed_pulls(&self.parts.branch, since).await?;
        let branch = self.parts.branch.clone();
        self.with_mirror(move |mirror| mirror.fetch_pulls(&branch, &[]).map(drop)).await?;
        let mut unsaid = Vec::new();
        let mut by_pull = None;
        for pull in closed {
            let PullState::Merged { commit: Some(commit), at } = &pull.state else { continue };
            let (old, new, path) = (commit.clone(), in_force.clone(), self.parts.path.clone());
            let (is_in, is_same) = self
                .with_mirror(move |mirror| {
                    let is_in = mirror.is_in_history_of(&old, &new);
                    let tree = |commit| mirror.spec_tree(commit, &path);
                    Ok((is_in, is_in && tree(&old)? == tree(&new)?))
                })
                .await?;
            if !is_in || *at < since {
                continue;
            }
            if *commit == in_force {
                by_pull = Some(pull.number);
            }
            let Some(sticky) = board.find(pull.number).await? else { continue };
            if !sticky.memo.phase.is_final() {
                let (number, commit) = (pull.number, commit.clone());
                let told = sticky.memo.phase.merge();
                let differences = told.map(|m| m.differences.clone()).unwrap_or_default();
                let seen_at = told.map(|merge| merge.seen_at);
                unsaid.push((MergedPull { number, commit, differences }, seen_at, is_same));
            }
            self.merged.insert(pull.number, sticky);
        }
        self.is_resumed = true;
        // What was told before on its own, and is not what the spec in force says, was taken over meanwhile; what
        // arrived together with the spec in force was seen at the same time.
        let together: Vec<Timestamp> =
            unsaid.iter().filter(|(.., is_same)| *is_same).filter_map(|(_, at, _)| *at).collect();
        let mut pulls = Vec::new();
        for (pull, seen_at, is_same) in unsaid {
            match seen_at {
                Some(seen_at) if !is_same && !together.contains(&seen_at) => {
                    let stand = Stand::Superseded { by: in_force.clone(), by_pull };
                    self.deployments.begin(pull.commit.clone(), vec![pull], seen_at, stand);
                }
                Some(_) | None => pulls.push(pull),
            }
        }
        if !pulls.is_empty() {
            self.deployments.begin(in_force, pulls, now, Stand::Adopted);
        }
        Ok(())
    }

    /// Looks what became of pull requests that are not open any more. One that was merged, and that nobody said
    /// anything of, came with the commit in force: the forge called it merged too late for whoever put it there.
    pub(super) async fn follow_left(
        &mut self,
        sight: &Sight,
        board: &Board,
    ) -> Result<(), Trouble> {
        let Some(in_force) = sight.in_force.as_ref().map(|good| good.commit.clone()) else {
            return Ok(());
        };
        let now = self.clock.now();
        self.left.retain(|_, since| now.duration_since(*since) < LEFT_WITHIN);
        for number in self.left.keys().copied().collect::<Vec<_>>() {
            let mut all = self.deployments.all.iter().flat_map(|deployment| &deployment.pulls);
            let is_told =
                all.any(|pull| pull.number == number) || self.merged.contains_key(&number);
            if is_told {
                self.left.remove(&number);
                continue;
            }
            let (pull, _) = board.forge.pull(number).await?;
            let PullState::Merged { commit: Some(commit), .. } = pull.state else {
                self.left.remove(&number);
                continue;
            };
            let (branch, old, new) = (self.parts.branch.clone(), commit.clone(), in_force.clone());
            let is_in = self.with_mirror(move |mirror| {
                mirror.fetch_pulls(&branch, &[])?;
                Ok(mirror.is_in_history_of(&old, &new))
            });
            if !is_in.await? {
                // It is about to be put in force, or held.
                continue;
            }
            self.left.remove(&number);
            let Some(sticky) = board.find(number).await? else { continue };
            if sticky.memo.phase.merge().is_none() && sticky.memo.phase != Phase::Untouched {
                let pulls = vec![MergedPull { number, commit, differences: Vec::new() }];
                self.deployments.begin(in_force.clone(), pulls, now, Stand::Adopted);
            }
        }
        Ok(())
    }

    /// Looks whether somebody agrees to what is held.
    pub(super) async fn hear_about_held(&mut self, board: &Board) -> Result<(), ForgeError> {
        let held = self.deployments.all.iter().filter_map(|deployment| {
            let Stand::Held { digest } = &deployment.stand else { return None };
            Some((deployment.pulls.first()?.number, digest.clone()))
        });
        let held: Vec<(PullNumber, PlanDigest)> = held.collect();
        for (number, digest) in held {
            if self.parts.reviews.is_approved(&digest) {
                continue;
            }
            // Whenever it was written: the digits name what is agreed to.
            let comments = board.forge.comments(number, None).await?;
            for (login, command) in commands(&comments, Timestamp::UNIX_EPOCH) {
                let Command::Apply(digits) = command else { continue };
                if names(&digits, &digest) && board.forge.may_write(login).await? {
                    tracing::info!(%number, login, digits, "somebody agrees to what is held");
                    self.parts.reviews.approve(&digits);
                    // A full queue holds an event that makes the controller look.
                    let _queued = self.events.try_send(Event::Wake);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a check stands at the forge as it is to be said.
async fn is_said(commit: &CommitId, check: &Check, board: &Board) -> Result<bool, ForgeError> {
    let said = board.forge.reported(commit, check.context).await?;
    Ok(said.is_some_and(|said| said.state == check.state && said.summary == check.summary))
}

/// How long a pull request that is not open any more is followed.
const LEFT_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Comments of merged pull requests that are remembered.
const MERGED_MAX: usize = 200;

/// The check on a merged commit.
fn check(stand: &Stand, url: Option<String>) -> Check {
    let counted = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let (state, summary) = match stand {
        Stand::Adopted => (CheckState::Pending, "in force".to_owned()),
        Stand::Applying { actions } => {
            (CheckState::Pending, format!("applying: {}", counted(*actions, "action", "actions")))
        }
        Stand::Applied { actions: 0, .. } => {
            (CheckState::Success, "in force: nothing had to be done".to_owned())
        }
        Stand::Applied { took_ms, actions } => (
            CheckState::Success,
            format!(
                "applied: {} in {}",
                counted(*actions, "action", "actions"),
                comment::took(*took_ms)
            ),
        ),
        Stand::Failed { failures, .. } => (
            CheckState::Failure,
            format!(
                "{}, and it is tried again",
                counted(failures.len(), "action failed", "actions failed")
            ),
        ),
        Stand::Waiting { waits } => (
            CheckState::Pending,
            counted(waits.len(), "thing waits: see the status", "things wait: see the status"),
        ),
        Stand::Superseded { by, .. } => (
            CheckState::Success,
            format!("superseded by {} before it was applied in full", by.short()),
        ),
        Stand::Held { .. } => {
            (CheckState::Failure, "held: this is not what was reviewed".to_owned())
        }
        Stand::Refused { findings } => (
            CheckState::Failure,
            format!(
                "refused, the last good commit stays in force: {}",
                counted(findings.len(), "error", "errors")
            ),
        ),
    };
    Check { context: Context::Apply, state, summary, url, annotations: Vec::new() }
}
