//! One cycle: observe, decide, plan, apply, record.

use std::sync::Arc;
use std::time::Duration;

use super::cycle::{Planned, Ticked, done_in_full, is_in_full};
use super::deciding::Decided;
use super::pulls::Fact;
use super::{Applied, ControlError, Controller, Good};
use crate::apply::{self, Clock, StopReason, StopSign, World};
use crate::decide;
use crate::model::{Action, ActionKind, CommitId, Observed, OutcomeResult, Plan, TargetOutcome};
use crate::plan::render;
use crate::record::{self, Cause, Evidence};

impl Controller {
    /// One cycle: observe, decide, plan, apply, record. Ends early, at a safe step, when `shutdown` is
    /// raised or, while it applies, a newer commit appears.
    ///
    /// # Errors
    /// [`ControlError::NoSpec`] while no commit has been good yet, and [`ControlError::State`] when history
    /// cannot be written down; providers' failures are in the result, not errors.
    pub async fn tick(&mut self, shutdown: &StopSign) -> Result<Ticked, ControlError> {
        let good = self.good_or_none()?;
        if !self.deciding.overrides.is_known() {
            let problem = self.deciding.overrides.problem();
            return Err(ControlError::Overrides {
                branch: self.setup.config.status.branch.clone(),
                why: problem.unwrap_or("the repository was not reached yet").to_owned(),
            });
        }
        let mut observed = self.look(&good.spec).await;
        let is_off = self.book.is_off(&observed);
        if is_off {
            // A provider's list may lag behind its own calls. What is about to be called drift is looked
            // at twice.
            observed = self.observe(&good.spec).await;
        }
        let (now, prices) = (observed.at.into(), &self.setup.catalogue.prices);
        let decided = self.deciding.decide(now, &good, &observed, prices);
        if let Some(memory) = &mut self.memory {
            memory.record(now, &decided, &self.deciding);
        }
        let Decided { mut decisions, before } = decided;
        let plan = self.plan_from(&good, &observed, &decisions);
        let planned = Planned { good: good.clone(), observed, plan };
        self.note_stated(&planned.plan);
        let evidence = self.deciding.evidence(&good, &before);
        let cause = cause(self.clock.as_ref(), &good, evidence);
        let mut lines = Vec::new();
        if is_off {
            lines = self.book.found(&cause, &planned.observed);
        }
        lines.extend(self.book.decided(&cause, &planned.plan));

        let actions = planned.plan.targets.iter().flat_map(|target| &target.steps);
        let actions = actions.flat_map(|step| &step.actions).filter(|a| is_change(a)).count();
        if let Some(pulls) = self.pulls.as_ref().filter(|_| actions > 0) {
            pulls.tell(Fact::Began { commit: good.commit.clone(), actions });
        }
        let outcomes = if self.dry_run { Vec::new() } else { self.apply(&planned, shutdown).await };
        let evidence = self.deciding.evidence(&good, &before);
        let applied = self::cause(self.clock.as_ref(), &good, evidence);
        lines.extend(self.book.applied(&applied, &planned.plan, &outcomes));
        let has = |result: OutcomeResult| {
            outcomes.iter().flat_map(|t| &t.outcomes).any(|outcome| outcome.result == result)
        };
        let (is_superseded, is_deferred) =
            (has(OutcomeResult::Superseded), has(OutcomeResult::Deferred));
        let is_base = self.applied.as_ref().is_some_and(|base| Arc::ptr_eq(&base.spec, &good));
        let is_rebased = !self.dry_run && !is_base && self.take_as_done(&planned, &outcomes);
        // What remains to be done is read off the world again, not assumed from the outcomes; where neither
        // the world nor the base moved, it is what was planned.
        let again = if !outcomes.is_empty() {
            let observed = self.observe(&good.spec).await;
            decide::refresh(&mut decisions, &good.spec, &observed, &good.templates);
            Some((self.plan_from(&good, &observed, &decisions), observed))
        } else if is_rebased {
            let observed = planned.observed.clone();
            Some((self.plan_from(&good, &observed, &decisions), observed))
        } else {
            None
        };
        let (after, observed) = match &again {
            Some((after, observed)) => (after, observed),
            None => (&planned.plan, &planned.observed),
        };
        let evidence = self.deciding.evidence(&good, &before);
        let settled = self::cause(self.clock.as_ref(), &good, evidence);
        lines.extend(self.book.settled(&settled, after, &outcomes));
        self.show(observed);
        self.record(lines, after, observed)?;
        let ticked = Ticked { planned, outcomes, is_superseded, is_deferred };
        if let Some(pulls) = &self.pulls {
            pulls.tell(fact(&ticked, self.clock.now()));
        }
        Ok(ticked)
    }

    /// Notes what of the commit in force is done; says whether that changes what a plan starts from.
    fn take_as_done(&mut self, planned: &Planned, outcomes: &[TargetOutcome]) -> bool {
        let before = self.done.len();
        self.done.extend(done_in_full(&planned.plan, outcomes).cloned());
        let is_in_full = is_in_full(&planned.plan, outcomes);
        if is_in_full {
            let (commit, spec) = (planned.good.commit.clone(), planned.good.clone());
            self.applied = Some(Applied { commit, spec });
        }
        is_in_full || self.done.len() > before
    }

    /// Remembers what the newest commit states, and keeps its plan for the status branch.
    fn note_stated(&mut self, plan: &Plan) {
        let is_known = self.stated.as_ref().is_some_and(|(commit, _)| *commit == plan.spec_commit);
        if is_known {
            return;
        }
        self.stated = Some((plan.spec_commit.clone(), plan.digest.clone()));
        if let Some(publisher) = &mut self.publisher {
            let document = render::json::document(plan);
            let text = serde_json::to_vec_pretty(&document).unwrap_or_default();
            publisher.set_plan(record::plan_path(&plan.spec_commit), text);
        }
    }

    /// Applies the plan, watching for a newer commit meanwhile.
    async fn apply(&self, planned: &Planned, shutdown: &StopSign) -> Vec<TargetOutcome> {
        if planned.plan.targets.iter().all(|target| target.steps.is_empty()) {
            return Vec::new();
        }
        let stop = StopSign::default();
        let world = World {
            providers: &self.setup.providers,
            spec: &planned.good.spec,
            secrets: self.setup.secrets.as_ref(),
            owner: &self.setup.owner,
            clock: self.clock.as_ref(),
            stop: &stop,
            progress: self.progress.as_ref(),
        };
        let work = apply::execute(&planned.plan, world);
        tokio::pin!(work);
        tokio::select! {
            outcomes = &mut work => return outcomes,
            () = shutdown.raised() => tracing::info!("finishing the actions in hand"),
            () = self.apply_time_is_up() => {
                tracing::info!("the rest of this apply goes on in the next cycle");
                stop.raise_for(StopReason::Deferred);
            }
            commit = self.newer_commit(&planned.good.commit) => {
                tracing::info!(%commit, "a newer commit takes over at the next safe step");
            }
        }
        stop.raise();
        work.await
    }

    /// From now on a cycle leaves to the next what its apply does not finish in this time: nothing else is
    /// observed or recorded meanwhile, and one slow service must not keep the others waiting.
    pub(crate) fn limit_apply(&mut self, time: Duration) {
        self.apply_max = Some(time);
    }

    async fn apply_time_is_up(&self) {
        match self.apply_max {
            Some(time) => self.clock.sleep(time).await,
            None => std::future::pending().await,
        }
    }

    /// Returns once the spec branch's head is another commit than this one.
    async fn newer_commit(&self, commit: &CommitId) -> CommitId {
        // A head that is refused stays refused: only one that was not there before is newer.
        let refused = self.source.refused().and_then(|refused| refused.commit.clone());
        loop {
            self.clock.sleep(self.setup.config.repository.poll_interval).await;
            match self.source.head().await {
                Ok(Some(head)) if head != *commit && Some(&head) != refused.as_ref() => {
                    return head;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "could not look for a newer commit"),
            }
        }
    }

    /// Hands lines and status to the publisher.
    fn record(
        &mut self,
        lines: Vec<record::HistoryLine>,
        after: &Plan,
        observed: &Observed,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        for line in &lines {
            tracing::info!(
                target_id = %line.target, from = line.from, to = line.to, reason = line.reason,
                outcome = ?line.outcome, error = line.error, "{}", line.sentence
            );
        }
        if let Some(memory) = &self.memory {
            memory.happened(now.into(), &lines);
        }
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        let digest = self.stated.as_ref().map_or(&after.digest, |(_, digest)| digest);
        let status = record::status_file(
            &record::Facts {
                now,
                plan: after,
                plan_digest: digest,
                applied: self.applied.as_ref().map(|applied| &applied.commit),
                owner: &self.setup.owner,
                refused: self.source.refused(),
                gaps: &observed.gaps,
                before: publisher.status(),
            },
            &self.book,
        );
        if let Err(error) = publisher.add(now, lines) {
            // They are published all the same, unless this process ends first.
            tracing::error!(%error, "could not write history to the journal; free some space");
        }
        publisher.set_status(now, status);
        Ok(())
    }
}

/// Whether an action changes anything: waiting does not.
fn is_change(action: &Action) -> bool {
    action.kind != ActionKind::AwaitReady
}

/// What a cycle did, for whoever reports it where the change was reviewed.
fn fact(ticked: &Ticked, at: jiff::Timestamp) -> Fact {
    let done = ticked.outcomes.iter().flat_map(|target| &target.outcomes);
    Fact::Cycled {
        commit: ticked.planned.good.commit.clone(),
        is_in_full: ticked.is_in_full(),
        is_cut: ticked.is_superseded || ticked.is_deferred,
        actions: done
            .filter(|outcome| {
                outcome.result == OutcomeResult::Applied && is_change(&outcome.action)
            })
            .count(),
        failures: ticked.failures(),
        waits: ticked.not_done(),
        at,
    }
}

fn cause<'a>(clock: &dyn Clock, good: &'a Good, evidence: Evidence<'a>) -> Cause<'a> {
    Cause { now: clock.now(), spec_commit: &good.commit, author: &good.author, evidence }
}
