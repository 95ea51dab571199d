//! What the controller remembers besides git: recorded signals, events, and the state of deciding.
//!
//! Off the flow, beside it: [`crate::control`] records what each stage gave and reads it back at the start;
//! `explain` and `backtest` read it. It judges nothing and knows no policy.
//!
//! The database, SQLite in one file, is a cache. Every failure of it is said once and then lived with: nothing
//! here makes a caller wait for a disk, and no error of it may stop a decision. A damaged file is moved aside
//! (`state.db.damaged`), one of a newer version as well (`state.db.v2`), and a new one begun.
//!
//! Signals are kept at three resolutions: as they came for two days, by minute for two weeks, by hour for a
//! year and a bit. They are stored in blocks of many series: 10,000 targets are a matter of kilobytes a second
//! instead of thousands of pages.

mod block;
mod codec;
mod error;
mod queue;
mod read;
mod rollup;
mod sample;
mod schema;
mod session;
mod upkeep;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use self::error::StoreError;
use self::queue::Queue;
pub use self::read::Reader;
pub use self::sample::{Batch, Event, EventFilter, Point, Reading, Resolution, Sample, Series};
use self::writer::{Told, Writer};
use crate::model::{Moment, SignalName, TargetId};

/// Signals as they came: two days, so that a Monday morning shows the whole weekend.
pub const RAW_KEPT: Duration = Duration::from_secs(48 * 3_600);
/// Signals by minute: two weeks, so that a back-test sees every weekday twice.
pub const MINUTES_KEPT: Duration = Duration::from_secs(14 * 86_400);
/// Signals by hour: a year and a month, so that this season is seen beside the last.
pub const HOURS_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// Events: a quarter; the status branch has all of them.
pub const EVENTS_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// The largest file: what a small host can spare, and twice what 1,000 targets with three signals need.
pub const BYTES_MAX: u64 = 4 << 30;
/// How long whoever flushes waits at most: a stop must end, also on a disk that hangs.
const FLUSH_WAIT: Duration = Duration::from_secs(10);

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Signals as they came.
    pub raw: Duration,
    /// Signals by minute.
    pub minutes: Duration,
    /// Signals by hour.
    pub hours: Duration,
    /// Events.
    pub events: Duration,
    /// The size of the file, in bytes, above which the oldest is deleted before its time, so that all resolutions keep the same share.
    pub bytes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            raw: RAW_KEPT,
            minutes: MINUTES_KEPT,
            hours: HOURS_KEPT,
            events: EVENTS_KEPT,
            bytes_max: BYTES_MAX,
        }
    }
}

/// Whether things are recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    #[default]
    Recording,
    /// No, and why; it is tried again.
    Failing(String),
}

/// How the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether things are recorded.
    pub health: Health,
    /// Changes when an empty or another database takes the place of the one that was there: whoever records
    /// only what changed must then record everything again.
    pub generation: u64,
    /// Readings that were written, since the start.
    pub samples_written: u64,
    /// Readings that were refused because they are older than what is kept, or from the future.
    pub samples_untimely: u64,
    /// Readings that were lost because the disk did not keep up.
    pub samples_dropped: u64,
    /// Events that were lost because the disk did not keep up.
    pub events_dropped: u64,
}

/// Records, and reads back. Cheap to clone; the last clone that goes ends the writer, which then writes what
/// waits if the runtime lets it. See [`Self::close`].
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Ends>,
    reader: Reader,
}

/// Closes the queue when the last store goes.
#[derive(Debug)]
struct Ends {
    file: PathBuf,
    queue: Arc<Queue>,
    told: Arc<Told>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Store {
    /// Starts to record into a file, which is made if it is not there. Returns when the file is open or the
    /// first try failed; [`Self::status`] says which. Must be called on a tokio runtime.
    pub async fn open(file: &Path, retention: Retention) -> Self {
        let queue = Arc::new(Queue::default());
        let told = Arc::new(Told::default());
        let (opened, is_opened) = oneshot::channel();
        let writer =
            Writer::new(file.to_path_buf(), retention, Arc::clone(&queue), Arc::clone(&told));
        tokio::spawn(writer.run(opened));
        // An error means that the runtime is ending.
        let _ = is_opened.await;
        let inner = Arc::new(Ends { file: file.to_path_buf(), queue, told });
        Self { inner, reader: Reader::new(file) }
    }

    /// Records what a tick left behind. Never waits and never fails: what the disk cannot take is dropped, the
    /// oldest samples first, and counted. `now` is the time of the tick, from which ages are counted.
    pub fn record(&self, now: Moment, batch: Batch) {
        self.inner.queue.put(now, batch);
    }

    /// Waits until everything that was recorded before is written.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written, in which case it waits on, or not in ten seconds.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let answered = self.inner.queue.ask();
        match tokio::time::timeout(FLUSH_WAIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(StoreError::NoAnswer { file: self.inner.file.clone() }),
        }
    }

    /// Writes what waits, for the end of the process. Other clones may go on.
    pub async fn close(self) {
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "what was recorded last is lost");
        }
    }

    /// How the store is.
    #[must_use]
    pub fn status(&self) -> Status {
        let lost = self.inner.queue.lost();
        Status {
            samples_dropped: lost.samples,
            events_dropped: lost.events,
            ..self.inner.told.get()
        }
    }

    /// What reads it, for those who do not record.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// See [`Reader::samples`].
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn samples(
        &self,
        target: &TargetId,
        signal: &SignalName,
        from: Moment,
        to: Moment,
    ) -> Result<Vec<(Moment, f64)>, StoreError> {
        self.reader.samples(target, signal, from, to).await
    }

    /// See [`Reader::states`].
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn states(&self) -> Result<BTreeMap<TargetId, (Moment, String)>, StoreError> {
        self.reader.states().await
    }

    /// See [`Reader::events`].
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        self.reader.events(filter).await
    }
}
