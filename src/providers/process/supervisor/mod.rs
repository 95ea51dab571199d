//! The small process that keeps one replica running: this same binary, started again by the provider.
//!
//! It outlives the controller, starts the replica's own process, carries its output to files, probes its
//! health, starts it again when it ends, and writes down every change. It ends when it is asked to
//! (SIGTERM), and with it the replica. It knows nothing of specs, plans or other replicas.
#![expect(clippy::disallowed_methods, reason = "a process of its own has an edge of its own")]

mod back_off;
mod child;
mod health;
mod logs;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

use self::back_off::BackOff;
use self::child::Child;
use self::health::{Judge, Verdict, probe_on_schedule};
use super::environment::Environment;
use super::identity::ProcessIdentity;
use super::layout::{LOCK_FILE, STOP_FILE};
use super::lock::{self, Attempt};
use super::record::{FileError, Record, State, StopOrder, StoredEvent, StoredPhase};
use super::{leftovers, text};

/// Without a health check a replica is ready when it has run this long: a program that cannot start (a
/// missing library, a wrong flag, a port taken) mostly ends sooner, and a person does not wait for it.
const SETTLED_AFTER: Duration = Duration::from_millis(200);
/// Time between two looks at whether the replica's folder is still there. Without it nobody would ever
/// find this process again.
const FOLDER_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time to wait for the lock while observers, who hold it for an instant, are in the way.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Time between two attempts at the lock.
const LOCK_RETRY_EVERY: Duration = Duration::from_millis(5);
/// Lines that go into the supervisor's log, which nobody empties: whoever reads it needs the first few.
const COMPLAINTS_MAX: u32 = 1000;
/// Characters of a probe's complaint that are kept: a line.
const WHY_CHARS_MAX: usize = 300;

#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error("another supervisor runs this replica")]
    AlreadyRuns,
    #[error("there is no replica in {0}")]
    NoReplica(PathBuf),
    #[error("lock {folder}")]
    Lock { folder: PathBuf, source: io::Error },
    #[error("end what an earlier supervisor left running")]
    Leftovers(#[source] io::Error),
    #[error("set up")]
    SetUp(#[source] io::Error),
    #[error("use a file of the replica")]
    File(#[from] FileError),
}

/// Supervises the replica of this folder until it is asked to stop. The environment holds what
/// [`super::ProcessProvider`] put there.
#[must_use]
pub fn run(record_dir: &Path) -> ExitCode {
    // Fails only for the leader of a process group, which is someone who runs this by hand.
    let _by_hand = rustix::process::setsid();
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SuperviseError::SetUp)
        .and_then(|runtime| runtime.block_on(supervise(record_dir)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "failed to {}", text::chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn supervise(folder: &Path) -> Result<(), SuperviseError> {
    // First of all, so that a request to stop is never met by the default: ending without a word.
    let signals = Signals {
        stop: signal(SignalKind::terminate()).map_err(SuperviseError::SetUp)?,
        child: signal(SignalKind::child()).map_err(SuperviseError::SetUp)?,
    };
    let lock = take_lock(folder).await?;
    let record =
        Record::read(folder)?.ok_or_else(|| SuperviseError::NoReplica(folder.to_owned()))?;
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    let identity = ProcessIdentity::of(own_pid)
        .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(SuperviseError::SetUp)?;
    // Written by someone who then did not finish; the replica was started anew since.
    let _mostly_missing = std::fs::remove_file(folder.join(STOP_FILE));

    let before = State::read(folder);
    let told = before.as_ref().ok().and_then(Option::as_ref);
    let mut state = State::begin(identity, told);
    // The child stays in the file until it is gone, should this process be killed as well.
    state.child = told.and_then(|state| state.child.clone());
    state.write(folder)?;
    let had_leftovers =
        leftovers::end(folder, &before, record.drain()).await.map_err(SuperviseError::Leftovers)?;
    if had_leftovers {
        state.last_exit = Some(now("stopped, because its supervisor was killed"));
    }
    state.child = None;

    let environment = Environment::unwrap_from(std::env::vars_os(), &record, folder);
    let own_program = own_program().map_err(SuperviseError::SetUp)?;
    let folder = folder.to_owned();
    let complaints = 0;
    Supervisor { folder, lock, record, environment, own_program, state, signals, complaints }
        .run()
        .await;
    Ok(())
}

async fn take_lock(folder: &Path) -> Result<std::fs::File, SuperviseError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match lock::try_take(folder) {
            Ok(Attempt::Mine(file)) => return Ok(file),
            Ok(Attempt::Theirs) if Instant::now() < deadline => sleep(LOCK_RETRY_EVERY).await,
            Ok(Attempt::Theirs) => return Err(SuperviseError::AlreadyRuns),
            Ok(Attempt::NoFolder) => return Err(SuperviseError::NoReplica(folder.to_owned())),
            Err(source) => return Err(SuperviseError::Lock { folder: folder.to_owned(), source }),
        }
    }
}

/// This binary, also after another one has taken its place on disk.
fn own_program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
}

fn now(reason: impl Into<String>) -> StoredEvent {
    StoredEvent { at: Timestamp::now(), reason: reason.into() }
}

struct Signals {
    stop: Signal,
    child: Signal,
}

struct Supervisor {
    folder: PathBuf,
    lock: std::fs::File,
    record: Record,
    environment: Environment,
    own_program: PathBuf,
    state: State,
    signals: Signals,
    /// Lines written to the supervisor's log.
    complaints: u32,
}

/// Why a run is over.
enum End {
    Stop,
    Exited,
    Unhealthy(String),
}

impl Supervisor {
    async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            let started = Instant::now();
            if self.run_once().await.is_stop() {
                break;
            }
            let wait = back_off.after_end(started.elapsed(), fastrand::f64());
            let until = Timestamp::now() + jiff::SignedDuration::try_from(wait).unwrap_or_default();
            self.enter(StoredPhase::BackOff { until });
            if self.waits_out(Instant::now() + wait).await.is_stop() {
                break;
            }
            self.state.restarts = self.state.restarts.saturating_add(1);
        }
        self.enter(StoredPhase::Stopped);
    }

    /// Waits for the next start, or for the request to stop.
    async fn waits_out(&mut self, until: Instant) -> Next {
        let mut looks = interval(FOLDER_LOOK_EVERY);
        loop {
            tokio::select! {
                () = sleep_until(until) => return Next::Start,
                _ = self.signals.stop.recv() => return Next::Stop,
                _ = looks.tick() => if self.is_removed() { return Next::Stop },
            }
        }
    }

    async fn run_once(&mut self) -> Next {
        let started =
            Child::start(&self.record, &self.environment, &self.folder, &self.own_program);
        let child = match started {
            Ok(child) => child,
            Err(why) => {
                self.state.last_exit = Some(now(format!("cannot start {why}")));
                return Next::Start;
            }
        };
        self.state.child = child.identity();
        self.state.started_at = Some(Timestamp::now());
        self.enter(StoredPhase::Starting);

        let end = self.watch(&child).await;
        let (reason, next) = match end {
            End::Exited => (child.bury().await, Next::Start),
            End::Unhealthy(why) => {
                let drain = self.record.drain();
                let exit = child.end(drain, &mut self.signals.child).await;
                (format!("stopped as unhealthy ({why}): {exit}"), Next::Start)
            }
            End::Stop => {
                self.enter(StoredPhase::Draining);
                let drain = self.ordered_drain();
                (child.end(drain, &mut self.signals.child).await, Next::Stop)
            }
        };
        self.state.child = None;
        self.state.started_at = None;
        self.state.last_exit = Some(now(reason));
        next
    }

    /// Follows one run to its end.
    async fn watch(&mut self, child: &Child) -> End {
        let (answers, mut probes) = mpsc::channel(1);
        let mut prober = JoinSet::new();
        let mut judge = self.record.health.clone().map(|check| {
            let judge = Judge::new(&check, std::time::Instant::now());
            prober.spawn(probe_on_schedule(check, answers));
            judge
        });
        let settled = sleep(SETTLED_AFTER);
        tokio::pin!(settled);
        let mut looks = interval(FOLDER_LOOK_EVERY);
        loop {
            tokio::select! {
                _ = self.signals.stop.recv() => return End::Stop,
                _ = self.signals.child.recv() => if child.has_ended() { return End::Exited },
                () = &mut settled, if judge.is_none() && !self.is_ready() => {
                    self.enter(StoredPhase::Ready);
                }
                Some(answer) = probes.recv() => if let Some(judge) = &mut judge {
                    let verdict = judge.hear(answer.is_ok(), std::time::Instant::now());
                    if let Some(end) = self.heed(verdict, answer.err()) {
                        return end;
                    }
                },
                _ = looks.tick() => if self.is_removed() { return End::Stop },
            }
        }
    }

    fn heed(&mut self, verdict: Verdict, complaint: Option<String>) -> Option<End> {
        let complaint = complaint.map(|why| text::cut(&why, WHY_CHARS_MAX));
        match verdict {
            Verdict::Ready if self.is_ready() => None,
            Verdict::Ready => {
                self.enter(StoredPhase::Ready);
                None
            }
            Verdict::AsBefore => {
                // Told with the next change: a file write for each probe of a slow start is too much.
                self.state.last_health_failure = complaint.map(now);
                None
            }
            Verdict::Unhealthy => {
                let why = complaint.unwrap_or_default();
                self.state.last_health_failure = Some(now(why.clone()));
                self.enter(StoredPhase::Unhealthy { why: why.clone() });
                Some(End::Unhealthy(why))
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.state.phase == StoredPhase::Ready
    }

    /// Whether somebody removed the replica's folder, with this process still in it.
    fn is_removed(&self) -> bool {
        matches!(lock::is_file_at(&self.lock, &self.folder.join(LOCK_FILE)), Ok(false))
    }

    /// The drain time that whoever stops the replica asks for, else the template's.
    fn ordered_drain(&self) -> Duration {
        match StopOrder::read(&self.folder) {
            Ok(Some(order)) => Duration::from_millis(order.drain_ms),
            Ok(None) | Err(_) => self.record.drain(),
        }
    }

    fn enter(&mut self, phase: StoredPhase) {
        self.state.phase = phase;
        // The replica is worth more than the file about it: on a full disk it goes on running.
        if let Err(error) = self.state.write(&self.folder)
            && self.complaints < COMPLAINTS_MAX
        {
            self.complaints += 1;
            let _nobody_reads = writeln!(io::stderr(), "failed to {}", text::chain(&error));
        }
    }
}

/// What follows the end of a run.
enum Next {
    Start,
    Stop,
}

impl Next {
    fn is_stop(&self) -> bool {
        matches!(self, Self::Stop)
    }
}
