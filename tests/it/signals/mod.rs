//! Metric sources against real servers, files and replicas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod prometheus;
mod sampler;
mod sources;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::config::secrets::{SecretSource, resolve};
use tidegate::config::{Config, SecretRef};
use tidegate::model::{Measured, Moment, SourceFile, Spec};
use tidegate::observe::signals::{self, MetricSource, ResolveSecret, Sources};
use tidegate::spec;

/// The longest wait for a condition: far beyond what any takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Secrets of a test: these variables, and real files.
struct Secrets(BTreeMap<&'static str, &'static str>);

impl SecretSource for Secrets {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }
    fn read(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// A configuration with these metric sources.
fn config(metrics: &str) -> Config {
    let text = format!("repository: {{url: /srv/infra.git}}\nmetrics:\n{metrics}\n");
    let (config, diagnostics) = tidegate::config::load(text.as_bytes(), "tidegate.yaml");
    config.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// The metric sources of a configuration, made as a controller makes them.
fn sources(metrics: &str) -> Sources {
    let secrets = Secrets([("TOKEN", "hunter2")].into());
    let resolve: ResolveSecret = Arc::new(move |text| {
        let reference = SecretRef::parse(text).map_err(|error| error.to_string())?;
        resolve(&reference, &secrets).map_err(|error| error.to_string())
    });
    signals::build(&config(metrics).metrics, &resolve).unwrap()
}

/// The only metric source of a configuration.
fn source(entry: &str) -> Arc<dyn MetricSource> {
    sources(&format!("  it: {entry}")).into_values().next().unwrap()
}

fn spec_of(text: &str) -> Spec {
    let file = SourceFile { path: "spec.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    let sources = tidegate::model::Sources { spec: Some(file), ..Default::default() };
    let loaded = spec::load(&sources, None);
    loaded.spec.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn now() -> Moment {
    Moment::from(Timestamp::now())
}

/// What a source answers, in words; ages are left to [`age_s`].
async fn said(source: &dyn MetricSource, question: &str) -> String {
    match source.sample(question, now()).await {
        Measured::Value { value, .. } => value.to_string(),
        Measured::Absent => "absent".to_owned(),
        Measured::Failed(why) => why.to_string(),
    }
}

/// The age of a value.
async fn age_s(source: &dyn MetricSource, question: &str) -> f64 {
    match source.sample(question, now()).await {
        Measured::Value { at, .. } => (now().0 - at.0) as f64 / 1000.0,
        other => panic!("{question}: {other:?}"),
    }
}

/// Waits until a source answers this.
async fn until_said(source: &dyn MetricSource, question: &str, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = said(source, question).await;
        if said == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{question} is {said}, not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
