//! Status and history on their way to the status branch: batched, journalled, never blocking a cycle.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::journal::Journal;
use crate::apply::elapsed;
use crate::git::{Edit, GitError, Published, StatusWriter};
use crate::model::PlanDigest;
use crate::record::{self, HistoryLine, StatusFile};

/// Commits to the status branch in any hour. A controller that has more to say says it in fewer commits.
const COMMITS_PER_HOUR_MAX: usize = 120;
const HOUR: Duration = Duration::from_secs(3600);
/// Pause after a push that failed, doubled each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(2);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Lines in one commit; the rest follows in the next.
const LINES_PER_COMMIT_MAX: usize = 5_000;

type InFlight = JoinHandle<(StatusWriter, Result<Published, GitError>)>;

/// What waits to be published, and who publishes it.
#[derive(Debug)]
pub(super) struct Publisher {
    // Behind a lock only so that the controller can be looked at from several threads.
    writer: Mutex<Option<StatusWriter>>,
    in_flight: Option<(InFlight, Batch)>,
    journal: Journal,
    lines: VecDeque<HistoryLine>,
    status: Option<StatusFile>,
    published: Option<StatusFile>,
    plan: Option<(String, Vec<u8>)>,
    waiting_since: Option<Timestamp>,
    commits: VecDeque<Timestamp>,
    failures: u32,
    retry_at: Option<Timestamp>,
    batch: Duration,
}

/// What one push carries.
#[derive(Debug)]
struct Batch {
    lines: usize,
    status: Option<StatusFile>,
    plan: Option<String>,
}

impl Publisher {
    pub(super) fn new(
        writer: StatusWriter,
        state_dir: &Path,
        batch: Duration,
        published: Option<StatusFile>,
    ) -> std::io::Result<Self> {
        let journal = Journal::at(state_dir.join("journal.jsonl"));
        let lines: VecDeque<HistoryLine> = journal.read()?.into();
        // A line cut short by a crash must not be continued by the next one.
        journal.replace(&Vec::from(lines.clone()))?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            in_flight: None,
            journal,
            lines,
            status: None,
            published,
            plan: None,
            waiting_since: None,
            commits: VecDeque::new(),
            failures: 0,
            retry_at: None,
            batch,
        })
    }

    /// Lines that are not on the branch yet.
    pub(super) fn unpublished(&self) -> Vec<HistoryLine> {
        self.lines.iter().cloned().collect()
    }

    /// The status that was made last.
    pub(super) fn status(&self) -> Option<&StatusFile> {
        self.status.as_ref().or(self.published.as_ref())
    }

    /// Takes lines into custody: when this returns they survive a crash.
    pub(super) fn add(&mut self, now: Timestamp, lines: Vec<HistoryLine>) -> std::io::Result<()> {
        self.journal.append(&lines)?;
        if !lines.is_empty() {
            self.waiting_since.get_or_insert(now);
        }
        self.lines.extend(lines);
        Ok(())
    }

    /// Takes the newest status; an equal one is nothing to publish.
    pub(super) fn set_status(&mut self, now: Timestamp, status: StatusFile) {
        if self.published.as_ref() != Some(&status) {
            self.waiting_since.get_or_insert(now);
        }
        self.status = Some(status);
    }

    /// Takes the plan of a commit.
    pub(super) fn set_plan(&mut self, path: String, document: Vec<u8>) {
        self.plan = Some((path, document));
    }

    /// Whether a push is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    fn writer_mut(&mut self) -> &mut Option<StatusWriter> {
        self.writer.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_news(&self) -> bool {
        !self.lines.is_empty()
            || self.plan.is_some()
            || self.status.as_ref().is_some_and(|status| self.published.as_ref() != Some(status))
    }

    /// When the next push is due, if one is.
    pub(super) fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.in_flight.is_some() || !self.has_news() {
            return None;
        }
        let since = self.waiting_since.unwrap_or(now);
        let mut due = since.checked_add(self.batch).unwrap_or(since);
        if let Some(retry_at) = self.retry_at {
            due = due.max(retry_at);
        }
        if self.commits.len() >= COMMITS_PER_HOUR_MAX
            && let Some(oldest) = self.commits.front()
        {
            due = due.max(oldest.checked_add(HOUR).unwrap_or(*oldest));
        }
        Some(due)
    }

    /// Starts a push in the background, if there is anything to push and nobody pushing.
    pub(super) fn start(&mut self, now: Timestamp) {
        if !self.has_news() {
            return;
        }
        let Some(mut writer) = self.writer_mut().take() else { return };
        let count = self.lines.len().min(LINES_PER_COMMIT_MAX);
        let (edits, batch) = self.edits(count);
        let message = self.message(count);
        let task = tokio::task::spawn_blocking(move || {
            let mut jitter = fastrand::f64;
            let result =
                writer.publish(&edits, &message, now, &mut jitter, &mut std::thread::sleep);
            (writer, result)
        });
        self.in_flight = Some((task, batch));
        self.waiting_since = None;
    }

    fn edits(&self, count: usize) -> (Vec<Edit>, Batch) {
        let mut by_day: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for line in self.lines.iter().take(count) {
            // A history line is plain data: turning it into JSON cannot fail.
            let text = serde_json::to_string(line).unwrap_or_default();
            by_day
                .entry(record::history_stem(line.time))
                .or_default()
                .push((line.id.clone(), text));
        }
        let mut edits: Vec<Edit> = by_day
            .into_iter()
            .map(|(path_stem, lines)| Edit::Append { path_stem, lines })
            .collect();
        let status = self.status.clone();
        if let Some(content) = status.as_ref().and_then(|status| serde_yaml::to_string(status).ok())
        {
            edits.push(Edit::Put {
                path: record::STATUS_PATH.to_owned(),
                content: content.into_bytes(),
            });
        }
        if let Some((path, content)) = &self.plan {
            edits.push(Edit::Put { path: path.clone(), content: content.clone() });
        }
        let plan = self.plan.as_ref().map(|(path, _)| path.clone());
        (edits, Batch { lines: count, status, plan })
    }

    fn message(&self, count: usize) -> String {
        let subject = match self.lines.front() {
            Some(line) if line.from == line.to => format!("{} {}", line.target, line.reason),
            Some(line) => {
                format!("{} {} → {} ({})", line.target, line.from, line.to, line.reason)
            }
            None => self.status.as_ref().map_or("status".to_owned(), |status| {
                format!(
                    "status {}",
                    serde_json::to_string(&status.health).unwrap_or_default().replace('"', "")
                )
            }),
        };
        let more = match count {
            0 | 1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        let mut message = format!("{subject}{more}\n");
        if let Some(status) = &self.status {
            message.push_str(&trailers(&status.spec_commit, &status.plan_digest));
        }
        message
    }

    /// Takes the result of a push that has ended; `wait` also waits for one that has not.
    pub(super) async fn finish(
        &mut self,
        now: Timestamp,
        wait: bool,
    ) -> Option<Result<(), GitError>> {
        let is_done = self.in_flight.as_ref().is_some_and(|(task, _)| wait || task.is_finished());
        if !is_done {
            return None;
        }
        let (task, batch) = self.in_flight.take()?;
        let (writer, result) = match task.await {
            Ok(ended) => ended,
            Err(error) => {
                // The writer went down with its thread; only a restart brings a new one.
                return Some(Err(GitError::Interrupted(error.to_string())));
            }
        };
        *self.writer_mut() = Some(writer);
        Some(match result {
            Ok(published) => {
                self.failures = 0;
                self.retry_at = None;
                self.confirm(batch);
                if let Published::Committed { .. } = published {
                    self.commits.push_back(now);
                }
                while self.commits.front().is_some_and(|at| elapsed(*at, now) >= HOUR) {
                    self.commits.pop_front();
                }
                Ok(())
            }
            Err(error) => {
                let pause =
                    RETRY_PAUSE_MIN.saturating_mul(1 << self.failures.min(8)).min(RETRY_PAUSE_MAX);
                self.failures = self.failures.saturating_add(1);
                self.retry_at = now.checked_add(pause).ok();
                Err(error)
            }
        })
    }

    /// Forgets what is on the branch now.
    fn confirm(&mut self, batch: Batch) {
        self.lines.drain(..batch.lines);
        if self.plan.as_ref().is_some_and(|(path, _)| Some(path) == batch.plan.as_ref()) {
            self.plan = None;
        }
        if batch.status.is_some() {
            self.published = batch.status;
        }
        let rest: Vec<HistoryLine> = self.unpublished();
        if let Err(error) = self.journal.replace(&rest) {
            // The lines are published; being pushed again is harmless, because their ids are known there.
            tracing::warn!(%error, "could not shorten the journal of unpublished history");
        }
    }

    /// Publishes all there is, now, and waits for it.
    pub(super) async fn flush(&mut self, now: Timestamp) -> Result<(), GitError> {
        if let Some(result) = self.finish(now, true).await {
            result?;
        }
        while self.has_news() && self.writer_mut().is_some() {
            self.start(now);
            if let Some(result) = self.finish(now, true).await {
                result?;
            }
        }
        Ok(())
    }

    /// Takes rotated credentials into use with the next push.
    pub(super) fn set_remote(&mut self, remote: crate::git::Remote) {
        if let Some(writer) = self.writer_mut() {
            writer.set_remote(remote);
        }
    }
}

fn trailers(commit: &crate::model::CommitId, digest: &PlanDigest) -> String {
    format!("\nTidegate-Spec-Commit: {commit}\nTidegate-Plan-Digest: {digest}\n")
}
