//! `tidegate doctor`: checks what a controller needs, one line each, with what to do.

use std::process::ExitCode;
use std::sync::Arc;

use super::{ConfigArg, FAILURE, context};
use crate::apply::SystemClock;
use crate::control::{Controller, Purpose, Setup};
use crate::git::{Signature, StatusWriter};
use crate::plan::render::harmless;

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print findings as JSON.
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

/// One check's result.
#[derive(Debug, serde::Serialize)]
struct Check {
    what: String,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

/// More difference than this between this clock and the newest commit's time, into the future, is a sign
/// of a wrong clock.
const CLOCK_AHEAD_MAX_S: i64 = 120;

pub(super) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let setup = context::setup(context::load_config(&args.config.config)?)?;
    let state_dir = state_dir(&setup);
    let has_state_dir = state_dir.ok;
    let mut checks = vec![state_dir, write_access(&setup).await];
    // Without the folder there is no mirror to read anything into.
    if has_state_dir {
        checks.extend(repository_checks(setup).await);
    }
    let is_fine = checks.iter().all(|check| check.ok);
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        for check in &checks {
            let sign = if check.ok { "ok  " } else { "FAIL" };
            println!("{sign}  {}: {}", check.what, harmless(&check.found));
            if let Some(todo) = &check.todo {
                println!("      → {todo}");
            }
        }
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn good(what: &str, found: &str) -> Check {
    Check { what: what.to_owned(), ok: true, found: found.to_owned(), todo: None }
}

fn bad(what: &str, found: &str, todo: &str) -> Check {
    Check { what: what.to_owned(), ok: false, found: found.to_owned(), todo: Some(todo.to_owned()) }
}

fn state_dir(setup: &Setup) -> Check {
    let folder = setup.config.state_dir.as_path();
    let probe = folder.join(".doctor");
    let result = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b"doctor"))
        .and_then(|()| std::fs::remove_file(&probe));
    match result {
        Ok(()) => good("state folder", &format!("`{}` is writable", folder.display())),
        Err(error) => bad(
            "state folder",
            &format!("`{}`: {error}", folder.display()),
            "make it writable for this user, or set `stateDir`",
        ),
    }
}

/// Whether the server would take a push to the status branch; nothing is pushed.
async fn write_access(setup: &Setup) -> Check {
    let (remote, config) = (setup.status_remote.clone(), setup.config.clone());
    let check = move || {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let author =
            Signature { name: config.status.author_name, email: config.status.author_email };
        let (branch, protected) = (&config.status.branch, &config.repository.branch);
        StatusWriter::open(&scratch.path().join("writer.git"), remote, branch, protected, author)
            .and_then(|writer| writer.check_access())
            .map_err(|error| error.to_string())
    };
    let checked = tokio::task::spawn_blocking(check).await;
    let what = "write the status branch";
    let todo = "give `status.credentials` (or `repository.credentials`) the right to push, and check that \
                no branch protection covers the status branch";
    match checked {
        Ok(Ok(())) => {
            good(what, &format!("the server offers a push to `{}`", setup.config.status.branch))
        }
        Ok(Err(error)) => bad(what, &error, todo),
        Err(error) => bad(what, &error.to_string(), todo),
    }
}

async fn repository_checks(setup: Setup) -> Vec<Check> {
    let started =
        Controller::start(setup, Arc::new(SystemClock), Purpose::Look, Arc::new(|_| {})).await;
    match started {
        Err(error) => vec![bad(
            "read the spec repository",
            &error.to_string(),
            "check `repository.url` and `repository.credentials`",
        )],
        Ok(mut controller) => spec_checks(&mut controller).await,
    }
}

async fn spec_checks(controller: &mut Controller) -> Vec<Check> {
    let mut checks = Vec::new();
    let branch = controller.setup().config.repository.branch.clone();
    match controller.poll().await {
        Err(error) => checks.push(bad(
            "read the spec repository",
            &error.to_string(),
            "check `repository.url` and `repository.credentials`",
        )),
        Ok(_) => {
            checks.push(good("read the spec repository", &format!("branch `{branch}` was read")));
        }
    }
    match (controller.source().good(), controller.source().refused()) {
        (_, Some(refused)) => {
            let todo = match refused.commit {
                Some(_) => "run `tidegate validate` in the spec repository",
                None => "push a `spec.yaml` to the branch, or correct `repository.branch`",
            };
            checks.push(bad("spec", &refused.findings.join("; "), todo));
        }
        (Some(good_spec), None) => {
            let services = match good_spec.spec.services.len() {
                1 => "1 service".to_owned(),
                n => format!("{n} services"),
            };
            checks.push(good("spec", &format!("valid, {services}")));
        }
        (None, None) => {
            checks.push(bad("spec", "none was found", "push a `spec.yaml` to the branch"));
        }
    }
    checks.push(clock(controller).await);
    if let Ok(planned) = controller.plan().await {
        for (name, provider) in &controller.setup().providers {
            let gaps: Vec<_> =
                planned.observed.gaps.iter().filter(|gap| gap.provider == *name).collect();
            let what = format!("provider `{name}` ({})", provider.about().kind);
            if gaps.is_empty() {
                let seen =
                    planned.observed.replicas.iter().filter(|r| r.key.provider == *name).count();
                checks
                    .push(good(&what, &format!("reachable, {seen} replicas of this controller's")));
            }
            for gap in gaps {
                checks.push(bad(
                    &what,
                    &format!("region `{}`: {}", gap.region, gap.error),
                    "start it, or correct its address and permissions in the configuration",
                ));
            }
        }
    }
    checks
}

async fn clock(controller: &Controller) -> Check {
    use crate::apply::Clock as _;
    let now = SystemClock.now();
    let newest = controller.newest_commit_time().await;
    match newest {
        Ok(Some(time)) if time.duration_since(now).as_secs() > CLOCK_AHEAD_MAX_S => bad(
            "clock",
            &format!("it is {now:.0} here, and the newest commit is from {time:.0}"),
            "set this machine's clock, for example with NTP",
        ),
        Ok(_) => good("clock", &format!("{now:.0}, not behind the repository")),
        Err(error) => bad("clock", &error.to_string(), "read the repository first"),
    }
}
