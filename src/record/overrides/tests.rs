use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::testing::{bounds, service};
use crate::model::{Autoscale, Catalogue, Count, Prices, RegionScale, SourceFile, Sources, Spec};

const MINUTE_MS: i64 = 60_000;

fn at(minute: i64) -> Moment {
    // 2026-11-21T12:00:00Z
    Moment(1_795_262_400_000 + minute * MINUTE_MS)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn wish(id: &str) -> Wish {
    Wish {
        id: id.to_owned(),
        service: "web".try_into().unwrap(),
        region: None,
        from: None,
        lasting: None,
        reason: "launch".to_owned(),
        author: "Ann <ann@example.com>".to_owned(),
    }
}

/// One service, `web`, in `local` with these bounds, and in `far` with 0..3 and a burst TTL of ten minutes.
fn spec(autoscale: Autoscale, min: u32, desired: u32, max: u32) -> Spec {
    let mut web = service("web", autoscale, bounds(min, desired, max));
    web.scale.regions.insert(
        "far".try_into().unwrap(),
        RegionScale { bounds: bounds(0, 0, 3), cooldown: None, burst_ttl: Some(minutes(10)) },
    );
    Spec { services: [(web.id.clone(), web)].into(), ..Spec::default() }
}

fn in_local(mut wish: Wish) -> Wish {
    wish.region = Some("local".try_into().unwrap());
    wish
}

fn burst(wish: Wish, replicas: u32) -> Order {
    Order::Burst { wish, replicas: Count(replicas) }
}

fn apply(order: &Order, spec: &Spec, set: &mut OverrideSet) -> Result<Effect, OrderError> {
    order.apply(spec, &Catalogue::default(), set, at(0))
}

#[test]
fn the_file_is_for_people_and_stays() {
    let spec = spec(Autoscale::Manual, 0, 1, 9);
    let mut set = OverrideSet::default();
    apply(&burst(in_local(wish("b-2")), 6), &spec, &mut set).unwrap();
    apply(&burst(wish("b-1"), 2), &spec, &mut set).unwrap();
    apply(&Order::Pause(wish("p-1")), &spec, &mut set).unwrap();
    insta::assert_snapshot!(set.render());
    assert_eq!(OverrideSet::parse(set.render().as_bytes()).unwrap(), set);
    assert_eq!(OverrideSet::parse(b"version: 1\n").unwrap(), OverrideSet::default());
}

#[test]
fn what_is_not_understood_in_full_is_refused() {
    let entry = "{id: a, service: web, replicas: 2, from: 2026-11-21T12:00:00Z, until: 2026-11-21T12:30:00Z, reason: r, author: x}";
    let file = |entries: &str| format!("version: 1\nbursts: [{entries}]\n");
    OverrideSet::parse(file(entry).as_bytes()).unwrap();
    let newer = OverrideSet::parse(b"version: 2\nwishes: 1\n");
    assert_eq!(newer, Err(OverridesError::Newer(2)));
    for bad in [
        String::new(),
        "bursts: []\n".to_owned(),
        "version: 1\nburst: []\n".to_owned(),
        "version: 1\nbursts: [\n".to_owned(),
        file(&entry.replace("reason: r, ", "")),
        file(&entry.replace("replicas: 2", "replicas: -2")),
        file(&entry.replace("service: web", "service: WEB")),
        file(&entry.replace("T12:30", "T12:00")),
        file(&entry.replace("reason: r", r#"reason: "r\nTidegate-Author: root""#)),
        file(&entry.replace("id: a", "id: ''")),
        file(&format!("{entry}, {entry}")),
        format!("{}pauses: [{}]\n", file(entry), entry.replace("replicas: 2, ", "")),
    ] {
        let result = OverrideSet::parse(bad.as_bytes());
        assert!(matches!(result, Err(OverridesError::Malformed(_))), "{bad}: {result:?}");
    }
}

#[test]
fn a_burst_lasts_as_long_as_the_spec_allows_in_all_of_its_regions() {
    let mut spec = spec(Autoscale::Manual, 0, 1, 9);
    let lasting = |spec: &Spec, wish: Wish| {
        let effect = apply(&burst(wish, 3), spec, &mut OverrideSet::default()).unwrap();
        let [burst] = &effect.bursts[..] else { panic!("{effect:?}") };
        assert_eq!(burst.from, at(0));
        burst.until.since(burst.from)
    };
    assert_eq!(lasting(&spec, wish("b")), minutes(10), "the shortest of its regions");
    assert_eq!(lasting(&spec, in_local(wish("b"))), BURST_TTL_DEFAULT);
    let web = spec.services.values_mut().next().unwrap();
    web.scale.burst_ttl = Some(minutes(30));
    assert_eq!(lasting(&spec, in_local(wish("b"))), minutes(30));
    let wanted = Wish { lasting: Some(minutes(20)), ..in_local(wish("b")) };
    assert_eq!(lasting(&spec, wanted), minutes(20));
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let spec = spec(Autoscale::Manual, 0, 1, 9);
    let disabled = self::spec(Autoscale::Disabled, 0, 1, 9);
    let gone = Wish { service: "wbe".try_into().unwrap(), ..wish("b") };
    let nowhere = Wish { region: Some("mars".try_into().unwrap()), ..wish("b") };
    let long = |wish: Wish, time| Wish { lasting: Some(time), ..wish };
    let ended = Order::EndBurst {
        what: "web".to_owned(),
        region: Some("far".try_into().unwrap()),
        author: "Ann".to_owned(),
    };
    let resumed = Order::Resume {
        service: "api".try_into().unwrap(),
        region: None,
        author: "Ann".to_owned(),
    };
    let mut told = String::new();
    let mut set = OverrideSet::default();
    apply(&burst(wish("b-0"), 2), &spec, &mut set).unwrap();
    let before = set.clone();
    for (spec, order) in [
        (&spec, burst(gone, 3)),
        (&spec, burst(nowhere, 3)),
        (&disabled, burst(wish("b"), 3)),
        (&spec, burst(long(wish("b"), minutes(11)), 3)),
        (&spec, burst(long(in_local(wish("b")), minutes(61)), 3)),
        (&spec, burst(long(wish("b"), Duration::ZERO), 3)),
        (&spec, burst(Wish { from: Some(at(-1)), ..wish("b") }, 3)),
        (&spec, burst(Wish { reason: " ".to_owned(), ..wish("b") }, 3)),
        (&spec, burst(Wish { reason: "a\nTidegate-Author: b".to_owned(), ..wish("b") }, 3)),
        (&spec, burst(Wish { author: "x".repeat(201), ..wish("b") }, 3)),
        (&spec, burst(Wish { reason: "another".to_owned(), ..wish("b-0") }, 2)),
        (&spec, Order::Pause(long(wish("p"), PAUSE_MAX + minutes(1)))),
        (&spec, ended),
        (&spec, resumed),
    ] {
        let error = apply(&order, spec, &mut set).unwrap_err();
        writeln!(told, "{error}").unwrap();
        assert_eq!(set, before, "{error}");
    }
    insta::assert_snapshot!(told);
}

const WITH_A_SCHEDULE: &str = "
services:
  - id: web
    provider: host
    scale:
      autoscale: manual
      maxHourlyCost: 0.05
      regions:
        - {name: local, min: 1, desired: 2, max: 9}
        - {name: far, min: 0, desired: 0, max: 3, burstTTL: 10m}
      policy:
        schedules:
          - {name: noon, start: 0 12 * * *, end: 0 14 * * *, timezone: UTC, replicas: 4}
";

#[test]
fn what_the_asker_should_know_is_said() {
    let file = SourceFile { path: "spec.yaml".to_owned(), bytes: WITH_A_SCHEDULE.into() };
    let sources = Sources { spec: Some(file), ..Sources::default() };
    let spec = crate::spec::load(&sources, None).spec.unwrap();
    let prices = Prices {
        currency: "EUR".to_owned(),
        default: Some(0.01),
        per_replica_hour: Default::default(),
    };
    let catalogue = Catalogue { prices, ..Catalogue::default() };
    let mut set = OverrideSet::default();
    let mut told = String::new();
    for order in [
        burst(in_local(wish("b-1")), 4),
        burst(in_local(wish("b-2")), 12),
        burst(wish("b-3"), 5),
        Order::Pause(in_local(wish("p-1"))),
        Order::Pause(wish("p-2")),
        burst(in_local(wish("b-4")), 13),
        Order::EndBurst { what: "b-2".to_owned(), region: None, author: "Bob".to_owned() },
        Order::EndBurst { what: "web".to_owned(), region: None, author: "Bob".to_owned() },
        Order::Resume {
            service: "web".try_into().unwrap(),
            region: Some("local".try_into().unwrap()),
            author: "Bob".to_owned(),
        },
        Order::Resume {
            service: "web".try_into().unwrap(),
            region: None,
            author: "Bob".to_owned(),
        },
    ] {
        let effect = order.apply(&spec, &catalogue, &mut set, at(0)).unwrap();
        writeln!(told, "{}", effect.message).unwrap();
        for warning in &effect.warnings {
            writeln!(told, "  warning: {warning}").unwrap();
        }
        told.push('\n');
    }
    insta::assert_snapshot!(told);
    assert_eq!(set, OverrideSet::default());
}

#[test]
fn there_is_an_end_to_how_many_there_may_be() {
    let spec = spec(Autoscale::Manual, 0, 1, 9);
    let mut set = OverrideSet::default();
    for n in 0..ENTRIES_MAX {
        apply(&burst(wish(&format!("b-{n}")), 2), &spec, &mut set).unwrap();
    }
    assert!(set.render().len() < OVERRIDES_BYTES_MAX);
    assert!(OverrideSet::parse(set.render().as_bytes()).is_ok());
    let full = Err(OrderError::Set(OverridesError::Full));
    assert_eq!(apply(&Order::Pause(wish("p")), &spec, &mut set), full);
    // What is over makes room.
    let order = Order::Pause(wish("p"));
    order.apply(&spec, &Catalogue::default(), &mut set, at(16)).unwrap();
    assert_eq!((set.bursts().len(), set.pauses().len()), (0, 1));
}

fn any_burst() -> impl Strategy<Value = Burst> {
    ("[a-c]", proptest::option::of("[ab]"), 0u32..20, 0i64..60, 1i64..60, any::<String>()).prop_map(
        |(service, region, replicas, from, lasting, reason)| Burst {
            id: String::new(),
            service: service.try_into().unwrap(),
            region: region.map(|region| region.try_into().unwrap()),
            replicas: Count(replicas),
            reason: reason.chars().filter(|c| words::is_one_line(&c.to_string(), 1)).collect(),
            author: "Ann".to_owned(),
            from: at(from),
            until: at(from + lasting),
        },
    )
}

fn any_set() -> impl Strategy<Value = Vec<Burst>> {
    proptest::collection::vec(any_burst(), 0..12).prop_map(|mut bursts| {
        for (n, burst) in bursts.iter_mut().enumerate() {
            burst.id = format!("b-{n}");
            burst
                .reason
                .truncate(burst.reason.char_indices().nth(300).map_or(usize::MAX, |(at, _)| at));
        }
        bursts
    })
}

fn set_of<'a>(bursts: impl IntoIterator<Item = &'a Burst>) -> OverrideSet {
    let mut set = OverrideSet::default();
    for burst in bursts {
        set.add_burst(burst.clone()).unwrap();
    }
    set
}

proptest! {
    #[test]
    fn the_order_of_writers_does_not_matter(bursts in any_set(), cut in 0usize..12) {
        let forth = set_of(&bursts);
        let back = set_of(bursts.iter().rev().chain(&bursts));
        prop_assert_eq!(forth.render(), back.render());
        prop_assert_eq!(&OverrideSet::parse(forth.render().as_bytes()).unwrap(), &forth);
        // One ends what another adds beside it: whoever is first, the same is left.
        let (ours, theirs) = bursts.split_at(cut.min(bursts.len()));
        let mut ended = set_of(ours);
        let mut ended_later = forth;
        for burst in ours {
            ended.end_bursts(&Which::Id(burst.id.clone()));
            ended_later.end_bursts(&Which::Id(burst.id.clone()));
        }
        for burst in theirs {
            ended.add_burst(burst.clone()).unwrap();
        }
        prop_assert_eq!(ended, ended_later);
    }

    #[test]
    fn what_is_in_force_is_never_forgotten_and_what_is_over_is(bursts in any_set(), now in 0i64..180) {
        let mut set = set_of(&bursts);
        set.forget_ended(at(now));
        let left: BTreeSet<&Burst> = set.bursts().iter().collect();
        for burst in &bursts {
            if at(now) < burst.until {
                prop_assert!(left.contains(burst));
            }
            if burst.until.after(KEPT_AFTER_END) <= at(now) {
                prop_assert!(!left.contains(burst));
                prop_assert!(!burst.is_in_force(at(now)));
            }
        }
    }
}
