//! Numbers from the configuration: for trying out a policy, and for what never changes.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MetricSource, SourceError};
use crate::model::{Measured, Moment, SourceAbout};

/// Numbers by metric.
#[derive(Debug)]
pub(super) struct Fixed {
    about: SourceAbout,
    values: BTreeMap<String, f64>,
}

impl Fixed {
    pub(super) fn new(values: BTreeMap<String, f64>) -> Self {
        let metrics = Some(values.keys().cloned().collect());
        let about =
            SourceAbout { kind: "fixed".into(), needs_query: false, metrics, has_default: false };
        Self { about, values }
    }
}

#[async_trait]
impl MetricSource for Fixed {
    fn about(&self) -> &SourceAbout {
        &self.about
    }

    async fn sample(&self, question: &str, now: Moment) -> Measured {
        self.values
            .get(question)
            .map_or(Measured::Absent, |value| Measured::Value { value: *value, at: now })
    }

    async fn check(&self, _now: Moment) -> Result<String, SourceError> {
        Ok(match self.values.len() {
            1 => "1 number".to_owned(),
            count => format!("{count} numbers"),
        })
    }
}
