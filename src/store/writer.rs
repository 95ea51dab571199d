//! The one task that writes. Opens the database, writes what waits, does upkeep, and goes on when it cannot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::{Inner, StoreError};
use super::queue::{Answer, Queue, Waiting};
use super::schema::{Identity, set_aside};
use super::session::Session;
use super::{Health, Retention, Status, upkeep};
use crate::model::Moment;

/// What is gathered into one transaction: the parts of a tick come within less.
const GATHER: Duration = Duration::from_millis(200);
/// The pause before the second try, doubled up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two tries: a disk that has room again is used within a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A clock that moves by more than this between two ticks was set, or is wrong.
const JUMP: Duration = Duration::from_secs(24 * 3_600);
/// Ticks for which a clock must go on without a jump before anything is deleted by it: one wrong answer of a
/// time server must not cost a year of signals.
const STEADY_TICKS: u32 = 4;

/// What the writer tells of itself.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Status>);

impl Told {
    pub(super) fn get(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        // A status is replaced field by field and never left half done by a panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) retention: Retention,
    pub(super) queue: Arc<Queue>,
    pub(super) told: Arc<Told>,
    session: Option<Session>,
    now: Option<Moment>,
    steady_ticks: u32,
    is_cut: bool,
}

impl Writer {
    pub(super) fn new(
        file: PathBuf,
        retention: Retention,
        queue: Arc<Queue>,
        told: Arc<Told>,
    ) -> Self {
        Self {
            file,
            retention,
            queue,
            told,
            session: None,
            now: None,
            steady_ticks: 0,
            is_cut: false,
        }
    }

    /// Runs until the queue is closed; `opened` learns when the first try to open is over.
    pub(super) async fn run(mut self, opened: oneshot::Sender<()>) {
        let mut pause = Duration::ZERO;
        let first = self.session().await.map(drop);
        self.report(first.as_ref().err());
        if first.is_err() {
            pause = RETRY_FIRST;
        }
        let _ = opened.send(());
        loop {
            self.wait(pause).await;
            let is_closed = self.queue.is_closed();
            match self.turn().await {
                Ok(()) => {
                    pause = Duration::ZERO;
                    self.report(None);
                }
                Err(error) => {
                    pause = (pause * 2).clamp(RETRY_FIRST, RETRY_MAX);
                    self.report(Some(&error));
                }
            }
            if is_closed {
                break;
            }
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    /// Waits for something to write, and for the rest of the pause; a question or the end cuts a pause short.
    async fn wait(&self, pause: Duration) {
        let queue = &self.queue;
        let pressed = async {
            while !queue.is_closed() && !queue.is_asked() {
                queue.wake.notified().await;
            }
        };
        let pause = if pause.is_zero() {
            queue.wake.notified().await;
            GATHER
        } else {
            pause
        };
        let _ = tokio::time::timeout(pause, pressed).await;
    }

    /// Writes everything that waits, does a piece of upkeep, and answers.
    async fn turn(&mut self) -> Result<(), StoreError> {
        let mut waiting = self.queue.take();
        let answers = std::mem::take(&mut waiting.answers);
        if let Some(now) = waiting.now {
            self.tick(now);
        }
        let result = self.write(waiting).await;
        answer(answers, result.as_ref().err(), &self.file);
        result
    }

    fn tick(&mut self, now: Moment) {
        let before = self.now.replace(now).unwrap_or(now);
        let jumped = now.since(before).max(before.since(now)) > JUMP;
        self.steady_ticks = if jumped { 0 } else { self.steady_ticks.saturating_add(1) };
    }

    async fn write(&mut self, waiting: Waiting) -> Result<(), StoreError> {
        let raw_kept = i64::try_from(self.retention.raw.as_millis()).unwrap_or(i64::MAX);
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                self.queue.put_back(waiting);
                return Err(error);
            }
        };
        if !waiting.is_empty() {
            match session.write(&waiting, raw_kept).await {
                Ok(written) => self.told.change(|told| {
                    told.samples_written += written.samples;
                    told.samples_untimely += written.untimely;
                }),
                Err(error) => {
                    self.queue.put_back(waiting);
                    return Err(self.give_up(&error).await);
                }
            }
        }
        self.keep().await
    }

    async fn keep(&mut self) -> Result<(), StoreError> {
        let (Some(session), Some(now)) = (&mut self.session, self.now) else { return Ok(()) };
        if self.steady_ticks < STEADY_TICKS {
            return Ok(());
        }
        match upkeep::run(session, now, &self.retention).await {
            Ok(kept) => {
                if kept.is_cut && !self.is_cut {
                    tracing::warn!(
                        store = %self.file.display(),
                        bytes_max = self.retention.bytes_max,
                        "the store is at its size limit: its oldest samples are deleted before their time",
                    );
                }
                self.is_cut = kept.is_cut;
                Ok(())
            }
            Err(error) => Err(self.give_up(&error).await),
        }
    }

    /// The open database; opened again when another file, or none, is there by its name.
    async fn session(&mut self) -> Result<&mut Session, StoreError> {
        let is_there = |session: &Session| Identity::of(&self.file) == Some(session.identity);
        let session = match self.session.take() {
            Some(session) if is_there(&session) => session,
            other => {
                let was_open = other.is_some();
                if let Some(session) = other {
                    session.close().await;
                }
                let session = Session::open(&self.file).await?;
                if was_open {
                    tracing::warn!(
                        store = %self.file.display(),
                        "the store's file was removed or replaced while it was in use: going on with what is there now",
                    );
                }
                let is_another = was_open || session.is_new;
                self.told.change(|told| told.generation += u64::from(is_another));
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// Throws the session away, and a damaged file with it.
    async fn give_up(&mut self, error: &Inner) -> StoreError {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        if error.is_damage()
            && let Err(source) = set_aside(&self.file, "damaged", &error.to_string())
        {
            return StoreError::Folder { file: self.file.clone(), source };
        }
        error.at(&self.file)
    }

    /// Says once that it does not work, and once that it works again.
    fn report(&self, error: Option<&StoreError>) {
        let mut before = Health::Recording;
        let after = error.map_or(Health::Recording, |error| Health::Failing(error.to_string()));
        self.told.change(|told| before = std::mem::replace(&mut told.health, after.clone()));
        match (before, after) {
            (Health::Recording, Health::Failing(error)) => tracing::warn!(
                error,
                "nothing is recorded; deciding goes on without the store, and it is tried again",
            ),
            (Health::Failing(_), Health::Recording) => {
                tracing::info!(store = %self.file.display(), "the store is recorded into again");
            }
            (Health::Recording, Health::Recording) | (Health::Failing(_), Health::Failing(_)) => {}
        }
    }
}

fn answer(answers: Vec<Answer>, error: Option<&StoreError>, file: &std::path::Path) {
    for answer in answers {
        let result = match error {
            None => Ok(()),
            Some(error) => {
                Err(StoreError::Flush { file: file.to_path_buf(), reason: error.to_string() })
            }
        };
        // Whoever asked may be gone.
        let _ = answer.send(result);
    }
}
