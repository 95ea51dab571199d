//! `tidegate doctor`: checks what a controller needs, one line each, with what to do.

mod parts;
mod repository;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::{ConfigArg, FAILURE, context};
use crate::apply::{Clock as _, SystemClock};
use crate::control::Setup;
use crate::forge::Forge;
use crate::git::{Signature, StatusWriter};
use crate::model::{Moment, SourceName, Spec, format_duration};
use crate::observe;
use crate::observe::signals::MetricSource;
use crate::plan::render::harmless;
use crate::providers::Ctx;

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

pub(super) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = context::load_config(&args.config.config)?;
    let state_dir = state_dir(&config.state_dir);
    let has_state_dir = state_dir.ok;
    let secrets = parts::secrets(&config);
    let parts = parts::make(config)?;
    let mut checks = parts.checks;
    checks.extend(secrets);
    checks.push(state_dir);
    if let Some(setup) = &parts.setup {
        if parts.can_write {
            checks.push(write_access(setup).await);
        }
        let mut found = repository::Found::default();
        if parts.can_read {
            found = repository::look(setup, has_state_dir, parts.has_all_providers).await;
        }
        checks.extend(found.checks);
        checks.extend(providers(setup, found.spec.as_ref()).await);
        checks.extend(sources(setup).await);
        if let Some(forge) = &setup.forge {
            checks.push(pulls(forge.as_ref(), &setup.config.repository.branch).await);
        }
    }
    let is_fine = checks.iter().all(|check| check.ok);
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        for check in &checks {
            let sign = if check.ok { "ok  " } else { "FAIL" };
            println!("{sign}  {}: {}", harmless(&check.what), harmless(&check.found));
            if let Some(todo) = &check.todo {
                println!("      → {}", harmless(todo));
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

fn state_dir(folder: &Path) -> Check {
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

/// Whether pull requests can be read, and as whom they are told their plans. Nothing is written.
async fn pulls(forge: &dyn Forge, branch: &str) -> Check {
    const TODO: &str = "check `forge.repo`, `forge.apiUrl` and `forge.credentials`: the token or App must read \
                        pull requests, and write comments and commit statuses";
    let (me, open) = match (forge.me().await, forge.open_pulls(branch).await) {
        (Ok(me), Ok(open)) => (me, open.items.len()),
        (Err(error), _) | (_, Err(error)) => {
            return bad("pull requests", &error.to_string(), TODO);
        }
    };
    let web = forge.web_url();
    let open = match open {
        1 => "1 is open".to_owned(),
        n => format!("{n} are open"),
    };
    good("pull requests", &format!("{open} at {web} into `{branch}`, as `{me}`"))
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

/// Whether every metric source can be asked.
async fn sources(setup: &Setup) -> Vec<Check> {
    let now = Moment::from(SystemClock.now());
    let check = |(name, source): (SourceName, Arc<dyn MetricSource>)| async move {
        let what = format!("metric source `{name}` ({})", source.about().kind);
        let limit = source.limits().timeout;
        let todo = "start it, or correct it in `metrics` of the configuration";
        match tokio::time::timeout(limit, source.check(now)).await {
            Ok(Ok(found)) => good(&what, &found),
            Ok(Err(error)) => bad(&what, &error.to_string(), todo),
            Err(_) => bad(&what, &format!("no answer within {}", format_duration(limit)), todo),
        }
    };
    let sources = setup.sources.clone();
    futures_util::future::join_all(sources.into_iter().map(check)).await
}

/// Whether every region of every provider can be read, with or without a spec.
async fn providers(setup: &Setup, spec: Option<&Spec>) -> Vec<Check> {
    let ctx = Ctx { now: SystemClock.now(), owner: setup.owner.clone() };
    let scope = observe::scope(spec, &setup.providers, []);
    let observed = observe::collect(&ctx, &setup.providers, &scope).await;
    let mut checks = Vec::new();
    for (name, provider) in &setup.providers {
        let what = format!("provider `{name}` ({})", provider.about().kind);
        let before = checks.len();
        for gap in observed.gaps.iter().filter(|gap| gap.provider == *name) {
            checks.push(bad(
                &what,
                &format!("region `{}`: {}", gap.region, gap.error),
                "start it, or correct its address and permissions in the configuration",
            ));
        }
        if checks.len() > before {
            continue;
        }
        let is_read = scope.get(name).is_some_and(|regions| !regions.is_empty());
        let found = match observed.replicas.iter().filter(|r| r.key.provider == *name).count() {
            _ if !is_read => {
                "not asked: it serves any region, and no valid spec names one".to_owned()
            }
            1 => "reachable, 1 replica of this controller's".to_owned(),
            seen => format!("reachable, {seen} replicas of this controller's"),
        };
        checks.push(good(&what, &found));
    }
    checks
}
