//! What survives a restart beside git: memories, signals and events on their way to the store, off the hot
//! path. The store is a cache: without it nothing that matters is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use super::deciding::{Decided, Deciding};
use crate::model::{Detail, Moment, SignalState, TargetId};
use crate::record::HistoryLine;
use crate::store::{Batch, Event, Reader, Reading, Retention, Sample, Store};

/// Memories by target, with the time at which each was stored.
pub(super) type Stored = BTreeMap<TargetId, (Moment, String)>;

/// The store of a controller that acts.
#[derive(Debug)]
pub(super) struct Memory {
    store: Store,
    /// Another database than before has none of what was recorded.
    generation: u64,
    /// Targets whose memory is newer than the stored one.
    unsaved: BTreeSet<TargetId>,
    /// The last target whose turn it was.
    turn: Option<TargetId>,
}

/// Memories that one cycle stores, besides those whose count changed: writing those of a large fleet at once
/// would be the heaviest thing a cycle does. The others have their turn in the next cycles.
const SAVED_MAX: usize = 1_000;

impl Memory {
    /// Opens the store, and reads the memories in it.
    pub(super) async fn open(file: &Path, retention: Retention) -> (Self, Stored) {
        let store = Store::open(file, retention).await;
        let stored = match store.states().await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "memories are taken from the status branch instead");
                BTreeMap::new()
            }
        };
        let generation = store.status().generation;
        (Self { generation, store, unsaved: BTreeSet::new(), turn: None }, stored)
    }

    /// Reads the memories, for those who only look. Where there is no store, there are none.
    pub(super) async fn look(file: &Path) -> Stored {
        if !file.exists() {
            return BTreeMap::new();
        }
        Reader::new(file).states().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "memories are taken from the status branch instead");
            BTreeMap::new()
        })
    }

    /// Records what a cycle measured and decided. Never waits.
    pub(super) fn record(&mut self, now: Moment, decided: &Decided, deciding: &Deciding) {
        let generation = self.store.status().generation;
        let is_new = std::mem::replace(&mut self.generation, generation) != generation;
        let mut batch = Batch::default();
        for decision in &decided.decisions {
            let target = &decision.target;
            let signals = decision.trace.iter().filter_map(|line| match &line.detail {
                Detail::Signal { name, state, value, age, .. } => {
                    let at = if *state == SignalState::Value { now.before(*age) } else { now };
                    let reading = Reading::of(*state, value.unwrap_or(f64::NAN));
                    Some(Sample { target: target.clone(), signal: name.clone(), at, reading })
                }
                _ => None,
            });
            batch.samples.extend(signals);
        }
        let mut due = Vec::new();
        for (target, state) in &deciding.states {
            let before = decided.before.get(target);
            if before.is_none_or(|before| before.effective != state.effective) {
                due.push(target.clone());
            } else if is_new || before != Some(state) {
                self.unsaved.insert(target.clone());
            }
        }
        due.extend(self.turns());
        for target in due {
            self.unsaved.remove(&target);
            let Some(state) = deciding.states.get(&target) else { continue };
            // A memory holds numbers and lists only.
            let text = serde_json::to_string(state).unwrap_or_default();
            batch.states.push((target, Some(text)));
        }
        let gone = decided.before.keys().filter(|target| !deciding.states.contains_key(*target));
        batch.states.extend(gone.map(|target| (target.clone(), None)));
        if !batch.samples.is_empty() || !batch.states.is_empty() {
            self.store.record(now, batch);
        }
    }

    /// The next targets whose memory waits, in turn.
    fn turns(&mut self) -> Vec<TargetId> {
        let (first, second) = match self.turn.clone() {
            Some(turn) => (
                (Bound::Excluded(turn.clone()), Bound::Unbounded),
                Some((Bound::Unbounded, Bound::Included(turn))),
            ),
            None => ((Bound::Unbounded, Bound::Unbounded), None),
        };
        let first = self.unsaved.range(first);
        let second = second.map(|second| self.unsaved.range(second));
        let turns: Vec<TargetId> =
            first.chain(second.into_iter().flatten()).take(SAVED_MAX).cloned().collect();
        self.turn = turns.last().cloned();
        turns
    }

    /// Records what happened.
    pub(super) fn happened(&self, now: Moment, lines: &[HistoryLine]) {
        if lines.is_empty() {
            return;
        }
        let events = lines.iter().map(|line| Event {
            at: line.time.into(),
            target: line.target.clone(),
            kind: line.kind.word().to_owned(),
            // The status branch has the whole of it.
            json: serde_json::to_string(&HistoryLine {
                trace: Vec::new(),
                inputs: None,
                ..line.clone()
            })
            .unwrap_or_default(),
        });
        self.store.record(now, Batch { events: events.collect(), ..Batch::default() });
    }

    /// Writes what waits, for the end of the process.
    pub(super) async fn flush(&self) {
        if let Err(error) = self.store.flush().await {
            tracing::warn!(%error, "what was recorded last is lost");
        }
    }
}
