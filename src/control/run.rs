//! The loop: one event enum, one select.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::pulls::Pulls;
use super::watch::FileWatch;
use super::{ControlError, Controller, Polled, Setup, Ticked};
use crate::apply::{Clock, StopSign, elapsed};

/// What may happen to a running controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The configuration or a credential file changed.
    ConfigurationChanged,
    /// Somebody says that the repository may have changed: poll now.
    Wake,
}

/// Events that may wait; one of each kind is enough, the rest is slack.
pub const EVENTS_MAX: usize = 16;

/// Reads the configuration again: the shell's own way of doing it, passed in.
pub type Reload = Arc<dyn Fn() -> Result<Setup, String> + Send + Sync>;

/// Told of every cycle, after it.
pub type OnCycle = Arc<dyn Fn(&Ticked) + Send + Sync>;

/// What the loop needs besides the controller.
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Raised to end the loop.
    pub shutdown: StopSign,
    /// Reads the configuration again.
    pub reload: Reload,
    /// Files whose change means a reload.
    pub files: Vec<PathBuf>,
    /// Told of every cycle.
    pub on_cycle: OnCycle,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What one cycle's apply may take before the rest is left to the next.
const APPLY_MAX: Duration = Duration::from_secs(60);
/// A longer pause than this between two polls would make a fault last longer than its cause.
const POLL_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Share of an interval by which it varies, so that many controllers do not poll one server in step.
const JITTER_SHARE: f64 = 0.1;
/// Quiet time after a change of a file before it is read: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// Time that the last push may take at shutdown.
const LAST_PUSH_MAX: Duration = Duration::from_secs(20);
/// How often a push in flight is looked after.
const PUSH_LOOK: Duration = Duration::from_millis(250);

/// Runs until `shutdown` is raised: polls, cycles, publishes. A failure of the repository, of a provider or
/// of a push is said and tried again, later each time; none ends the loop.
///
/// # Errors
/// [`ControlError`] only for what no later cycle can repair.
pub async fn run(
    mut controller: Controller,
    around: Surroundings,
    mut events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
) -> Result<(), ControlError> {
    // Renewed after a reload: the files that the shell adds to those the configuration names stay.
    let named = controller.setup().config.files();
    let fixed: Vec<PathBuf> =
        around.files.iter().filter(|file| !named.contains(file)).cloned().collect();
    let clock = around.clock.clone();
    let mut pulls = attach(&mut controller, &clock, &sender, None)?;
    let mut watch = match FileWatch::start(&around.files, sender.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "cannot watch the configuration; changes need a restart");
            None
        }
    };
    controller.limit_apply(APPLY_MAX);
    let mut poll = Timer::due(clock.now());
    let mut decide = Timer::due(clock.now());
    let mut is_heard = true;
    let mut poll_failures = 0u32;
    while !around.shutdown.is_raised() {
        let mut has_news = false;
        if poll.left(clock.now()).is_zero() {
            has_news = look(&mut controller, &mut poll_failures).await;
            poll = Timer::after(clock.now(), pause_before_poll(&controller, poll_failures));
        }
        if has_news || decide.left(clock.now()).is_zero() {
            let after_cycle = cycle(&mut controller, &around).await?;
            decide = Timer::after(clock.now(), jittered(controller.setup().config.interval));
            match after_cycle {
                AfterCycle::Wait => {}
                AfterCycle::PollNow => poll = Timer::due(clock.now()),
                AfterCycle::GoOn => decide = Timer::due(clock.now()),
            }
        }
        let publish_in = controller.publish_if_due().await;
        let now = clock.now();
        let mut pause = poll.left(now).min(decide.left(now));
        pause = pause.min(publish_in.unwrap_or(pause));
        if controller.is_publishing() {
            pause = pause.min(PUSH_LOOK);
        }
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = around.shutdown.raised() => {}
            event = events.recv(), if is_heard => match event {
                Some(Event::ConfigurationChanged) => {
                    clock.sleep(SETTLE).await;
                    while events.try_recv().is_ok() {}
                    let is_changed = reload(&mut controller, &around.reload).await;
                    if let Some(watch) = watch.as_mut().filter(|_| is_changed) {
                        let named = controller.setup().config.files();
                        watch.renew(&[&fixed[..], &named].concat());
                    }
                    if is_changed {
                        match attach(&mut controller, &clock, &sender, pulls.as_ref()) {
                            Ok(attached) => pulls = attached,
                            Err(error) => {
                                tracing::error!(%error, "pull requests are handled as before");
                            }
                        }
                    }
                    let now = clock.now();
                    (poll, decide) = (Timer::due(now), Timer::due(now));
                }
                Some(Event::Wake) => {
                    poll = Timer::due(clock.now());
                    if let Some(pulls) = &pulls {
                        pulls.wake();
                    }
                }
                // Nobody can send any more; the timers go on.
                None => is_heard = false,
            },
        }
    }
    if let Some(pulls) = &pulls {
        pulls.end();
    }
    tracing::info!("shutting down: publishing what is left");
    match tokio::time::timeout(LAST_PUSH_MAX, controller.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "history stays in the journal until the next start");
        }
        Err(_) => tracing::warn!("the last push takes too long; history stays in the journal"),
    }
    Ok(())
}

/// Starts whoever plans pull requests, in the place of the one before.
fn attach(
    controller: &mut Controller,
    clock: &Arc<dyn Clock>,
    events: &mpsc::Sender<Event>,
    before: Option<&Pulls>,
) -> Result<Option<Pulls>, ControlError> {
    let (pulls, link) = Pulls::begin(controller.setup(), clock, events, before)?.unzip();
    controller.attach(link);
    Ok(pulls)
}

/// Polls, and says whether there is something to act on.
async fn look(controller: &mut Controller, failures: &mut u32) -> bool {
    match controller.poll().await {
        Ok(polled) => {
            *failures = 0;
            match polled {
                Polled::Unchanged => false,
                Polled::Overridden => true,
                Polled::Adopted(commit) => {
                    tracing::info!(%commit, "a new commit is in force");
                    true
                }
                Polled::Refused => {
                    let findings = controller.source().refused().map(|r| r.findings.join("; "));
                    tracing::error!(
                        findings = findings.unwrap_or_default(),
                        "the newest commit is refused; the last good one stays in force"
                    );
                    true
                }
            }
        }
        Err(error) => {
            *failures = failures.saturating_add(1);
            tracing::warn!(%error, failures = *failures, "could not poll the spec repository");
            false
        }
    }
}

/// What follows a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterCycle {
    /// The interval.
    Wait,
    /// The commit that cut it short.
    PollNow,
    /// What it left to do.
    GoOn,
}

/// One cycle; says what follows.
async fn cycle(
    controller: &mut Controller,
    around: &Surroundings,
) -> Result<AfterCycle, ControlError> {
    match controller.tick(&around.shutdown).await {
        Ok(ticked) => {
            (around.on_cycle)(&ticked);
            for failure in ticked.failures() {
                tracing::error!(failure, "an action failed");
            }
            Ok(match (ticked.is_superseded, ticked.is_deferred) {
                (true, _) => AfterCycle::PollNow,
                (false, true) => AfterCycle::GoOn,
                (false, false) => AfterCycle::Wait,
            })
        }
        Err(error @ ControlError::Overrides { .. }) => {
            tracing::error!(%error, "waiting");
            Ok(AfterCycle::Wait)
        }
        Err(ControlError::NoSpec(why)) => {
            tracing::warn!(why, "waiting for a valid spec; nothing is changed until then");
            Ok(AfterCycle::Wait)
        }
        Err(error) => Err(error),
    }
}

/// Takes the changed configuration into use; returns whether it is in use.
async fn reload(controller: &mut Controller, reload: &Reload) -> bool {
    let result = match reload() {
        Ok(setup) => controller.reload(setup).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {
            tracing::info!("the changed configuration is in use");
            true
        }
        Err(error) => {
            tracing::error!(
                error,
                "the changed configuration is refused; the old one stays in use"
            );
            false
        }
    }
}

/// The poll interval, longer after each failure, never in step with others.
fn pause_before_poll(controller: &Controller, failures: u32) -> Duration {
    let interval = controller.setup().config.repository.poll_interval;
    let pause = interval.saturating_mul(1 << failures.min(8)).min(POLL_PAUSE_MAX.max(interval));
    jittered(pause)
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + JITTER_SHARE * (2.0 * fastrand::f64() - 1.0))
}

/// When something is to be done next, by a clock that may be set back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    at: Timestamp,
    pause: Duration,
}

impl Timer {
    pub(super) fn due(now: Timestamp) -> Self {
        Self::after(now, Duration::ZERO)
    }

    pub(super) fn after(now: Timestamp, pause: Duration) -> Self {
        Self { at: now.checked_add(pause).unwrap_or(now), pause }
    }

    /// Time that is left, never more than the pause: a clock that was set back by an hour would make it an
    /// hour longer, and starts the pause again instead.
    pub(super) fn left(&mut self, now: Timestamp) -> Duration {
        let left = elapsed(now, self.at);
        if left > self.pause {
            *self = Self::after(now, self.pause);
        }
        left.min(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_clock_set_back_lengthens_no_pause_by_more_than_itself() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let at = |second| start + SignedDuration::from_secs(second);
        let pause = Duration::from_secs(30);
        let mut timer = Timer::after(start, pause);
        assert_eq!(timer.left(at(20)), Duration::from_secs(10));
        assert_eq!(timer.left(at(20 - 3600)), pause);
        assert_eq!(timer.left(at(40 - 3600)), Duration::from_secs(10));
        assert_eq!(timer.left(at(50 - 3600)), Duration::ZERO);
        let mut due = Timer::due(start);
        assert_eq!(due.left(at(-3600)), Duration::ZERO, "due stays due");
    }
}
