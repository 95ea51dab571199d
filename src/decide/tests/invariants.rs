//! The invariants, over random worlds.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;

use super::super::decide;
use super::worlds::{BEGIN, Case, Step, case, ticks, with_bounds};
use crate::model::testing::bounds;
use crate::model::{
    Autoscale, Bounds, Count, Decision, Detail, Measured, Moment, OnMissing, Reason, SignalState,
    Stage, TargetState,
};
use crate::spec::typed_policy;

/// Worlds per property: each has up to 40 decisions of up to three regions.
const CASES: u32 = 256;
/// The most that one memory may take when it is written down.
const STATE_BYTES_MAX: usize = 16 * 1024;

/// Whether nothing may move this target.
fn is_held(decision: &Decision, step: &Step<'_>, index: usize) -> bool {
    decision.inputs.observed.is_none() || step.inputs[index].pause().is_some()
}

fn written(states: &[TargetState]) -> String {
    serde_json::to_string(states).unwrap()
}

fn flow(decision: &Decision) -> Vec<&crate::model::TraceLine> {
    let tells = [Stage::Signals, Stage::Target, Stage::Rule, Stage::Expression];
    decision.trace.iter().filter(|line| !tells.contains(&line.stage)).collect()
}

/// Whether some signal that may not be ignored has no value, or none has one.
fn is_unknown(step: &Step<'_>, decision: &Decision) -> bool {
    let signals = &step.inputs[0].policy.unwrap().signals;
    let states: Vec<SignalState> = decision
        .trace
        .iter()
        .filter_map(|line| match line.detail {
            Detail::Signal { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states.len(), signals.len());
    let lost = signals.iter().zip(&states).any(|(signal, state)| {
        *state != SignalState::Value && signal.on_missing != OnMissing::Ignore
    });
    lost || !states.contains(&SignalState::Value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn counts_are_within_bounds_held_paid_for_and_known(case in case()) {
        case.run(case.memories(), |step, _| {
            for (index, decision) in step.decisions.iter().enumerate() {
                let input = &step.inputs[index];
                let Bounds { min, desired, max } = input.facts.bounds;
                let current = decision.current;
                let Some(count) = decision.effective else {
                    assert!(input.facts.observed.is_none());
                    continue;
                };
                if input.pause().is_some() {
                    assert_eq!(count, current, "a paused count changed");
                    continue;
                }
                assert!(min <= count && count <= max, "{count} is not within {min} to {max}");
                let allowed = decision.cost.map_or(max, |share| share.allowed);
                let floors = floors(decision);
                match input.facts.autoscale {
                    Autoscale::Disabled => assert_eq!(count, desired.min(allowed)),
                    Autoscale::Manual => {
                        assert_eq!(count, desired.max(floors).min(max).min(allowed));
                    }
                    Autoscale::Metrics => {
                        assert!(count >= floors.min(max).min(allowed), "under a floor");
                        if is_unknown(step, decision) {
                            assert!(count >= current.min(max).min(allowed), "no value, and lower");
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn all_regions_together_cost_no_more_than_the_cap(case in case()) {
        let Some(cap) = case.cap.filter(|cap| cap.price > 0.0) else { return Ok(()) };
        case.run(case.memories(), |step, _| {
            let counts = step.decisions.iter().map(|d| d.effective.unwrap_or(d.current));
            let cost = counts.map(|count| f64::from(count.0) * cap.price).sum::<f64>();
            let at_least = step.decisions.iter().enumerate().all(|(index, decision)| {
                is_held(decision, step, index)
                    || decision.effective <= Some(decision.inputs.bounds.min)
            });
            assert!(cost <= cap.cap + 1e-6 || at_least, "{cost} is over {}", cap.cap);
        });
    }

    #[test]
    fn a_restart_through_text_changes_nothing(case in case()) {
        let mut straight = String::new();
        case.run(case.memories(), |step, _| {
            write!(straight, "{:?}{}", step.decisions, written(step.after)).unwrap();
        });
        let mut restarted = String::new();
        case.run(case.memories(), |step, states| {
            write!(restarted, "{:?}{}", step.decisions, written(step.after)).unwrap();
            *states = serde_json::from_str(&written(states)).unwrap();
        });
        prop_assert!(straight == restarted, "a restart, or nothing but time, changed a decision");
    }

    #[test]
    fn traces_are_chains_and_say_what_was_decided(case in case()) {
        case.run(case.memories(), |step, _| {
            for decision in step.decisions {
                let flow = flow(decision);
                assert_eq!(flow[0].before, decision.current);
                assert!(flow.windows(2).all(|two| two[0].after == two[1].before), "{flow:#?}");
                let last = flow.last().unwrap().after;
                assert!(decision.effective.is_none_or(|count| count == last));
                let decisive = &decision.trace[decision.decisive];
                assert!(decisive.reason.is_none_or(|reason| reason == decision.reason));
                assert!(!decision.sentence().is_empty());
                if let Some(refused) = decision.refused {
                    assert!(refused.is_refusal());
                    assert!(decision.refusal().is_some(), "{refused:?} is not in the trace");
                }
                if decision.reason == Reason::Paused {
                    assert_eq!(decision.refused, Some(Reason::Paused));
                }
            }
        });
    }

    #[test]
    fn no_cooldown_or_rollout_blocks_a_step_up(case in case()) {
        case.run(case.memories(), |step, _| {
            for (index, decision) in step.decisions.iter().enumerate() {
                let mut free = step.inputs[index];
                free.facts.cooldown = std::time::Duration::ZERO;
                free.facts.is_rolling_out = false;
                let mut state = step.before[index].clone();
                let freely = decide(&free, &mut state, decision.cost);
                if freely.effective > Some(freely.current) {
                    assert_eq!(freely.effective, decision.effective);
                }
            }
        });
    }

    #[test]
    fn a_burst_counts_exactly_in_its_time(case in case()) {
        case.run(case.memories(), |step, _| {
            for (decision, input) in step.decisions.iter().zip(step.inputs) {
                let named = floor_names(decision);
                for burst in input.bursts {
                    let is_now = burst.from <= input.facts.now && input.facts.now < burst.until;
                    let is_here =
                        burst.region.as_ref().is_none_or(|region| *region == input.target.region);
                    let counts =
                        is_now && is_here && input.facts.autoscale != Autoscale::Disabled;
                    assert_eq!(named.iter().any(|name| name.contains(&burst.reason)), counts);
                }
            }
        });
    }

    /// For policies of totals and rules that go up: the others mean something else by more.
    #[test]
    fn more_load_never_means_fewer_replicas(
        case in case(),
        levels in proptest::collection::vec(1.0..200.0, 2),
        above in 1.0..400.0,
        tolerance in proptest::sample::select(vec!["0%", "10%", "40%"]),
        loads in proptest::collection::vec((1.0..3_000.0, 1.0..3_000.0), 40),
        factor in 1.0..3.0,
    ) {
        let behavior = json!({"tolerance": tolerance, "down": {"stabilization": "1m", "limits": ["50%"], "per": "1m"}});
        let policy = typed_policy(&json!({
            "name": "more",
            "signals": {"a": {"source": "prom", "query": "a"}, "b": {"source": "prom", "query": "b"}},
            "targets": [{"signal": "a", "perReplica": levels[0]}, {"signal": "b", "perReplica": levels[1]}],
            "rules": [{"when": {"signal": "a", "above": above, "for": "1m"}, "scaleBy": 2}],
            "expression": "b / 50.0",
            "behavior": behavior,
        }));
        let mut now = BEGIN.0;
        let mut case = Case { policy, autoscale: Autoscale::Metrics, cap: None, ..case };
        for (tick, (a, b)) in case.ticks.iter_mut().zip(loads) {
            now += tick.passed;
            let value = |value| Measured::Value { value, at: Moment(now) };
            tick.regions.iter_mut().for_each(|region| region.measured = vec![value(a), value(b)]);
        }
        case.run(case.memories(), |step, _| {
            for (index, decision) in step.decisions.iter().enumerate() {
                let input = &step.inputs[index];
                for raised in 0..2 {
                    let mut measured = input.measured.to_vec();
                    if let Measured::Value { value, .. } = &mut measured[raised] {
                        *value *= factor;
                    }
                    let more = super::super::Input { measured: &measured, ..*input };
                    let more = decide(&more, &mut step.before[index].clone(), None);
                    assert!(
                        more.effective >= decision.effective,
                        "{:#?}\n{:#?}", decision.trace, more.trace
                    );
                }
            }
        });
    }

    /// Nothing that a world can be makes deciding fail, not even what no spec can say.
    #[test]
    fn deciding_never_fails(
        mut case in with_bounds(vec![
            bounds(9, 5, 2), bounds(0, u32::MAX, u32::MAX), bounds(u32::MAX, 0, 0),
        ]),
        moments in proptest::collection::vec(any::<i64>(), 4),
    ) {
        case.cap = None;
        for (tick, moment) in case.ticks.iter_mut().zip(moments) {
            tick.passed = moment / 4;
        }
        case.run(case.memories(), |step, _| {
            for decision in step.decisions {
                let told: usize = decision.trace.iter().map(|line| line.sentence().len()).sum();
                assert!(told > 0);
            }
        });
    }
}

fn floor_names(decision: &Decision) -> Vec<String> {
    let names = decision.trace.iter().filter_map(|line| match &line.detail {
        Detail::Floors { names, .. } => Some(names.iter().map(ToString::to_string)),
        _ => None,
    });
    names.flatten().collect()
}

fn floors(decision: &Decision) -> Count {
    let floors = decision.trace.iter().filter_map(|line| match line.detail {
        Detail::Floors { floor, .. } => Some(floor),
        _ => None,
    });
    floors.max().unwrap_or_default()
}

/// Ten thousand decisions, clocks set back among them, and the memory is as small as before.
#[test]
fn memories_stay_small() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..3 {
        let mut case = case().new_tree(&mut runner).unwrap().current();
        (case.bounds, case.autoscale) = (vec![bounds(0, 3, 500)], Autoscale::Metrics);
        case.ticks.clear();
        let mut passed = 0;
        while case.ticks.len() < 10_000 {
            let mut more = ticks(1, 400).new_tree(&mut runner).unwrap().current();
            let stamps = more.iter_mut().flat_map(|tick| &mut tick.regions[0].measured);
            for measured in stamps {
                if let Measured::Value { at, .. } = measured {
                    at.0 = at.0.saturating_add(passed);
                }
            }
            passed += more.iter().map(|tick| tick.passed).sum::<i64>();
            case.ticks.extend(more);
        }
        let mut most = 0;
        case.run(case.memories(), |step, _| most = most.max(written(step.after).len()));
        assert!(most < STATE_BYTES_MAX, "a memory of {most} bytes");
    }
}
