use proptest::prelude::*;

use super::*;
use crate::model::testing::{bounds, commit, replica, service, target};
use crate::model::{
    Action, Autoscale, CommitId, Count, Exit, FailureKind, Gap, Observed, Outcome, OutcomeResult,
    Phase, Plan, Prices, Replica, Spec, TargetId, TargetOutcome, TemplateHash,
};
use crate::{decide, plan};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Services on provider `host`, region `local`, each with its desired count.
fn spec(services: &[(&str, u32)]) -> Spec {
    let services =
        services.iter().map(|(id, count)| service(id, Autoscale::Manual, bounds(0, *count, 100)));
    Spec { services: services.map(|s| (s.id.clone(), s)).collect(), ..Spec::default() }
}

fn at(minute: i64) -> Timestamp {
    let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    noon + Duration::from_secs(60 * u64::try_from(minute).unwrap())
}

fn ready(service: &str, count: u32) -> Vec<Replica> {
    let hash =
        spec(&[("web", 1)]).services.values().next().unwrap().template.as_ref().unwrap().hash();
    (0..count).map(|n| replica(&target(service, "local"), n, &hash, Phase::Ready)).collect()
}

fn world(counts: &[(&str, u32)]) -> Observed {
    let replicas = counts.iter().flat_map(|(id, count)| ready(id, *count)).collect();
    Observed { at: at(0), replicas, gaps: Vec::new() }
}

fn dark() -> Observed {
    let (provider, region) = ("host".try_into().unwrap(), "local".try_into().unwrap());
    let gap = Gap { provider, region, error: "connection refused".to_owned() };
    Observed { at: at(0), replicas: Vec::new(), gaps: vec![gap] }
}

fn planned(spec: &Spec, observed: &Observed) -> Plan {
    plan::plan(&plan::Input {
        spec,
        spec_commit: &commit('b'),
        base: Some((spec, &commit('a'))),
        templates: &plan::template_hashes(spec),
        observed,
        decisions: &decide::testing::decided(spec, observed),
        done: &std::collections::BTreeSet::new(),
        prices: &Prices::default(),
        now: observed.at,
    })
}

/// What becomes of a plan when its first `done` actions work and the next one fails with this error.
fn ended(plan: &Plan, done: usize, error: Option<&str>) -> Vec<TargetOutcome> {
    let of_target = |target: &crate::model::TargetPlan| {
        let result = |index: usize| match error {
            Some(error) if index == done => {
                OutcomeResult::Failed { error: error.to_owned(), kind: FailureKind::Denied }
            }
            _ if index < done => OutcomeResult::Applied,
            _ => OutcomeResult::Skipped,
        };
        let outcomes: Vec<Outcome> = target
            .steps
            .iter()
            .flat_map(|step| &step.actions)
            .enumerate()
            .map(|(index, action): (usize, &Action)| Outcome {
                action: action.clone(),
                started: at(0),
                took: Duration::from_secs(1),
                result: result(index),
            })
            .collect();
        let from = target.count.unwrap_or_default();
        let to = outcomes.iter().filter(|o| o.result == OutcomeResult::Applied).fold(
            i64::from(from.0),
            |count, o| match o.action.kind {
                crate::model::ActionKind::Create { .. } => count + 1,
                crate::model::ActionKind::Destroy => count - 1,
                crate::model::ActionKind::Start | crate::model::ActionKind::AwaitReady => count,
            },
        );
        let to = Count(u32::try_from(to).unwrap());
        let took = Duration::from_secs(2);
        TargetOutcome { target: target.target.clone(), from, to, outcomes, started: at(0), took }
    };
    plan.targets.iter().filter(|target| !target.steps.is_empty()).map(of_target).collect()
}

/// A book with the commit whose changes it records.
struct Desk {
    book: Book,
    commit: CommitId,
    minute: i64,
}

impl Desk {
    fn new() -> Self {
        Self { book: Book::restore("run".to_owned(), None, &[]), commit: commit('b'), minute: 0 }
    }

    /// One cycle, as the controller does it.
    fn cycle(
        &mut self,
        spec: &Spec,
        before: &Observed,
        end: impl Fn(&Plan) -> Vec<TargetOutcome>,
        after: &Observed,
    ) -> Vec<HistoryLine> {
        self.minute += 1;
        let nothing = (BTreeMap::new(), BTreeMap::new());
        let evidence =
            Evidence { spec, measured: &nothing.0, before: &nothing.1, bursts: &[], pauses: &[] };
        let (now, spec_commit) = (at(self.minute), &self.commit);
        let cause = Cause { now, spec_commit, author: "Ann", evidence };
        let plan = planned(spec, before);
        let outcomes = end(&plan);
        let mut lines = self.book.found(&cause, before);
        lines.extend(self.book.decided(&cause, &plan));
        lines.extend(self.book.applied(&cause, &plan, &outcomes));
        lines.extend(self.book.settled(&cause, &planned(spec, after), &outcomes));
        lines
    }

    fn status(&self, spec: &Spec, observed: &Observed, before: Option<&StatusFile>) -> StatusFile {
        let plan = planned(spec, observed);
        let refused = Refused {
            commit: Some(commit('c')),
            findings: vec!["controller/spec.yaml:3:5 unknown-key unknown key `bogus`".to_owned()],
        };
        let facts = Facts {
            now: at(self.minute),
            plan: &plan,
            plan_digest: &plan.digest,
            owner: &"me".try_into().unwrap(),
            applied: Some(&self.commit),
            refused: Some(&refused),
            gaps: &observed.gaps,
            before,
        };
        status_file(&facts, &self.book)
    }
}

fn nothing(_plan: &Plan) -> Vec<TargetOutcome> {
    Vec::new()
}

fn in_full(plan: &Plan) -> Vec<TargetOutcome> {
    ended(plan, usize::MAX, None)
}

/// The lines in a form that fits on the screen.
fn told(lines: &[HistoryLine]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let (kind, outcome) = (format!("{:?}", line.kind), format!("{:?}", line.outcome));
            let error = line.error.as_deref().unwrap_or("-");
            format!("{kind} {}→{} {} {outcome} {error}", line.from, line.to, line.reason)
        })
        .collect()
}

#[test]
fn what_nobody_recorded_is_drift_and_the_chain_goes_on() {
    let (mut desk, spec) = (Desk::new(), spec(&[("web", 3)]));
    let full = world(&[("web", 3)]);
    let lines = desk.cycle(&spec, &world(&[]), in_full, &full);
    assert_eq!(told(&lines), ["Change 0→3 at-desired Applied -"]);
    assert_eq!(told(&desk.cycle(&spec, &full, nothing, &full)), [""; 0]);
    let lines = desk.cycle(&spec, &world(&[("web", 1)]), in_full, &full);
    assert_eq!(told(&lines), ["Drift 3→1 drift Observed -", "Change 1→3 at-desired Applied -"]);
}

#[test]
fn a_failure_that_goes_on_is_told_once() {
    let (mut desk, spec) = (Desk::new(), spec(&[("web", 2)]));
    let half = |plan: &Plan| ended(plan, 1, Some("403 forbidden"));
    let none = |plan: &Plan| ended(plan, 0, Some("403 forbidden"));
    let other = |plan: &Plan| ended(plan, 0, Some("404 not found"));
    let one = world(&[("web", 1)]);
    let lines = desk.cycle(&spec, &world(&[]), half, &one);
    assert_eq!(told(&lines), ["Change 0→1 at-desired Failed 403 forbidden"]);
    for _ in 0..3 {
        assert_eq!(told(&desk.cycle(&spec, &one, none, &one)), [""; 0]);
    }
    let lines = desk.cycle(&spec, &one, other, &one);
    assert_eq!(told(&lines), ["Change 1→1 at-desired Failed 404 not found"]);
    let full = world(&[("web", 2)]);
    let lines = desk.cycle(&spec, &one, in_full, &full);
    assert_eq!(told(&lines), ["Change 1→2 at-desired Applied -"]);
    let entry = &desk.book.entries()[&target("web", "local")];
    assert_eq!(entry.last_error, None);
}

#[test]
fn what_is_held_begins_once_and_ends_once() {
    let (mut desk, both) = (Desk::new(), spec(&[("db", 2), ("web", 1)]));
    let full = world(&[("db", 2), ("web", 1)]);
    let _ = desk.cycle(&both, &world(&[]), in_full, &full);
    let without = spec(&[("web", 1)]);
    let lines = desk.cycle(&without, &full, nothing, &full);
    assert_eq!(told(&lines), ["Held 2→2 vanished-service Observed -"]);
    assert_eq!(told(&desk.cycle(&without, &full, nothing, &full)), [""; 0]);
    // Somebody removes the replicas: with them ends the hold, and the target is forgotten.
    let lines = desk.cycle(&without, &world(&[("web", 1)]), nothing, &world(&[("web", 1)]));
    assert_eq!(
        told(&lines),
        ["Drift 2→0 drift Observed -", "Released 0→0 vanished-service Observed -"]
    );
    assert_eq!(desk.book.entries().len(), 1);
}

#[test]
fn a_gap_is_held_and_is_no_drift() {
    let (mut desk, spec) = (Desk::new(), spec(&[("web", 3)]));
    let full = world(&[("web", 3)]);
    let _ = desk.cycle(&spec, &world(&[]), in_full, &full);
    assert!(!desk.book.is_off(&dark()));
    let lines = desk.cycle(&spec, &dark(), nothing, &dark());
    assert_eq!(told(&lines), ["Held 3→3 provider-gap Observed -"]);
    let lines = desk.cycle(&spec, &full, nothing, &full);
    assert_eq!(told(&lines), ["Released 3→3 provider-gap Observed -"]);
}

#[test]
fn a_replacement_is_a_rollout_and_not_a_change_of_the_count() {
    let (mut desk, spec) = (Desk::new(), spec(&[("web", 2)]));
    let mut old = world(&[("web", 2)]);
    old.replicas.iter_mut().for_each(|r| r.template = TemplateHash::from("older"));
    let _ = desk.cycle(&spec, &old, nothing, &old);
    let lines = desk.cycle(&spec, &old, in_full, &world(&[("web", 2)]));
    assert_eq!(told(&lines), ["Rollout 2→2 at-desired Applied -"]);
    assert_eq!(lines[0].sentence, "the spec asks for 2: template changed");
}

#[test]
fn what_was_decided_since_the_last_push_is_in_the_journal() {
    let mut desk = Desk::new();
    let (five, two) = (world(&[("web", 5)]), world(&[("web", 2)]));
    let _ = desk.cycle(&spec(&[("web", 5)]), &world(&[]), in_full, &five);
    let status = desk.status(&spec(&[("web", 5)]), &five, None);
    let lines = desk.cycle(&spec(&[("web", 2)]), &five, in_full, &two);
    let restored = Book::restore("next".to_owned(), Some(&status), &lines);
    // Else the next run would think that three were lost, and bring them back.
    assert_eq!(restored.entries(), desk.book.entries());
    assert!(restored.entries().values().all(|entry| entry.decided == Some(Count(2))));
}

/// What is on record, without what was decided: a journal does not tell that of a service that is gone.
fn recorded(book: &Book) -> BTreeMap<TargetId, Entry> {
    let forget = |(target, entry): (&TargetId, &Entry)| {
        (target.clone(), Entry { decided: None, ..entry.clone() })
    };
    book.entries().iter().map(forget).collect()
}

#[test]
fn status_and_journal_bring_back_the_book() {
    let (mut desk, both) = (Desk::new(), spec(&[("db", 2), ("web", 3)]));
    let full = world(&[("db", 2), ("web", 3)]);
    let _ = desk.cycle(&both, &world(&[]), in_full, &full);
    let status = desk.status(&both, &full, None);
    let restored = Book::restore("next".to_owned(), Some(&status), &[]);
    assert_eq!(restored.entries(), desk.book.entries());
    // What came after the last push is in the journal only: a hold, a drift and a failure.
    let without = spec(&[("web", 3)]);
    let less = world(&[("db", 2), ("web", 1)]);
    let lines = desk.cycle(&without, &less, |plan| ended(plan, 0, Some("403 forbidden")), &less);
    assert_eq!(lines.len(), 3);
    let restored = Book::restore("next".to_owned(), Some(&status), &lines);
    assert_eq!(recorded(&restored), recorded(&desk.book));
    // What cannot be seen at the time of the status is not forgotten either.
    let _ = desk.cycle(&without, &dark(), nothing, &dark());
    let status = desk.status(&without, &dark(), Some(&status));
    let restored = Book::restore("next".to_owned(), Some(&status), &[]);
    assert_eq!(recorded(&restored), recorded(&desk.book));
    assert_eq!(restored.entries().len(), 2);
}

#[test]
fn a_degraded_world_on_one_screen() {
    let mut desk = Desk::new();
    let both = spec(&[("api", 2), ("db", 2), ("web", 3)]);
    let full = world(&[("api", 2), ("db", 2), ("web", 3)]);
    let _ = desk.cycle(&both, &world(&[]), in_full, &full);
    // `db` is gone from the spec, `web` lost two replicas that cannot be restored, one of `api` crashes.
    let without = spec(&[("api", 2), ("web", 3)]);
    let mut less = world(&[("api", 2), ("db", 2), ("web", 1)]);
    let api = &mut less.replicas[1];
    api.phase = Phase::BackOff { until: at(5) };
    api.restarts = 4;
    api.last_exit = Some(Exit { at: at(1), reason: "exit code 3".to_owned() });
    let _ =
        desk.cycle(&without, &less, |plan| ended(plan, 0, Some("create: 403 forbidden")), &less);
    let mut status = desk.status(&without, &less, None);
    let yaml = serde_yaml::to_string(&status).unwrap();
    insta::assert_snapshot!("degraded", yaml);
    let read: StatusFile = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(read, status);
    // And then the provider cannot be read at all.
    let _ = desk.cycle(&without, &dark(), nothing, &dark());
    status = desk.status(&without, &dark(), Some(&status));
    insta::assert_snapshot!("unreadable", serde_yaml::to_string(&status).unwrap());
}

/// A line as version 1 wrote it. Whatever comes later must read it; a change that does not is a new version.
const LINE_V1: &str = include_str!("history_v1.json");

#[test]
fn a_line_of_version_1_is_read_and_written_as_it_was() {
    let line: HistoryLine = serde_json::from_str(LINE_V1).unwrap();
    assert_eq!(serde_json::to_string_pretty(&line).unwrap(), LINE_V1.trim_end());
    assert_eq!((line.v, line.kind, line.times), (1, Kind::Change, 3));
}

#[derive(Debug, Clone)]
enum Found {
    Counts(u32, u32),
    Nothing,
}

proptest! {
    /// Whatever is found, tried and lost in between, the lines of each target are a chain from zero, they
    /// end at the book's count, and a restart from them brings it back.
    #[test]
    fn any_story_is_a_chain(
        story in proptest::collection::vec(
            (
                prop_oneof![
                    4 => (0u32..5, 0u32..5).prop_map(|(a, b)| Found::Counts(a, b)),
                    1 => Just(Found::Nothing),
                ],
                0u32..5,
                proptest::option::of(0u32..5),
                0usize..8,
                any::<bool>(),
            ),
            1..20,
        )
    ) {
        let mut desk = Desk::new();
        let mut lines: Vec<HistoryLine> = Vec::new();
        for (found, web, db, done, fails) in story {
            let mut services = vec![("web", web)];
            services.extend(db.map(|db| ("db", db)));
            let before = match found {
                Found::Counts(a, b) => world(&[("db", a), ("web", b)]),
                Found::Nothing => dark(),
            };
            let end = |plan: &Plan| ended(plan, done, fails.then_some("503"));
            lines.extend(desk.cycle(&spec(&services), &before, end, &before));
        }
        let mut ends: BTreeMap<_, u32> = BTreeMap::new();
        for line in &lines {
            let end = ends.entry(line.target.clone()).or_default();
            prop_assert_eq!(*end, line.from, "{:?}", line);
            *end = line.to;
        }
        let count = |book: &Book, target| book.entries().get(target).map_or(0, |e| e.count.0);
        let restored = Book::restore("next".to_owned(), None, &lines);
        for (target, end) in &ends {
            prop_assert_eq!(*end, count(&desk.book, target));
            prop_assert_eq!(*end, count(&restored, target));
        }
        let mut ids: Vec<&str> = lines.iter().map(|line| line.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), lines.len());
    }
}
