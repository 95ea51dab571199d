//! Metric sources: what a policy's signals are read from. One file per type of source.
//!
//! Between [`crate::spec`], which says what is measured, and [`crate::decide`], which judges what a measurement
//! is worth. A source judges nothing: it gives the number it was given, with the time at which it was
//! measured, or says that there is none, or why it could not be had. It never makes a number of no answer.
//!
//! [`Signals`] samples all that a spec needs: each question once however many targets share it, at most so
//! many at once per source, each with a deadline, and none of them can hold up a cycle.

pub mod config;

mod client;
mod file;
mod fixed;
mod http;
mod prometheus;
mod promql;
mod provider;
mod sampler;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::config::{CONCURRENCY_DEFAULT, SourceConfig, TIMEOUT_DEFAULT};
pub use self::sampler::{Measurements, PATIENCE, Signals};
use crate::model::{Measured, Moment, Secret, SourceAbout, SourceName};

/// Why a source has no answer. Displays as a fragment that says what happened and what to do; never holds a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The type of source keeps no past values.
    #[error("a `{0}` source keeps no past values: record them to a file, or use `prometheus`")]
    NoPast(Cow<'static, str>),
    /// The answer is not to be had, or cannot be one number.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl SourceError {
    fn failed(text: impl fmt::Display) -> Self {
        Self::Failed(text.to_string().into())
    }
}

/// How much a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for one answer.
    pub timeout: Duration,
    /// Questions at once.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: TIMEOUT_DEFAULT, concurrency: CONCURRENCY_DEFAULT }
    }
}

/// A span of time and the distance of the points in it that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first point.
    pub from: Moment,
    /// Not after this.
    pub to: Moment,
    /// From point to point; at least a millisecond.
    pub step: Duration,
}

/// One metric source of the configuration.
#[async_trait]
pub trait MetricSource: fmt::Debug + Send + Sync {
    /// What it is and can be asked.
    fn about(&self) -> &SourceAbout;

    /// How much it may be asked.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Answers one question: the signal's `query` where the source [needs one](SourceAbout::needs_query), else
    /// its `metric`, empty where it names none. Whoever asks sets the deadline by dropping the future.
    async fn sample(&self, question: &str, now: Moment) -> Measured;

    /// The values of a question in the past, sorted by time; points without a value are left out.
    ///
    /// # Errors
    /// [`SourceError`] when the source keeps no past values, or cannot be asked.
    async fn range(&self, question: &str, span: Span) -> Result<Vec<(Moment, f64)>, SourceError> {
        let _ = (question, span);
        Err(SourceError::NoPast(self.about().kind.clone()))
    }

    /// Whether it can be asked at all; says what was found.
    ///
    /// # Errors
    /// [`SourceError`] with what happened and what to do.
    async fn check(&self, now: Moment) -> Result<String, SourceError>;
}

/// The metric sources, by name.
pub type Sources = BTreeMap<SourceName, Arc<dyn MetricSource>>;

/// Gives the value of a reference to a secret, or says why not. Asked again for each use, so that a secret
/// which was changed is used from then on.
pub type ResolveSecret = Arc<dyn Fn(&str) -> Result<Secret, String> + Send + Sync>;

/// Makes the configured sources; reads the certificate authorities they name and connects to nothing.
///
/// # Errors
/// The name of the source whose configuration is not usable, and what is wrong with it.
pub fn build(
    configs: &BTreeMap<SourceName, SourceConfig>,
    resolve: &ResolveSecret,
) -> Result<Sources, (SourceName, String)> {
    let one = |(name, config): (&SourceName, &SourceConfig)| {
        let made: Result<Arc<dyn MetricSource>, String> = match config {
            SourceConfig::Prometheus(access) => prometheus::Prometheus::new(access, resolve)
                .map(|source| Arc::new(source) as Arc<dyn MetricSource>),
            SourceConfig::Http(http) => {
                http::Http::new(http, resolve).map(|s| Arc::new(s) as Arc<dyn MetricSource>)
            }
            SourceConfig::Fixed(values) => Ok(Arc::new(fixed::Fixed::new(values.clone()))),
            SourceConfig::File(file) => Ok(Arc::new(file::File::new(file.clone()))),
        };
        made.map(|source| (name.clone(), source)).map_err(|message| (name.clone(), message))
    };
    configs.iter().map(one).collect()
}

/// What was read, as a measurement.
fn measured(read: Result<Option<(f64, Moment)>, SourceError>) -> Measured {
    match read {
        Ok(Some((value, at))) => Measured::Value { value, at },
        Ok(None) => Measured::Absent,
        Err(error) => Measured::Failed(error.to_string().into()),
    }
}

/// A number as sources write it in text: also `NaN`, `+Inf` and `-Inf`.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Seconds since 1970, with a fraction, as a moment.
fn moment_of_seconds(seconds: f64) -> Moment {
    // A conversion of a float saturates.
    Moment((seconds * 1000.0).round() as i64)
}
