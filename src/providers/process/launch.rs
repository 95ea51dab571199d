//! Creates and starts replicas.
//!
//! A create that is cut short leaves nothing, or a record without a supervisor: a stopped replica, which
//! the next create or start sets going.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::folders::{FolderError, read_record};
use super::layout::{SUPERVISOR_LOG_FILE, WORK_FOLDER};
use super::record::{NewRecord, Record, State, StoredPhase};
use super::{
    Applied, Ctx, Host, ProviderError, blocking, environment, failure, lock, ports, program,
};
use crate::model::FailureKind;
use crate::providers::Launch;

/// The hidden command of this binary that supervises a replica.
const SUPERVISE: &str = "supervise";
/// Time a supervisor may take to start the replica's process, beside the drain time of what an earlier
/// one left: a hundred times what it needs on an idle host.
const START_WAIT: Duration = Duration::from_secs(15);
/// The first time between two looks at whether the replica runs; each is a quarter longer than the last.
const LOOK_FIRST: Duration = Duration::from_millis(5);
/// The longest time between two such looks.
const LOOK_LONGEST: Duration = Duration::from_millis(100);
/// Characters of a supervisor's last words that go into an error.
const LAST_WORDS_CHARS_MAX: usize = 500;

/// Makes the replica, unless it exists, and sets it going, unless it runs.
pub(super) async fn create(
    host: &Arc<Host>,
    ctx: &Ctx,
    launch: &Launch,
) -> Result<Applied, ProviderError> {
    check_environment(launch)?;
    let folder = host.layout.replica(&ctx.owner, &launch.key);
    let record = {
        let (host, ctx, launch) = (Arc::clone(host), ctx.clone(), launch.clone());
        let folder = folder.clone();
        blocking(move || find_or_make(&host, &ctx, &launch, &folder)).await??
    };
    set_going(host, &folder, &record, launch).await
}

/// Sets a replica going that exists, unless it runs.
pub(super) async fn start(
    host: &Arc<Host>,
    ctx: &Ctx,
    launch: &Launch,
) -> Result<Applied, ProviderError> {
    check_environment(launch)?;
    let folder = host.layout.replica(&ctx.owner, &launch.key);
    let found = {
        let folder = folder.clone();
        blocking(move || read_record(&folder)).await?
    };
    match found.map_err(|error| failure("read its record", &error))? {
        Some(record) => {
            check_same(&record, launch)?;
            set_going(host, &folder, &record, launch).await
        }
        None => Err(ProviderError::give_up(
            FailureKind::NotFound,
            format!("there is no such replica in {}", folder.display()),
        )),
    }
}

fn check_environment(launch: &Launch) -> Result<(), ProviderError> {
    let invalid = |message| Err(ProviderError::give_up(FailureKind::Invalid, message));
    for (name, value) in &launch.env {
        if !environment::is_name(name) {
            return invalid(format!("`{name}` cannot be the name of an environment variable"));
        }
        if value.expose().contains('\0') {
            return invalid(format!("the value of the environment variable `{name}` holds a NUL"));
        }
    }
    Ok(())
}

fn check_same(record: &Record, launch: &Launch) -> Result<(), ProviderError> {
    if record.template_hash == launch.template_hash {
        return Ok(());
    }
    Err(ProviderError::give_up(
        FailureKind::Conflict,
        format!(
            "it exists and was made from template {}, not {}; it must be destroyed first",
            record.template_hash, launch.template_hash
        ),
    ))
}

fn find_or_make(
    host: &Host,
    ctx: &Ctx,
    launch: &Launch,
    folder: &Path,
) -> Result<Record, ProviderError> {
    let failed = |error: FolderError| failure("make its record", &error);
    let lock = host.layout.lock_wide().map_err(failed)?;
    if let Some(record) = read_record(folder).map_err(failed)? {
        check_same(&record, launch)?;
        return Ok(record);
    }
    let template = &launch.template;
    check_program(host, launch, folder)?;
    let taken = host.layout.ports_given(&lock).map_err(failed)?;
    let given = ports::give(template, &host.settings.ports, taken, ports::is_free)
        .map_err(|error| ProviderError::give_up(FailureKind::Unavailable, error.to_string()))?;
    let mut record = Record::new(&NewRecord {
        owner: &ctx.owner,
        key: &launch.key,
        template_hash: &launch.template_hash,
        spec_commit: &launch.spec_commit,
        created_at: ctx.now,
    });
    record.command.clone_from(&template.command);
    record.cwd.clone_from(&host.settings.cwd);
    record.health = ports::health_check(template, &given);
    record.ports = given;
    record.env = launch.env.iter().map(|(name, _)| name.clone()).collect();
    record.drain_ms = u64::try_from(template.drain.as_millis()).unwrap_or(u64::MAX);
    record.log_bytes_max = host.settings.log_bytes_max;
    host.layout.bring_in(&lock, folder, &record).map_err(failed)?;
    Ok(record)
}

/// A program that is not there is found out before anything is made.
fn check_program(host: &Host, launch: &Launch, folder: &Path) -> Result<(), ProviderError> {
    let invalid = |message| Err(ProviderError::give_up(FailureKind::Invalid, message));
    let Some(name) = launch.template.command.first() else {
        return invalid("find its program: the template has no `command`".to_owned());
    };
    let path = launch
        .env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| std::ffi::OsStr::new(value.expose()))
        .or_else(|| {
            let inherited = host.inherited.iter().find(|(name, _)| *name == "PATH");
            inherited.map(|(_, value)| value.as_os_str())
        });
    let cwd = host.settings.cwd.clone().unwrap_or_else(|| folder.join(WORK_FOLDER));
    if program::find(name, &host.exe, &cwd, path).is_some() {
        return Ok(());
    }
    invalid(format!(
        "find its program: there is no executable `{name}` on this host; install it or correct `command`"
    ))
}

/// Starts a supervisor, unless one runs, and waits until the replica's process was started.
async fn set_going(
    host: &Host,
    folder: &Path,
    record: &Record,
    launch: &Launch,
) -> Result<Applied, ProviderError> {
    if is_supervised(folder)? {
        return match State::read(folder).map(|state| state.map(|state| state.phase)) {
            Ok(Some(StoredPhase::Draining | StoredPhase::Stopped)) => Err(ProviderError::retry(
                FailureKind::Conflict,
                "it is on its way out; once it is gone this can be done",
            )),
            Ok(_) => Ok(Applied::AlreadySo),
            Err(error) => Err(failure("read its state", &error)),
        };
    }
    let mut supervisor = spawn_supervisor(host, folder, launch)?;
    let pid = supervisor.id();
    let deadline = Instant::now() + START_WAIT + record.drain();
    let mut wait = LOOK_FIRST;
    loop {
        if runs(folder, pid) {
            return Ok(Applied::Done);
        }
        if let Ok(Some(status)) = supervisor.try_wait() {
            if is_supervised(folder)? {
                return Ok(Applied::AlreadySo); // Somebody else was quicker.
            }
            return Err(ProviderError::retry(
                FailureKind::Unexpected,
                format!("its supervisor ended with {status}: {}", last_words(folder)),
            ));
        }
        if Instant::now() >= deadline {
            return Err(ProviderError::retry(
                FailureKind::Timeout,
                format!("its supervisor did not start it; see {}", log_path(folder).display()),
            ));
        }
        sleep(wait).await;
        wait = wait.mul_f64(1.25).min(LOOK_LONGEST);
    }
}

fn is_supervised(folder: &Path) -> Result<bool, ProviderError> {
    lock::is_held(folder).map_err(|error| failure("look at its lock", &error))
}

/// Whether this supervisor has started the replica's process, whatever became of it since.
fn runs(folder: &Path, supervisor_pid: Option<u32>) -> bool {
    let Ok(Some(state)) = State::read(folder) else { return false };
    u32::try_from(state.supervisor.pid).ok() == supervisor_pid
        && match state.phase {
            StoredPhase::Starting => state.started_at.is_some(),
            StoredPhase::Ready
            | StoredPhase::Unhealthy { .. }
            | StoredPhase::BackOff { .. }
            | StoredPhase::Draining
            | StoredPhase::Stopped => true,
        }
}

fn spawn_supervisor(host: &Host, folder: &Path, launch: &Launch) -> Result<Child, ProviderError> {
    let inherited = host.inherited.iter().map(|(name, value)| (*name, value.as_os_str()));
    let log = File::create(log_path(folder)).map_err(|error| failure("make its log", &error))?;
    // Dropping the handle leaves the process alone: it is meant to outlive this one.
    Command::new(&host.exe)
        .arg(SUPERVISE)
        .arg(folder)
        .current_dir("/")
        .env_clear()
        .envs(environment::wrap(inherited, &launch.env))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| failure(&format!("run {}", host.exe.display()), &error))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join(SUPERVISOR_LOG_FILE)
}

fn last_words(folder: &Path) -> String {
    let words = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
    super::text::cut(words.trim(), LAST_WORDS_CHARS_MAX)
}
