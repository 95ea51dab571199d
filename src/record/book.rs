//! The ledger of recorded counts, and the history lines that keep it a chain.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::evidence::{Evidence, Inputs};
use super::history::{self, HistoryLine, Kind, LineOutcome};
use super::status::StatusFile;
use crate::model::{
    CommitId, Count, Observed, Outcome, OutcomeResult, Phase, Plan, ProviderName, Reason, Region,
    TargetChange, TargetId, TargetOutcome, TargetPlan,
};

/// What is on record about one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The `to` of its last history line.
    pub count: Count,
    /// What was decided last; `None` where the world could not be read.
    pub decided: Option<Count>,
    /// When the count last changed.
    pub since: Timestamp,
    /// Reason code of that change.
    pub reason: String,
    /// Reason codes of what is held.
    pub held: BTreeSet<String>,
    /// Reason code of what stands in the way of another count.
    pub refused: Option<String>,
    /// The last failure, until something succeeds.
    pub last_error: Option<String>,
    /// The provider it was last seen on.
    pub provider: Option<ProviderName>,
}

/// Who and what stands behind the changes of a cycle.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    /// The time of the cycle's end.
    pub now: Timestamp,
    /// The spec commit in force.
    pub spec_commit: &'a CommitId,
    /// Author of that commit.
    pub author: &'a str,
    /// What the decisions were made from.
    pub evidence: Evidence<'a>,
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct Book {
    entries: BTreeMap<TargetId, Entry>,
    run: String,
    sequence: u64,
}

/// A target whose count is not the one on record.
struct Difference {
    target: TargetId,
    from: Count,
    to: Count,
    provider: Option<ProviderName>,
}

/// Who is named when no commit asked for a change.
const ACTOR_SELF: &str = "tidegate";

impl Book {
    /// Opens the book where status file and unpublished lines left it. `run` is unique to this run.
    #[must_use]
    pub fn restore(run: String, status: Option<&StatusFile>, unpublished: &[HistoryLine]) -> Self {
        let mut entries = BTreeMap::new();
        for target in status.iter().flat_map(|status| &status.targets) {
            let entry = Entry {
                count: Count(target.recorded),
                decided: target.effective.map(Count),
                since: target.since,
                reason: target.reason.clone(),
                held: target.held.iter().map(|held| held.reason.clone()).collect(),
                refused: target.refused.as_ref().map(|refused| refused.reason.clone()),
                last_error: target.last_error.clone(),
                provider: target.provider.clone(),
            };
            entries.insert(target.target.clone(), entry);
        }
        let mut book = Self { entries, run, sequence: 0 };
        for line in unpublished {
            book.post(line);
            book.take_up(line);
        }
        book
    }

    /// What is on record about each target.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<TargetId, Entry> {
        &self.entries
    }

    /// Where replicas are on record.
    pub fn places(&self) -> impl Iterator<Item = (&ProviderName, &Region)> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.count > Count(0))
            .filter_map(|(target, entry)| Some((entry.provider.as_ref()?, &target.region)))
    }

    /// Whether the world is not as it is on record.
    #[must_use]
    pub fn is_off(&self, observed: &Observed) -> bool {
        !self.differences(observed).is_empty()
    }

    /// Compares the record with the world, before anything is done: what differs is drift.
    pub fn found(&mut self, cause: &Cause<'_>, observed: &Observed) -> Vec<HistoryLine> {
        let differences = self.differences(observed);
        let mut lines = Vec::with_capacity(differences.len());
        for Difference { target, from, to, provider } in differences {
            let mut line = self.line(cause, target, Kind::Drift, from, to);
            line.reason = Reason::Drift.code().to_owned();
            line.sentence = format!(
                "{to} replicas were found where {from} were on record: something changed the count that \
                 this controller has no record of"
            );
            line.outcome = LineOutcome::Observed;
            self.post(&line);
            if let (Some(entry), Some(provider)) = (self.entries.get_mut(&line.target), provider) {
                entry.provider = Some(provider);
            }
            lines.push(line);
        }
        lines
    }

    fn differences(&self, observed: &Observed) -> Vec<Difference> {
        let mut counts: BTreeMap<&TargetId, (Count, Option<&ProviderName>)> =
            self.entries.keys().map(|target| (target, (Count(0), None))).collect();
        for (target, found) in observed.by_target() {
            let live = found.iter().filter(|replica| replica.phase != Phase::Draining);
            let (count, provider) = counts.entry(target).or_default();
            for replica in live {
                count.0 += 1;
                *provider = Some(&replica.key.provider);
            }
        }
        let mut seen = Vec::new();
        for (target, (count, provider)) in counts {
            let entry = self.entries.get(target);
            // A gap hides replicas; a count that cannot be known is not compared.
            let home = entry.and_then(|entry| entry.provider.as_ref());
            let is_hidden = observed.gaps.iter().any(|gap| {
                gap.region == target.region && home.is_none_or(|home| *home == gap.provider)
            });
            let from = entry.map_or(Count(0), |entry| entry.count);
            if !is_hidden && from != count {
                let (target, provider) = (target.clone(), provider.cloned());
                seen.push(Difference { target, from, to: count, provider });
            }
        }
        seen
    }

    /// Brings the entry up to date with what a line says besides the count.
    fn take_up(&mut self, line: &HistoryLine) {
        let Some(entry) = self.entries.get_mut(&line.target) else { return };
        if let Some(last) = line.trace.last() {
            entry.decided = Some(Count(last.after));
        }
        match line.kind {
            Kind::Held => {
                entry.held.insert(line.reason.clone());
            }
            Kind::Released => {
                entry.held.remove(&line.reason);
            }
            Kind::Refused => entry.refused = Some(line.reason.clone()),
            Kind::Allowed => entry.refused = None,
            Kind::Change | Kind::Rollout => entry.last_error.clone_from(&line.error),
            Kind::Drift => {}
        }
    }

    /// Records refusals that begin and that end with the decisions of this plan.
    pub fn decided(&mut self, cause: &Cause<'_>, plan: &Plan) -> Vec<HistoryLine> {
        let mut lines = Vec::new();
        for target in &plan.targets {
            let Some(decision) = &target.decision else { continue };
            let now = decision.refused.map(Reason::code);
            let entry = self.entries.get(&target.target);
            let before = entry.and_then(|entry| entry.refused.clone());
            if before.as_deref() == now {
                continue;
            }
            let count = self.count(&target.target);
            if let Some(code) = before {
                let mut line = self.line(cause, target.target.clone(), Kind::Allowed, count, count);
                line.reason = code;
                "no longer in the way".clone_into(&mut line.sentence);
                line.outcome = LineOutcome::Observed;
                lines.push(line);
            }
            if let Some((reason, sentence)) = decision.refusal() {
                let mut line = self.line(cause, target.target.clone(), Kind::Refused, count, count);
                reason.code().clone_into(&mut line.reason);
                line.sentence = sentence;
                line.trace = history::trace_of(decision);
                line.inputs = Some(Inputs::of(decision, &cause.evidence));
                line.outcome = LineOutcome::Observed;
                lines.push(line);
            }
            self.entry(cause, target).refused = now.map(str::to_owned);
        }
        lines
    }

    /// Records what became of a plan. What is held is not told here: see [`Self::settled`].
    pub fn applied(
        &mut self,
        cause: &Cause<'_>,
        plan: &Plan,
        outcomes: &[TargetOutcome],
    ) -> Vec<HistoryLine> {
        let by_target: BTreeMap<&TargetId, &TargetOutcome> =
            outcomes.iter().map(|outcome| (&outcome.target, outcome)).collect();
        let mut lines = Vec::new();
        for target in &plan.targets {
            let Some(outcome) = by_target.get(&target.target).copied() else { continue };
            if let Some(line) = self.change(cause, plan, target, outcome) {
                self.post(&line);
                lines.push(line);
            }
            let entry = self.entry(cause, target);
            let error = first_error(&outcome.outcomes);
            let is_settled = outcome.outcomes.iter().all(|outcome| {
                matches!(outcome.result, OutcomeResult::Applied | OutcomeResult::AlreadySo)
            });
            // What was cut short says nothing about whether the last failure is over.
            if error.is_some() || is_settled {
                entry.last_error = error;
            }
        }
        lines
    }

    /// Records what is held, and what is held no more, once a cycle has ended: `after` is the plan that
    /// remains, the same that the status file is made from. Forgets targets that neither the plan nor the
    /// world has.
    pub fn settled(
        &mut self,
        cause: &Cause<'_>,
        after: &Plan,
        outcomes: &[TargetOutcome],
    ) -> Vec<HistoryLine> {
        let acted: BTreeSet<&TargetId> = outcomes.iter().map(|outcome| &outcome.target).collect();
        let mut lines = Vec::new();
        for target in &after.targets {
            let held: BTreeMap<&str, &str> = target
                .held
                .iter()
                .map(|held| (held.reason.code(), held.sentence.as_str()))
                .collect();
            lines.extend(self.holds(cause, &target.target, &held));
            let entry = self.entry(cause, target);
            entry.held = held.into_keys().map(str::to_owned).collect();
            entry.decided = target.decision.as_ref().and_then(|decision| decision.effective);
            if target.provider.is_some() {
                entry.provider.clone_from(&target.provider);
            }
            if !acted.contains(&target.target) && target.held.is_empty() {
                entry.last_error = None;
            }
        }
        let planned: BTreeSet<&TargetId> =
            after.targets.iter().map(|target| &target.target).collect();
        let gone: Vec<TargetId> = self
            .entries
            .iter()
            .filter(|(target, entry)| !planned.contains(target) && entry.count == Count(0))
            .map(|(target, _)| target.clone())
            .collect();
        for target in gone {
            lines.extend(self.holds(cause, &target, &BTreeMap::new()));
            self.entries.remove(&target);
        }
        lines
    }

    fn entry(&mut self, cause: &Cause<'_>, target: &TargetPlan) -> &mut Entry {
        self.entries
            .entry(target.target.clone())
            .or_insert_with(|| Entry::new(Count(0), cause.now, Reason::AtDesired.code()))
    }

    /// The line of a target's change, if there is something to tell.
    fn change(
        &mut self,
        cause: &Cause<'_>,
        plan: &Plan,
        target: &TargetPlan,
        outcome: &TargetOutcome,
    ) -> Option<HistoryLine> {
        let error = first_error(&outcome.outcomes);
        let known = self.entries.get(&target.target).and_then(|entry| entry.last_error.clone());
        let is_done = |o: &Outcome| o.result == OutcomeResult::Applied && is_change(o);
        let did_something = outcome.outcomes.iter().any(is_done);
        // A failure that goes on is on record already: only what is new is news.
        if outcome.from == outcome.to && !did_something && (error.is_none() || error == known) {
            return None;
        }
        let kind =
            if outcome.from == outcome.to && did_something { Kind::Rollout } else { Kind::Change };
        // By how much, from what is on record: the plan may have seen less than that, where a part of the
        // target could not be read, and then what it did not see is still there.
        let from = self.count(&target.target);
        let to = Count((from.0 + outcome.to.0).saturating_sub(outcome.from.0));
        let mut line = self.line(cause, target.target.clone(), kind, from, to);
        let has = |result: OutcomeResult| outcome.outcomes.iter().any(|o| o.result == result);
        line.outcome = if error.is_some() {
            LineOutcome::Failed
        } else if has(OutcomeResult::Superseded) {
            LineOutcome::Superseded
        } else if has(OutcomeResult::Deferred) {
            LineOutcome::Deferred
        } else {
            LineOutcome::Applied
        };
        let why = outcome.outcomes.first().map(|o| o.action.why.clone()).unwrap_or_default();
        match &target.decision {
            Some(decision) => {
                line.reason = decision.reason.code().to_owned();
                line.sentence = format!("{}: {why}", decision.sentence());
                line.trace = history::trace_of(decision);
                line.inputs = Some(Inputs::of(decision, &cause.evidence));
            }
            None => {
                line.reason = Reason::Removed.code().to_owned();
                line.sentence = why;
            }
        }
        if target.change != TargetChange::Unchanged {
            line.actor = cause.author.to_owned();
            line.plan_digest = Some(plan.digest.clone());
        }
        line.error = error;
        line.duration_ms = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
        Some(line)
    }

    /// Lines for what is newly held, by code, and for what is held no more.
    fn holds(
        &mut self,
        cause: &Cause<'_>,
        target: &TargetId,
        now: &BTreeMap<&str, &str>,
    ) -> Vec<HistoryLine> {
        let before = self.entries.get(target).map(|entry| entry.held.clone()).unwrap_or_default();
        let count = self.count(target);
        let mut lines = Vec::new();
        for (code, sentence) in now {
            if !before.contains(*code) {
                let mut line = self.line(cause, target.clone(), Kind::Held, count, count);
                (*code).clone_into(&mut line.reason);
                (*sentence).clone_into(&mut line.sentence);
                line.outcome = LineOutcome::Observed;
                lines.push(line);
            }
        }
        for code in before.iter().filter(|code| !now.contains_key(code.as_str())) {
            let mut line = self.line(cause, target.clone(), Kind::Released, count, count);
            line.reason.clone_from(code);
            "no longer held".clone_into(&mut line.sentence);
            line.outcome = LineOutcome::Observed;
            lines.push(line);
        }
        lines
    }

    fn count(&self, target: &TargetId) -> Count {
        self.entries.get(target).map_or(Count(0), |entry| entry.count)
    }

    /// Enters a line's count.
    fn post(&mut self, line: &HistoryLine) {
        let entry = self
            .entries
            .entry(line.target.clone())
            .or_insert_with(|| Entry::new(Count(0), line.time, &line.reason));
        if entry.count.0 != line.to {
            entry.since = line.time;
            entry.reason.clone_from(&line.reason);
        }
        entry.count = Count(line.to);
    }

    fn line(
        &mut self,
        cause: &Cause<'_>,
        target: TargetId,
        kind: Kind,
        from: Count,
        to: Count,
    ) -> HistoryLine {
        self.sequence += 1;
        HistoryLine {
            v: history::HISTORY_VERSION,
            id: history::line_id(&self.run, self.sequence),
            time: cause.now,
            target,
            kind,
            from: from.0,
            to: to.0,
            reason: String::new(),
            sentence: String::new(),
            trace: Vec::new(),
            inputs: None,
            spec_commit: cause.spec_commit.clone(),
            plan_digest: None,
            actor: ACTOR_SELF.to_owned(),
            outcome: LineOutcome::Applied,
            error: None,
            duration_ms: 0,
            dry_run: false,
            times: 1,
        }
    }
}

impl Entry {
    fn new(count: Count, since: Timestamp, reason: &str) -> Self {
        Self {
            count,
            decided: None,
            since,
            reason: reason.to_owned(),
            held: BTreeSet::new(),
            refused: None,
            last_error: None,
            provider: None,
        }
    }
}

fn is_change(outcome: &Outcome) -> bool {
    !matches!(outcome.action.kind, crate::model::ActionKind::AwaitReady)
}

fn first_error(outcomes: &[Outcome]) -> Option<String> {
    outcomes.iter().find_map(|outcome| match &outcome.result {
        OutcomeResult::Failed { error, .. } => Some(error.clone()),
        OutcomeResult::Applied
        | OutcomeResult::AlreadySo
        | OutcomeResult::Skipped
        | OutcomeResult::Superseded
        | OutcomeResult::Deferred => None,
    })
}
