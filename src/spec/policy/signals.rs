//! Signals: names that can be used, and sources that have what is asked of them.

use serde_json::Value;

use super::Checker;
use crate::model::{
    Catalogue, PROVIDER_METRICS, SOURCE_PROVIDER, SOURCE_PROXY, SignalName, SourceName,
};
use crate::spec::codes;
use crate::spec::suggest::help_of;
use crate::spec::violations::escape;

impl Checker<'_, '_, '_> {
    pub(super) fn signals(&mut self, document: &Value, catalogue: Option<&Catalogue>) {
        let signals = document.get("signals").and_then(Value::as_object);
        for (name, signal) in signals.into_iter().flatten() {
            if self.findings.is_full() {
                return;
            }
            let at = format!("/signals/{}", escape(name));
            if let Err(error) = SignalName::try_from(name.as_str()) {
                self.findings.error(
                    codes::BAD_FORMAT,
                    &self.place.at(&at),
                    error.to_string(),
                    None,
                );
            }
            let Some(source) = signal.get("source").and_then(Value::as_str) else { continue };
            match SourceName::try_from(source) {
                Ok(source) => self.asked(&source, signal, &at, catalogue),
                Err(error) if !source.is_empty() => {
                    let at = self.place.at(&format!("{at}/source"));
                    self.findings.error(codes::BAD_FORMAT, &at, error.to_string(), None);
                }
                Err(_) => {}
            }
        }
    }

    /// Whether the source has what the signal asks of it.
    fn asked(
        &mut self,
        source: &SourceName,
        signal: &Value,
        at: &str,
        catalogue: Option<&Catalogue>,
    ) {
        let has = |key| signal.get(key).is_some();
        let about = match source.as_str() {
            SOURCE_PROVIDER => {
                Asked { needs_query: false, needs_metric: true, metrics: PROVIDER_METRICS.to_vec() }
            }
            SOURCE_PROXY => Asked { needs_query: false, needs_metric: true, metrics: Vec::new() },
            name => {
                let Some(catalogue) = catalogue else {
                    return;
                };
                let Some(about) = catalogue.sources.get(source) else {
                    self.unknown_source(name, at, catalogue);
                    return;
                };
                let metrics = about.metrics.iter().flatten().map(String::as_str).collect();
                let needs_metric = !about.needs_query && !about.has_default;
                Asked { needs_query: about.needs_query, needs_metric, metrics }
            }
        };
        let wanted = if about.needs_query { "query" } else { "metric" };
        let other = if about.needs_query { "metric" } else { "query" };
        if has(other) {
            let message = format!("the source `{source}` takes no `{other}`");
            let help = format!("write `{wanted}` in place of it");
            let at = self.place.at(&format!("{at}/{other}"));
            self.findings.error(codes::CONFLICTING_KEYS, &at, message, help);
            return;
        }
        if !has(wanted) && (about.needs_query || about.needs_metric) {
            let message =
                format!("the source `{source}` wants a `{wanted}`, which is missing here");
            let help = help_of("", &about.metrics, "its metrics are");
            self.findings.error(codes::MISSING_KEY, &self.place.at(at), message, help);
            return;
        }
        let metric = signal.get("metric").and_then(Value::as_str);
        if let Some(metric) = metric.filter(|metric| !about.metrics.contains(metric))
            && !about.metrics.is_empty()
        {
            let message = format!("the source `{source}` has no metric `{metric}`");
            let help = help_of(metric, &about.metrics, "its metrics are");
            let at = self.place.at(&format!("{at}/metric"));
            self.findings.error(codes::UNKNOWN_METRIC, &at, message, help);
        }
    }

    fn unknown_source(&mut self, name: &str, at: &str, catalogue: &Catalogue) {
        let configured = catalogue.sources.keys().map(SourceName::as_str);
        let known: Vec<&str> =
            [SOURCE_PROVIDER, SOURCE_PROXY].into_iter().chain(configured).collect();
        let help = help_of(name, &known, "the sources are").unwrap_or_else(|| {
            "add it under `metrics:` of the controller's configuration".to_owned()
        });
        let message = format!("there is no metric source `{name}`");
        let at = self.place.at(&format!("{at}/source"));
        self.findings.error(codes::UNKNOWN_SOURCE, &at, message, help);
    }
}

/// What a source is asked with. Without a list of metrics, only asking tells.
struct Asked<'a> {
    needs_query: bool,
    needs_metric: bool,
    metrics: Vec<&'a str>,
}
