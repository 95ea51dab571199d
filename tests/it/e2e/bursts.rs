//! Bursts, pauses and bounds, asked for while the controller runs.

use std::time::Duration;

use jiff::Timestamp;
use tidegate::record::{HistoryLine, Kind};

use crate::support::controller::{Bench, Controller, service};
use crate::support::infra::Infra;
use crate::support::load::AT_ONCE;

/// From the end of a burst until its replicas go: an interval, and what a busy machine takes besides.
const END_LATEST: Duration = Duration::from_secs(4);

fn policy() -> String {
    format!(
        "{{signals: {{load: {{source: script, metric: load, maxAge: 10m}}}}, targets: [{{signal: load, \
         perReplica: 10}}], behavior: {AT_ONCE}}}"
    )
}

/// `auto`, which follows the load, `hand`, which the spec alone moves, and `off`, which nothing else may.
fn begun(load: f64) -> (Bench, Controller) {
    let bench = Bench::with_script(Infra::fake);
    bench.load(&[("load", load)]);
    let template = bench.infra.template("1");
    let off = service("off", 1, &template).replace("regions", "autoscale: disabled, regions");
    bench.push(&format!(
        "services:\n{}{}{off}",
        bench.moved("auto", [1, 2, 6], "burstTTL: 30m, ", &policy()),
        service("hand", 2, &template),
    ));
    let controller = bench.run();
    (bench, controller)
}

fn ask(bench: &Bench, args: &str) {
    let args: Vec<&str> = args.split(' ').chain(["--author", "Ann"]).collect();
    bench.tidegate(&args).code(0);
}

fn newest(bench: &Bench, service: &str, kind: Kind) -> HistoryLine {
    bench.lines(service).into_iter().rfind(|line| line.kind == kind).unwrap()
}

/// When the burst ends that the newest change up was made for.
fn newest_burst_end(bench: &Bench, service: &str) -> Timestamp {
    let up = bench.lines(service).into_iter().rfind(|line| line.to > line.from).unwrap();
    up.inputs.unwrap().bursts[0].until.timestamp()
}

#[test]
fn a_burst_lifts_within_a_poll_and_is_gone_with_its_end() {
    let (bench, mut controller) = begun(30.0);
    controller
        .wait("a beginning", || bench.rests_at("auto", 3, None) && bench.rests_at("hand", 2, None));
    let begin = Timestamp::now();
    ask(&bench, "burst auto --replicas 5 --for 6s --reason spot");
    ask(&bench, "burst hand --replicas 4 --for 6s --reason spot");
    let end = Timestamp::now() + Duration::from_secs(6);
    controller
        .wait("both bursts", || bench.rests_at("auto", 5, None) && bench.rests_at("hand", 4, None));
    for (service, from, to) in [("auto", 3, 5), ("hand", 2, 4)] {
        let up = newest(&bench, service, Kind::Change);
        assert_eq!((up.from, up.to, up.reason.as_str()), (from, to, "burst"), "{up:#?}");
        assert!(up.sentence.contains("Ann (spot)"), "{}", up.sentence);
        assert!(up.time >= begin);
    }
    controller.wait("the end of both", || {
        bench.rests_at("auto", 3, None) && bench.rests_at("hand", 2, None)
    });
    for (service, from, to) in [("auto", 5, 3), ("hand", 4, 2)] {
        let down = newest(&bench, service, Kind::Change);
        assert_eq!((down.from, down.to), (from, to));
        let until = newest_burst_end(&bench, service);
        assert!(until >= begin && until <= end, "{until}");
        assert!(down.time >= until && down.time <= until + END_LATEST, "{until} {}", down.time);
    }

    // More than may be is capped, and that is told.
    ask(&bench, "burst auto --replicas 9 --reason more");
    controller.wait("as many as may be", || bench.rests_at("auto", 6, Some("at-max")));
    let capped = newest(&bench, "auto", Kind::Refused);
    assert_eq!(capped.reason, "at-max");
    ask(&bench, "burst --end auto");
    controller.wait("the end of that", || bench.rests_at("auto", 3, None));

    let refused = bench.tidegate(&["burst", "off", "-n", "2", "-m", "r"]).code(1);
    assert!(refused.stderr.contains("disabled"), "{refused}");
    assert_eq!(bench.count("off"), 1);
    controller.end();
    bench.assert_history_is_true();
    bench.assert_replays();
}

#[test]
fn a_paused_service_holds_still_while_the_load_moves() {
    let (bench, mut controller) = begun(30.0);
    controller.wait("a beginning", || bench.rests_at("auto", 3, None));
    ask(&bench, "pause auto --reason migration");
    controller.wait_for_log("bursts and pauses were taken up");
    for (load, wants) in [(60.0, 6), (10.0, 1)] {
        bench.load(&[("load", load)]);
        controller.wait("a pause that is in the way", || bench.rests_at("auto", 3, Some("paused")));
        // Who looks on sees what the controller does, for whom the wish has lasted long enough.
        controller.wait("the same explanation", || {
            let explained = bench.explain("auto");
            let trace = explained["trace"].as_array().unwrap();
            let pause = trace.iter().find(|line| line["stage"] == "pause").unwrap();
            (pause["before"].as_u64(), pause["after"].as_u64()) == (Some(wants), Some(3))
        });
    }
    let paused = newest(&bench, "auto", Kind::Refused);
    assert!(paused.sentence.contains("Ann") && paused.sentence.contains("migration"), "{paused:?}");
    // Also the bounds of a new commit.
    let spec = format!("services:\n{}", bench.moved("auto", [1, 1, 2], "", &policy()));
    let commit =
        bench.push(&format!("{spec}guard: {{allowDestroy: [hand, off], until: 2999-01-01}}\n"));
    controller.wait("the commit", || {
        bench.status().is_some_and(|status| status.spec_commit == commit)
            && bench.rests_at("auto", 3, Some("paused"))
    });
    ask(&bench, "resume auto");
    controller.wait("what was waited for", || bench.rests_at("auto", 1, None));
    let allowed = newest(&bench, "auto", Kind::Allowed);
    assert_eq!(allowed.reason, "paused");
    controller.end();
    bench.assert_history_is_true();
    bench.assert_replays();
}

#[test]
fn a_commit_that_moves_the_bounds_is_in_force_at_once() {
    let slow = policy().replace("stabilization: 1s", "stabilization: 1h");
    let bench = Bench::with_script(Infra::fake);
    bench.load(&[("load", 50.0)]);
    let push = |bounds: [u32; 3], scale: &str| {
        bench.push(&format!("services:\n{}", bench.moved("web", bounds, scale, &slow)))
    };
    push([1, 2, 6], "cooldown: 1h, ");
    let mut controller = bench.run();
    controller.wait("five", || bench.rests_at("web", 5, None));

    // Whatever else would wait: nothing may be over the maximum, or under the minimum.
    let lower = push([1, 2, 3], "cooldown: 1h, ");
    controller.wait("three", || bench.count("web") == 3);
    controller.wait("its record", || bench.rests_at("web", 3, Some("at-max")));
    let down = newest(&bench, "web", Kind::Change);
    assert_eq!((down.from, down.to, down.reason.as_str()), (5, 3, "bounds"), "{down:#?}");
    assert_eq!((&down.spec_commit, down.actor.as_str()), (&lower, "Ann"));
    push([6, 6, 6], "cooldown: 1h, ");
    controller.wait("six", || bench.rests_at("web", 6, None));

    // Nobody moves it any more, so the spec does.
    bench.push(&bench.spec(&[("web", 2, "1")]));
    controller.wait("two", || bench.rests_at("web", 2, None));
    let last = newest(&bench, "web", Kind::Change);
    assert_eq!((last.from, last.to, last.reason.as_str()), (6, 2, "at-desired"), "{last:#?}");
    assert_eq!(bench.told("web").unwrap().owner, "spec");
    controller.end();
    bench.assert_history_is_true();
    bench.assert_replays();
}
