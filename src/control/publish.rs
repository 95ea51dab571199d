//! Status and history on their way to the status branch: batched, journalled, never blocking a cycle.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::journal::Journal;
use super::pending::Pending;
use crate::apply::elapsed;
use crate::git::{Edit, GitError, Published, Remote, Signature, StatusWriter};
use crate::model::{CommitId, PlanDigest};
use crate::record::{self, HistoryLine, StatusFile};

/// Commits to the status branch in any hour. A controller that has more to say says it in fewer commits.
const COMMITS_PER_HOUR_MAX: usize = 120;
const HOUR: Duration = Duration::from_secs(3600);
/// Pause after a push that failed, doubled each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(2);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(300);
/// What only repeats itself is told this often, and not with every batch: a replica that dies every minute
/// would fill the branch.
const REPETITIONS_EVERY: Duration = Duration::from_secs(180);
/// Plans that wait at most: commits come one by one, and a batch is short.
const PLANS_MAX: usize = 16;
/// Lines in one commit; the rest follows in the next.
const LINES_PER_COMMIT_MAX: usize = 5_000;

type InFlight = JoinHandle<(StatusWriter, Result<Published, GitError>)>;

/// What a writer is opened with.
#[derive(Debug)]
pub(super) struct WriterOptions {
    pub(super) dir: PathBuf,
    pub(super) remote: Remote,
    pub(super) branch: String,
    pub(super) protected: String,
    pub(super) author: Signature,
}

impl WriterOptions {
    fn open(&self) -> Result<StatusWriter, GitError> {
        let (remote, author) = (self.remote.clone(), self.author.clone());
        StatusWriter::open(&self.dir, remote, &self.branch, &self.protected, author)
    }
}

/// What waits to be published, and who publishes it.
#[derive(Debug)]
pub(super) struct Publisher {
    // Behind a lock only so that the controller can be looked at from several threads.
    writer: Mutex<Option<StatusWriter>>,
    options: WriterOptions,
    in_flight: Option<(InFlight, Batch)>,
    journal: Journal,
    lines: Pending,
    /// Whether the journal lacks lines that wait, or holds others.
    is_journal_behind: bool,
    /// Only while it is not the published one, so that an idle controller holds one of them.
    status: Option<StatusFile>,
    /// Whether this run has made a status yet.
    has_status: bool,
    published: Option<StatusFile>,
    /// Documents by path.
    plans: BTreeMap<String, Vec<u8>>,
    /// Since when anything waits.
    waiting_since: Option<Timestamp>,
    /// Since when something waits that is more than a repetition.
    news_since: Option<Timestamp>,
    commits: VecDeque<Timestamp>,
    /// Commits that arrived and were not asked for by [`Publisher::take_pushed`] yet.
    pushed: Vec<Pushed>,
    failures: u32,
    retry_at: Option<Timestamp>,
    batch: Duration,
}

/// A commit of ours that is on the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The commit.
    pub commit: CommitId,
    /// The commit of somebody else's, or of an earlier run, that ours stand on; absent for the first of a branch.
    pub parent: Option<CommitId>,
}

/// What one push carries.
#[derive(Debug)]
struct Batch {
    lines: usize,
    status: Option<StatusFile>,
    plans: Vec<String>,
}

impl Publisher {
    pub(super) fn new(
        options: WriterOptions,
        state_dir: &Path,
        batch: Duration,
        published: Option<StatusFile>,
    ) -> Result<Self, PublisherError> {
        let writer = options.open()?;
        let journal = Journal::at(state_dir.join("journal.jsonl"));
        let lines = journal.restore()?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            options,
            in_flight: None,
            journal,
            lines: Pending::of_earlier_run(lines),
            is_journal_behind: false,
            status: None,
            has_status: false,
            published,
            plans: BTreeMap::new(),
            waiting_since: None,
            news_since: None,
            commits: VecDeque::new(),
            pushed: Vec::new(),
            failures: 0,
            retry_at: None,
            batch,
        })
    }

    /// Lines that are not on the branch yet.
    pub(super) fn unpublished(&self) -> Vec<HistoryLine> {
        self.lines.to_vec()
    }

    /// The newest status: the one that waits, else the one that is on the branch.
    pub(super) fn status(&self) -> Option<&StatusFile> {
        self.status.as_ref().or(self.published.as_ref())
    }

    /// Takes lines into custody: when this returns they survive a crash.
    pub(super) fn add(&mut self, now: Timestamp, lines: Vec<HistoryLine>) -> std::io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let appended = self.journal.append(&lines);
        let added = self.lines.add(now, lines);
        self.waiting_since.get_or_insert(now);
        if added.is_news {
            self.news_since.get_or_insert(now);
        }
        // What could not be appended, or only in part, is written anew with all the others, now or with the
        // next lines.
        self.is_journal_behind |= appended.is_err() || added.is_folded;
        if self.is_journal_behind {
            self.journal.replace(&self.lines.to_vec())?;
            self.is_journal_behind = false;
        }
        Ok(())
    }

    /// Takes the newest status; an equal one is nothing to publish.
    pub(super) fn set_status(&mut self, now: Timestamp, status: StatusFile) {
        let is_news = self.published.as_ref() != Some(&status);
        if is_news {
            self.waiting_since.get_or_insert(now);
            if self.is_news(&status) {
                self.news_since.get_or_insert(now);
            }
        }
        // A push that is under way may carry another one, which this one then has to correct.
        self.status = (is_news || self.in_flight.is_some()).then_some(status);
        self.has_status = true;
    }

    /// Whether a status says more than that what repeated itself did so again.
    fn is_news(&self, status: &StatusFile) -> bool {
        let Some(published) = &self.published else { return true };
        let repeating = self.lines.repeating();
        let without = |status: &StatusFile| {
            let mut rest = status.clone();
            rest.targets.retain(|target| !repeating.contains(&target.target));
            rest
        };
        repeating.is_empty() || without(published) != without(status)
    }

    /// Takes the plan of a commit. Of more commits than fit within one batch, some are left out.
    pub(super) fn set_plan(&mut self, path: String, document: Vec<u8>) {
        while self.plans.len() >= PLANS_MAX {
            self.plans.pop_first();
        }
        self.plans.insert(path, document);
    }

    /// To be called when the remote has no status branch: somebody deleted it. The status is published
    /// again with the next push, which makes the branch anew. Without effect where nothing was published
    /// yet; harmless when called with every poll, also during a push.
    pub(super) fn branch_is_gone(&mut self) {
        if let Some(published) = self.published.take() {
            self.status.get_or_insert(published);
        }
    }

    /// Whether a push is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    fn writer_mut(&mut self) -> &mut Option<StatusWriter> {
        self.writer.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines wait for the first status of this run: the next run takes up the counts from the status, so no
    /// line may be on the branch that the status there does not know.
    fn has_news(&self) -> bool {
        let waits = !self.lines.is_empty() || !self.plans.is_empty() || self.status.is_some();
        self.has_status && waits
    }

    /// When the next push is due, if one is.
    pub(super) fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.in_flight.is_some() || !self.has_news() {
            return None;
        }
        let after = |since: Timestamp, pause| since.checked_add(pause).unwrap_or(since);
        let waiting = self.waiting_since.map(|since| after(since, REPETITIONS_EVERY));
        let news = self.news_since.map(|since| after(since, self.batch));
        // What an earlier run left in the journal waits for nothing.
        let mut due = waiting.into_iter().chain(news).min().unwrap_or(now);
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
        self.lines.offer(count);
        let task = tokio::task::spawn_blocking(move || {
            let mut jitter = fastrand::f64;
            let result =
                writer.publish(&edits, &message, now, &mut jitter, &mut std::thread::sleep);
            (writer, result)
        });
        self.in_flight = Some((task, batch));
        (self.waiting_since, self.news_since) = (None, None);
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
        let status = self.status().cloned();
        if let Some(content) = status.as_ref().and_then(|status| serde_yaml::to_string(status).ok())
        {
            edits.push(Edit::Put {
                path: record::STATUS_PATH.to_owned(),
                content: content.into_bytes(),
            });
        }
        for (path, content) in &self.plans {
            edits.push(Edit::Put { path: path.clone(), content: content.clone() });
        }
        let plans = self.plans.keys().cloned().collect();
        (edits, Batch { lines: count, status, plans })
    }

    fn message(&self, count: usize) -> String {
        let subject = match self.lines.iter().next() {
            Some(line) if line.from == line.to => format!("{} {}", line.target, line.reason),
            Some(line) => {
                format!("{} {} → {} ({})", line.target, line.from, line.to, line.reason)
            }
            None => self.status().map_or("status".to_owned(), |status| {
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
        if let Some(status) = self.status() {
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
        self.in_flight.as_ref().filter(|(task, _)| wait || task.is_finished())?;
        let (task, batch) = self.in_flight.take()?;
        let result = match task.await {
            Ok((mut writer, result)) => {
                // Credentials may have been rotated meanwhile.
                writer.set_remote(self.options.remote.clone());
                *self.writer_mut() = Some(writer);
                result
            }
            Err(error) => {
                // The writer went down with its thread. What it may have pushed is known by its keys.
                match self.options.open() {
                    Ok(writer) => *self.writer_mut() = Some(writer),
                    Err(error) => tracing::error!(%error, "could not open the status branch anew"),
                }
                Err(GitError::Interrupted(error.to_string()))
            }
        };
        Some(match result {
            Ok(published) => {
                self.failures = 0;
                self.retry_at = None;
                self.confirm(batch);
                if let Published::Committed { commit, parent, .. } = published {
                    self.commits.push_back(now);
                    self.note_pushed(Pushed { commit, parent });
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
                // The push may have arrived all the same: nobody knows which status is there now.
                self.status = self.status.take().or(self.published.take());
                self.published = None;
                // What was to be published still waits, whether or not anything is added to it.
                self.waiting_since = Some(now);
                self.news_since = Some(now);
                Err(error)
            }
        })
    }

    /// Forgets what is on the branch now.
    fn confirm(&mut self, batch: Batch) {
        self.lines.confirm(batch.lines);
        self.plans.retain(|path, _| !batch.plans.contains(path));
        if batch.status.is_some() {
            self.published = batch.status;
        }
        if self.status == self.published {
            self.status = None;
        }
        if !self.has_news() {
            (self.waiting_since, self.news_since) = (None, None);
        }
        if let Err(error) = self.journal.replace(&self.lines.to_vec()) {
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

    /// Commits that stand on each other are as good as one, so that nobody has to ask for few to be kept.
    fn note_pushed(&mut self, pushed: Pushed) {
        match self.pushed.last_mut() {
            Some(last) if pushed.parent.as_ref() == Some(&last.commit) => {
                last.commit = pushed.commit;
            }
            Some(_) | None => self.pushed.push(pushed),
        }
    }

    /// What arrived since this was asked last, in order; commits that stand on each other as one.
    pub(super) fn take_pushed(&mut self) -> Vec<Pushed> {
        std::mem::take(&mut self.pushed)
    }

    /// Takes rotated credentials into use with the next push.
    pub(super) fn set_remote(&mut self, remote: Remote) {
        if let Some(writer) = self.writer_mut() {
            writer.set_remote(remote.clone());
        }
        self.options.remote = remote;
    }

    /// Takes a changed time of gathering into use.
    pub(super) fn set_batch(&mut self, batch: Duration) {
        self.batch = batch;
    }
}

/// Why there is no publisher.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublisherError {
    /// The writer's clone cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] std::io::Error),
}

fn trailers(commit: &CommitId, digest: &PlanDigest) -> String {
    format!("\nTidegate-Spec-Commit: {commit}\nTidegate-Plan-Digest: {digest}\n")
}

#[cfg(test)]
mod tests;
