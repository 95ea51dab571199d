//! History lines that wait to be published, and those of them that only repeat what was told already.
//!
//! A replica that dies every minute makes a drift line and the line of its repair each time. While such pairs
//! wait, all of them become one pair that says how often it happened; the chain of the target's counts is the
//! same with and without the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::apply::elapsed;
use crate::model::TargetId;
use crate::record::{HistoryLine, Kind};

/// An equal drift within this time of the last one is a repetition: a few rounds of a supervisor's longest
/// back-off.
const REPEATS_WITHIN: Duration = Duration::from_secs(600);

/// The lines, oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    lines: VecDeque<HistoryLine>,
    /// Lines at the front that a push may have carried. They may be on the branch, so they stay as they are.
    offered: usize,
    drifts: BTreeMap<TargetId, LastDrift>,
}

/// The last drift of a target.
#[derive(Debug)]
struct LastDrift {
    from: u32,
    to: u32,
    at: Timestamp,
    is_repetition: bool,
}

/// What adding lines came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    /// Whether there is more than repetitions among them.
    pub(super) is_news: bool,
    /// Whether lines became one with earlier ones.
    pub(super) is_folded: bool,
}

impl Pending {
    /// Lines of an earlier run; it may have pushed them.
    pub(super) fn of_earlier_run(lines: Vec<HistoryLine>) -> Self {
        Self { offered: lines.len(), lines: lines.into(), drifts: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HistoryLine> {
        self.lines.iter()
    }

    pub(super) fn to_vec(&self) -> Vec<HistoryLine> {
        self.lines.iter().cloned().collect()
    }

    /// Notes that a push carries the first `count` lines.
    pub(super) fn offer(&mut self, count: usize) {
        self.offered = self.offered.max(count);
    }

    /// Forgets the first `count` lines: they are published.
    pub(super) fn confirm(&mut self, count: usize) {
        self.lines.drain(..count.min(self.lines.len()));
        self.offered = self.offered.saturating_sub(count);
    }

    /// Targets whose last drift repeated the one before.
    pub(super) fn repeating(&self) -> BTreeSet<&TargetId> {
        self.drifts
            .iter()
            .filter(|(_, drift)| drift.is_repetition)
            .map(|(target, _)| target)
            .collect()
    }

    pub(super) fn add(&mut self, now: Timestamp, lines: Vec<HistoryLine>) -> Added {
        self.drifts.retain(|_, drift| elapsed(drift.at, now) < REPEATS_WITHIN);
        let mut is_news = false;
        let mut repairs = BTreeSet::new();
        for line in lines {
            let is_repetition = self.note(now, &line);
            is_news |= !is_repetition;
            if is_repetition {
                repairs.insert(line.target.clone());
            }
            self.lines.push_back(line);
        }
        Added { is_news, is_folded: self.fold(&repairs) }
    }

    /// Whether the line tells nothing new: an equal drift again, or that it was repaired again.
    fn note(&mut self, now: Timestamp, line: &HistoryLine) -> bool {
        let last = self.drifts.get(&line.target);
        let is_undone = last.is_some_and(|last| (last.from, last.to) == (line.to, line.from));
        match line.kind {
            Kind::Change => {
                is_undone && line.error.is_none() && last.is_some_and(|last| last.is_repetition)
            }
            Kind::Drift => {
                let is_repetition =
                    last.is_some_and(|last| (last.from, last.to) == (line.from, line.to));
                let (from, to) = (line.from, line.to);
                let drift = LastDrift { from, to, at: now, is_repetition };
                self.drifts.insert(line.target.clone(), drift);
                is_repetition
            }
            Kind::Rollout | Kind::Held | Kind::Released | Kind::Refused | Kind::Allowed => false,
        }
    }

    /// Makes one pair of the last two equal pairs of a drift and its repair, for each of these targets.
    fn fold(&mut self, targets: &BTreeSet<TargetId>) -> bool {
        if targets.is_empty() {
            return false;
        }
        let mut indices: BTreeMap<&TargetId, Vec<usize>> = BTreeMap::new();
        for (index, line) in self.lines.iter().enumerate().skip(self.offered) {
            if targets.contains(&line.target) {
                indices.entry(&line.target).or_default().push(index);
            }
        }
        let pairs: Vec<[usize; 4]> = indices
            .values()
            .filter_map(|indices| indices.last_chunk::<4>().copied())
            .filter(|[drift, repair, drift_again, repair_again]| {
                let line = |index: usize| self.lines.get(index);
                is_pair(line(*drift), line(*repair))
                    && is_same(line(*drift), line(*drift_again))
                    && is_same(line(*repair), line(*repair_again))
            })
            .collect();
        let mut folded = BTreeSet::new();
        for [drift, repair, drift_again, repair_again] in pairs {
            for (kept, again) in [(drift, drift_again), (repair, repair_again)] {
                let times = self.lines.get(again).map_or(0, |line| line.times);
                if let Some(line) = self.lines.get_mut(kept) {
                    line.times = line.times.saturating_add(times);
                }
                folded.insert(again);
            }
        }
        let mut index = 0;
        self.lines.retain(|_| {
            index += 1;
            !folded.contains(&(index - 1))
        });
        !folded.is_empty()
    }
}

/// Whether the second line undoes the first, a drift.
fn is_pair(drift: Option<&HistoryLine>, repair: Option<&HistoryLine>) -> bool {
    drift.zip(repair).is_some_and(|(drift, repair)| {
        drift.kind == Kind::Drift
            && repair.kind == Kind::Change
            && repair.error.is_none()
            && (drift.from, drift.to) == (repair.to, repair.from)
            && drift.times == repair.times
    })
}

/// Whether two lines tell the same event at two times.
fn is_same(a: Option<&HistoryLine>, b: Option<&HistoryLine>) -> bool {
    a.zip(b).is_some_and(|(a, b)| {
        (a.kind, a.from, a.to, a.outcome) == (b.kind, b.from, b.to, b.outcome)
            && (&a.reason, &a.spec_commit, &a.actor) == (&b.reason, &b.spec_commit, &b.actor)
            && (&a.error, &a.plan_digest, a.dry_run) == (&b.error, &b.plan_digest, b.dry_run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LineOutcome;

    fn line(id: u32, target: &str, kind: Kind, from: u32, to: u32) -> HistoryLine {
        let mut line: HistoryLine = serde_json::from_value(serde_json::json!({
            "v": 1, "id": format!("r-{id}"), "time": "2026-01-01T00:00:00Z",
            "target": {"service": target, "region": "local"},
            "kind": "change", "from": from, "to": to, "reason": "", "sentence": "",
            "specCommit": "a".repeat(40), "actor": "tidegate", "outcome": "applied",
            "durationMs": 1, "dryRun": false,
        }))
        .unwrap();
        line.kind = kind;
        line
    }

    fn empty() -> Pending {
        Pending::of_earlier_run(Vec::new())
    }

    /// One replica dies and is replaced, as one cycle tells it.
    fn round(id: u32) -> Vec<HistoryLine> {
        vec![line(id, "web", Kind::Drift, 3, 2), line(id + 1, "web", Kind::Change, 2, 3)]
    }

    fn after(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn told(pending: &Pending) -> Vec<(&str, u32)> {
        pending.iter().map(|line| (line.id.as_str(), line.times)).collect()
    }

    #[test]
    fn rounds_that_wait_become_one() {
        let mut pending = empty();
        assert_eq!(pending.add(after(0), round(1)), Added { is_news: true, is_folded: false });
        let other = vec![line(90, "api", Kind::Change, 0, 1)];
        assert_eq!(pending.add(after(1), other), Added { is_news: true, is_folded: false });
        for n in 1..5 {
            let added = pending.add(after(n), round(10 * u32::try_from(n).unwrap()));
            assert_eq!(added, Added { is_news: false, is_folded: true });
        }
        assert_eq!(told(&pending), [("r-1", 5), ("r-2", 5), ("r-90", 1)]);
        assert_eq!(pending.repeating().len(), 1);
    }

    #[test]
    fn a_repair_of_its_own_cycle_folds_too() {
        let mut pending = empty();
        for (n, line) in round(1).into_iter().chain(round(3)).enumerate() {
            let added = pending.add(after(i64::try_from(n).unwrap()), vec![line]);
            assert_eq!(added.is_folded, n == 3);
        }
        assert_eq!(told(&pending), [("r-1", 2), ("r-2", 2)]);
    }

    #[test]
    fn what_a_push_may_have_carried_stays_as_it_is() {
        let mut pending = empty();
        pending.add(after(0), round(1));
        pending.offer(2);
        assert!(!pending.add(after(1), round(3)).is_folded);
        assert!(pending.add(after(2), round(5)).is_folded);
        assert_eq!(told(&pending), [("r-1", 1), ("r-2", 1), ("r-3", 2), ("r-4", 2)]);
        pending.confirm(2);
        assert!(pending.add(after(3), round(7)).is_folded);
        assert_eq!(told(&pending), [("r-3", 3), ("r-4", 3)]);

        let mut pending = Pending::of_earlier_run(round(1));
        assert!(!pending.add(after(0), round(3)).is_folded);
    }

    #[test]
    fn what_is_not_the_same_stays_apart() {
        let mut failed = round(3);
        failed[1].error = Some("403".to_owned());
        failed[1].outcome = LineOutcome::Failed;
        let mut of_another_commit = round(3);
        of_another_commit[1].actor = "Ann".to_owned();
        let held = vec![line(3, "web", Kind::Held, 3, 3)];
        let deeper = vec![line(3, "web", Kind::Drift, 3, 1), line(4, "web", Kind::Change, 1, 3)];
        for between in [failed, of_another_commit, held, deeper] {
            let mut pending = empty();
            pending.add(after(0), round(1));
            assert!(!pending.add(after(1), between).is_folded);
            assert!(!pending.add(after(2), round(5)).is_folded);
        }
        let mut pending = empty();
        pending.add(after(0), round(1));
        let added = pending.add(after(10), round(3));
        assert_eq!(
            added,
            Added { is_news: true, is_folded: false },
            "ten minutes later it is news"
        );
    }
}
