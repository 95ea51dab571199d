//! What deciding needs besides spec and world, kept from cycle to cycle: memories, measurements, bursts and
//! pauses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::overrides::Overrides;
use super::{Good, Purpose};
use crate::decide::{self, World};
use crate::model::{
    Decision, Measured, Moment, Observed, Prices, SOURCE_PROVIDER, Spec, TargetId, TargetState,
};
use crate::observe::signals::{Measurements, Signals};
use crate::record::{Book, Evidence};

/// Timers of conditions count on across a restart of at most this long: what was unknown for longer may have
/// been otherwise meanwhile.
const TIMERS_KEPT: Duration = Duration::from_secs(600);

/// What lasts from one decision to the next.
#[derive(Debug)]
pub(super) struct Deciding {
    /// Where signals come from.
    pub(super) signals: Signals,
    /// Whether they were sampled since this run began.
    pub(super) has_looked: bool,
    /// The memory of every target.
    pub(super) states: BTreeMap<TargetId, TargetState>,
    /// What was measured last, in the order of the target's policy's signals.
    pub(super) measured: BTreeMap<TargetId, Vec<Measured>>,
    /// Bursts and pauses.
    pub(super) overrides: Overrides,
}

/// Decisions, and the memories they were made from.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) decisions: Vec<Decision>,
    pub(super) before: BTreeMap<TargetId, TargetState>,
}

impl Deciding {
    /// Takes up memories after a restart: as they were stored, and where none was, what the record says:
    /// who was decided to have how many, and since when. Nothing goes down before a window is full; who only
    /// looks on while a controller runs restarts nothing, and sees what that one decides.
    pub(super) fn resume(
        now: Moment,
        purpose: Purpose,
        book: &Book,
        stored: BTreeMap<TargetId, (Moment, String)>,
        signals: Signals,
    ) -> Self {
        let mut states: BTreeMap<TargetId, TargetState> = stored
            .into_iter()
            .filter_map(|(target, (saved_at, text))| {
                // A memory of another version of this program is not read: the record is enough to go on.
                let mut state: TargetState = serde_json::from_str(&text).ok()?;
                let is_old = now.since(saved_at) > TIMERS_KEPT;
                if is_old {
                    state.timers.clear();
                    state.rules.clear();
                    state.idle_since = None;
                }
                if is_old || purpose == Purpose::Act {
                    state.resumed_at = Some(now);
                }
                Some((target, state))
            })
            .collect();
        for (target, entry) in book.entries() {
            let Some(decided) = entry.decided else {
                states.entry(target.clone()).or_default().resumed_at = Some(now);
                continue;
            };
            let since = Moment::from(entry.since);
            let state = states.entry(target.clone()).or_insert_with(|| TargetState {
                effective: Some(decided),
                resumed_at: Some(now),
                ..TargetState::default()
            });
            // What was published last may be newer than what was stored last, and the other way round.
            if state.last_change.is_none_or(|at| at < since) {
                state.effective = Some(decided);
                state.last_change = Some(since);
            }
        }
        Self {
            signals,
            has_looked: false,
            states,
            measured: BTreeMap::new(),
            overrides: Overrides::default(),
        }
    }

    /// Decides all targets and brings the memories up to date. Targets that are gone are forgotten.
    pub(super) fn decide(
        &mut self,
        now: Moment,
        good: &Good,
        observed: &Observed,
        prices: &Prices,
    ) -> Decided {
        self.meet(now, observed);
        let before = self.states.clone();
        let mut states = std::mem::take(&mut self.states);
        let decisions = decide::decide_all(&self.world(now, good, observed, prices), &mut states);
        if states.len() > decisions.len() {
            let known: BTreeSet<&TargetId> = decisions.iter().map(|d| &d.target).collect();
            states.retain(|target, _| known.contains(target));
        }
        self.states = states;
        Decided { decisions, before }
    }

    /// What would be decided now; changes no memory.
    pub(super) fn preview(
        &self,
        now: Moment,
        good: &Good,
        observed: &Observed,
        prices: &Prices,
    ) -> Vec<Decision> {
        let mut states = self.states.clone();
        decide::decide_all(&self.world(now, good, observed, prices), &mut states)
    }

    /// Whether something that a provider measures is absent although replicas may be there.
    pub(super) fn lacks_a_rate(&self, spec: &Spec, measured: &Measurements) -> bool {
        measured.iter().any(|(target, measured)| {
            let service = spec.services.get(&target.service);
            let policy = service.and_then(|service| spec.policy_of(service));
            let signals = policy.into_iter().flat_map(|policy| &policy.signals);
            signals.zip(measured).any(|(signal, measured)| {
                signal.source.as_str() == SOURCE_PROVIDER && *measured == Measured::Absent
            })
        })
    }

    /// Of replicas that exist and that nothing is remembered of, it is not known why they do: nothing goes down
    /// before a window is full.
    fn meet(&mut self, now: Moment, observed: &Observed) {
        for (target, _) in observed.by_target() {
            if !self.states.contains_key(target) {
                let state = TargetState { resumed_at: Some(now), ..TargetState::default() };
                self.states.insert(target.clone(), state);
            }
        }
    }

    fn world<'a>(
        &'a self,
        now: Moment,
        good: &'a Good,
        observed: &'a Observed,
        prices: &'a Prices,
    ) -> World<'a> {
        World {
            now,
            spec: &good.spec,
            templates: &good.templates,
            observed,
            measured: &self.measured,
            bursts: self.overrides.set().bursts(),
            pauses: self.overrides.set().pauses(),
            prices,
        }
    }

    /// What the decisions of this cycle were made from, for the record.
    pub(super) fn evidence<'a>(
        &'a self,
        good: &'a Good,
        before: &'a BTreeMap<TargetId, TargetState>,
    ) -> Evidence<'a> {
        Evidence {
            spec: &good.spec,
            measured: &self.measured,
            before,
            bursts: self.overrides.set().bursts(),
            pauses: self.overrides.set().pauses(),
        }
    }
}
