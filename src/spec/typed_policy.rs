//! A policy document to a typed policy. Judges nothing: what cannot be converted was reported by the checks,
//! and is left out here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::{
    Behavior, Condition, Count, Direction, Effect, Expression, Idle, Limit, OnMissing, Policy,
    Rule, Schedule, Signal, SignalName, SourceName, Target, TargetKind, Threshold, Windows,
    parse_duration,
};

/// Reads a policy document that was found valid.
#[must_use]
pub fn typed(document: &Value) -> Policy {
    let signals = signals(document);
    let names: BTreeMap<&str, usize> =
        signals.iter().enumerate().map(|(index, signal)| (signal.name.as_str(), index)).collect();
    let mut reader = Reader { names: &names, thresholds: 0 };
    let targets = list(document, "targets").filter_map(|target| reader.target(target)).collect();
    let rules = list(document, "rules")
        .enumerate()
        .filter_map(|(index, rule)| reader.rule(index, rule))
        .collect();
    let idle = document.get("idle").and_then(|idle| reader.idle(idle));
    let thresholds = reader.thresholds;
    let expression = document.get("expression").and_then(Value::as_str).and_then(|source| {
        let names: Vec<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
        Expression::parse(source, &names).ok()
    });
    Policy {
        targets,
        rules,
        thresholds,
        expression,
        schedules: list(document, "schedules")
            .enumerate()
            .filter_map(|(index, schedule)| read_schedule(index, schedule))
            .collect(),
        idle,
        behavior: document.get("behavior").map(behavior).unwrap_or_default(),
        signals,
        fingerprint: Policy::fingerprint_of(document),
        document: document.clone(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn duration(value: &Value, key: &str) -> Option<Duration> {
    parse_duration(value.get(key)?.as_str()?).ok()
}

fn count(value: &Value) -> Option<Count> {
    u32::try_from(value.as_u64()?).ok().map(Count)
}

/// A percentage as a number: `50` for `50%`.
pub(super) fn percent(value: &Value) -> Option<f64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// Sorted by name: that is the order of indices.
fn signals(document: &Value) -> Vec<Signal> {
    let signals = document.get("signals").and_then(Value::as_object).into_iter().flatten();
    let mut signals: Vec<Signal> = signals
        .filter_map(|(name, signal)| {
            Some(Signal {
                name: SignalName::try_from(name.as_str()).ok()?,
                source: SourceName::try_from(signal.get("source")?.as_str()?).ok()?,
                metric: text(signal, "metric"),
                query: text(signal, "query"),
                window: text(signal, "query").map(|query| range_of(&query)).unwrap_or_default(),
                unit: text(signal, "unit"),
                max_age: duration(signal, "maxAge"),
                on_missing: signal.get("onMissing").and_then(on_missing).unwrap_or_default(),
            })
        })
        .collect();
    signals.sort_by(|a, b| a.name.cmp(&b.name));
    signals
}

/// The longest range in a query, as in `rate(requests_total[1m])`: what its value is a mean of. The resolution of
/// a subquery, after a colon, is none.
fn range_of(query: &str) -> Duration {
    let ranges = query.split('[').skip(1).filter_map(|rest| {
        let (range, _) = rest.split_once(']')?;
        let (range, _) = range.split_once(':').unwrap_or((range, ""));
        parse_duration(range.trim()).ok()
    });
    ranges.max().unwrap_or_default()
}

fn on_missing(value: &Value) -> Option<OnMissing> {
    match value.as_str() {
        Some("ignore") => Some(OnMissing::Ignore),
        Some(_) => Some(OnMissing::Hold),
        None => value
            .get("floor")
            .and_then(count)
            .map(OnMissing::Floor)
            .or_else(|| duration(value, "lastValue").map(OnMissing::LastValue)),
    }
}

struct Reader<'a> {
    names: &'a BTreeMap<&'a str, usize>,
    thresholds: usize,
}

impl Reader<'_> {
    fn signal(&self, name: &Value) -> Option<usize> {
        self.names.get(name.as_str()?).copied()
    }

    fn target(&self, target: &Value) -> Option<Target> {
        let kinds = [TargetKind::PerReplica, TargetKind::Average, TargetKind::AtMost];
        let (kind, level) = kinds
            .into_iter()
            .find_map(|kind| Some((kind, target.get(kind.word())?.as_f64()?)))
            .filter(|(_, level)| *level > 0.0)?;
        Some(Target { signal: self.signal(target.get("signal")?)?, kind, level })
    }

    fn rule(&mut self, index: usize, rule: &Value) -> Option<Rule> {
        let effect = match (rule.get("scaleBy"), rule.get("to")) {
            (Some(by), _) => match by.as_i64() {
                Some(by) => Effect::By(i32::try_from(by).ok()?),
                None => Effect::ByPercent(percent(by)?),
            },
            (None, Some(to)) => Effect::To(count(to)?),
            (None, None) => return None,
        };
        let name = text(rule, "name").unwrap_or_else(|| format!("rule {}", index + 1));
        Some(Rule { name: Arc::from(name), when: self.condition(rule.get("when")?)?, effect })
    }

    fn condition(&mut self, condition: &Value) -> Option<Condition> {
        for (key, make) in
            [("all", Condition::All as fn(_) -> _), ("any", Condition::Any as fn(_) -> _)]
        {
            if condition.get(key).is_some() {
                let inner = list(condition, key).map(|inner| self.condition(inner));
                return inner.collect::<Option<Vec<_>>>().map(make);
            }
        }
        let signal = self.signal(condition.get("signal")?)?;
        let timer = self.thresholds;
        self.thresholds += 1;
        Some(Condition::Threshold(Threshold {
            signal,
            above: condition.get("above").and_then(Value::as_f64),
            below: condition.get("below").and_then(Value::as_f64),
            hold: duration(condition, "for").unwrap_or_default(),
            timer,
        }))
    }

    fn idle(&self, idle: &Value) -> Option<Idle> {
        let signals: Option<Vec<usize>> =
            list(idle, "signals").map(|name| self.signal(name)).collect();
        Some(Idle { after: duration(idle, "after")?, signals: signals? })
    }
}

fn read_schedule(index: usize, schedule: &Value) -> Option<Schedule> {
    let part = |key| schedule.get(key).and_then(Value::as_str);
    let name = text(schedule, "name").unwrap_or_else(|| format!("schedule {}", index + 1));
    Some(Schedule {
        name: Arc::from(name),
        windows: Windows::parse(part("start")?, part("end")?, part("timezone")?).ok()?,
        replicas: count(schedule.get("replicas")?)?,
    })
}

fn behavior(behavior: &Value) -> Behavior {
    Behavior {
        tolerance: behavior.get("tolerance").and_then(percent).map(|percent| percent / 100.0),
        up: behavior.get("up").map(direction).unwrap_or_default(),
        down: behavior.get("down").map(direction).unwrap_or_default(),
    }
}

fn direction(direction: &Value) -> Direction {
    let limit = |limit: &Value| match limit.as_u64() {
        Some(replicas) => u32::try_from(replicas).ok().map(Limit::Replicas),
        None => percent(limit).map(Limit::Percent),
    };
    Direction {
        limits: direction
            .get("limits")
            .map(|_| list(direction, "limits").filter_map(limit).collect()),
        per: duration(direction, "per"),
        stabilization: duration(direction, "stabilization"),
    }
}
