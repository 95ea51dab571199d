//! What must be true at the end of every run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tidegate::apply::StopSign;
use tidegate::control::{Replayed, replay};
use tidegate::model::{Count, Measured, TargetId};
use tidegate::providers::testing::FakeReplica;
use tidegate::record::{HistoryLine, Kind, StatusFile};

use super::rig::{BRANCH, RACER, Rig};

pub(super) async fn all(rig: &mut Rig) {
    let real = world(rig).await;
    let lines = history(rig);
    racer(rig, &lines);
    let lines: Vec<HistoryLine> =
        lines.into_iter().filter(|line| !line.id.starts_with(RACER)).collect();
    let ends = chain(&lines);
    holds(rig, &lines);
    decisions(&lines);
    let counted: BTreeMap<TargetId, i64> = real.clone();
    for target in ends.keys().chain(counted.keys()) {
        let real = counted.get(target).copied().unwrap_or_default();
        assert_eq!(ends.get(target).copied().unwrap_or_default(), real, "history of {target}");
    }
    status(rig, &counted);
    sums(rig, &lines);
    quiet(rig).await;
}

/// The world is as wanted. Returns the real counts.
async fn world(rig: &mut Rig) -> BTreeMap<TargetId, i64> {
    let good = rig.controller().await.source().good().unwrap().clone();
    let replicas = rig.fake.with_world(|world| world.replicas.clone());
    let (ours, others): (Vec<FakeReplica>, Vec<FakeReplica>) = replicas
        .into_iter()
        .partition(|r| r.owner.as_str() == "me" && r.provider.as_str() == "fake");
    assert_eq!(others, rig.foreign, "foreign replicas");
    let mut counts: BTreeMap<TargetId, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for replica in &ours {
        assert!(seen.insert((&replica.target, replica.ordinal)), "twice: {replica:?}");
        *counts.entry(replica.target.clone()).or_default() += 1;
        let id = replica.target.service.as_str();
        let is_wanted = rig
            .spec
            .services
            .get(id)
            .is_some_and(|s| s.regions.contains_key(replica.target.region.as_str()));
        if is_wanted {
            assert!(replica.running, "{replica:?}");
            assert_eq!(Some(&replica.template), good.templates.get(&replica.target.service));
        } else {
            assert!(!rig.spec.allow.contains(id), "allowed to go and still there: {replica:?}");
        }
    }
    for (id, service) in &rig.spec.services {
        for region in service.regions.keys() {
            let target = TargetId {
                service: (*id).try_into().unwrap(),
                region: (*region).try_into().unwrap(),
            };
            let count = counts.get(&target).copied().unwrap_or_default();
            let rests_at = service.rests_at(region, rig.loads[id]);
            assert_eq!(count, i64::from(rests_at), "{target}");
        }
    }
    counts
}

/// Every history line in the order of the commits, which only ever append.
fn history(rig: &Rig) -> Vec<HistoryLine> {
    let mut commits = rig.repo.history(BRANCH);
    commits.reverse();
    let repository = rig.repo.open();
    let mut before: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut lines = Vec::new();
    for (index, (commit, parents)) in commits.iter().enumerate() {
        assert_eq!(*parents, usize::from(index > 0), "{commit}: parents");
        let commit = repository.find_commit(git2::Oid::from_str(commit.as_str()).unwrap()).unwrap();
        let mut now = BTreeMap::new();
        let tree = commit.tree().unwrap();
        tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
            let path = format!("{folder}{}", entry.name().unwrap());
            if path.starts_with("history/") && entry.kind() == Some(git2::ObjectType::Blob) {
                now.insert(path, repository.find_blob(entry.id()).unwrap().content().to_vec());
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        for path in before.keys() {
            assert!(now.contains_key(path), "{path} is gone");
        }
        for (path, content) in &now {
            let old = before.get(path).map_or(&[][..], Vec::as_slice);
            let new = content.strip_prefix(old).unwrap_or_else(|| panic!("{path} was rewritten"));
            for line in std::str::from_utf8(new).unwrap().lines() {
                lines.push(serde_json::from_str(line).unwrap());
            }
        }
        before = now;
    }
    let ids: BTreeSet<&str> = lines.iter().map(|line: &HistoryLine| line.id.as_str()).collect();
    assert_eq!(ids.len(), lines.len(), "a line is there twice");
    lines
}

/// The other writer lost nothing.
fn racer(rig: &Rig, lines: &[HistoryLine]) {
    let ids: BTreeSet<&str> =
        lines.iter().map(|line| line.id.as_str()).filter(|id| id.starts_with(RACER)).collect();
    let expected: BTreeSet<String> =
        (0..rig.racer_lines()).map(|n| format!("{RACER}{n}")).collect();
    assert_eq!(ids, expected.iter().map(String::as_str).collect());
    let is_there = rig.repo.file(BRANCH, "other/file").is_some();
    assert_eq!(is_there, rig.racer_lines() > 0);
}

/// Each target's lines are a chain from 0. Returns where they end.
fn chain(lines: &[HistoryLine]) -> BTreeMap<TargetId, i64> {
    let mut ends: BTreeMap<TargetId, i64> = BTreeMap::new();
    for line in lines {
        let end = ends.entry(line.target.clone()).or_default();
        assert_eq!(i64::from(line.from), *end, "the chain of {} breaks at {line:?}", line.target);
        *end = i64::from(line.to);
    }
    ends
}

/// Every recorded decision follows from its inputs, is within its bounds, and goes down by values only.
fn decisions(lines: &[HistoryLine]) {
    for line in lines {
        let replayed = replay(line);
        assert!(
            matches!(replayed, Ok(Replayed::Same | Replayed::NoInputs)),
            "{replayed:?}: {line:#?}"
        );
        let (Some(inputs), Some(last)) = (&line.inputs, line.trace.last()) else { continue };
        if inputs.observed.is_none() {
            continue;
        }
        let (after, bounds) = (last.after, inputs.bounds);
        assert!(after >= bounds.min.0 && after <= bounds.max.0, "not within bounds: {line:#?}");
        let before = inputs.state.effective.or(inputs.observed.map(Count)).unwrap_or_default();
        if inputs.policy.is_some() && after < before.min(bounds.max).0 {
            let is_known = |measured: &Measured| matches!(measured, Measured::Value { .. });
            assert!(inputs.measured.iter().all(is_known), "down without data: {line:#?}");
        }
    }
}

/// What is held begins once and ends once, and what is open is in the status.
fn holds(rig: &Rig, lines: &[HistoryLine]) {
    let mut open: BTreeSet<(TargetId, String)> = BTreeSet::new();
    let mut refused: BTreeSet<(TargetId, String)> = BTreeSet::new();
    for line in lines {
        let key = (line.target.clone(), line.reason.clone());
        match line.kind {
            Kind::Held => assert!(open.insert(key), "held twice: {line:?}"),
            Kind::Released => assert!(open.remove(&key), "released but not held: {line:?}"),
            Kind::Refused => assert!(refused.insert(key), "refused twice: {line:?}"),
            Kind::Allowed => assert!(refused.remove(&key), "allowed but not refused: {line:?}"),
            Kind::Change | Kind::Rollout | Kind::Drift => {}
        }
    }
    let told: BTreeSet<(TargetId, String)> = status_file(rig)
        .targets
        .into_iter()
        .flat_map(|t| t.held.into_iter().map(move |held| (t.target.clone(), held.reason)))
        .collect();
    assert_eq!(open, told, "what is held");
}

fn status_file(rig: &Rig) -> StatusFile {
    serde_yaml::from_slice(&rig.repo.file(BRANCH, "status.yaml").unwrap()).unwrap()
}

fn status(rig: &Rig, real: &BTreeMap<TargetId, i64>) {
    let status = status_file(rig);
    let recorded: BTreeMap<TargetId, i64> =
        status.targets.iter().map(|t| (t.target.clone(), i64::from(t.recorded))).collect();
    for target in recorded.keys().chain(real.keys()) {
        let told = recorded.get(target).copied().unwrap_or_default();
        assert_eq!(told, real.get(target).copied().unwrap_or_default(), "recorded of {target}");
    }
    assert!(rig.repo.file(BRANCH, &format!("plans/{}.json", status.spec_commit)).is_some());
    assert_eq!(status.applied_commit.as_ref(), Some(&status.spec_commit));
}

/// What the lines add up to is what happened in the world.
fn sums(rig: &Rig, lines: &[HistoryLine]) {
    let mut told: BTreeMap<&TargetId, i64> = BTreeMap::new();
    let mut drift: BTreeMap<&TargetId, i64> = BTreeMap::new();
    for line in lines {
        let step = i64::from(line.to) - i64::from(line.from);
        *told.entry(&line.target).or_default() += step;
        if line.kind == Kind::Drift {
            *drift.entry(&line.target).or_default() += step * i64::from(line.times);
        }
    }
    let log = rig.fake.with_world(|world| world.log.clone());
    let mut happened: BTreeMap<&TargetId, i64> = BTreeMap::new();
    for entry in &log {
        *happened.entry(&entry.target).or_default() += match entry.op.as_str() {
            "create" => 1,
            "destroy" => -1,
            _ => 0,
        };
    }
    for (target, killed) in &rig.killed {
        *happened.entry(target).or_default() -= killed;
    }
    for target in told.keys().chain(happened.keys()) {
        let (told, happened) = (told.get(target), happened.get(target));
        assert_eq!(told.copied().unwrap_or_default(), happened.copied().unwrap_or_default());
    }
    if rig.is_calm {
        for target in drift.keys().copied().chain(rig.killed.keys()) {
            let killed = rig.killed.get(target).copied().unwrap_or_default();
            let drift = drift.get(target).copied().unwrap_or_default();
            assert_eq!(drift, -killed, "drift of {target}");
        }
        let failed = lines.iter().find(|line| line.error.is_some());
        assert_eq!(failed, None, "nothing failed");
    }
}

/// When nothing happens any more, nothing is committed.
async fn quiet(rig: &mut Rig) {
    let before = rig.repo.history(BRANCH).len();
    let known = history(rig).len();
    for round in 0..3 {
        rig.pass(Duration::from_secs(120)).await;
        if round == 1 {
            rig.controller = None;
        }
        rig.controller().await;
        rig.measure();
        let controller = rig.controller().await;
        controller.poll().await.unwrap();
        let ticked = controller.tick(&StopSign::default()).await.unwrap();
        assert!(ticked.outcomes.is_empty(), "{:?}", ticked.outcomes);
        controller.flush().await.unwrap();
    }
    let news = history(rig).split_off(known);
    let told = |line: &HistoryLine| {
        let HistoryLine { time, target, kind, from, to, sentence, .. } = line;
        format!("{time} {target} {kind:?} {from} to {to}: {sentence}")
    };
    let news: Vec<String> = news.iter().map(told).collect();
    assert_eq!(rig.repo.history(BRANCH).len(), before, "commits without news: {news:#?}");
    assert!(Path::new(&rig.repo.path).exists());
}
