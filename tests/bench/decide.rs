//! Deciding alone: decisions a second on one core, and how often each asks for memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::decide::{self, World};
use tidegate::model::{
    Decision, Measured, Moment, Observed, Ordinal, Phase, Prices, Replica, ReplicaKey, Spec,
    TargetId, TargetState,
};
use tidegate::spec;

use super::fleet;
use super::measure;

/// Decisions of one target per figure.
const ALONE: usize = 200_000;
/// Targets of the fleet, and ticks of it.
const FLEET: usize = 10_000;
const TICKS: usize = 20;
/// Time between decisions.
const INTERVAL: Duration = Duration::from_secs(15);
/// Replicas of every target: what a load of one asks for.
const REPLICAS: u32 = 4;

/// Three signals, three targets, two rules, and the defaults for the rest.
const POLICY: &str = "policies:
  - name: load
    signals:
      cpu: {source: provider, metric: cpuPercent}
      p95: {source: prom, query: p95}
      rps: {source: prom, query: rps}
    targets:
      - {signal: rps, perReplica: 70}
      - {signal: cpu, average: 70}
      - {signal: p95, atMost: 200}
    rules:
      - name: slow
        when: {all: [{signal: p95, above: 500, for: 1m}, {signal: cpu, above: 90}]}
        scaleBy: 2
      - {name: flood, when: {signal: rps, above: 5000, for: 30s}, scaleBy: \"+50%\"}
";

/// Both figures, each with a load that stays and with one that moves.
pub(crate) fn report() -> Value {
    json!({
        "one_target": {
            "nothing_to_do": measured(1, ALONE, |_| 1.0),
            "load_moves": measured(1, ALONE, wave),
        },
        "ten_thousand_targets": {
            "nothing_to_do": measured(FLEET, TICKS, |_| 1.0),
            "load_moves": measured(FLEET, TICKS, wave),
        },
    })
}

/// A load between half and one and a half, in two hours.
fn wave(tick: usize) -> f64 {
    let turn = f64::from(u32::try_from(tick % 480).unwrap()) / 480.0;
    1.0 + 0.5 * (turn * std::f64::consts::TAU).sin()
}

fn measured(targets: usize, ticks: usize, load: fn(usize) -> f64) -> Value {
    let spec = fleet_spec(targets);
    let ids: Vec<TargetId> = spec
        .services
        .values()
        .flat_map(|service| {
            let target = |region: &tidegate::model::Region| TargetId {
                service: service.id.clone(),
                region: region.clone(),
            };
            service.scale.regions.keys().map(target)
        })
        .collect();
    let observed = observed(&ids);
    let mut states: BTreeMap<TargetId, TargetState> = BTreeMap::new();
    let mut measured: BTreeMap<TargetId, Vec<Measured>> = BTreeMap::new();
    let (mut took, mut asked, mut decided) = (Duration::ZERO, 0, 0);
    for tick in 0..ticks {
        let now = Moment(1_780_000_000_000 + i64::try_from(tick).unwrap() * 15_000);
        let load = load(tick);
        for id in &ids {
            let value = |value: f64| Measured::Value { value: value * load, at: now };
            measured.insert(id.clone(), vec![value(70.0), value(200.0), value(280.0)]);
        }
        let world = World {
            now,
            spec: &spec,
            templates: &BTreeMap::new(),
            observed: &observed,
            measured: &measured,
            bursts: &[],
            pauses: &[],
            prices: &Prices::default(),
        };
        let (began, before) = (Instant::now(), measure::allocations());
        let decisions: Vec<Decision> = decide::decide_all(&world, &mut states);
        asked += measure::allocations() - before;
        took += began.elapsed();
        decided += std::hint::black_box(decisions).len();
    }
    assert_eq!(decided, targets * ticks);
    let each = |whole: f64| whole / f64::from(u32::try_from(decided).unwrap());
    let round = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "decisions_per_second": (1.0 / each(took.as_secs_f64())).round(),
        "ms_per_tick": round(took.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(ticks).unwrap())),
        "allocations_per_decision": round(each(f64::from(u32::try_from(asked).unwrap()))),
        "interval_s": INTERVAL.as_secs(),
    })
}

fn fleet_spec(targets: usize) -> Spec {
    let mut text = POLICY.to_owned();
    text.push_str("services:\n");
    for index in 0..targets {
        writeln!(
            text,
            "  - {{id: s{index:05}, provider: host, scale: {{autoscale: metrics, policy: load, regions: \
             [{{name: iad, min: 1, desired: {REPLICAS}, max: 20}}]}}}}"
        )
        .unwrap();
    }
    let loaded = spec::load(&fleet::sources(text), None);
    loaded.spec.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics.first()))
}

fn observed(targets: &[TargetId]) -> Observed {
    let replica = |target: &TargetId, ordinal| Replica {
        key: ReplicaKey {
            target: target.clone(),
            provider: "host".try_into().unwrap(),
            ordinal: Ordinal(ordinal),
        },
        instance: String::new(),
        template: String::new().into(),
        spec_commit: "a".repeat(40).try_into().unwrap(),
        phase: Phase::Ready,
        address: None,
        started_at: None,
        restarts: 0,
        last_exit: None,
    };
    let replicas = targets
        .iter()
        .flat_map(|target| (0..REPLICAS).map(move |ordinal| replica(target, ordinal)));
    Observed { at: jiff::Timestamp::UNIX_EPOCH, replicas: replicas.collect(), gaps: Vec::new() }
}
