//! One spec's part of a backtest: what it says of the target, and what a reader of its figures should know.

use std::time::Duration;

use super::{Column, Demand, Replay, Series, Subject, Terms, measure, replay};
use crate::decide::Cap;
use crate::model::{
    Autoscale, Bounds, Policy, PolicyChoice, RegionScale, Service, SignalName, Spec, TargetId,
    TargetKind, format_duration,
};

/// What one spec says of the target that is replayed.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// What a reader calls the spec.
    pub spec: String,
    /// The policy that is replayed.
    pub policy: Option<&'a Policy>,
    /// Its name; `None` where it stands in the service or there is none.
    pub policy_name: Option<String>,
    /// The bounds.
    pub bounds: Bounds,
    /// The price of a replica-hour, where known.
    pub price: Option<f64>,
    autoscale: Autoscale,
    cooldown: Duration,
    cap: Option<f64>,
    has_other_regions: bool,
    rests: bool,
}

impl<'a> Candidate<'a> {
    /// What a spec says of one region of a service. Its policy is taken as being in force.
    #[must_use]
    pub fn of(
        name: String,
        spec: &'a Spec,
        service: &'a Service,
        scale: &RegionScale,
        price: Option<f64>,
    ) -> Self {
        let policy_name = match &service.scale.policy {
            Some(PolicyChoice::Named(name)) => Some(name.to_string()),
            Some(PolicyChoice::Inline(_)) | None => None,
        };
        Self {
            spec: name,
            policy: spec.policy_of(service),
            policy_name,
            bounds: scale.bounds,
            price,
            autoscale: service.scale.autoscale,
            cooldown: scale.cooldown.or(service.scale.cooldown).unwrap_or(Duration::ZERO),
            cap: service.scale.max_hourly_cost,
            has_other_regions: service.scale.regions.len() > 1,
            rests: false,
        }
    }

    /// The same as the controller runs it: a policy that `autoscale` keeps out of force moves nothing.
    #[must_use]
    pub fn as_in_force(mut self) -> Self {
        match self.autoscale {
            Autoscale::Metrics => {}
            Autoscale::Manual | Autoscale::Disabled => {
                self.rests = self.policy.take().is_some();
                self.policy_name = None;
            }
        }
        self
    }

    /// Replays it. `signals` are in the order of the policy's.
    #[must_use]
    pub fn replay(
        &self,
        target: &TargetId,
        signals: &[Option<&Series>],
        terms: &Terms,
        span: &Demand,
    ) -> Replay {
        let subject = Subject {
            target,
            bounds: self.bounds,
            policy: self.policy,
            cooldown: self.cooldown,
            cap: self.cap.zip(self.price).map(|(cap, price)| Cap { cap, price }),
        };
        replay(&subject, signals, terms, span.begin(), span.end())
    }

    /// Its column of a report.
    #[must_use]
    pub fn column(
        &self,
        name: &'static str,
        replay: &Replay,
        demand: &Demand,
        terms: &Terms,
    ) -> Column {
        Column {
            name,
            spec: self.spec.clone(),
            policy: self.policy_name.clone(),
            bounds: self.bounds,
            figures: measure(replay, demand, self.bounds, terms),
            price: self.price,
        }
    }

    /// What a reader of the figures should know; `price_advice` says how a price becomes known.
    #[must_use]
    pub fn notes(&self, price_advice: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let spec = &self.spec;
        match (self.policy, self.autoscale) {
            (None, _) if self.rests => notes.push(format!(
                "the policy in `{spec}` is not in force, because `autoscale` is not `metrics`, so its count \
                 rests at {}",
                self.bounds.desired
            )),
            (None, _) => notes.push(format!(
                "`{spec}` has no policy for this service, so its count rests at {}",
                self.bounds.desired
            )),
            (Some(_), Autoscale::Metrics) => {}
            (Some(_), Autoscale::Manual | Autoscale::Disabled) => notes.push(format!(
                "the policy in `{spec}` is not in force, because `autoscale` is not `metrics`; it was \
                 replayed as if it were"
            )),
        }
        for signal in self.policy.map(open_loop).unwrap_or_default() {
            notes.push(format!(
                "`{signal}` in `{spec}` depends on the replicas; it was replayed as recorded, with the \
                 replicas of then"
            ));
        }
        match (self.cap, self.price) {
            (Some(_), None) => notes.push(format!(
                "the cost cap in `{spec}` was left out, because no price is known; {price_advice}"
            )),
            (Some(_), Some(_)) if self.has_other_regions => {
                notes.push(format!("the cost cap in `{spec}` was taken for this region alone"));
            }
            (Some(_) | None, _) => {}
        }
        notes
    }
}

/// What is missing in a recording, as a note.
#[must_use]
pub fn gaps_note(name: &SignalName, series: &Series, is_load: bool) -> Option<String> {
    let gaps = series.gaps();
    let held = if is_load { "; as the load it stays at its last value there" } else { "" };
    (gaps.count > 0).then(|| {
        format!(
            "`{name}` has {} {}, the longest of {}, where its rows are usually {} apart{held}",
            gaps.count,
            if gaps.count == 1 { "gap" } else { "gaps" },
            format_duration(gaps.longest),
            format_duration(series.step())
        )
    })
}

/// The signals of a policy that its proportional rules take for a mean over the replicas.
fn open_loop(policy: &Policy) -> Vec<&SignalName> {
    let mut names: Vec<&SignalName> = policy
        .targets
        .iter()
        .filter(|target| match target.kind {
            TargetKind::Average | TargetKind::AtMost => true,
            TargetKind::PerReplica => false,
        })
        .filter_map(|target| Some(&policy.signals.get(target.signal)?.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
