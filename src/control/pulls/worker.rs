//! The loop beside the controller's: polls pull requests, plans them, and reports what becomes of merged ones.
//! It only reads the world that the controller shares with it, and the controller waits for nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::backtests::Past;
use super::deployments::Deployments;
use super::facts::Fact;
use super::making;
use super::reviews::Reviews;
use super::sight::Sight;
use super::sticky::{Board, Sticky};
use crate::apply::{Clock, StopSign, elapsed};
use crate::config::PullRules;
use crate::control::run::{Event, Timer};
use crate::forge::comment::Links;
use crate::forge::{Forge, ForgeError, Pull, Reported};
use crate::git::{GitError, Mirror};
use crate::model::{CommitId, OwnerId, PullNumber};

/// Pause after a first failure, where polls are further apart than that: most failures are over by then.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// A longer pause than this after failures would make an outage last longer than its cause.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Doublings of the first pause: more than it takes from a second to [`PAUSE_MAX`].
const PAUSE_DOUBLINGS_MAX: u32 = 8;
/// Share of an interval by which it varies.
const JITTER_SHARE: f64 = 0.1;

/// What the worker is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) forge: Arc<dyn Forge>,
    pub(crate) mirror: Arc<Mutex<Mirror>>,
    pub(crate) reviews: Reviews,
    pub(crate) rules: PullRules,
    pub(crate) owner: OwnerId,
    pub(crate) branch: String,
    /// The folder of the spec.
    pub(crate) path: String,
    pub(crate) poll_interval: Duration,
    /// Where the past of signals is.
    pub(crate) past: Past,
    pub(crate) links: Links,
    /// Whether nothing is to be written anywhere.
    pub(crate) dry_run: bool,
}

/// The ends of what connects the worker to the controller.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) sights: watch::Receiver<Option<Arc<Sight>>>,
    pub(crate) facts: mpsc::UnboundedReceiver<Fact>,
    /// The controller's own loop.
    pub(crate) events: mpsc::Sender<Event>,
}

/// What is known of an open pull request.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pull: Pull,
    /// What it was planned for last.
    pub(super) planned_for: Option<PlannedFor>,
    /// Our comment; `None` inside where there is none.
    pub(super) sticky: Option<Option<Sticky>>,
    /// How its check stands at the forge, and on which commit.
    pub(super) check: Option<(CommitId, Option<Reported>)>,
    /// Up to when its comments were searched for commands, and the last of them.
    pub(super) heard_until: Option<(Timestamp, u64)>,
    /// When a change of it was seen after which its comments are still to be searched.
    pub(super) touched_at: Option<Timestamp>,
    /// Whether somebody asked for a new plan.
    pub(super) is_asked: bool,
}

/// What a plan of a pull request depends on; the same means that nothing is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedFor {
    pub(super) head: CommitId,
    pub(super) branch_head: Option<CommitId>,
    pub(super) in_force: Option<CommitId>,
    pub(super) gaps: Vec<String>,
}

impl PlannedFor {
    /// What a plan of this head, made now, depends on.
    pub(super) fn of(head: CommitId, sight: &Sight) -> Self {
        Self {
            head,
            branch_head: sight.branch_head.clone(),
            in_force: sight.in_force.as_ref().map(|good| good.commit.clone()),
            gaps: sight.gaps(),
        }
    }
}

/// Why a round ended before its end.
#[derive(Debug)]
pub(super) enum Trouble {
    Forge(ForgeError),
    Git(GitError),
}

impl From<ForgeError> for Trouble {
    fn from(error: ForgeError) -> Self {
        Self::Forge(error)
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forge(error) => error.fmt(f),
            Self::Git(error) => error.fmt(f),
        }
    }
}

/// The loop's state.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) parts: Parts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) known: BTreeMap<PullNumber, Known>,
    /// Commits of the merge queue that have their check.
    pub(super) queue_checked: BTreeSet<CommitId>,
    /// Pull requests that are not among the open ones any more, since when.
    pub(super) left: BTreeMap<PullNumber, Timestamp>,
    /// The comments of pull requests that were merged.
    pub(super) merged: BTreeMap<PullNumber, Sticky>,
    pub(super) deployments: Deployments,
    pub(super) board: Option<Board>,
    pub(super) sights: watch::Receiver<Option<Arc<Sight>>>,
    facts: mpsc::UnboundedReceiver<Fact>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) is_resumed: bool,
    /// Whether there ever was a world to plan from.
    pub(super) has_looked: bool,
    failures: u32,
    /// Whether the last work failed: until the pause after it is over nothing is asked, whatever happens.
    is_resting: bool,
}

impl Worker {
    pub(crate) fn new(parts: Parts, clock: Arc<dyn Clock>, wires: Wires) -> Self {
        let Wires { sights, facts, events } = wires;
        Self {
            parts,
            clock,
            known: BTreeMap::new(),
            queue_checked: BTreeSet::new(),
            left: BTreeMap::new(),
            merged: BTreeMap::new(),
            deployments: Deployments::default(),
            board: None,
            sights,
            facts,
            events,
            is_resumed: false,
            has_looked: false,
            failures: 0,
            is_resting: false,
        }
    }

    /// Works until `stop` is raised; looks at once when `wake` says that something may have changed. A failure of the forge or of git is said and tried again, later each time.
    pub(crate) async fn run(mut self, wake: Arc<Notify>, stop: StopSign) {
        let clock = self.clock.clone();
        let mut due = Timer::due(clock.now());
        let mut is_told = true;
        while !stop.is_raised() {
            let pause = due.left(clock.now());
            let mut is_due = pause.is_zero();
            let mut is_round = false;
            if !is_due {
                tokio::select! {
                    () = clock.sleep(pause) => is_due = true,
                    () = stop.raised() => break,
                    () = wake.notified() => is_round = true,
                    changed = self.sights.changed(), if is_told => {
                        // Without a controller there is nothing to plan from any more.
                        is_told = changed.is_ok();
                        is_round = self.sight_matters();
                    }
                    fact = self.facts.recv(), if is_told => match fact {
                        Some(fact) => self.deployments.take(fact),
                        None => is_told = false,
                    },
                }
            }
            if self.is_resting && !is_due {
                continue;
            }
            is_round |= is_due;
            let work = async {
                self.report_deployments().await?;
                if is_round { self.round().await } else { Ok(()) }
            };
            let result = tokio::select! {
                result = work => result,
                () = stop.raised() => break,
            };
            self.is_resting = result.is_err();
            if let Some(pause) = self.pause_after(result, is_round) {
                due = Timer::after(clock.now(), pause);
            }
        }
    }

    /// Takes what the controller told since, without waiting.
    pub(super) fn listen(&mut self) {
        while let Ok(fact) = self.facts.try_recv() {
            self.deployments.take(fact);
        }
    }

    /// Whether what the controller sees now makes a difference for any pull request.
    fn sight_matters(&mut self) -> bool {
        let sight = self.sights.borrow_and_update().clone();
        let Some(sight) = sight else { return false };
        !self.has_looked
            || sight.queued.iter().any(|(_, commit)| !self.queue_checked.contains(commit))
            || self.known.values().any(|known| {
                let planned = known.planned_for.as_ref();
                planned
                    .is_none_or(|planned| *planned != PlannedFor::of(planned.head.clone(), &sight))
            })
    }

    /// When to look again; `None` where nothing changed about that.
    fn pause_after(&mut self, result: Result<(), Trouble>, is_round: bool) -> Option<Duration> {
        let interval = self.parts.poll_interval;
        match result {
            Ok(()) if is_round => {
                self.failures = 0;
                Some(interval.mul_f64(1.0 + JITTER_SHARE * (2.0 * fastrand::f64() - 1.0)))
            }
            Ok(()) => None,
            Err(Trouble::Forge(ForgeError::Limited { until, why, .. })) => {
                tracing::info!(%until, why, "waiting before the next call to the forge");
                Some(elapsed(self.clock.now(), until).max(interval.min(PAUSE_FIRST)))
            }
            Err(trouble) => {
                tracing::warn!(error = %trouble, failures = self.failures, "could not do all that pull requests need");
                let pause = pause_after_failures(interval, self.failures);
                self.failures = self.failures.saturating_add(1);
                Some(pause)
            }
        }
    }

    /// Where comments are written.
    pub(super) async fn board(&mut self) -> Result<Board, ForgeError> {
        if let Some(board) = &self.board {
            return Ok(board.clone());
        }
        let board = Board {
            forge: self.parts.forge.clone(),
            owner: self.parts.owner.clone(),
            me: self.parts.forge.me().await?,
            links: self.parts.links.clone(),
        };
        self.board = Some(board.clone());
        Ok(board)
    }

    /// Runs a blocking piece of git work off the event loop.
    pub(super) async fn with_mirror<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Mirror) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        making::with(&self.parts.mirror, work).await
    }
}

/// The pause after a failure that so many went before.
fn pause_after_failures(poll_interval: Duration, before: u32) -> Duration {
    let first = poll_interval.min(PAUSE_FIRST);
    first.saturating_mul(1 << before.min(PAUSE_DOUBLINGS_MAX)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_eight_minutes_costs_a_few_requests_and_is_over_within_two() {
        for (interval, first) in [(1, 1), (15, 5), (60, 5), (3_600, 5)] {
            let interval = Duration::from_secs(interval);
            let pauses: Vec<u64> =
                (0..40).map(|n| pause_after_failures(interval, n).as_secs()).collect();
            assert_eq!(pauses[0], first, "{pauses:?}");
            assert!(pauses.is_sorted() && pauses.last() == Some(&120), "{pauses:?}");
            let mut at = 0;
            let tries = pauses.iter().take_while(|pause| {
                at += **pause;
                at < 8 * 60
            });
            assert!(tries.count() <= 11, "{pauses:?}");
        }
    }
}
