//! The spec repository, read as the controller reads it, and the status branch.

use std::path::PathBuf;

use super::{Check, bad, good};
use crate::apply::{Clock as _, SystemClock};
use crate::control::{self, ControlError, Setup};
use crate::git::{GitError, Mirror, Remote};
use crate::model::{Catalogue, Diagnostic, Severity, Spec};
use crate::spec;

/// More difference than this between this clock and the newest commit's time, into the future, is a sign
/// of a wrong clock.
const CLOCK_AHEAD_MAX_S: i64 = 120;
/// Findings of a spec that are shown: the rest is `tidegate validate`'s business.
const FINDINGS_MAX: usize = 5;
/// What to do when the repository cannot be read.
const CHECK_ADDRESS: &str = "check `repository.url` and `repository.credentials`";

/// What was found of the repository.
#[derive(Default)]
pub(super) struct Found {
    pub(super) checks: Vec<Check>,
    /// The spec at the head, when it is valid.
    pub(super) spec: Option<Spec>,
}

/// The head of the spec branch.
struct Head {
    loaded: spec::Loaded,
    time: jiff::Timestamp,
}

/// Reads the repository: into the controller's mirror, or, when there is no folder for it, into one that
/// lives as long as the check.
pub(super) async fn look(setup: &Setup, has_state_dir: bool, has_all_providers: bool) -> Found {
    let mut found = Found::default();
    let branch = setup.config.repository.branch.as_str();
    match read(setup, has_state_dir).await {
        Err(error) => {
            found.checks.push(bad("read the spec repository", &error, CHECK_ADDRESS));
            return found;
        }
        Ok(None) => {
            found.checks.push(good("read the spec repository", "it answers"));
            let absent = format!("branch `{branch}` does not exist in the spec repository");
            let todo = "push a `spec.yaml` to the branch, or correct `repository.branch`";
            found.checks.push(bad("spec", &absent, todo));
            found.checks.push(clock(None));
        }
        Ok(Some(head)) => {
            let read = format!("branch `{branch}` was read");
            found.checks.push(good("read the spec repository", &read));
            found.checks.push(spec_check(&head.loaded, has_all_providers));
            found.checks.push(clock(Some(head.time)));
            found.spec = head.loaded.spec;
        }
    }
    if has_state_dir {
        found.checks.push(status(setup).await);
    }
    found
}

async fn read(setup: &Setup, has_state_dir: bool) -> Result<Option<Head>, String> {
    let (remote, catalogue) = (setup.remote.clone(), setup.catalogue.clone());
    let (branch, path) =
        (setup.config.repository.branch.clone(), setup.config.repository.path.clone());
    let mirror_dir = has_state_dir.then(|| setup.mirror_dir());
    let work = move || {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let dir = mirror_dir.unwrap_or_else(|| scratch.path().join("mirror.git"));
        head(dir, remote, &branch, &path, &catalogue).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

fn head(
    dir: PathBuf,
    remote: Remote,
    branch: &str,
    path: &str,
    catalogue: &Catalogue,
) -> Result<Option<Head>, GitError> {
    let mirror = Mirror::open(&dir, remote)?;
    let Some(commit) = mirror.advertise()?.branch(branch).cloned() else { return Ok(None) };
    mirror.fetch(&[branch])?;
    let loaded = spec::load(&mirror.read_spec(&commit, path)?, Some(catalogue));
    Ok(Some(Head { loaded, time: mirror.commit_info(&commit)?.time }))
}

fn spec_check(loaded: &spec::Loaded, has_all_providers: bool) -> Check {
    if let Some(spec) = &loaded.spec {
        let services = match spec.services.len() {
            1 => "1 service".to_owned(),
            n => format!("{n} services"),
        };
        return good("spec", &format!("valid, {services}"));
    }
    let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
    let errors: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(is_error).collect();
    let mut shown: Vec<String> = errors.iter().take(FINDINGS_MAX).map(|d| line(d)).collect();
    if errors.len() > FINDINGS_MAX {
        shown.push(format!("and {} more", errors.len() - FINDINGS_MAX));
    }
    let todo = if has_all_providers {
        "run `tidegate validate` in the spec repository"
    } else {
        "correct the providers first: the spec is checked against them"
    };
    bad("spec", &shown.join("; "), todo)
}

fn line(finding: &Diagnostic) -> String {
    let place = finding.position.as_ref().map_or_else(String::new, |position| {
        format!("{}:{}:{} ", position.file, position.line, position.column)
    });
    format!("{place}{} {}", finding.code, finding.message)
}

fn clock(newest: Option<jiff::Timestamp>) -> Check {
    let now = SystemClock.now();
    match newest {
        Some(time) if time.duration_since(now).as_secs() > CLOCK_AHEAD_MAX_S => bad(
            "clock",
            &format!("it is {now:.0} here, and the newest commit is from {time:.0}"),
            "set this machine's clock, for example with NTP",
        ),
        Some(_) => good("clock", &format!("{now:.0}, not behind the repository")),
        None => good("clock", &format!("{now:.0}; there is no commit to compare it with")),
    }
}

/// Whether what the controller wrote can be read again.
async fn status(setup: &Setup) -> Check {
    let what = "read the status branch";
    let branch = &setup.config.status.branch;
    match control::published_status(setup).await {
        Ok(None) => good(what, &format!("there is no `{branch}` yet; the first apply makes it")),
        Ok(Some(status)) => {
            good(what, &format!("`{branch}` says {} is in force", status.spec_commit.short()))
        }
        Err(ControlError::Status { branch, message }) => bad(
            what,
            &format!("status.yaml of `{branch}`: {message}"),
            "move the branch aside to start anew, or run the version that wrote it",
        ),
        Err(error) => bad(what, &error.to_string(), CHECK_ADDRESS),
    }
}
