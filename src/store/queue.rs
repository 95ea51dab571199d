//! What waits to be written: bounded, and never waited for.
//!
//! States and notes are kept by key, so that only the newest is written. When samples come faster than the
//! disk takes them, the oldest are dropped: the newest are those that a restart needs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::error::StoreError;
use super::sample::{Batch, Event, Sample};
use crate::model::{Moment, TargetId};

/// Samples that wait at most: four ticks of 10,000 targets with three signals, which is a minute of a disk
/// that hangs, and ten megabytes.
pub(super) const SAMPLES_MAX: usize = 120_000;
/// Events that wait at most: one for each of 10,000 targets.
pub(super) const EVENTS_MAX: usize = 10_000;
/// Targets and notes whose newest text waits at most: ten times the largest fleet that is measured.
const KEYS_MAX: usize = 100_000;

/// A state that waits, with when it was.
pub(super) type WaitingState = Option<(Moment, String)>;
/// Tells whoever flushes how it went; `None` is success.
pub(super) type Answer = oneshot::Sender<Result<(), StoreError>>;

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) samples: VecDeque<Sample>,
    pub(super) events: VecDeque<Event>,
    pub(super) states: BTreeMap<TargetId, WaitingState>,
    pub(super) notes: BTreeMap<String, Option<String>>,
    /// The time that was told last; ages are counted from it.
    pub(super) now: Option<Moment>,
    pub(super) answers: Vec<Answer>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && self.events.is_empty()
            && self.states.is_empty()
            && self.notes.is_empty()
    }
}

/// What was lost, since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) samples: u64,
    pub(super) events: u64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    lost: Lost,
    is_overflowing: bool,
    is_closed: bool,
}

/// The queue, shared by those who record and the one who writes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    pub(super) wake: Notify,
}

impl Queue {
    /// Puts a batch in; takes no longer than to move it.
    pub(super) fn put(&self, now: Moment, batch: Batch) {
        let starts_to_overflow = self.with(|state| {
            let waiting = &mut state.waiting;
            waiting.now = Some(now);
            waiting.samples.extend(batch.samples);
            waiting.events.extend(batch.events);
            for (target, json) in batch.states {
                if waiting.states.len() < KEYS_MAX || waiting.states.contains_key(&target) {
                    waiting.states.insert(target, json.map(|json| (now, json)));
                }
            }
            for (key, value) in batch.notes {
                if waiting.notes.len() < KEYS_MAX || waiting.notes.contains_key(&key) {
                    waiting.notes.insert(key, value);
                }
            }
            state.trim()
        });
        if starts_to_overflow {
            tracing::warn!(
                samples_max = SAMPLES_MAX,
                "the store does not keep up: the oldest samples that wait are dropped",
            );
        }
        self.wake.notify_one();
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Waiting {
        self.with(|state| {
            state.is_overflowing = false;
            std::mem::take(&mut state.waiting)
        })
    }

    /// Puts back what could not be written; what came since is newer and stays.
    pub(super) fn put_back(&self, mut failed: Waiting) {
        let _ = self.with(|state| {
            let waiting = &mut state.waiting;
            failed.samples.append(&mut waiting.samples);
            waiting.samples = std::mem::take(&mut failed.samples);
            failed.events.append(&mut waiting.events);
            waiting.events = std::mem::take(&mut failed.events);
            failed.states.append(&mut waiting.states);
            waiting.states = std::mem::take(&mut failed.states);
            failed.notes.append(&mut waiting.notes);
            waiting.notes = std::mem::take(&mut failed.notes);
            waiting.now = waiting.now.or(failed.now);
            state.is_overflowing = true;
            state.trim()
        });
    }

    /// Asks for an answer once everything that waits now is written.
    pub(super) fn ask(&self) -> oneshot::Receiver<Result<(), StoreError>> {
        let (answer, answered) = oneshot::channel();
        self.with(|state| state.waiting.answers.push(answer));
        self.wake.notify_one();
        answered
    }

    /// Whether somebody waits for an answer, so that a back-off is cut short.
    pub(super) fn is_asked(&self) -> bool {
        self.with(|state| !state.waiting.answers.is_empty())
    }

    pub(super) fn close(&self) {
        self.with(|state| state.is_closed = true);
        self.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.with(|state| state.is_closed)
    }

    pub(super) fn lost(&self) -> Lost {
        self.with(|state| state.lost)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here is left half done by a panic.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Drops what is over the limits, the oldest first. Whether that begins now.
    fn trim(&mut self) -> bool {
        let samples = self.waiting.samples.len().saturating_sub(SAMPLES_MAX);
        let events = self.waiting.events.len().saturating_sub(EVENTS_MAX);
        self.waiting.samples.drain(..samples);
        self.waiting.events.drain(..events);
        self.lost.samples += samples as u64;
        self.lost.events += events as u64;
        let begins = samples + events > 0 && !self.is_overflowing;
        self.is_overflowing |= begins;
        begins
    }
}
