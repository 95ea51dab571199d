use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use jiff::civil::{DateTime, date};
use proptest::prelude::*;

use super::*;

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

fn windows(start: &str, end: &str, zone: &str) -> Windows {
    Windows::parse(start, end, zone).expect("a schedule")
}

fn instant(text: &str) -> Moment {
    text.parse::<Timestamp>().expect("an instant").into()
}

/// The windows of some days, in local time with the offset.
fn listed(start: &str, end: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    let windows = windows(start, end, zone);
    let show = |at: Moment| {
        let zoned = at.timestamp().to_zoned(windows.zone.clone());
        zoned.strftime("%a %m-%d %H:%M%:z").to_string()
    };
    windows
        .upcoming_marked(instant(from), instant(until), 50)
        .into_iter()
        .map(|MarkedWindow { window, from_shift, to_shift }| {
            let mark = |shift| match shift {
                None => "",
                Some(Shift::Skipped) => " skipped",
                Some(Shift::Repeated) => " repeated",
            };
            let (from, to) = (show(window.from), show(window.to));
            format!("{from}{} .. {to}{}", mark(from_shift), mark(to_shift))
        })
        .collect()
}

/// What other schedulers get wrong, each with the dates at which it shows. The zones change on different
/// days, and at different hours of UTC.
#[test]
fn every_known_trap_of_cron_windows_is_none_here() {
    let mut shown = String::new();
    for (title, start, end, spans) in [
        (
            "a start inside the gap opens right after it",
            "30 2 * * *",
            "0 6 * * *",
            [(BERLIN, "2026-03-28", "2026-03-30"), (NEW_YORK, "2026-03-07", "2026-03-09")],
        ),
        (
            "an end inside the gap closes right after it",
            "0 1 * * *",
            "30 2 * * *",
            [(BERLIN, "2026-03-28", "2026-03-30"), (NEW_YORK, "2026-03-07", "2026-03-09")],
        ),
        (
            "a window that lies in the gap is not there that day, and stays open for no day",
            "15 2 * * *",
            "45 2 * * *",
            [(BERLIN, "2026-03-28", "2026-03-31"), (NEW_YORK, "2026-03-07", "2026-03-10")],
        ),
        (
            "in the repeated hour, a start is the first and an end the last",
            "30 1,2 * * *",
            "45 1,2 * * *",
            [(BERLIN, "2026-10-25", "2026-10-26"), (NEW_YORK, "2026-11-01", "2026-11-02")],
        ),
        (
            "a window around the clock that turns over in the repeated hour loses no day",
            "30 1,2 * * *",
            "15 1,2 * * *",
            [(BERLIN, "2026-10-24", "2026-10-26"), (NEW_YORK, "2026-10-31", "2026-11-02")],
        ),
        (
            "past midnight, also over the end of a month",
            "0 22 * * 5",
            "0 4 * * 6",
            [(BERLIN, "2026-07-30", "2026-08-02"), (NEW_YORK, "2026-07-30", "2026-08-02")],
        ),
        (
            "start on weekdays and end every day closes on Friday, not on Sunday",
            "0 8 * * 1-5",
            "0 18 * * *",
            [(BERLIN, "2026-07-09", "2026-07-14"), (NEW_YORK, "2026-07-09", "2026-07-14")],
        ),
        (
            "an end that knows no Friday leaves the weekend open",
            "0 8 * * 1-5",
            "0 18 * * 1-4",
            [(BERLIN, "2026-07-09", "2026-07-14"), (NEW_YORK, "2026-07-09", "2026-07-14")],
        ),
        (
            "many starts to one end are one window",
            "*/30 8-17 * * *",
            "0 18 * * *",
            [(BERLIN, "2026-10-25", "2026-10-26"), (NEW_YORK, "2026-11-01", "2026-11-02")],
        ),
        (
            "an end in the same minute as a start goes on",
            "0 8 * * *",
            "0 8 * * *",
            [(BERLIN, "2026-07-01", "2026-07-02"), (NEW_YORK, "2026-07-01", "2026-07-02")],
        ),
        (
            "last day of the month, to the first Monday of the next",
            "0 0 L * *",
            "0 0 * * 1#1",
            [(BERLIN, "2026-07-30", "2026-09-02"), (NEW_YORK, "2026-07-30", "2026-09-02")],
        ),
        (
            "once in four years",
            "0 0 29 2 *",
            "0 0 1 3 *",
            [(BERLIN, "2026-01-01", "2034-01-01"), (NEW_YORK, "2098-01-01", "2106-01-01")],
        ),
        (
            "once a year, over new year",
            "0 12 24 12 *",
            "0 9 2 1 *",
            [(BERLIN, "2026-01-01", "2027-01-01"), (NEW_YORK, "2026-12-31", "2027-12-01")],
        ),
    ] {
        let _ = writeln!(shown, "{title}: {start} -> {end}");
        for (zone, from, until) in spans {
            let _ = writeln!(shown, "  {zone}, {from} to {until}");
            let midnight = |day: &str| format!("{day}T00:00:00Z");
            for line in listed(start, end, zone, &midnight(from), &midnight(until)) {
                let _ = writeln!(shown, "    {line}");
            }
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_window_includes_its_start_and_not_its_end() {
    let office = windows("0 8 * * 1-5", "0 18 * * 1-5", BERLIN);
    let open = |at: &str| office.open_at(instant(at)).is_some();
    assert!(!open("2026-07-13T05:59:59.999Z"));
    assert!(open("2026-07-13T06:00:00Z"));
    assert!(open("2026-07-13T15:59:59.999Z"));
    assert!(!open("2026-07-13T16:00:00Z"));
    let edge = |at: &str| office.next_edge(instant(at)).expect("an edge");
    assert_eq!(edge("2026-07-10T17:00:00Z"), instant("2026-07-13T06:00:00Z"));
    assert_eq!(edge("2026-07-13T06:00:00Z"), instant("2026-07-13T16:00:00Z"));
    // Far from any year that a clock can show, there is no answer and no panic.
    for extreme in [Moment(i64::MIN), Moment(i64::MAX)] {
        let _ = (office.open_at(extreme), office.next_edge(extreme));
        let _ = office.upcoming(extreme, Moment(i64::MAX), 3);
    }
}

#[test]
fn what_cannot_be_read_says_which_field_and_why() {
    let why = |text: &str| match Windows::parse(text, "0 0 * * *", "UTC") {
        Err(ScheduleError::Start { why, .. }) => why,
        other => panic!("{text}: {other:?}"),
    };
    let texts = [
        "",
        "* * * *",
        "* * * * * *",
        "0 0 0 1 1 * 2026",
        "@daily",
        "60 * * * *",
        "0 24 * * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 0 * * FRI-MON",
        "5-1 * * * *",
        "*/0 * * * *",
        "MON * * * *",
        "0 8 * * 1MON",
        "0 8 * JANE *",
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "ß 0 * * *",
    ];
    let shown: String = texts.iter().map(|text| format!("{text:22} {}\n", why(text))).collect();
    insta::assert_snapshot!(shown);
    for good in [
        "0 8 * * MON-FRI",
        "0 8 * jan,Jul *",
        "0 8 * * 7",
        "0 8 * * 5L",
        "0 8 * * FRIL",
        "0 8 15W * *",
        "0 8 LW * *",
        "0 8 13 * +5",
        "0 8 ? * 1",
        "0 0 29 2 +1",
    ] {
        assert!(Windows::parse(good, good, "UTC").is_ok(), "{good}");
    }
    for zone in ["", "Berlin", "CEST", "UTC+2", "localtime", "posix/Europe/Berlin", "../etc/passwd"]
    {
        let read = Windows::parse("0 8 * * *", "0 9 * * *", zone);
        assert_eq!(read, Err(ScheduleError::Zone(zone.to_owned())));
    }
    assert_eq!(windows("0 8 * * *", "0 9 * * *", "europe/berlin").zone(), BERLIN);
}

/// A field of random expressions, with its values: written and understood apart from the parser under test.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: Option<Vec<i8>>,
}

fn field(least: i8, most: i8, step_max: i8) -> impl Strategy<Value = Field> {
    let list = prop::collection::vec(least..=most, 1..4).prop_map(|values| Field {
        text: values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        values: Some(values),
    });
    let range = (least..=most, least..=most).prop_map(|(a, b)| {
        let (a, b) = (a.min(b), a.max(b));
        Field { text: format!("{a}-{b}"), values: Some((a..=b).collect()) }
    });
    let step = (2..=step_max).prop_map(move |step| Field {
        text: format!("*/{step}"),
        values: Some((least..=most).step_by(usize::from(step.unsigned_abs())).collect()),
    });
    let any = Just(Field { text: "*".to_owned(), values: None });
    prop_oneof![4 => list, 2 => range, 1 => step, 1 => any]
}

/// Minute, hour, day of month, day of week; every month has a match.
#[derive(Debug, Clone)]
struct Random {
    minute: Field,
    hour: Field,
    day: Field,
    weekday: Field,
}

fn random() -> impl Strategy<Value = Random> {
    let any = || Just(Field { text: "*".to_owned(), values: None });
    let day = prop_oneof![3 => any(), 1 => field(1, 28, 9)];
    let weekday = prop_oneof![2 => any(), 1 => field(0, 6, 4)];
    (field(0, 59, 30), field(0, 4, 4), day, weekday)
        .prop_map(|(minute, hour, day, weekday)| Random { minute, hour, day, weekday })
}

impl Random {
    fn text(&self) -> String {
        let Self { minute, hour, day, weekday } = self;
        format!("{} {} {} * {}", minute.text, hour.text, day.text, weekday.text)
    }

    fn matches_day(&self, at: DateTime) -> bool {
        let day = has(&self.day, at.day(), 1);
        let weekday = has(&self.weekday, at.weekday().to_sunday_zero_offset(), 0);
        match (&self.day.values, &self.weekday.values) {
            (Some(_), Some(_)) => day || weekday,
            _ => day && weekday,
        }
    }

    fn matches_hour(&self, at: DateTime) -> bool {
        self.matches_day(at) && has(&self.hour, at.hour(), 0)
    }
}

/// A step begins at the least value of all that the field can have.
fn has(field: &Field, value: i8, least: i8) -> bool {
    match (field.text.strip_prefix("*/").map(str::parse::<i8>), &field.values) {
        (Some(step), _) => (value - least) % step.expect("a number") == 0,
        (None, Some(values)) => values.contains(&value),
        (None, None) => true,
    }
}

/// Every minute of a zone around an instant, found by walking through UTC.
struct Minutes {
    /// The first and the last instant of every wall-clock minute that passes.
    passes: BTreeMap<DateTime, (Timestamp, Timestamp)>,
    first: DateTime,
    last: DateTime,
}

impl Minutes {
    fn around(zone: &str, middle: Timestamp) -> Self {
        let zone = ZONES.get(zone).expect("a zone");
        let mut passes = BTreeMap::new();
        // Each expression matches once a month at least.
        let days = SignedDuration::from_hours(24 * 34);
        let mut at = middle - days;
        while at < middle + days {
            let local = zone.to_offset(at).to_datetime(at);
            passes.entry(local).and_modify(|(_, last)| *last = at).or_insert((at, at));
            at += SignedDuration::from_mins(1);
        }
        let first = *passes.keys().next().expect("a minute");
        let last = *passes.keys().next_back().expect("a minute");
        Self { passes, first, last }
    }

    /// The instants of the minutes that match, in wall-clock order; those in a gap are at its end.
    fn instants(&self, cron: &Random, repeated_is_last: bool) -> Vec<(DateTime, Timestamp)> {
        let mut found = Vec::new();
        let mut hour = self.first.date().to_datetime(jiff::civil::Time::midnight());
        while hour < self.last {
            for minute in
                (0..60).filter(|minute| cron.matches_hour(hour) && has(&cron.minute, *minute, 0))
            {
                let local = hour + SignedDuration::from_mins(i64::from(minute));
                let Some((_, (first, last))) = self.passes.range(local..).next() else { break };
                let exact = self.passes.contains_key(&local);
                found.push((local, if exact && repeated_is_last { *last } else { *first }));
            }
            hour += SignedDuration::from_hours(1);
        }
        found
    }
}

/// Zones, each with an instant at which it changes: an hour, an hour elsewhere, half an hour, nothing, a day.
const CHANGES: [(&str, &str); 9] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Asia/Kathmandu", "2026-03-29T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
];

/// Built once: what takes long is the walk.
static MINUTES: [OnceLock<Minutes>; CHANGES.len()] = [const { OnceLock::new() }; CHANGES.len()];

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// Against a walk through every minute: whether it is open, and that nothing changes before the next edge.
    #[test]
    fn windows_are_what_a_walk_through_every_minute_finds(
        start in random(), end in random(), change in 0..CHANGES.len(),
    ) {
        let (zone, middle) = CHANGES[change];
        let middle: Timestamp = middle.parse().expect("an instant");
        let minutes = MINUTES[change].get_or_init(|| Minutes::around(zone, middle));
        let starts = minutes.instants(&start, false);
        let ends = minutes.instants(&end, true);
        let mut spans = Vec::new();
        for (local, from) in &starts {
            if let Some((_, to)) = ends.get(ends.partition_point(|(end, _)| end <= local)) {
                let near = SignedDuration::from_hours(20);
                if *from < middle + near && middle - near < *to {
                    spans.push((*from, *to));
                }
            }
        }
        let windows = windows(&start.text(), &end.text(), zone);
        let mut at = middle - SignedDuration::from_hours(14);
        let mut edge = Moment::from(at);
        let mut before = None;
        while at < middle + SignedDuration::from_hours(14) {
            let open = spans.iter().any(|(from, to)| *from <= at && at < *to);
            let found = windows.open_at(at.into());
            prop_assert_eq!(found.is_some(), open, "{} at {}", zone, at);
            if Moment::from(at) < edge {
                prop_assert_eq!(found, before, "{} at {}: the next edge is {}", zone, at, edge);
            } else {
                edge = windows.next_edge(at.into()).expect("an edge");
                prop_assert!(Moment::from(at) < edge);
                before = found;
            }
            at += SignedDuration::from_mins(1);
        }
    }

    #[test]
    fn no_text_makes_a_panic(text in ".{0,40}", fields in "([0-9*/,#LW?+-]{1,6}|MON|jan|@daily|5L|1#6){1}( [0-9*/,#LW?+-]{1,5}){4}") {
        for text in [text, fields] {
            if let Ok(windows) = Windows::parse(&text, &text, BERLIN) {
                let now = instant("2026-03-29T00:59:00Z");
                prop_assert!(windows.open_at(now).is_none_or(|w| w.from <= now && now < w.to));
                prop_assert!(windows.next_edge(now).is_none_or(|edge| edge > now));
            }
        }
    }
}

#[test]
fn the_rarest_pattern_is_found() {
    let rare = windows("0 0 29 2 +1", "0 1 29 2 +1", "UTC");
    let now = date(2072, 3, 1).to_zoned(TimeZone::UTC).expect("a day").timestamp();
    let next = rare.next_edge(now.into()).expect("an edge").timestamp();
    assert_eq!(next.to_string(), "2112-02-29T00:00:00Z");
}
