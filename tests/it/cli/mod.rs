//! The command line, as people and scripts see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod apply;
mod asking;
mod backtest;
mod commands;
mod explain;
mod history;
mod hostile;
mod life;
mod replay;
mod revisions;
mod validate;

use std::path::Path;

use crate::support::controller::Ran;

/// Compares with the committed text, without what differs from run to run.
fn snapshot(name: &str, dir: &Path, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.add_filter(&dir.display().to_string(), "<dir>");
    settings.add_filter(r"/\S*/tidegate\b", "<exe>");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>");
    settings.add_filter(r"sha256:[0-9a-f]{12,64}", "sha256:<digest>");
    settings.add_filter(r"\bown-\d+-\d+", "<owner>");
    settings.add_filter(r"\b[0-9a-f]{40}\b", "<commit>");
    settings.add_filter(r"(for|from|Spec|at|as) [0-9a-f]{8}\b", "$1 <short>");
    settings.add_filter(r"\b[bp]-[0-9a-z]{8}\b", "<id>");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>");
    settings.add_filter(r"\b[0-9a-f]{11}-[0-9a-f]{8}-\d+\b", "<line>");
    settings.add_filter(r"\b\d+s old\b", "<age> old");
    settings.add_filter(r#""tookMs": \d+"#, r#""tookMs": <ms>"#);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// All that a command said.
fn said(ran: &Ran) -> String {
    let code = ran.status.code().unwrap();
    let part = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("--- {name}\n{text}"),
    };
    format!("exit {code}\n{}{}", part("stdout", &ran.stdout), part("stderr", &ran.stderr))
}
