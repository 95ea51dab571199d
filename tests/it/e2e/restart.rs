//! A controller that is killed again and again decides what one that is left alone decides.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::record::Kind;

use crate::support::controller::Bench;
use crate::support::infra::Infra;
use crate::support::load::AT_ONCE;
use crate::support::programs::wait_until;

const SERVICES: [&str; 4] = ["burst", "load", "rule", "sched"];
/// Time between two kills: some ticks, and longer than the window after a restart in which nothing goes down.
const KILL_EVERY: std::ops::Range<u64> = 1_500..2_500;
/// A step may take so long, kills included.
const STEP_MAX: Duration = Duration::from_secs(25);

/// A policy of one signal, called like its service.
fn policy(name: &str, more: &str) -> String {
    format!(
        "{{signals: {{it: {{source: script, metric: {name}, maxAge: 10m}}}}, behavior: {AT_ONCE}, {more}}}"
    )
}

/// A load with a burst to come, a plain load, a rule that takes its time, a load under a schedule.
fn spec(bench: &Bench) -> String {
    let total = "targets: [{signal: it, perReplica: 10}]";
    let rule = "rules: [{name: high, when: {signal: it, above: 50, for: 3s}, to: 5}, \
                {name: low, when: {signal: it, below: 5, for: 2s}, to: 1}]";
    // Open for all but the minute around midnight UTC, which is in the middle of neither.
    let schedules = "schedules: [{name: day, start: \"1 0 * * *\", end: \"59 23 * * *\", timezone: UTC, \
                     replicas: 2}]";
    let with_schedule = format!("{total}, {schedules}");
    let moved = |name: &str, more: &str| {
        bench.moved(name, [1, 1, 9], "burstTTL: 1h, ", &policy(name, more))
    };
    format!(
        "services:\n{}{}{}{}",
        moved("burst", total),
        moved("load", total),
        moved("rule", rule),
        moved("sched", &with_schedule),
    )
}

/// Loads, the burst that is asked for, and the counts that follow.
struct Step {
    loads: [f64; 4],
    burst: Option<&'static str>,
    counts: [u32; 4],
}

const STEPS: [Step; 5] = [
    Step { loads: [20.0, 30.0, 10.0, 10.0], burst: None, counts: [2, 3, 1, 2] },
    Step { loads: [20.0, 60.0, 80.0, 50.0], burst: None, counts: [2, 6, 5, 5] },
    Step {
        loads: [20.0, 90.0, 80.0, 50.0],
        burst: Some("burst burst --replicas 7 --reason r --author A"),
        counts: [7, 9, 5, 5],
    },
    Step {
        loads: [20.0, 40.0, 1.0, 50.0],
        burst: Some("burst --end burst --author A"),
        counts: [2, 4, 1, 5],
    },
    Step { loads: [10.0, 10.0, 10.0, 10.0], burst: None, counts: [1, 1, 1, 2] },
];

/// The scenario on one bench. `between` is called all the time.
fn play(bench: &Bench, mut between: impl FnMut()) {
    let set = |loads: &[f64; 4]| {
        let loads: Vec<(&str, f64)> = SERVICES.iter().copied().zip(loads.iter().copied()).collect();
        bench.load(&loads);
    };
    set(&STEPS[0].loads);
    bench.push(&spec(bench));
    for (index, step) in STEPS.iter().enumerate() {
        set(&step.loads);
        if let Some(burst) = step.burst {
            bench.tidegate(&burst.split(' ').collect::<Vec<_>>()).code(0);
        }
        let deadline = Instant::now() + STEP_MAX;
        let is_there = || {
            let pairs = SERVICES.iter().zip(step.counts);
            pairs.into_iter().all(|(service, count)| bench.rests_at(service, count, None))
        };
        while !is_there() {
            between();
            let log = || fs::read_to_string(bench.path("run.log")).unwrap();
            assert!(Instant::now() < deadline, "step {index}: {:#?}\n{}", bench.status(), log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The counts at which a service turned or rested: a change that a kill cut in two is one.
fn turns(bench: &Bench) -> BTreeMap<&'static str, Vec<u32>> {
    let of = |(index, service): (usize, &&'static str)| {
        let mut counts: Vec<u32> = vec![0];
        for line in bench.lines(service).iter().filter(|line| line.from != line.to) {
            if let [.., before, last] = counts[..]
                && (before < last) == (last < line.to)
                && !STEPS.iter().any(|step| step.counts[index] == last)
            {
                counts.pop();
            }
            counts.push(line.to);
        }
        (*service, counts)
    };
    SERVICES.iter().enumerate().map(of).collect()
}

#[test]
fn kills_change_nothing_of_what_is_decided() {
    let calm = std::thread::spawn(|| {
        let bench = Bench::with_script(Infra::fake);
        let controller = bench.run();
        play(&bench, || {});
        controller.end();
        bench
    });
    let killed = Bench::with_script(Infra::fake);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut controller = killed.run();
    let mut next = Instant::now() + Duration::from_millis(rng.u64(KILL_EVERY));
    let mut kills = 0;
    play(&killed, || {
        if Instant::now() >= next {
            controller.restart(|| killed.run());
            next = Instant::now() + Duration::from_millis(rng.u64(KILL_EVERY));
            kills += 1;
        }
    });
    assert!(kills >= 3, "{kills} kills");
    controller.end();
    let calm = calm.join().unwrap();
    assert_eq!(turns(&killed), turns(&calm));
    for bench in [&calm, &killed] {
        bench.assert_history_is_true();
        bench.assert_replays();
    }
}

/// How long the rule of the next test takes.
const FOR: Duration = Duration::from_secs(6);

#[test]
fn a_restart_does_not_start_a_condition_anew() {
    let bench = Bench::with_script(Infra::fake);
    bench.load(&[("web", 10.0)]);
    let rule = "rules: [{name: high, when: {signal: it, above: 50, for: 6s}, to: 3}]";
    bench.push(&format!("services:\n{}", bench.moved("web", [1, 1, 9], "", &policy("web", rule))));
    let mut controller = bench.run();
    controller.wait("one", || bench.rests_at("web", 1, None));
    bench.load(&[("web", 80.0)]);
    let crossed = Instant::now();
    controller.wait("half of it", || crossed.elapsed() > FOR / 2);
    controller.kill();
    let killed = Timestamp::now();
    let mut controller = bench.run();
    controller.wait("three", || bench.rests_at("web", 3, None));
    controller.end();

    let fired = bench.lines("web").into_iter().rfind(|line| line.kind == Kind::Change).unwrap();
    assert_eq!((fired.to, fired.reason.as_str()), (3, "rule"));
    let since = fired.inputs.as_ref().unwrap().state.timers[0].unwrap().timestamp();
    assert!(since < killed, "{since} is after {killed}");
    let after = fired.time.duration_since(since).unsigned_abs();
    // To the tick: an interval, and what a start takes on a busy machine.
    assert!(after >= FOR && after < FOR + Duration::from_secs(3), "{after:?}");
    bench.assert_replays();
}

/// The window of the next test.
const WINDOW: Duration = Duration::from_secs(5);

#[test]
fn without_its_store_a_controller_goes_on_from_the_branch_and_lowers_nothing_for_a_window() {
    let bench = Bench::with_script(Infra::fake);
    bench.load(&[("web", 50.0)]);
    let total = "targets: [{signal: it, perReplica: 10}]";
    let policy = policy("web", total).replace("stabilization: 1s", "stabilization: 5s");
    bench.push(&format!("services:\n{}", bench.moved("web", [1, 2, 9], "", &policy)));
    let mut controller = bench.run();
    controller.wait("five", || bench.rests_at("web", 5, None));
    controller.kill();
    let stored: Vec<_> = fs::read_dir(bench.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("state.db"))
        .collect();
    assert!(!stored.is_empty());
    stored.iter().for_each(|path| fs::remove_file(path).unwrap());

    bench.load(&[("web", 10.0)]);
    let started = Timestamp::now();
    let mut controller = bench.run();
    controller.wait("a wait", || bench.rests_at("web", 5, Some("stabilizing")));
    let told = bench.told("web").unwrap().refused.unwrap().sentence;
    assert!(told.contains("started a moment ago"), "{told}");
    controller.wait("one", || bench.rests_at("web", 1, None));
    let down = bench.lines("web").into_iter().rfind(|line| line.kind == Kind::Change).unwrap();
    assert!(down.time >= started + WINDOW, "{started} {}", down.time);
    wait_until("a new store", || bench.path("state/state.db").exists());
    controller.end();
    bench.assert_history_is_true();
    bench.assert_replays();
}
