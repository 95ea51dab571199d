//! `tidegate validate`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::{FAILURE, Output, context, local};
use crate::config::secrets::SecretSource as _;
use crate::git::{Auth, Mirror, Remote, RepoUrl};
use crate::model::{Catalogue, Diagnostic, Severity, Sources};
use crate::plan::render::markdown_escape as escape;
use crate::spec;

/// What to check and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    /// A spec file, a folder with `spec.yaml`, or a folder with `controller/spec.yaml`.
    #[arg(default_value = ".", conflicts_with_all = ["repo", "rev"])]
    path: PathBuf,
    /// Check the spec of a repository instead: its URL or path. An access token for it is taken from
    /// TIDEGATE_GIT_TOKEN.
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// The branch, tag or commit to check.
    #[arg(long, value_name = "REV", default_value = "main", requires = "repo")]
    rev: String,
    /// The folder of the spec in the repository.
    #[arg(long, value_name = "FOLDER", default_value = "controller", requires = "repo")]
    folder: String,
    /// Also check against a controller's configuration: its providers, regions, secrets and prices.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn validate(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let catalogue: Option<Arc<Catalogue>> = match &args.config {
        None => None,
        Some(path) => Some(context::setup(context::load_config(path)?)?.catalogue),
    };
    let sources = match &args.repo {
        None => local::read(&args.path)?,
        Some(url) => remote(url, &args.rev, &args.folder)?,
    };
    let loaded = spec::load(&sources, catalogue.as_deref());
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = loaded.diagnostics.len() - errors;
    match args.output {
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&spec::render::json(&loaded.diagnostics))?);
        }
        Output::Markdown => {
            println!("**{}**", verdict(loaded.spec.as_ref(), errors, warnings));
            print!("{}", markdown(&loaded.diagnostics));
        }
        Output::Text => {
            if !loaded.diagnostics.is_empty() {
                print!(
                    "{}",
                    spec::render::text(&loaded.diagnostics, &sources, context::wants_colour())
                );
            }
            println!("{}", verdict(loaded.spec.as_ref(), errors, warnings));
        }
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn verdict(spec: Option<&crate::model::Spec>, errors: usize, warnings: usize) -> String {
    let noted = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    match spec {
        Some(spec) => {
            let targets: usize = spec.services.values().map(|s| s.scale.regions.len()).sum();
            format!(
                "valid: {}, {}, {}",
                noted(spec.services.len(), "service"),
                noted(targets, "target"),
                noted(warnings, "warning")
            )
        }
        None => format!("not valid: {}, {}", noted(errors, "error"), noted(warnings, "warning")),
    }
}

/// Findings for a page, one item each; nothing that a spec says is markup here.
fn markdown(findings: &[Diagnostic]) -> String {
    let mut out = String::new();
    for (at, finding) in findings.iter().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let place = finding.position.as_ref().map_or_else(String::new, |position| {
            format!(" at {}:{}:{}", escape(&position.file), position.line, position.column)
        });
        let (severity, code) = (finding.severity, finding.code);
        let message = escape(&finding.message);
        let _ = writeln!(out, "{gap}- **{severity}** `{code}`{place}: {message}");
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "  - help: {}", escape(help));
        }
    }
    out
}

/// Reads the spec of a repository into a mirror that lives as long as the command.
fn remote(url: &str, rev: &str, folder: &str) -> anyhow::Result<Sources> {
    let url = RepoUrl::parse(url)?;
    let token = context::SystemSecrets.env("TIDEGATE_GIT_TOKEN").map(crate::model::Secret::new);
    let remote = Remote::new(url).with_auth(token.map_or(Auth::None, Auth::Token));
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let mirror = Mirror::open(&scratch.path().join("mirror.git"), remote)?;
    let commit = mirror
        .find(rev)?
        .with_context(|| format!("`{rev}` is not a branch, tag or commit of the repository"))?;
    Ok(mirror.read_spec(&commit, folder)?)
}
