//! What a policy document means: its signals and schedules, its expression, and parts that exclude each other
//! or change nothing.

mod schedules;
mod signals;
mod usage;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::codes;
use super::findings::{Findings, Part};
use super::load::Place;
use super::suggest::{COMPARED_MAX, help_of};
use super::typed_policy::percent;
use crate::model::{
    Catalogue, EXPRESSION_VARIABLES, Expression, ExpressionError, SOURCE_PROVIDER, Severity,
    format_duration, parse_duration,
};
pub(super) use usage::{named, service};

/// Checks one document. Without a catalogue, nothing is said about the configuration's metric sources.
pub(super) fn check(
    document: &Value,
    place: &Place,
    catalogue: Option<&Catalogue>,
    findings: &mut Findings<'_>,
) {
    let signals = document.get("signals").and_then(Value::as_object);
    let signals = signals.into_iter().flat_map(|signals| signals.keys().map(String::as_str));
    let signals = signals.collect();
    let mut checker = Checker { signals, place, findings };
    checker.signals(document, catalogue);
    checker.schedules(document);
    checker.names(document);
    checker.expression(document);
    checker.votes(document);
    checker.behavior(document);
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
        checker.step(rule, &at);
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

/// The longest stabilization that is not asked about: a day has all of a load's usual ups and downs.
const STABILIZATION_USUAL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A number with the sign of a step; not a number for what is none.
fn sign(step: &Value) -> f64 {
    step.as_f64().or_else(|| percent(step)).unwrap_or(f64::NAN)
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
            let [above, below] = thresholds.map(|key| condition.get(key).and_then(Value::as_f64));
            if let (Some(above), Some(below)) = (above, below)
                && above >= below
            {
                let message = format!("no value is above {above} and below {below}");
                let help = "both must hold at once; for either, write two conditions under `any:`";
                let at = self.place.at(&format!("{at}/above"));
                self.findings.error(codes::NEVER_HOLDS, &at, message, help.to_owned());
            }
        }
    }

    /// Names that traces show must tell rules, and schedules, apart.
    fn names(&mut self, document: &Value) {
        for (key, thing) in [("rules", "rule"), ("schedules", "schedule")] {
            let mut seen = BTreeSet::new();
            for (index, item) in list(document, key) {
                let Some(name) = item.get("name").and_then(Value::as_str) else { continue };
                if !seen.insert(name) {
                    let message = format!("another {thing} of this policy is called `{name}` too");
                    let at = self.place.at(&format!("/{key}/{index}/name"));
                    let help = format!("give each {thing} a name of its own");
                    self.findings.error(codes::DUPLICATE_NAME, &at, message, help);
                }
            }
        }
    }

    fn expression(&mut self, document: &Value) {
        let Some(source) = document.get("expression").and_then(Value::as_str) else { return };
        let names: Vec<&str> = self.signals.iter().copied().collect();
        let error = match Expression::parse(source, &names) {
            // The schema reports a length that it does not allow.
            Ok(_) | Err(ExpressionError::TooLong) => return,
            Err(error) => error,
        };
        let at = self.place.at("/expression");
        if let ExpressionError::UnknownName { at: character, name } = &error {
            let known: Vec<&str> = names.into_iter().chain(EXPRESSION_VARIABLES).collect();
            let help = help_of(name, &known, "the names are");
            let message = format!("at character {character}: this policy has no signal `{name}`");
            self.findings.error(codes::UNKNOWN_SIGNAL, &at, message, help);
        } else {
            self.findings.error(codes::BAD_EXPRESSION, &at, error.to_string(), None);
        }
    }

    /// Whether anything but memory may vote for less.
    fn votes(&mut self, document: &Value) {
        let some = |key| list(document, key).next().is_some();
        let has = |key| document.get(key).is_some();
        let is_memory = |name: &Value| {
            let signal = document.get("signals").and_then(|signals| signals.get(name.as_str()?));
            let text = |key| signal.and_then(|signal| signal.get(key)).and_then(Value::as_str);
            let metric = text("metric").unwrap_or_default().to_ascii_lowercase();
            text("source") == Some(SOURCE_PROVIDER) && metric.contains("memory")
        };
        let steps_down = list(document, "rules").any(|(_, rule)| {
            rule.get("to").is_some() || rule.get("scaleBy").is_some_and(|by| sign(by) < 0.0)
        });
        let mut targets = list(document, "targets").filter_map(|(_, target)| target.get("signal"));
        if some("targets") && !steps_down && !has("expression") && targets.all(is_memory) {
            let message = "only memory can lower the count, and the memory of a replica seldom falls \
                           when others are added: the count would stay up";
            let help =
                "add a target of another signal, such as `cpuPercent` or requests per second";
            self.findings.at(
                Severity::Warning,
                codes::MEMORY_ALONE,
                &self.place.at("/targets/0"),
                Part::Value,
                message.to_owned(),
                Some(help.to_owned()),
            );
        }
    }

    fn step(&mut self, rule: &Value, at: &str) {
        if rule.get("scaleBy").is_some_and(|by| sign(by) == 0.0) {
            let message = "a rule that scales by nothing changes nothing";
            let help = "say by how many replicas, or remove the rule; `to` names a count";
            let at = self.place.at(&format!("{at}/scaleBy"));
            self.findings.error(codes::NO_EFFECT, &at, message, help.to_owned());
        }
    }

    fn behavior(&mut self, document: &Value) {
        let Some(behavior) = document.get("behavior") else { return };
        if let Some(tolerance) = behavior.get("tolerance").and_then(percent)
            && !(0.0..100.0).contains(&tolerance)
        {
            let message = format!("a tolerance of {tolerance} % is not from 0 % to under 100 %");
            let help = "with 100 % no count would ever be lowered; the default is `10%`";
            let at = self.place.at("/behavior/tolerance");
            self.findings.error(codes::OUT_OF_RANGE, &at, message, help.to_owned());
        }
        for direction in ["up", "down"] {
            let Some(value) = behavior.get(direction) else { continue };
            for (index, limit) in list(value, "limits") {
                if percent(limit).is_some_and(|limit| limit < 0.0) {
                    let message = "a limit is a size, which is not negative";
                    let at = self.place.at(&format!("/behavior/{direction}/limits/{index}"));
                    self.findings.error(codes::OUT_OF_RANGE, &at, message, None);
                }
            }
            let wait = value.get("stabilization").and_then(Value::as_str);
            let wait = wait.and_then(|text| parse_duration(text).ok());
            if let Some(wait) = wait.filter(|wait| *wait > STABILIZATION_USUAL_MAX) {
                let at = self.place.at(&format!("/behavior/{direction}/stabilization"));
                let message = format!(
                    "the count would wait {} before it moves {direction}",
                    format_duration(wait)
                );
                self.findings.at(
                    Severity::Warning,
                    codes::LONG_WAIT,
                    &at,
                    Part::Value,
                    message,
                    Some("minutes are usual, as in `5m`".to_owned()),
                );
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
