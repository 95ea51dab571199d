//! What survives a restart beside git: memories, signals and events on their way to the store, off the hot
//! path. The store is a cache: without it nothing that matters is lost.

use std::collections::BTreeMap;
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
}

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
        (Self { generation: store.status().generation, store }, stored)
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
        for (target, state) in &deciding.states {
            if is_new || decided.before.get(target) != Some(state) {
                // A memory holds numbers and lists only.
                let text = serde_json::to_string(state).unwrap_or_default();
                batch.states.push((target.clone(), Some(text)));
            }
        }
        let gone = decided.before.keys().filter(|target| !deciding.states.contains_key(*target));
        batch.states.extend(gone.map(|target| (target.clone(), None)));
        if !batch.samples.is_empty() || !batch.states.is_empty() {
            self.store.record(now, batch);
        }
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
            json: serde_json::to_string(line).unwrap_or_default(),
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
