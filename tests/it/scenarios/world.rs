//! The world of a scenario: a clock, measurements, replicas that follow what is decided, bursts and pauses.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate::decide::{Cap, Input, decide_service};
use tidegate::model::{
    Burst, Count, Decision, DecisionInputs, Measured, Moment, Pause, Reason, Region, Service,
    SourceFile, Sources, Spec, TargetId, TargetState, parse_duration,
};
use tidegate::spec;

/// Where the clock begins: a Monday, at noon.
const BEGIN: &str = "2026-03-02T12:00:00Z";

/// What of a decision is worth a line when it changes.
#[derive(PartialEq)]
pub(crate) struct Shown(Option<Count>, Count, Reason, Option<Reason>);

impl Shown {
    pub(crate) fn of(decision: &Decision) -> Self {
        Self(decision.effective, decision.current, decision.reason, decision.refused)
    }
}

/// What a script says about a signal.
#[derive(Clone)]
enum Said {
    /// A number, this old.
    Number(f64, Duration),
    /// A number from the future.
    Future(f64, Duration),
    Absent,
    Failed,
}

/// The replicas of one region: they follow what is decided, after the time they take to start.
#[derive(Default)]
struct Replicas {
    ready: u32,
    /// When each that starts is ready.
    starting: Vec<Moment>,
    /// So many are ready, whatever happens.
    fixed_ready: Option<u32>,
    is_unread: bool,
}

pub(crate) struct World {
    now: Moment,
    zone: TimeZone,
    spec: Spec,
    price: f64,
    startup: Duration,
    is_rolling_out: bool,
    said: BTreeMap<(String, Option<Region>), Said>,
    targets: Vec<TargetId>,
    states: Vec<TargetState>,
    replicas: Vec<Replicas>,
    bursts: Vec<Burst>,
    pauses: Vec<Pause>,
    decisions: Vec<Decision>,
}

impl World {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let spec = read(name, text);
        let service = only(&spec);
        let targets: Vec<TargetId> = service
            .scale
            .regions
            .keys()
            .map(|region| TargetId { service: service.id.clone(), region: region.clone() })
            .collect();
        let replicas = service
            .scale
            .regions
            .values()
            .map(|region| Replicas { ready: region.bounds.desired.0, ..Replicas::default() });
        Self {
            now: BEGIN.parse::<Timestamp>().unwrap().into(),
            zone: TimeZone::UTC,
            price: 0.0,
            startup: Duration::ZERO,
            is_rolling_out: false,
            said: BTreeMap::new(),
            states: vec![TargetState::default(); targets.len()],
            replicas: replicas.collect(),
            bursts: Vec::new(),
            pauses: Vec::new(),
            decisions: Vec::new(),
            targets,
            spec,
        }
    }

    pub(crate) fn command(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["at", time] => self.now = time.parse::<Timestamp>().ok()?.into(),
            ["back", time] => self.now = self.now.before(parse_duration(time).ok()?),
            ["zone", zone] => self.zone = TimeZone::get(zone).ok()?,
            ["price", price] => self.price = price.parse().ok()?,
            ["startup", time] => self.startup = parse_duration(time).ok()?,
            ["rollout", switch] => self.is_rolling_out = *switch == "begins",
            ["signal", name, said @ ..] => {
                let (name, region) = match name.split_once('@') {
                    Some((name, region)) => (name, Some(Region::try_from(region).ok()?)),
                    None => (*name, None),
                };
                self.said.insert((name.to_owned(), region), said_of(said)?);
            }
            ["ready", "all"] => self.each(|replicas| replicas.fixed_ready = None),
            ["ready", count] => {
                let count = count.parse().ok()?;
                self.each(|replicas| replicas.fixed_ready = Some(count));
            }
            ["exist", count] => {
                let count = count.parse().ok()?;
                self.each(|replicas| replicas.ready = count);
            }
            ["provider", "fails"] => self.each(|replicas| replicas.is_unread = true),
            ["provider", "answers"] => self.each(|replicas| replicas.is_unread = false),
            ["restart"] => self.restart(),
            ["forget"] => {
                let resumed_at = Some(self.now);
                self.states.fill(TargetState { resumed_at, ..TargetState::default() });
            }
            ["edit", from, "to", to @ ..] => self.edit(from, &to.join(" ")),
            ["burst", count, "for", time] => self.burst(count, time, None)?,
            ["burst", count, "for", time, "in", region] => {
                self.burst(count, time, Some(Region::try_from(*region).ok()?))?;
            }
            ["pause", "for", time] => self.pause(time, None)?,
            ["pause", "for", time, "in", region] => {
                self.pause(time, Some(Region::try_from(*region).ok()?))?;
            }
            ["resume"] => self.pauses.clear(),
            _ => return None,
        }
        Some(())
    }

    fn each(&mut self, act: impl Fn(&mut Replicas)) {
        self.replicas.iter_mut().for_each(act);
    }

    /// Changes the policy or the bounds by a change of the spec's text.
    fn edit(&mut self, key: &str, value: &str) {
        let service = self.spec.services.values_mut().next().unwrap();
        match key {
            "autoscale" => {
                service.scale.autoscale = match value {
                    "manual" => tidegate::model::Autoscale::Manual,
                    "disabled" => tidegate::model::Autoscale::Disabled,
                    _ => tidegate::model::Autoscale::Metrics,
                }
            }
            "max" => service
                .scale
                .regions
                .values_mut()
                .for_each(|region| region.bounds.max = Count(value.parse().unwrap())),
            _ => panic!("only `autoscale` and `max` can be edited"),
        }
    }

    /// The memory goes through its written form, as it does when a controller starts again.
    fn restart(&mut self) {
        for state in &mut self.states {
            let text = serde_json::to_string(state).unwrap();
            *state = serde_json::from_str(&text).unwrap();
            state.resumed_at = Some(self.now);
        }
    }

    fn burst(&mut self, count: &str, time: &str, region: Option<Region>) -> Option<()> {
        self.bursts.push(Burst {
            id: format!("b{}", self.bursts.len()),
            service: only(&self.spec).id.clone(),
            region,
            replicas: Count(count.parse().ok()?),
            reason: "sale".to_owned(),
            author: "ann".to_owned(),
            from: self.now,
            until: self.now.after(parse_duration(time).ok()?),
        });
        Some(())
    }

    fn pause(&mut self, time: &str, region: Option<Region>) -> Option<()> {
        self.pauses.push(Pause {
            id: format!("p{}", self.pauses.len()),
            service: only(&self.spec).id.clone(),
            region,
            reason: "incident".to_owned(),
            author: "bob".to_owned(),
            from: self.now,
            until: self.now.after(parse_duration(time).ok()?),
        });
        Some(())
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let now = self.now;
        self.each(|replicas| {
            let before = replicas.starting.len();
            replicas.starting.retain(|ready_at| *ready_at > now);
            replicas.ready += u32::try_from(before - replicas.starting.len()).unwrap();
        });
    }

    pub(crate) fn decide(&mut self) -> Vec<Decision> {
        let service = only(&self.spec);
        let policy = self.spec.policy_of(service);
        let names = policy.map_or(&[][..], |policy| policy.signals.as_slice());
        let measured: Vec<Vec<Measured>> = self
            .targets
            .iter()
            .map(|target| {
                let measured = names.iter().map(|s| self.measured(s.name.as_str(), &target.region));
                measured.collect()
            })
            .collect();
        let inputs: Vec<Input<'_>> = self
            .targets
            .iter()
            .zip(&measured)
            .zip(&self.replicas)
            .map(|((target, measured), replicas)| Input {
                target,
                facts: self.facts(service, target, replicas),
                policy,
                measured,
                bursts: &self.bursts,
                pauses: &self.pauses,
            })
            .collect();
        let cap = service.scale.max_hourly_cost.map(|cap| Cap { cap, price: self.price });
        let mut states = self.states.clone();
        let decisions = decide_service(&inputs, &mut states, cap);
        self.states = states;
        self.follow(&decisions);
        self.decisions.clone_from(&decisions);
        decisions
    }

    fn facts(&self, service: &Service, target: &TargetId, replicas: &Replicas) -> DecisionInputs {
        let scale = &service.scale.regions[&target.region];
        let starting = u32::try_from(replicas.starting.len()).unwrap();
        let count = replicas.ready + starting;
        DecisionInputs {
            now: self.now,
            bounds: scale.bounds,
            autoscale: service.scale.autoscale,
            observed: (!replicas.is_unread).then_some(Count(count)),
            ready: Count(replicas.fixed_ready.unwrap_or(replicas.ready).min(count)),
            starting: Count(starting),
            is_rolling_out: self.is_rolling_out,
            cooldown: scale.cooldown.or(service.scale.cooldown).unwrap_or_default(),
        }
    }

    fn measured(&self, name: &str, region: &Region) -> Measured {
        let said = self.said.get(&(name.to_owned(), Some(region.clone())));
        let said = said.or_else(|| self.said.get(&(name.to_owned(), None)));
        match said {
            Some(Said::Number(value, age)) => {
                Measured::Value { value: *value, at: self.now.before(*age) }
            }
            Some(Said::Future(value, by)) => {
                Measured::Value { value: *value, at: self.now.after(*by) }
            }
            Some(Said::Failed) => Measured::Failed("connection refused".into()),
            Some(Said::Absent) | None => Measured::Absent,
        }
    }

    /// The replicas become as decided: those that start first go first.
    fn follow(&mut self, decisions: &[Decision]) {
        for (decision, replicas) in decisions.iter().zip(&mut self.replicas) {
            let Some(Count(wanted)) = decision.effective else { continue };
            while replicas.ready + u32::try_from(replicas.starting.len()).unwrap() > wanted {
                if replicas.starting.pop().is_none() {
                    replicas.ready -= 1;
                }
            }
            while replicas.ready + u32::try_from(replicas.starting.len()).unwrap() < wanted {
                if self.startup.is_zero() {
                    replicas.ready += 1;
                } else {
                    replicas.starting.push(self.now.after(self.startup));
                }
            }
        }
    }

    pub(crate) fn line(&self, decision: &Decision, many: bool) -> String {
        let time = self.now.timestamp().to_zoned(self.zone.clone());
        let shown = time.strftime("%a %m-%d %H:%M:%S%:z").to_string();
        let region = if many { format!(" {}", decision.target.region) } else { String::new() };
        let effective = decision.effective.map_or("?".to_owned(), |count| count.to_string());
        let refusal = match decision.refusal() {
            Some((refused, sentence)) if sentence != decision.sentence() => {
                format!(" | refused {}: {sentence}", refused.code())
            }
            Some((refused, _)) => format!(" | refused {}", refused.code()),
            None => String::new(),
        };
        format!(
            "  {shown}{region} {} -> {effective} {}: {}{refusal}",
            decision.current,
            decision.reason.code(),
            decision.sentence(),
        )
    }

    /// Each line of the last decisions' traces.
    pub(crate) fn trace(&self) -> Vec<String> {
        let many = self.decisions.len() > 1;
        let mut lines = Vec::new();
        for decision in &self.decisions {
            for (index, line) in decision.trace.iter().enumerate() {
                let mark = if index == decision.decisive { '*' } else { ' ' };
                let region =
                    if many { format!("{} ", decision.target.region) } else { String::new() };
                let reason = line.reason.map(Reason::code).unwrap_or_default();
                let (before, after) = (line.before, line.after);
                let sentence = line.sentence();
                lines.push(format!(
                    "   {mark} {region}{:<13} {before} -> {after} {reason:<20} {sentence}",
                    line.stage.word(),
                ));
            }
        }
        lines
    }

    pub(crate) fn memory(&self) -> String {
        serde_json::to_string(&self.states).unwrap()
    }
}

fn read(name: &str, text: &str) -> Spec {
    let file = SourceFile { path: name.to_owned(), bytes: text.as_bytes().to_vec() };
    let loaded = spec::load(&Sources { spec: Some(file), ..Sources::default() }, None);
    loaded.spec.unwrap_or_else(|| panic!("{name}: {:#?}", loaded.diagnostics))
}

fn only(spec: &Spec) -> &Service {
    spec.services.values().next().unwrap()
}

fn said_of(words: &[&str]) -> Option<Said> {
    Some(match words {
        ["absent"] => Said::Absent,
        ["error"] => Said::Failed,
        ["nan"] => Said::Number(f64::NAN, Duration::ZERO),
        [number] => Said::Number(number.parse().ok()?, Duration::ZERO),
        [number, "old", age] => Said::Number(number.parse().ok()?, parse_duration(age).ok()?),
        [number, "ahead", age] => Said::Future(number.parse().ok()?, parse_duration(age).ok()?),
        _ => return None,
    })
}
