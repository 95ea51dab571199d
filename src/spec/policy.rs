//! What a policy document means, as far as it alone tells: its signals, and keys that exclude each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::codes;
use super::findings::{Findings, Part};
use super::load::Place;
use super::suggest::{COMPARED_MAX, help_of};
use crate::model::Severity;

pub(super) fn check(document: &Value, place: &Place, findings: &mut Findings<'_>) {
    let signals = document.get("signals").and_then(Value::as_object);
    let signals = signals.into_iter().flat_map(|signals| signals.keys().map(String::as_str));
    let signals = signals.collect();
    let mut checker = Checker { signals, place, findings };
    for (index, target) in list(document, "targets") {
        if checker.findings.is_full() {
            return;
        }
        let at = format!("/targets/{index}");
        checker.signal(target, &at);
        checker.exactly_one(target, &at, &["perReplica", "average", "atMost"]);
    }
    for (index, rule) in list(document, "rules") {
        if checker.findings.is_full() {
            return;
        }
        let at = format!("/rules/{index}");
        checker.exactly_one(rule, &at, &["scaleBy", "to"]);
        if let Some(condition) = rule.get("when") {
            checker.condition(condition, &format!("{at}/when"));
        }
    }
    if let Some(idle) = document.get("idle") {
        for (index, name) in list(idle, "signals") {
            checker.known_signal(name, &format!("/idle/signals/{index}"));
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

struct Checker<'a, 'b, 'c> {
    signals: BTreeSet<&'a str>,
    place: &'a Place,
    findings: &'b mut Findings<'c>,
}

impl Checker<'_, '_, '_> {
    /// Conditions nest no deeper than the document, which has a limit.
    fn condition(&mut self, condition: &Value, at: &str) {
        if self.findings.is_full() {
            return;
        }
        self.exactly_one(condition, at, &["all", "any", "signal"]);
        for key in ["all", "any"] {
            for (index, inner) in list(condition, key) {
                self.condition(inner, &format!("{at}/{key}/{index}"));
            }
        }
        if condition.get("signal").is_some() {
            self.signal(condition, at);
            let thresholds = ["above", "below"];
            if !thresholds.iter().any(|key| condition.get(key).is_some()) {
                self.missing(at, &thresholds);
            }
        }
    }

    fn signal(&mut self, value: &Value, at: &str) {
        if let Some(name) = value.get("signal") {
            self.known_signal(name, &format!("{at}/signal"));
        }
    }

    fn known_signal(&mut self, name: &Value, at: &str) {
        let Some(name) = name.as_str() else { return };
        if self.findings.is_full() || self.signals.contains(name) {
            return;
        }
        let signals: Vec<&str> = self.signals.iter().copied().take(COMPARED_MAX + 1).collect();
        let help = help_of(name, &signals, "the signals are")
            .unwrap_or_else(|| "add it under `signals:` of the policy".to_owned());
        let message = format!("this policy has no signal `{name}`");
        self.findings.error(codes::UNKNOWN_SIGNAL, &self.place.at(at), message, help);
    }

    fn exactly_one(&mut self, value: &Value, at: &str, keys: &[&str]) {
        if !value.is_object() {
            return;
        }
        let present: Vec<&&str> = keys.iter().filter(|key| value.get(**key).is_some()).collect();
        match present.as_slice() {
            [] => self.missing(at, keys),
            [_] => {}
            [first, second, ..] => self.findings.at(
                Severity::Error,
                codes::CONFLICTING_KEYS,
                &self.place.at(&format!("{at}/{second}")),
                Part::Key,
                format!("`{second}` and `{first}` exclude each other"),
                Some("keep one of them".to_owned()),
            ),
        }
    }

    fn missing(&mut self, at: &str, keys: &[&str]) {
        let listed: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        self.findings.at(
            Severity::Error,
            codes::MISSING_KEY,
            &self.place.at(at),
            Part::Key,
            format!("one of {} is missing here", listed.join(", ")),
            None,
        );
    }
}
