//! Killed before and after every provider call of every kind of change, the controller converges: every
//! replica once, nothing left over, nothing of others touched, and a history that is true.

use std::path::Path;

use crate::support::controller::{Bench, run};
use crate::support::infra::{Infra, Seen};

/// Applies until nothing is left to do may take: the first one repairs, the second one finishes what had
/// to wait for that.
const APPLIES_MAX: usize = 3;

/// A change, as the spec before and after it.
struct Flow {
    /// Service `web`: replicas and version; `None` when it is not in the spec.
    before: (u32, &'static str),
    after: Option<(u32, &'static str)>,
    /// Provider calls it takes.
    calls: usize,
}

const CREATE: Flow = Flow { before: (0, "1"), after: Some((2, "1")), calls: 2 };
const REPLACE: Flow = Flow { before: (2, "1"), after: Some((2, "2")), calls: 4 };
const DELETE: Flow = Flow { before: (3, "1"), after: Some((1, "1")), calls: 2 };
const REMOVE: Flow = Flow { before: (2, "1"), after: None, calls: 2 };

fn check(infra: fn(&Path) -> Infra, flow: &Flow, side: &str) {
    let bench = Bench::new(infra);
    bench.add_neighbour(&bench.spec(&[("web", 1, "1"), ("db", 1, "1")]));
    let neighbours = theirs(&bench);
    assert_eq!(neighbours.len(), 2);
    for n in 1..=flow.calls {
        let point = format!("{side}:{n}");
        bench.push(&bench.spec(&[("web", flow.before.0, flow.before.1)]));
        converge(&bench, &point);
        let untouched = whole(&bench, flow.before.0, &point);

        bench.push(&after(&bench, flow));
        let killed = run(bench.command(&["apply"]).env("TIDEGATE_TEST_KILL_AT", &point));
        assert!(killed.was_killed(), "{point}: {killed}");
        converge(&bench, &point);

        let replicas = whole(&bench, flow.after.map_or(0, |(replicas, _)| replicas), &point);
        let is_same_template = flow.after.is_none_or(|(_, version)| version == flow.before.1);
        if is_same_template {
            let kept = |seen: &Seen| untouched.contains(seen);
            let least = flow.before.0.min(flow.after.map_or(0, |(replicas, _)| replicas));
            let count = replicas.iter().filter(|seen| kept(seen)).count();
            assert_eq!(count, least as usize, "{point}: what could stay was restarted");
        } else {
            let fresh = |seen: &Seen| untouched.iter().all(|old| old.template != seen.template);
            assert!(replicas.iter().all(fresh), "{point}: {replicas:?}");
        }
        assert_eq!(theirs(&bench), neighbours, "{point}: somebody else's were touched");
        bench.assert_history_is_true();
    }
    // There are no more provider calls than these.
    bench.push(&bench.spec(&[("web", flow.before.0, flow.before.1)]));
    converge(&bench, "after all");
    bench.push(&after(&bench, flow));
    let point = format!("{side}:{}", flow.calls + 1);
    run(bench.command(&["apply"]).env("TIDEGATE_TEST_KILL_AT", &point)).code(0);
}

fn after(bench: &Bench, flow: &Flow) -> String {
    match flow.after {
        Some((replicas, version)) => bench.spec(&[("web", replicas, version)]),
        None => "services: []\nguard: {allowDestroy: [web], until: 2999-01-01}\n".to_owned(),
    }
}

/// Applies until the plan is empty.
fn converge(bench: &Bench, point: &str) {
    for _ in 0..APPLIES_MAX {
        let applied = bench.tidegate(&["apply"]);
        assert_eq!(applied.status.code(), Some(0), "{point}: {applied}");
        let planned = bench.tidegate(&["plan", "--detailed-exitcode"]);
        match planned.status.code() {
            Some(0) => return,
            Some(2) => {}
            _ => panic!("{point}: {planned}"),
        }
    }
    panic!(
        "{point}: the plan is not empty after {APPLIES_MAX} applies: {}",
        bench.tidegate(&["plan"])
    );
}

/// Our replicas: so many, each running, none twice.
fn whole(bench: &Bench, count: u32, point: &str) -> Vec<Seen> {
    let ours = bench.ours();
    assert_eq!(ours.len(), count as usize, "{point}: {ours:#?}");
    assert!(ours.iter().all(|seen| seen.is_whole), "{point}: {ours:#?}");
    let mut ordinals: Vec<u32> = ours.iter().map(|seen| seen.ordinal).collect();
    ordinals.dedup();
    assert_eq!(ordinals.len(), ours.len(), "{point}: {ours:#?}");
    ours
}

fn theirs(bench: &Bench) -> Vec<Seen> {
    let name = format!("{}-nbr", bench.owner);
    bench.infra.seen().into_iter().filter(|seen| seen.owner == name).collect()
}

macro_rules! conformance {
    ($($infra:ident)+) => {
        $(mod $infra {
            use super::{CREATE, DELETE, Infra, REMOVE, REPLACE, check};

            #[test]
            fn create_before() { check(Infra::$infra, &CREATE, "before"); }
            #[test]
            fn create_after() { check(Infra::$infra, &CREATE, "after"); }
            #[test]
            fn replace_before() { check(Infra::$infra, &REPLACE, "before"); }
            #[test]
            fn replace_after() { check(Infra::$infra, &REPLACE, "after"); }
            #[test]
            fn delete_before() { check(Infra::$infra, &DELETE, "before"); }
            #[test]
            fn delete_after() { check(Infra::$infra, &DELETE, "after"); }
            #[test]
            fn remove_before() { check(Infra::$infra, &REMOVE, "before"); }
            #[test]
            fn remove_after() { check(Infra::$infra, &REMOVE, "after"); }
        })+
    };
}

conformance!(fake process docker);
