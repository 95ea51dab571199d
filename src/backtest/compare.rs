//! A changed policy beside the one before it, on what was recorded: what a reviewer wants to know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::chart::Curve;
use super::mermaid::mermaid;
use super::{Candidate, Demand, Replay, Report, Series, Terms, gaps_note};
use crate::decide::FULL_USE;
use crate::model::{
    Autoscale, Policy, Prices, Region, RegionScale, Service, Signal, SignalName, Spec, TargetId,
    TargetKind, format_duration,
};

/// What is known besides specs and recordings.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What a replica costs, and in which currency.
    pub prices: &'a Prices,
    /// Time between two decisions; over zero.
    pub interval: Duration,
    /// Time from wanting a replica until it serves.
    pub startup: Duration,
    /// Time from the stamp of a row until it can be seen.
    pub delay: Duration,
}

/// Two policies, or what could be replayed of them, on the same recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The figures, with notes for the reader.
    pub report: Report,
    /// The source of a Mermaid chart, without a fence.
    pub chart: String,
}

/// Why there is nothing to compare. Displays as a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoComparison {
    /// The new spec has no such target.
    #[error("{0} is not in the new spec")]
    NoTarget(TargetId),
    /// No policy reads anything.
    #[error("no signal moves the count before or after, so there is nothing to replay")]
    NoSignal,
    /// There are no recordings.
    #[error(
        "nothing is recorded yet of {}; a signal is recorded while a policy that reads it is in force", quoted(.0)
    )]
    NotRecorded(Vec<SignalName>),
    /// The recordings are too short.
    #[error(
        "only {} are recorded; a comparison needs {}", format_duration(*.0), format_duration(LENGTH_MIN)
    )]
    TooShort(Duration),
    /// The load is below zero somewhere.
    #[error("the recorded load `{0}` is negative at times, so replicas cannot be counted from it")]
    NegativeLoad(SignalName),
}

/// A recording shorter than this says little about a policy: waits of many minutes are common in them.
pub const LENGTH_MIN: Duration = Duration::from_secs(3600);
/// What the spec in force is called in a report.
const BASE: &str = "base";
/// What the changed spec is called in a report.
const CHANGED: &str = "pull request";
/// Figures of a capacity that a reader can use; what a policy says of it is no more exact.
const CAPACITY_DIGITS: i32 = 4;
/// How a price becomes known.
const PRICE_ADVICE: &str = "the controller's configuration sets it under `prices`";

fn quoted(names: &[SignalName]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The targets whose load moves them under the new spec, and for which that is stated otherwise than before:
/// another policy, `min`, `max`, cooldown, cost cap or `autoscale`. A region that is new counts where its
/// service was there before without a policy. Sorted.
#[must_use]
pub fn changed(before: &Spec, after: &Spec) -> Vec<TargetId> {
    let mut targets = Vec::new();
    for service in after.services.values() {
        let Some(old_service) = before.services.get(&service.id) else { continue };
        let (old_policy, policy) = (before.policy_of(old_service), after.policy_of(service));
        if policy.is_none() || service.scale.autoscale != Autoscale::Metrics {
            continue;
        }
        for (region, scale) in &service.scale.regions {
            let is_changed = match old_service.scale.regions.get(region) {
                None => old_policy.is_none(),
                Some(old) => {
                    old_policy != policy
                        || moved(old_service, old) != moved(service, scale)
                        || old_service.scale.autoscale != service.scale.autoscale
                }
            };
            if is_changed {
                targets.push(TargetId { service: service.id.clone(), region: region.clone() });
            }
        }
    }
    targets.sort_unstable();
    targets
}

/// What limits a count, besides the policy.
fn moved(service: &Service, scale: &RegionScale) -> (u32, u32, Option<Duration>, Option<u64>) {
    let cooldown = scale.cooldown.or(service.scale.cooldown);
    let cap = service.scale.max_hourly_cost.map(f64::to_bits);
    (scale.bounds.min.0, scale.bounds.max.0, cooldown, cap)
}

/// The signals whose recordings a comparison is made of, each name once, sorted. Where a name means one thing
/// before and another after, the one before: that is what the controller recorded.
#[must_use]
pub fn wanted<'a>(before: &'a Spec, after: &'a Spec, target: &TargetId) -> Vec<&'a Signal> {
    let mut signals: BTreeMap<&SignalName, &Signal> = BTreeMap::new();
    for spec in [before, after] {
        for signal in policy_in_force(spec, target).iter().flat_map(|policy| &policy.signals) {
            signals.entry(&signal.name).or_insert(signal);
        }
    }
    signals.into_values().collect()
}

fn place<'a>(spec: &'a Spec, target: &TargetId) -> Option<(&'a Service, &'a RegionScale)> {
    let service = spec.services.get(&target.service)?;
    let region: &Region = &target.region;
    Some((service, service.scale.regions.get(region)?))
}

fn policy_in_force<'a>(spec: &'a Spec, target: &TargetId) -> Option<&'a Policy> {
    let (service, _) = place(spec, target)?;
    match service.scale.autoscale {
        Autoscale::Metrics => spec.policy_of(service),
        Autoscale::Manual | Autoscale::Disabled => None,
    }
}

/// Whether two signals are answered by the same numbers.
fn is_same(one: &Signal, other: &Signal) -> bool {
    one.source == other.source && one.question() == other.question()
}

/// One side of a comparison.
struct Side<'a> {
    name: &'static str,
    candidate: Candidate<'a>,
    /// In the order of the policy's signals.
    signals: Vec<Option<&'a Series>>,
    /// Why it cannot be replayed, as notes.
    unfit: Vec<String>,
    /// Signals that are absent here as they were when the others were recorded.
    absent: Vec<SignalName>,
}

/// Everything that the sides share.
struct Ground<'a> {
    before: &'a Spec,
    after: &'a Spec,
    target: &'a TargetId,
    recordings: &'a BTreeMap<SignalName, Series>,
    prices: &'a Prices,
}

impl<'a> Ground<'a> {
    fn side(&self, name: &'static str, spec: &'a Spec) -> Option<Side<'a>> {
        let (service, scale) = place(spec, self.target)?;
        let provider = service.provider.as_ref();
        let price = provider.map_or(self.prices.default, |provider| self.prices.of(provider));
        let label = if name == "old" { BASE } else { CHANGED };
        let candidate = Candidate::of(label.to_owned(), spec, service, scale, price).as_in_force();
        let recorded = wanted(self.before, self.after, self.target);
        let policies = [self.before, self.after].map(|spec| policy_in_force(spec, self.target));
        let is_everywhere = |signal: &Signal| {
            let has = |policy: &Policy| policy.signals.iter().any(|known| is_same(known, signal));
            policies.iter().all(|policy| policy.is_some_and(has))
        };
        let mut side =
            Side { name, candidate, signals: Vec::new(), unfit: Vec::new(), absent: Vec::new() };
        for signal in side.candidate.policy.iter().flat_map(|policy| &policy.signals) {
            let is_meant =
                recorded.iter().any(|known| known.name == signal.name && is_same(known, signal));
            let series = self.recordings.get(&signal.name).filter(|_| is_meant);
            side.signals.push(series);
            if !is_meant {
                side.unfit.push(format!(
                    "`{}` asks something else in `{label}` than what was recorded under this name, so there \
                     are no figures for it",
                    signal.name
                ));
            } else if series.is_none() && is_everywhere(signal) {
                side.absent.push(signal.name.clone());
            } else if series.is_none() {
                side.unfit.push(format!(
                    "`{}` is not recorded yet, so there are no figures for `{label}`",
                    signal.name
                ));
            }
        }
        Some(side)
    }
}

/// The load, and what a replica serves of it.
struct Load<'a> {
    name: &'a SignalName,
    series: &'a Series,
    capacity: f64,
    level: f64,
}

impl<'a> Side<'a> {
    /// The signal of the first recorded proportional rule over a total.
    fn load(&self) -> Option<Load<'a>> {
        let policy = self.candidate.policy?;
        policy.targets.iter().filter(|rule| rule.kind == TargetKind::PerReplica).find_map(|rule| {
            Some(Load {
                name: &policy.signals.get(rule.signal)?.name,
                series: (*self.signals.get(rule.signal)?)?,
                capacity: capacity(rule.level),
                level: rule.level,
            })
        })
    }
}

/// What a replica serves, where a policy aims at so much for each: the default rule's own reading.
fn capacity(level: f64) -> f64 {
    let exact = level / FULL_USE;
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a float is small")]
    let digits = CAPACITY_DIGITS - 1 - exact.log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    let short = (exact * scale).round() / scale;
    if short.is_finite() && short > 0.0 { short } else { exact }
}

/// Replays the policy before and the one after on the same recordings, as far as they fit.
///
/// # Errors
/// [`NoComparison`] when nothing can be said, and why not.
pub fn compare(
    before: &Spec,
    after: &Spec,
    target: &TargetId,
    recordings: &BTreeMap<SignalName, Series>,
    context: &Context<'_>,
) -> Result<Comparison, NoComparison> {
    let ground = Ground { before, after, target, recordings, prices: context.prices };
    let new = ground.side("new", after).ok_or_else(|| NoComparison::NoTarget(target.clone()))?;
    let sides: Vec<Side<'_>> = ground.side("old", before).into_iter().chain([new]).collect();
    let names: Vec<SignalName> =
        wanted(before, after, target).into_iter().map(|signal| signal.name.clone()).collect();
    let used = || sides.iter().flat_map(|side| side.signals.iter().flatten());
    let (Some(begin), Some(end)) =
        (used().map(|series| series.begin()).min(), used().map(|series| series.end()).max())
    else {
        return Err(match names {
            names if names.is_empty() => NoComparison::NoSignal,
            names => NoComparison::NotRecorded(names),
        });
    };
    // The new policy's load before the old one's.
    let load = sides.iter().rev().find_map(Side::load);
    if let Some(load) = &load
        && load.series.negative().is_some()
    {
        return Err(NoComparison::NegativeLoad(load.name.clone()));
    }
    let demand = load.as_ref().map_or_else(|| Demand::none(begin, end), |l| Demand::of(l.series));
    let length = demand.end().since(demand.begin());
    if length < LENGTH_MIN {
        return Err(NoComparison::TooShort(length));
    }
    if sides.iter().all(|side| !side.unfit.is_empty()) {
        return Err(NoComparison::NotRecorded(names));
    }
    let terms = Terms {
        interval: context.interval,
        startup: context.startup,
        delay: context.delay,
        // What was recorded are the means that the queries asked for.
        window: Duration::ZERO,
        capacity: load.as_ref().map(|load| load.capacity),
        skip: None,
    };
    let fit = || sides.iter().filter(|side| side.unfit.is_empty());
    let replays: Vec<Replay> =
        fit().map(|side| side.candidate.replay(target, &side.signals, &terms, &demand)).collect();
    let columns = fit()
        .zip(&replays)
        .map(|(side, replay)| side.candidate.column(side.name, replay, &demand, &terms))
        .collect();
    let curves: Vec<Curve<'_>> = fit()
        .zip(&replays)
        .map(|(side, replay)| Curve { name: side.name, replay, bounds: side.candidate.bounds })
        .collect();
    let chart = mermaid(target, &demand, &terms, &curves);
    let report = Report {
        target: target.clone(),
        load: load.as_ref().map(|load| load.name.to_string()),
        from: demand.begin(),
        to: demand.end(),
        skipped: terms.skipped(length),
        terms,
        currency: context.prices.currency.clone(),
        columns,
        notes: notes(&sides, load.as_ref()),
    };
    Ok(Comparison { report, chart })
}

/// What a reader of the figures should know.
fn notes(sides: &[Side<'_>], load: Option<&Load<'_>>) -> Vec<String> {
    let mut notes = Vec::new();
    match load {
        Some(load) => {
            let mut note = format!(
                "one replica is taken to serve {} of `{}`: deciding reads `perReplica: {}` as {:.0} % of that",
                load.capacity,
                load.name,
                load.level,
                FULL_USE * 100.0
            );
            let others = sides.iter().filter_map(Side::load);
            let other = others.filter(|other| other.name == load.name);
            for other in other.filter(|other| other.capacity.to_bits() != load.capacity.to_bits()) {
                let _ = write!(
                    note,
                    "; by the `perReplica: {}` of before it would be {}",
                    other.level, other.capacity
                );
            }
            notes.push(note);
        }
        None => notes.push(
            "no rule with `perReplica` has a recording, so the load is not known, nor how often there were too \
             few replicas"
                .to_owned(),
        ),
    }
    let mut absent = BTreeSet::new();
    let mut recorded: BTreeMap<&SignalName, &Series> = BTreeMap::new();
    for side in sides {
        notes.extend(side.unfit.iter().cloned());
        absent.extend(side.absent.iter());
        if side.unfit.is_empty() {
            notes.extend(side.candidate.notes(PRICE_ADVICE));
            let signals = side.candidate.policy.iter().flat_map(|policy| &policy.signals);
            recorded.extend(
                signals.zip(&side.signals).filter_map(|(signal, s)| Some((&signal.name, (*s)?))),
            );
        }
    }
    notes.extend(absent.into_iter().map(|name| format!("`{name}` was taken to be absent")));
    for (name, series) in recorded {
        notes.extend(gaps_note(name, series, load.is_some_and(|load| load.name == name)));
    }
    notes
}

#[cfg(test)]
mod tests;
