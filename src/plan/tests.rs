use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::decide;
use crate::model::testing::{bounds, commit, replica, service, target};
use crate::model::{ActionKind, Autoscale, Exit, Gap, Guard, Ordinal};

/// A spec of the named services on provider `host`, region `local`.
fn spec(services: &[(&str, u32)]) -> Spec {
    let services = services
        .iter()
        .map(|(id, desired)| service(id, Autoscale::Manual, bounds(0, *desired, 100)));
    Spec { services: services.map(|s| (s.id.clone(), s)).collect(), ..Spec::default() }
}

fn hash() -> TemplateHash {
    spec(&[("web", 1)]).services.values().next().unwrap().template.as_ref().unwrap().hash()
}

fn observed(replicas: Vec<Replica>) -> Observed {
    Observed { at: Timestamp::UNIX_EPOCH, replicas, gaps: Vec::new() }
}

fn planned(base: Option<&Spec>, spec: &Spec, observed: &Observed) -> Plan {
    planned_after(&BTreeSet::new(), base, spec, observed)
}

fn planned_after(
    done: &BTreeSet<TargetId>,
    base: Option<&Spec>,
    spec: &Spec,
    observed: &Observed,
) -> Plan {
    let (a, b) = (commit('a'), commit('b'));
    plan(&Input {
        spec,
        spec_commit: &b,
        base: base.map(|base| (base, &a)),
        templates: &template_hashes(spec),
        observed,
        decisions: &decide::testing::decided(spec, observed),
        done,
        prices: &Prices::default(),
        now: Timestamp::UNIX_EPOCH,
    })
}

/// Does a plan to a world, as a provider that never fails would.
fn perform(plan: &Plan, world: &mut Observed) {
    for action in plan.targets.iter().flat_map(|t| &t.steps).flat_map(|step| &step.actions) {
        let found = world.replicas.iter().position(|r| r.key == action.key);
        match (&action.kind, found) {
            (ActionKind::Create { template }, None) => {
                let mut made =
                    replica(&action.key.target, action.key.ordinal.0, template, Phase::Ready);
                made.key = action.key.clone();
                world.replicas.push(made);
            }
            (ActionKind::Create { .. }, Some(_)) => panic!("{} was created twice", action.key),
            (ActionKind::Start | ActionKind::AwaitReady, Some(at)) => {
                world.replicas[at].phase = Phase::Ready;
            }
            (ActionKind::Destroy, Some(at)) => {
                world.replicas.remove(at);
            }
            (ActionKind::Start | ActionKind::AwaitReady | ActionKind::Destroy, None) => {
                panic!("{} does not exist", action.key)
            }
        }
        world.replicas.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

fn phases() -> impl Strategy<Value = Phase> {
    prop_oneof![
        4 => Just(Phase::Ready),
        1 => Just(Phase::Starting),
        1 => Just(Phase::Stopped),
        1 => Just(Phase::Draining),
        1 => Just(Phase::Unhealthy { why: "refused".to_owned() }),
        1 => Just(Phase::BackOff { until: Timestamp::UNIX_EPOCH }),
    ]
}

/// Replicas of `web/local` with random phases, some of an older template, some of an older provider.
fn worlds() -> impl Strategy<Value = Observed> {
    proptest::collection::btree_map(0u32..12, (phases(), 0u8..6), 0..10).prop_map(|found| {
        let replicas = found
            .into_iter()
            .map(|(ordinal, (phase, age))| {
                let template = if age < 2 { TemplateHash::from("older") } else { hash() };
                let mut made = replica(&target("web", "local"), ordinal, &template, phase);
                if age == 5 {
                    made.key.provider = "former".try_into().unwrap();
                }
                made
            })
            .collect::<Vec<_>>();
        let mut observed = observed(replicas);
        observed.replicas.sort_by(|a, b| a.key.cmp(&b.key));
        observed
    })
}

proptest! {
    /// Planning, performing and letting time make everything ready ends at exactly what is wanted, and
    /// then there is nothing left to plan.
    #[test]
    fn performing_plans_converges(world in worlds(), desired in 0u32..10) {
        let spec = spec(&[("web", desired)]);
        let mut world = world;
        for _ in 0..4 {
            let plan = planned(Some(&spec), &spec, &world);
            perform(&plan, &mut world);
            for replica in &mut world.replicas {
                if replica.phase != Phase::Draining {
                    replica.phase = Phase::Ready;
                }
            }
        }
        prop_assert_eq!(world.replicas.len(), desired as usize);
        prop_assert!(world.replicas.iter().all(|r| r.template == hash()));
        prop_assert!(planned(Some(&spec), &spec, &world).is_no_changes());
    }

    /// At every moment of a plan: at most one replica over what is wanted or was there, and what is ready
    /// never falls under what is wanted, unless it was under it before.
    #[test]
    fn a_rollout_neither_floods_nor_starves(world in worlds(), desired in 0u32..10) {
        let spec = spec(&[("web", desired)]);
        let plan = planned(Some(&spec), &spec, &world);
        let mut live: BTreeMap<_, bool> = world
            .replicas
            .iter()
            .filter(|r| r.phase != Phase::Draining)
            .map(|r| (r.key.clone(), r.phase == Phase::Ready))
            .collect();
        let ready = |live: &BTreeMap<_, bool>| live.values().filter(|ready| **ready).count();
        let ready_floor = ready(&live).min(desired as usize);
        let most = live.len().max(desired as usize + 1);
        for action in plan.targets.iter().flat_map(|t| &t.steps).flat_map(|step| &step.actions) {
            match action.kind {
                ActionKind::Create { .. } => {
                    prop_assert!(live.insert(action.key.clone(), false).is_none());
                }
                ActionKind::Start => {}
                ActionKind::AwaitReady => { live.insert(action.key.clone(), true); }
                ActionKind::Destroy => { live.remove(&action.key); }
            }
            prop_assert!(live.len() <= most, "{} live, at most {most}", live.len());
            prop_assert!(ready(&live) >= ready_floor, "{} ready, at least {ready_floor}", ready(&live));
        }
    }

    /// No two actions of a plan create the same ordinal while it is taken, and equal inputs give equal plans.
    #[test]
    fn plans_are_deterministic(world in worlds(), desired in 0u32..10) {
        let spec = spec(&[("web", desired)]);
        prop_assert_eq!(planned(None, &spec, &world), planned(None, &spec, &world));
    }
}

fn ready(service: &str, count: u32) -> Vec<Replica> {
    (0..count).map(|n| replica(&target(service, "local"), n, &hash(), Phase::Ready)).collect()
}

#[test]
fn a_vanished_service_is_held_until_the_spec_allows_it() {
    let base = spec(&[("web", 2), ("old", 2)]);
    let mut next = spec(&[("web", 3)]);
    let world = observed([ready("old", 2), ready("web", 2)].concat());
    insta::assert_snapshot!(render::text(&planned(Some(&base), &next, &world), false));

    let until = "1970-01-02T00:00:00Z".parse().unwrap();
    next.guard = Some(Guard { allow_destroy: vec!["old".try_into().unwrap()], until });
    let plan = planned(Some(&base), &next, &world);
    assert_eq!((plan.totals.destroy, plan.totals.held), (2, 0));

    next.guard = Some(Guard {
        allow_destroy: vec!["old".try_into().unwrap()],
        until: Timestamp::UNIX_EPOCH,
    });
    let plan = planned(Some(&base), &next, &world);
    assert_eq!((plan.totals.destroy, plan.totals.held), (0, 1), "the permission has ended");
}

#[test]
fn destroying_more_than_half_of_all_is_held_and_the_rest_goes_ahead() {
    let base = spec(&[("big", 30), ("web", 2)]);
    let next = spec(&[("big", 10), ("web", 3)]);
    let world = observed([ready("big", 30), ready("web", 2)].concat());
    let plan = planned(Some(&base), &next, &world);
    assert_eq!((plan.totals.create, plan.totals.destroy, plan.totals.held), (1, 0, 1));

    // Exactly half is not more than half, and few replicas are no mass.
    let world = observed(ready("big", 20));
    let plan = planned(Some(&base), &spec(&[("big", 10)]), &world);
    assert_eq!((plan.totals.destroy, plan.totals.held), (10, 0));
    let world = observed(ready("big", guard::MASS_EXISTING_MIN as u32 - 1));
    let plan = planned(Some(&base), &spec(&[("big", 0)]), &world);
    assert_eq!((plan.totals.destroy, plan.totals.held), (19, 0));
}

#[test]
fn what_ends_or_a_policy_lowers_by_itself_is_no_mass_destruction() {
    // Decided to be fewer than before, by an unchanged spec: the burst of 30 is over.
    let after_a_burst = spec(&[("big", 2)]);
    let plan = planned(Some(&after_a_burst), &after_a_burst, &observed(ready("big", 30)));
    assert_eq!((plan.totals.destroy, plan.totals.held), (28, 0));
    // The bounds that a commit moves are stated.
    let mut base = after_a_burst.clone();
    let mut moved = after_a_burst;
    for (spec, max) in [(&mut base, 100), (&mut moved, 10)] {
        let metrics = service("big", Autoscale::Metrics, bounds(0, 2, max));
        spec.services.insert(metrics.id.clone(), metrics);
    }
    let plan = planned(Some(&base), &moved, &observed(ready("big", 30)));
    assert_eq!((plan.totals.destroy, plan.totals.held), (0, 1));
}

#[test]
fn a_rollout_waits_with_the_mass_destruction_it_comes_after() {
    let (base, spec) = (spec(&[("big", 20)]), spec(&[("big", 8)]));
    let older = TemplateHash::from("older");
    let mut world = observed(ready("big", 20));
    world.replicas.iter_mut().for_each(|replica| replica.template = older.clone());
    let draining = replica(&target("big", "local"), 20, &older, Phase::Draining);
    world.replicas.push(draining);
    let plan = planned(Some(&base), &spec, &world);
    // Creating the new ones while none of the old ones may go would only add to them.
    assert_eq!((plan.totals.create, plan.totals.destroy, plan.totals.held), (0, 1, 1));
    assert_eq!(plan.targets[0].held[0].ordinals.len(), 20);
}

#[test]
fn a_gap_changes_nothing_there() {
    let spec = spec(&[("web", 4)]);
    let mut world = observed(ready("web", 2));
    world.gaps.push(Gap {
        provider: "host".try_into().unwrap(),
        region: "local".try_into().unwrap(),
        error: "connection refused".to_owned(),
    });
    insta::assert_snapshot!(render::text(&planned(None, &spec, &world), false));
}

#[test]
fn a_rollout_is_one_by_one_and_waits_for_what_does_not_come_up() {
    let spec = spec(&[("web", 2)]);
    let older = TemplateHash::from("older");
    let web = target("web", "local");
    let mut world = observed(vec![
        replica(&web, 0, &older, Phase::Ready),
        replica(&web, 1, &older, Phase::Ready),
    ]);
    insta::assert_snapshot!("rollout", render::text(&planned(None, &spec, &world), false));

    let mut broken = replica(&web, 2, &hash(), Phase::BackOff { until: Timestamp::UNIX_EPOCH });
    broken.last_exit = Some(Exit { at: Timestamp::UNIX_EPOCH, reason: "exit code 3".to_owned() });
    world.replicas.push(broken);
    let plan = planned(None, &spec, &world);
    insta::assert_snapshot!("rollout_waits", render::markdown(&plan));
    assert_eq!(plan.totals.create + plan.totals.destroy, 0);
}

#[test]
fn drift_is_corrected_reported_or_ignored_as_the_service_says() {
    let mut spec = spec(&[("web", 2)]);
    let world = observed(ready("web", 1));
    for (mode, expected) in
        [(DriftMode::Correct, (1, 0)), (DriftMode::Report, (0, 1)), (DriftMode::Off, (0, 0))]
    {
        spec.services.values_mut().for_each(|s| s.drift = mode);
        let plan = planned(Some(&spec), &spec, &world);
        assert_eq!((plan.totals.create, plan.totals.held), expected, "{mode:?}");
        // What a commit asks for is not drift.
        assert_eq!(planned(None, &spec, &world).totals.create, 1, "{mode:?}");
    }
}

#[test]
fn the_digest_covers_what_the_change_states_and_nothing_else() {
    let base = spec(&[("web", 2), ("api", 1)]);
    let next = spec(&[("web", 3), ("api", 1)]);
    let here = digest(Some(&base), &next);
    // Another merge in between, live counts and words for people do not matter.
    let (mut base2, mut next2) = (base.clone(), next.clone());
    for spec in [&mut base2, &mut next2] {
        let api = spec.services.values_mut().find(|s| s.id.as_str() == "api").unwrap();
        api.scale.cooldown = Some(std::time::Duration::from_secs(60));
    }
    next2.services.values_mut().for_each(|s| s.description = Some("words".to_owned()));
    assert_eq!(digest(Some(&base2), &next2), here);
    // Another bound does.
    assert_ne!(digest(Some(&base), &spec(&[("web", 4), ("api", 1)])), here);
    assert_ne!(digest(Some(&base), &spec(&[("web", 3)])), here);
    // Nothing stated is the same nothing everywhere.
    assert_eq!(digest(Some(&base), &base), digest(Some(&next), &next));
}

#[test]
fn no_changes_is_an_outcome_of_its_own() {
    let spec = spec(&[("web", 2)]);
    let plan = planned(Some(&spec), &spec, &observed(ready("web", 2)));
    assert!(plan.is_no_changes());
    insta::assert_snapshot!(render::verdict(&plan), @"No changes: 1 target is as the spec says.");
    assert!(render::json::document(&plan).no_changes);
}

#[test]
fn ordinals_are_the_smallest_free_ones() {
    let spec = spec(&[("web", 3)]);
    let world = observed(vec![replica(&target("web", "local"), 1, &hash(), Phase::Ready)]);
    let plan = planned(None, &spec, &world);
    let created: Vec<Ordinal> =
        plan.targets[0].steps[0].actions.iter().map(|a| a.key.ordinal).collect();
    assert_eq!(created, [Ordinal(0), Ordinal(2)]);
}

#[test]
fn a_mass_hold_leaves_no_half_of_a_rollout() {
    let base = spec(&[("big", 30)]);
    let older = TemplateHash::from("older");
    let big = target("big", "local");
    let replicas = (0..30).map(|n| replica(&big, n, &older, Phase::Ready)).collect();
    let plan = planned(Some(&base), &spec(&[("big", 10)]), &observed(replicas));
    assert_eq!((plan.totals.create, plan.totals.destroy, plan.totals.held), (0, 0, 1));
}

#[test]
fn what_is_draining_is_finished_also_where_the_rest_is_held() {
    let old = target("old", "local");
    let world = observed(vec![
        replica(&old, 0, &hash(), Phase::Ready),
        replica(&old, 1, &hash(), Phase::Draining),
    ]);
    let plan = planned(None, &Spec::default(), &world);
    assert_eq!((plan.totals.destroy, plan.totals.held), (1, 1));
    assert_eq!(plan.targets[0].held[0].ordinals, [Ordinal(0)]);
}

#[test]
fn a_rollout_that_was_cut_short_goes_on_from_the_replica_that_is_coming_up() {
    let spec = spec(&[("web", 2)]);
    let older = TemplateHash::from("older");
    let web = target("web", "local");
    let world = observed(vec![
        replica(&web, 0, &older, Phase::Ready),
        replica(&web, 1, &older, Phase::Ready),
        replica(&web, 2, &hash(), Phase::Starting),
    ]);
    insta::assert_snapshot!(render::text(&planned(None, &spec, &world), false));
}

#[test]
fn where_a_port_leaves_no_room_for_a_second_the_first_goes_before_it() {
    let mut spec = spec(&[("web", 1)]);
    let web = spec.services.values_mut().next().unwrap();
    let port =
        crate::model::Port { name: None, container_port: 8080, host_port: Some(8080), env: None };
    web.template.as_mut().unwrap().ports.push(port);
    let older = TemplateHash::from("older");
    let world = observed(vec![replica(&target("web", "local"), 0, &older, Phase::Ready)]);
    let plan = planned(None, &spec, &world);
    let actions: Vec<&str> = plan.targets[0]
        .steps
        .iter()
        .flat_map(|step| &step.actions)
        .map(|action| action.kind.word())
        .collect();
    assert_eq!(actions, ["destroy", "create", "await-ready"]);
}

#[test]
fn what_differs_after_a_commit_was_done_is_drift_also_while_others_fail() {
    let base = spec(&[("api", 1), ("web", 1)]);
    let mut next = spec(&[("api", 2), ("web", 2)]);
    next.services.values_mut().for_each(|s| s.drift = DriftMode::Report);
    let world = observed(ready("web", 1));
    let done = BTreeSet::from([target("web", "local")]);
    let plan = planned_after(&done, Some(&base), &next, &world);
    let held: Vec<usize> = plan.targets.iter().map(|target| target.held.len()).collect();
    assert_eq!(held, [0, 1], "web is done, so its loss is drift; api is still asked for");
}
