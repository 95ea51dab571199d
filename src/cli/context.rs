//! The edge: environment, files, terminal and runtime, turned into values for the library.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::apply::SystemClock;
use crate::config::secrets::SecretSource;
use crate::config::{self, Config};
use crate::control::{Controller, OnProgress, Purpose, Setup};
use crate::model::{Diagnostic, Sources};
use crate::spec;

/// This process's environment and this machine's files.
#[derive(Debug)]
pub(super) struct SystemSecrets;

impl SecretSource for SystemSecrets {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge at which the environment is read"
    )]
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// Whether a person is likely to watch standard error.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether standard output may be coloured: a terminal, and `NO_COLOR` is not set.
pub(super) fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && SystemSecrets.env("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Runs a command that waits for things.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let result = runtime.block_on(work);
    // A command waits itself for what matters. What is left is git work that nobody wants any more, on a
    // thread that cannot be interrupted: it ends with the process, which mirror and journal survive.
    runtime.shutdown_background();
    result
}

/// Reads and checks the configuration; findings go to standard error.
pub(super) fn load_config(path: &Path) -> anyhow::Result<Config> {
    let bytes = std::fs::read(path).with_context(|| {
        format!(
            "read the configuration `{}`; name another with --config, or write one with `tidegate init`",
            path.display()
        )
    })?;
    let name = path.display().to_string();
    let (config, findings) = config::load(&bytes, &name);
    if !findings.is_empty() {
        eprint!("{}", config::render_text(&findings, &name, &bytes, is_terminal()));
    }
    let Some(mut config) = config else {
        bail!("the configuration `{}` is not valid; nothing was done", path.display());
    };
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let base = std::path::absolute(base.unwrap_or_else(|| Path::new(".")))
        .context("find the folder of the configuration")?;
    config.resolve_paths(&base);
    Ok(config)
}

/// Shows findings to whoever watches standard error.
pub(super) fn show_findings(findings: &[Diagnostic], sources: &Sources) {
    if !findings.is_empty() {
        eprint!("{}", spec::render::text(findings, sources, is_terminal()));
    }
}

/// This program's own path.
pub(super) fn exe() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find this program's own path")
}

/// The configuration turned into parts.
pub(super) fn setup(config: Config) -> anyhow::Result<Setup> {
    Ok(Setup::build(config, Arc::new(SystemSecrets), &exe()?)?)
}

/// A controller for one command.
pub(super) async fn controller(
    config: Config,
    purpose: Purpose,
    progress: OnProgress,
) -> anyhow::Result<Controller> {
    Ok(Controller::start(setup(config)?, Arc::new(SystemClock), purpose, progress).await?)
}

/// Files whose change means that the configuration must be read again.
pub(super) fn watched_files(config_path: &Path, config: &Config) -> Vec<PathBuf> {
    let mut files = vec![config_path.to_path_buf()];
    files.extend(config.files());
    files
}
