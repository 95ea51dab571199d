//! Each guard by itself: with all others off, it alone turns what is wanted into something else.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Input, decide};
use crate::model::testing::{bounds, target};
use crate::model::{
    Autoscale, CostShare, Count, Decision, DecisionInputs, Measured, Moment, Reason, StepTaken,
    TargetState, Wish,
};
use crate::spec::typed_policy;

const NOW: Moment = Moment(1_780_000_000_000);

/// One decision about ten replicas, with every guard off.
struct Bench {
    /// The whole behavior of the policy.
    behavior: Value,
    /// What else the policy has.
    more: Value,
    rps: f64,
    state: TargetState,
    facts: DecisionInputs,
    share: Option<CostShare>,
}

impl Bench {
    fn new(rps: f64) -> Self {
        let free = json!({"limits": [1000], "per": "1s", "stabilization": "0s"});
        Self {
            behavior: json!({"tolerance": "0%", "up": free, "down": free}),
            more: json!({}),
            rps,
            state: TargetState { effective: Some(Count(10)), ..TargetState::default() },
            facts: DecisionInputs {
                now: NOW,
                bounds: bounds(0, 1, 100),
                autoscale: Autoscale::Metrics,
                observed: Some(Count(10)),
                ready: Count(10),
                starting: Count(0),
                is_rolling_out: false,
                cooldown: Duration::ZERO,
            },
            share: None,
        }
    }

    /// One target of ten a replica, and `cpu` at 50.
    fn decide(mut self) -> Decision {
        let mut document = json!({
            "name": "alone",
            "signals": {"cpu": {"source": "provider"}, "rps": {"source": "prom", "query": "q"}},
            "targets": [{"signal": "rps", "perReplica": 10}],
            "behavior": self.behavior,
        });
        for (key, value) in self.more.as_object().unwrap() {
            document[key] = value.clone();
        }
        let policy = typed_policy(&document);
        self.state.policy = policy.fingerprint;
        let value = |value| Measured::Value { value, at: NOW };
        let input = Input {
            target: &target("web", "iad"),
            facts: self.facts,
            policy: Some(&policy),
            measured: &[value(50.0), value(self.rps)],
            bursts: &[],
            pauses: &[],
        };
        decide(&input, &mut self.state, self.share)
    }
}

fn ago(seconds: u64) -> Moment {
    NOW.before(Duration::from_secs(seconds))
}

fn assert_decided(bench: Bench, count: u32, reason: Reason) {
    let decision = bench.decide();
    let got = (decision.effective, decision.refused.unwrap_or(decision.reason));
    assert_eq!(got, (Some(Count(count)), reason), "{:#?}", decision.trace);
}

#[test]
fn without_guards_the_count_is_what_is_wanted() {
    assert_decided(Bench::new(30.0), 3, Reason::Target);
    assert_decided(Bench::new(990.0), 99, Reason::Target);
}

#[test]
fn tolerance() {
    let mut bench = Bench::new(105.0);
    bench.behavior["tolerance"] = json!("10%");
    assert_decided(bench, 10, Reason::WithinTolerance);
}

#[test]
fn stabilization() {
    let mut bench = Bench::new(30.0);
    bench.behavior["down"]["stabilization"] = json!("5m");
    bench.state.wishes = vec![Wish { at: ago(299), count: Count(7) }];
    assert_decided(bench, 7, Reason::Stabilizing);
    let mut bench = Bench::new(300.0);
    bench.behavior["up"]["stabilization"] = json!("1m");
    bench.state.low_wishes = vec![Wish { at: ago(59), count: Count(14) }];
    assert_decided(bench, 14, Reason::Stabilizing);
}

#[test]
fn no_step_down_for_one_window_after_a_start() {
    let mut bench = Bench::new(30.0);
    bench.behavior["down"]["stabilization"] = json!("5m");
    bench.state.resumed_at = Some(ago(299));
    assert_decided(bench, 10, Reason::Stabilizing);
}

#[test]
fn rate_limits() {
    let mut bench = Bench::new(30.0);
    bench.behavior["down"] = json!({"limits": ["40%", 3], "per": "1m", "stabilization": "0s"});
    bench.state.steps = vec![StepTaken { at: ago(59), from: Count(12), to: Count(10) }];
    // 40 % of twelve is five, and two are gone already.
    assert_decided(bench, 7, Reason::RateLimited);
    let mut bench = Bench::new(990.0);
    bench.behavior["up"] = json!({"limits": ["100%", 3], "per": "1m", "stabilization": "0s"});
    bench.state.steps = vec![StepTaken { at: ago(59), from: Count(6), to: Count(10) }];
    assert_decided(bench, 12, Reason::RateLimited);
}

#[test]
fn flapping() {
    let mut bench = Bench::new(30.0);
    bench.more = json!({"rules": [{"when": {"signal": "cpu", "above": 80}, "scaleBy": 1}]});
    // 50 on ten is 83 on six and 71 on seven.
    assert_decided(bench, 7, Reason::AnticipatedFlapping);
}

#[test]
fn idle() {
    let mut bench = Bench::new(0.0);
    bench.more = json!({"idle": {"after": "5m", "signals": ["rps"]}});
    bench.state.idle_since = Some(ago(299));
    assert_decided(bench, 1, Reason::Stabilizing);
}

#[test]
fn bounds_alone() {
    let mut bench = Bench::new(990.0);
    bench.facts.bounds.max = Count(20);
    assert_decided(bench, 20, Reason::AtMax);
}

#[test]
fn cooldown() {
    let mut bench = Bench::new(30.0);
    bench.facts.cooldown = Duration::from_secs(60);
    bench.state.last_change = Some(ago(59));
    assert_decided(bench, 10, Reason::Cooldown);
}

#[test]
fn rollout() {
    let mut bench = Bench::new(30.0);
    bench.facts.is_rolling_out = true;
    assert_decided(bench, 10, Reason::RolloutInProgress);
}

#[test]
fn cost() {
    let mut bench = Bench::new(990.0);
    bench.share = Some(CostShare { cap: 1.0, allowed: Count(12) });
    assert_decided(bench, 12, Reason::CostCapped);
}
