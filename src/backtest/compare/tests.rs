use super::*;
use crate::backtest::Row;
use crate::model::testing::target;
use crate::model::{Moment, SourceFile, Sources};

/// A service `web` in `iad` with this inside `scale`, and with policies of these names and lines.
fn spec(scale: &str, policies: &[(&str, &str)]) -> Spec {
    let mut text = format!("services: [{{id: web, scale: {{{scale}}}}}]\n");
    if !policies.is_empty() {
        text.push_str("policies:\n");
    }
    for (name, policy) in policies {
        let _ = write!(text, "  - name: {name}\n{policy}");
    }
    let file = SourceFile { path: "spec.yaml".to_owned(), bytes: text.into_bytes() };
    let loaded = crate::spec::load(&Sources { spec: Some(file), ..Sources::default() }, None);
    assert_eq!(loaded.diagnostics, []);
    loaded.spec.expect("a valid spec")
}

const SCALE: &str =
    "autoscale: metrics, policy: http, regions: [{name: iad, min: 1, desired: 2, max: 9}]";

/// A policy of requests per second, so many for each replica.
fn per_replica(level: u32) -> String {
    format!(
        "    signals: {{rps: {{source: prom, query: 'rate'}}}}\n    targets: [{{signal: rps, perReplica: {level}}}]\n"
    )
}

fn http(level: u32) -> Spec {
    spec(SCALE, &[("http", &per_replica(level))])
}

fn name(text: &str) -> SignalName {
    SignalName::try_from(text).expect("a name")
}

/// 15 s rows of a load that swings between 50 and 450 in two hours.
fn wave(hours: u32) -> Series {
    let rows = (1..=hours * 240).map(|step| {
        let turn = f64::from(step) / 480.0 * std::f64::consts::TAU;
        Row {
            at: Moment(1_780_000_000_000 + i64::from(step) * 15_000),
            value: (250.0 - 200.0 * turn.cos()).round(),
        }
    });
    Series::of("rps", rows.collect()).expect("rising rows")
}

fn with(
    context: impl FnOnce(&Context<'_>) -> Result<Comparison, NoComparison>,
) -> Result<Comparison, NoComparison> {
    let prices = Prices {
        currency: "EUR".to_owned(),
        default: Some(0.05),
        per_replica_hour: BTreeMap::new(),
    };
    context(&Context {
        prices: &prices,
        interval: Duration::from_secs(15),
        startup: Duration::from_secs(30),
        delay: Duration::from_secs(15),
    })
}

fn compared(
    before: &Spec,
    after: &Spec,
    recordings: &[(&str, Series)],
) -> Result<Comparison, NoComparison> {
    let recordings = recordings.iter().map(|(text, series)| (name(text), series.clone())).collect();
    with(|context| compare(before, after, &target("web", "iad"), &recordings, context))
}

#[test]
fn what_moves_the_count_otherwise_is_a_change_and_nothing_else_is() {
    let policy = per_replica(70);
    let policies = [("http", policy.as_str())];
    let at = |scale: &str| changed(&http(70), &spec(scale, &policies));
    let iad = [target("web", "iad")];
    assert_eq!(changed(&http(70), &http(70)), []);
    assert_eq!(changed(&http(70), &http(71)), iad);
    let metrics = |rest: &str| at(&format!("autoscale: metrics, policy: http, {rest}"));
    assert_eq!(metrics("regions: [{name: iad, min: 1, desired: 2, max: 8}]"), iad);
    assert_eq!(metrics("regions: [{name: iad, min: 1, desired: 2, max: 9, cooldown: 1m}]"), iad);
    assert_eq!(
        metrics("maxHourlyCost: 9, regions: [{name: iad, min: 1, desired: 2, max: 9}]"),
        iad
    );
    // Where the count rests is not how load moves it; a new region has no past.
    assert_eq!(metrics("regions: [{name: iad, min: 1, desired: 3, max: 9}]"), []);
    assert_eq!(
        metrics(
            "regions: [{name: iad, min: 1, desired: 2, max: 9}, {name: fra, min: 1, desired: 2, max: 9}]"
        ),
        []
    );
    // Out of force after it: nothing to replay. Into force: a change.
    let manual = "policy: http, regions: [{name: iad, min: 1, desired: 2, max: 9}]";
    assert_eq!(at(manual), []);
    assert_eq!(changed(&spec(manual, &policies), &http(70)), iad);
    let without = spec("regions: [{name: fra, min: 1, desired: 2, max: 9}]", &[]);
    assert_eq!(changed(&without, &http(70)), iad);
    assert_eq!(changed(&Spec::default(), &http(70)), []);
}

#[test]
fn two_policies_are_told_side_by_side() {
    let made = compared(&http(40), &http(80), &[("rps", wave(6))]).expect("a comparison");
    insta::assert_snapshot!(made.report.markdown());
    insta::assert_snapshot!(made.chart);
}

#[test]
fn a_policy_that_comes_into_force_is_compared_with_rest() {
    let policy = per_replica(80);
    let before = spec(
        "policy: http, regions: [{name: iad, min: 1, desired: 2, max: 9}]",
        &[("http", &policy)],
    );
    let made = compared(&before, &http(80), &[("rps", wave(2))]).expect("a comparison");
    let [old, new] = made.report.columns.as_slice() else { panic!("two columns") };
    assert_eq!((old.figures.changes, old.figures.most.0), (0, 2));
    assert!(new.figures.changes > 0 && new.figures.most.0 > 2, "{new:?}");
    assert!(made.report.notes.iter().any(|note| note.contains("its count rests at 2")));
}

#[test]
fn without_a_load_nothing_is_said_that_depends_on_one() {
    let policy = |average: u32| {
        format!(
            "    signals: {{cpu: {{source: prom, query: 'cpu'}}}}\n    targets: [{{signal: cpu, average: {average}}}]\n"
        )
    };
    let (before, after) =
        (spec(SCALE, &[("http", &policy(60))]), spec(SCALE, &[("http", &policy(80))]));
    let made = compared(&before, &after, &[("cpu", wave(2))]).expect("a comparison");
    insta::assert_snapshot!(made.report.text());
    assert!(!made.chart.contains("bar"), "{}", made.chart);
    assert_eq!(crate::backtest::document::document(&made.report), None);
}

#[test]
fn a_recording_is_used_for_the_question_it_answers_only() {
    let other = per_replica(80).replace("'rate'", "'another'");
    let after = spec(SCALE, &[("http", &other)]);
    let before = http(40);
    let asked: Vec<&str> =
        wanted(&before, &after, &target("web", "iad")).iter().map(|s| s.question()).collect();
    assert_eq!(asked, ["rate"]);
    let made = compared(&before, &after, &[("rps", wave(2))]).expect("a comparison");
    let names: Vec<&str> = made.report.columns.iter().map(|column| column.name).collect();
    assert_eq!(names, ["old"]);
    insta::assert_snapshot!(made.report.notes.join("\n"));
}

#[test]
fn a_signal_that_is_new_and_not_recorded_leaves_its_policy_without_figures() {
    let more = "    signals: {rps: {source: prom, query: 'rate'}, queue: {source: prom, query: 'queue'}}\n    targets: [{signal: rps, perReplica: 40}, {signal: queue, perReplica: 5}]\n";
    let after = spec(SCALE, &[("http", more)]);
    let made = compared(&http(40), &after, &[("rps", wave(2))]).expect("a comparison");
    assert_eq!(made.report.columns.len(), 1);
    // Absent on both sides alike, as it was when the rest was recorded.
    let cheaper = more.replace("perReplica: 40", "perReplica: 50");
    let both = spec(SCALE, &[("http", &cheaper)]);
    let made = compared(&after, &both, &[("rps", wave(2))]).expect("a comparison");
    assert_eq!(made.report.columns.len(), 2);
    assert!(made.report.notes.contains(&"`queue` was taken to be absent".to_owned()));
}

#[test]
fn it_is_said_why_there_is_no_comparison() {
    let short = {
        let rows = wave(2).rows().iter().take(100).copied().collect();
        Series::of("rps", rows).expect("rising rows")
    };
    let negative = {
        let mut rows = wave(2).rows().to_vec();
        rows[3].value = -1.0;
        Series::of("rps", rows).expect("rising rows")
    };
    let schedules = |replicas: u32| {
        let lines = format!(
            "    schedules: [{{name: day, start: '0 8 * * *', end: '0 18 * * *', timezone: UTC, replicas: {replicas}}}]\n"
        );
        spec(SCALE, &[("http", &lines)])
    };
    let refused = |before: &Spec, after: &Spec, recordings: &[(&str, Series)]| {
        compared(before, after, recordings).expect_err("no comparison").to_string()
    };
    insta::assert_snapshot!(
        [
            refused(&http(40), &http(80), &[]),
            refused(&http(40), &http(80), &[("rps", short)]),
            refused(&http(40), &http(80), &[("rps", negative)]),
            refused(&schedules(3), &schedules(4), &[]),
            refused(&http(40), &Spec::default(), &[("rps", wave(2))]),
        ]
        .join("\n"),
        @"
    nothing is recorded yet of `rps`; a signal is recorded while a policy that reads it is in force
    only 25m are recorded; a comparison needs 1h
    the recorded load `rps` is negative at times, so replicas cannot be counted from it
    no signal moves the count before or after, so there is nothing to replay
    web/iad is not in the new spec
    "
    );
}

#[test]
fn a_day_is_replayed_in_a_moment() {
    let begun = std::time::Instant::now();
    let made = compared(&http(40), &http(80), &[("rps", wave(24))]).expect("a comparison");
    let took = begun.elapsed();
    let series = made
        .chart
        .lines()
        .filter(|line| line.starts_with("    line") || line.starts_with("    bar"));
    assert_eq!(series.map(|line| line.split(',').count()).collect::<Vec<_>>(), [48, 48, 48]);
    // Not a benchmark: it would catch work that grows with the square of the rows.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_capacity_has_few_figures() {
    assert_eq!([70.0, 100.0, 0.001, 12_345.0].map(capacity), [100.0, 142.9, 0.001_429, 17_640.0]);
}
