//! Random worlds: a policy, a few regions, and what happens to them from one decision to the next.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::super::{Cap, Input, decide_service};
use crate::model::testing::{bounds, target};
use crate::model::{
    Autoscale, Bounds, Burst, Count, Decision, DecisionInputs, Measured, Moment, Pause, Policy,
    TargetId, TargetState,
};
use crate::spec::typed_policy;

/// Where the clocks of random worlds begin.
pub(super) const BEGIN: Moment = Moment(1_780_000_000_000);
/// The signals of random policies.
pub(super) const SIGNALS: usize = 3;

/// What one decision finds in one region.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) measured: Vec<Measured>,
    /// Replicas that are not ready, of those that exist.
    pub(super) not_ready: u32,
    pub(super) starting: u32,
    pub(super) is_unread: bool,
    pub(super) is_rolling_out: bool,
}

/// One decision.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    /// Milliseconds since the one before; negative where the clock was set back.
    pub(super) passed: i64,
    pub(super) regions: Vec<Region>,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) policy: Policy,
    pub(super) autoscale: Autoscale,
    pub(super) bounds: Vec<Bounds>,
    pub(super) cooldown: Duration,
    pub(super) cap: Option<Cap>,
    pub(super) bursts: Vec<Burst>,
    pub(super) pauses: Vec<Pause>,
    pub(super) ticks: Vec<Tick>,
}

/// One decision of all regions, with what it was made from.
pub(super) struct Step<'a> {
    pub(super) inputs: &'a [Input<'a>],
    pub(super) before: &'a [TargetState],
    pub(super) decisions: &'a [Decision],
    pub(super) after: &'a [TargetState],
}

impl Case {
    pub(super) fn targets(&self) -> Vec<TargetId> {
        ["ams", "fra", "iad"].iter().take(self.bounds.len()).map(|r| target("web", r)).collect()
    }

    /// Decides every tick, with replicas that follow what is decided.
    pub(super) fn run(
        &self,
        mut states: Vec<TargetState>,
        mut each: impl FnMut(&Step<'_>, &mut Vec<TargetState>),
    ) {
        let targets = self.targets();
        let mut exist: Vec<u32> = self.bounds.iter().map(|bounds| bounds.desired.0).collect();
        let mut now = BEGIN;
        for tick in &self.ticks {
            now = Moment(now.0 + tick.passed);
            let inputs: Vec<Input<'_>> = targets
                .iter()
                .zip(&tick.regions)
                .enumerate()
                .map(|(index, (target, region))| Input {
                    target,
                    facts: self.facts(now, index, exist[index], region),
                    policy: Some(&self.policy),
                    measured: &region.measured,
                    bursts: &self.bursts,
                    pauses: &self.pauses,
                })
                .collect();
            let before = states.clone();
            let decisions = decide_service(&inputs, &mut states, self.cap);
            for (exist, decision) in exist.iter_mut().zip(&decisions) {
                *exist = decision.effective.map_or(*exist, |count| count.0);
            }
            let after = states.clone();
            let step =
                Step { inputs: &inputs, before: &before, decisions: &decisions, after: &after };
            each(&step, &mut states);
        }
    }

    pub(super) fn memories(&self) -> Vec<TargetState> {
        vec![TargetState::default(); self.bounds.len()]
    }

    fn facts(&self, now: Moment, index: usize, exist: u32, region: &Region) -> DecisionInputs {
        DecisionInputs {
            now,
            bounds: self.bounds[index],
            autoscale: self.autoscale,
            observed: (!region.is_unread).then_some(Count(exist)),
            ready: Count(exist.saturating_sub(region.not_ready)),
            starting: Count(region.starting.min(exist)),
            is_rolling_out: region.is_rolling_out,
            cooldown: self.cooldown,
        }
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..2_000.0,
        2 => Just(0.0),
        1 => select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -3.5, f64::MAX, f64::MIN, f64::MIN_POSITIVE,
        ]),
    ]
}

/// A measurement stamped around the present of its tick: the tick's own time is added when it is used.
pub(super) fn measured() -> impl Strategy<Value = Measured> {
    prop_oneof![
        8 => (number(), prop_oneof![6 => Just(0), 1 => -200_000i64..200_000, 1 => any::<i64>()])
            .prop_map(|(value, shift)| Measured::Value { value, at: Moment(shift) }),
        1 => Just(Measured::Absent),
        1 => Just(Measured::Failed("timed out".into())),
    ]
}

fn region() -> impl Strategy<Value = Region> {
    (
        vec(measured(), 0..=SIGNALS + 1),
        prop_oneof![3 => Just(0), 1 => 0u32..20],
        prop_oneof![3 => Just(0), 1 => 0u32..4],
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(measured, not_ready, starting, is_unread, is_rolling_out)| Region {
            measured,
            not_ready,
            starting,
            is_unread,
            is_rolling_out,
        })
}

pub(super) fn ticks(regions: usize, times: usize) -> impl Strategy<Value = Vec<Tick>> {
    let passed = prop_oneof![
        10 => 1_000i64..120_000,
        2 => Just(15_000),
        1 => Just(0),
        1 => -7_200_000i64..0,
        1 => 0i64..7_200_000,
    ];
    let tick =
        (passed, vec(region(), regions)).prop_map(|(passed, regions)| Tick { passed, regions });
    vec(tick, 1..=times).prop_map(|mut ticks| {
        let mut now = BEGIN.0;
        for tick in &mut ticks {
            now += tick.passed;
            for measured in tick.regions.iter_mut().flat_map(|region| &mut region.measured) {
                if let Measured::Value { at, .. } = measured {
                    *at = Moment(now.saturating_add(at.0));
                }
            }
        }
        ticks
    })
}

fn duration() -> impl Strategy<Value = &'static str> {
    select(vec!["0s", "15s", "1m", "5m", "1h"])
}

fn signal_name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

fn level() -> impl Strategy<Value = f64> {
    prop_oneof![1.0..300.0, Just(1e-9), Just(0.5)]
}

fn condition() -> impl Strategy<Value = Value> {
    let threshold =
        (signal_name(), level(), duration(), 0u8..3).prop_map(|(signal, level, hold, kind)| {
            match kind {
                0 => json!({"signal": signal, "above": level, "for": hold}),
                1 => json!({"signal": signal, "below": level, "for": hold}),
                _ => json!({"signal": signal, "above": level, "below": level * 3.0, "for": hold}),
            }
        });
    threshold.prop_recursive(3, 8, 3, |inner| {
        let key = select(vec!["all", "any"]);
        (key, vec(inner, 1..3)).prop_map(|(key, parts)| json!({key: parts}))
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![
        select(vec![1, 2, 5, -1, -3, i32::MAX, i32::MIN]).prop_map(|by| ("scaleBy", json!(by))),
        select(vec!["+50%", "-50%", "+1%", "-100%"]).prop_map(|by| ("scaleBy", json!(by))),
        (0u32..12).prop_map(|to| ("to", json!(to))),
    ];
    (condition(), effect).prop_map(|(when, (key, effect))| json!({"when": when, key: effect}))
}

fn target_rule() -> impl Strategy<Value = Value> {
    let kind = select(vec!["perReplica", "average", "atMost"]);
    (signal_name(), kind, level())
        .prop_map(|(signal, kind, level)| json!({"signal": signal, kind: level}))
}

fn behavior() -> impl Strategy<Value = Value> {
    let direction = || {
        let limits = select(vec![
            json!(["100%", 4]),
            json!(["50%"]),
            json!([1]),
            json!([]),
            json!(["1000000%"]),
        ]);
        (limits, duration(), duration()).prop_map(
            |(limits, per, wait)| json!({"limits": limits, "per": per, "stabilization": wait}),
        )
    };
    let stated = (select(vec!["0%", "10%", "50%"]), direction(), direction())
        .prop_map(|(tolerance, up, down)| json!({"tolerance": tolerance, "up": up, "down": down}));
    prop_oneof![Just(json!({})), stated]
}

fn on_missing() -> impl Strategy<Value = Value> {
    select(vec![
        json!("hold"),
        json!("hold"),
        json!("ignore"),
        json!({"floor": 4}),
        json!({"lastValue": "2m"}),
    ])
}

pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let schedules = select(vec![
        json!([]),
        json!([{"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Europe/Berlin", "replicas": 3}]),
        json!([{"start": "*/7 * * * *", "end": "*/5 * * * *", "timezone": "America/New_York", "replicas": 7}]),
    ]);
    let expression = select(vec![
        Value::Null,
        Value::Null,
        json!("a / 10.0"),
        json!("a + b - c"),
        json!("count * 2.0"),
        json!("a / 0.0"),
    ]);
    let idle = select(vec![
        Value::Null,
        json!({"after": "5m", "signals": ["a"]}),
        json!({"after": "0s", "signals": ["a", "b"]}),
    ]);
    (
        vec(on_missing(), SIGNALS),
        vec(target_rule(), 0..3),
        vec(rule(), 0..3),
        schedules,
        expression,
        idle,
        behavior(),
    )
        .prop_map(|(missing, targets, rules, schedules, expression, idle, behavior)| {
            let signal =
                |index: usize| json!({"source": "prom", "query": "q", "onMissing": missing[index]});
            let mut document = json!({
                "name": "random",
                "signals": {"a": signal(0), "b": signal(1), "c": signal(2)},
                "targets": targets, "rules": rules, "schedules": schedules, "behavior": behavior,
            });
            for (key, value) in [("expression", expression), ("idle", idle)] {
                if !value.is_null() {
                    document[key] = value;
                }
            }
            typed_policy(&document)
        })
}

/// Bounds as a valid spec has them.
fn valid_bounds() -> impl Strategy<Value = Bounds> {
    (0u32..6, 0u32..6, 0u32..30)
        .prop_map(|(min, more, most)| bounds(min, min + more, min + more + most))
}

fn floors() -> impl Strategy<Value = (Vec<Burst>, Vec<Pause>)> {
    let time = (0i64..1_800_000, 0i64..900_000);
    let region = || select(vec![None, Some("ams"), Some("fra")]);
    let burst = (time.clone(), 0u32..12, region());
    let pause = (time, region());
    (vec(burst, 0..3), vec(pause, 0..2)).prop_map(|(bursts, pauses)| {
        let name = |region: Option<&str>| region.map(|region| region.try_into().unwrap());
        let moments =
            |(from, long): (i64, i64)| (Moment(BEGIN.0 + from), Moment(BEGIN.0 + from + long));
        let bursts =
            bursts.into_iter().enumerate().map(|(index, (time, replicas, region))| Burst {
                id: format!("b{index}"),
                service: "web".try_into().unwrap(),
                region: name(region),
                replicas: Count(replicas),
                reason: format!("reason {index}"),
                author: "ann".to_owned(),
                from: moments(time).0,
                until: moments(time).1,
            });
        let pauses = pauses.into_iter().map(|(time, region)| Pause {
            id: "p".to_owned(),
            service: "web".try_into().unwrap(),
            region: name(region),
            reason: "incident".to_owned(),
            author: "bob".to_owned(),
            from: moments(time).0,
            until: moments(time).1,
        });
        (bursts.collect(), pauses.collect())
    })
}

/// A whole world. With `bounds` from outside, also of no valid spec.
pub(super) fn case() -> impl Strategy<Value = Case> {
    vec(valid_bounds(), 1..=3).prop_flat_map(with_bounds)
}

pub(super) fn with_bounds(bounds: Vec<Bounds>) -> impl Strategy<Value = Case> {
    let autoscale = prop_oneof![
        6 => Just(Autoscale::Metrics),
        1 => Just(Autoscale::Manual),
        1 => Just(Autoscale::Disabled),
    ];
    let cap = prop::option::of(
        (0.0..6.0, select(vec![0.0, 0.1, 0.3])).prop_map(|(cap, price)| Cap { cap, price }),
    );
    let cooldown = select(vec![0u64, 60, 600]).prop_map(Duration::from_secs);
    (policy(), autoscale, cooldown, cap, floors(), ticks(bounds.len(), 40)).prop_map(
        move |(policy, autoscale, cooldown, cap, (bursts, pauses), ticks)| Case {
            policy,
            autoscale,
            bounds: bounds.clone(),
            cooldown,
            cap,
            bursts,
            pauses,
            ticks,
        },
    )
}
