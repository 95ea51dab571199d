//! The steps of one target: fill up, shed what is too many, replace what is outdated one by one.
//!
//! Invariants, each a property test: during a rollout at most one replica more than wanted exists, and no
//! replica that serves is destroyed before another one serves in its place; ordinals are never used twice;
//! applying the steps and planning again gives no steps.

use std::collections::BTreeSet;

use super::live;
use crate::model::{
    Action, ActionKind, Count, Held, HeldReason, Ordinal, Phase, ProviderName, Replica, ReplicaKey,
    Step, TargetId, TemplateHash,
};

/// What a target should look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) target: &'a TargetId,
    pub(super) provider: &'a ProviderName,
    /// `None` when the service has no template: then nothing can be created.
    pub(super) template: Option<&'a TemplateHash>,
    pub(super) effective: Count,
    /// Whether two replicas cannot run side by side, because both would want the same port of the host: then
    /// one is replaced by destroying it first.
    pub(super) has_fixed_port: bool,
    /// Whether the spec change states something about this target; only words depend on it.
    pub(super) is_stated: bool,
}

/// The steps that turn what was found into what is wanted, and what has to wait.
pub(super) fn steps(wanted: &Wanted<'_>, found: &[Replica]) -> (Vec<Step>, Vec<Held>) {
    let mut work = Work::new(wanted, found);
    work.finish_draining(found);
    work.start_stopped();
    work.fill();
    work.shed();
    work.roll();
    (work.steps, work.held)
}

struct Work<'a> {
    wanted: &'a Wanted<'a>,
    count_before: Count,
    /// Replicas of the wanted template on the wanted provider, worst first.
    current: Vec<&'a Replica>,
    /// All others, worst first.
    outdated: Vec<&'a Replica>,
    /// Replicas that this plan creates before the rollout.
    filled: u32,
    taken: BTreeSet<Ordinal>,
    steps: Vec<Step>,
    held: Vec<Held>,
}

/// How expendable a replica is: what does not serve goes before what serves, young numbers before old.
fn worst_first(replica: &Replica) -> (u8, std::cmp::Reverse<Ordinal>) {
    let rank = match replica.phase {
        Phase::Stopped => 0,
        Phase::BackOff { .. } => 1,
        Phase::Unhealthy { .. } => 2,
        Phase::Starting => 3,
        Phase::Ready | Phase::Draining => 4,
    };
    (rank, std::cmp::Reverse(replica.key.ordinal))
}

impl<'a> Work<'a> {
    fn new(wanted: &'a Wanted<'a>, found: &'a [Replica]) -> Self {
        let (mut current, mut outdated): (Vec<_>, Vec<_>) =
            found.iter().filter(|replica| replica.phase != Phase::Draining).partition(|replica| {
                // Without a template there is nothing newer to be outdated by.
                replica.key.provider == *wanted.provider
                    && wanted.template.is_none_or(|template| replica.template == *template)
            });
        current.sort_by_key(|replica| worst_first(replica));
        outdated.sort_by_key(|replica| worst_first(replica));
        Self {
            wanted,
            count_before: live(found),
            current,
            outdated,
            filled: 0,
            taken: found.iter().map(|replica| replica.key.ordinal).collect(),
            steps: Vec::new(),
            held: Vec::new(),
        }
    }

    fn total(&self) -> usize {
        self.current.len() + self.outdated.len() + self.filled as usize
    }

    fn effective(&self) -> usize {
        self.wanted.effective.0 as usize
    }

    /// A replica that was asked to stop is seen to its end: whoever asked may be gone.
    fn finish_draining(&mut self, found: &[Replica]) {
        let actions: Vec<Action> = found
            .iter()
            .filter(|replica| replica.phase == Phase::Draining)
            .map(|replica| destroy(replica, "finish its removal"))
            .collect();
        self.push(actions);
    }

    fn start_stopped(&mut self) {
        // What is too many will be shed, worst first, so only the best of the stopped are started.
        let surplus = self.total().saturating_sub(self.effective());
        let outdated = self.outdated.len();
        let starts: Vec<&Replica> = self
            .current
            .iter()
            .skip(surplus.saturating_sub(outdated))
            .filter(|replica| replica.phase == Phase::Stopped)
            .copied()
            .collect();
        if self.wanted.template.is_none() || starts.is_empty() {
            return;
        }
        let act = |kind: ActionKind| {
            starts
                .iter()
                .map(|replica| Action {
                    key: replica.key.clone(),
                    kind: kind.clone(),
                    why: "it exists but does not run".to_owned(),
                })
                .collect()
        };
        let (begin, wait) = (act(ActionKind::Start), act(ActionKind::AwaitReady));
        self.push(begin);
        self.push(wait);
    }

    fn fill(&mut self) {
        let missing = self.effective().saturating_sub(self.total());
        if missing == 0 {
            return;
        }
        let Some(template) = self.wanted.template else {
            self.held.push(Held {
                ordinals: Vec::new(),
                reason: HeldReason::NoTemplate,
                sentence: format!(
                    "{missing} replicas are missing, and the service has no `template` to make them from",
                ),
            });
            return;
        };
        let why = if self.wanted.is_stated || self.count_before == Count(0) {
            format!("scale {} to {}", self.count_before, self.wanted.effective)
        } else {
            format!("restore {} to {}", self.count_before, self.wanted.effective)
        };
        let mut creates = Vec::with_capacity(missing);
        let mut awaits = Vec::with_capacity(missing);
        for _ in 0..missing {
            let key = self.new_key();
            creates.push(Action {
                key: key.clone(),
                kind: ActionKind::Create { template: template.clone() },
                why: why.clone(),
            });
            awaits.push(Action { key, kind: ActionKind::AwaitReady, why: why.clone() });
            self.filled += 1;
        }
        self.push(creates);
        self.push(awaits);
    }

    /// Destroys what is too many: outdated before current, and of each the worst first.
    fn shed(&mut self) {
        let surplus = self.total().saturating_sub(self.effective());
        if surplus == 0 {
            return;
        }
        let ready = |replicas: &[&Replica]| {
            replicas.iter().filter(|replica| replica.phase == Phase::Ready).count()
        };
        let mut ready_left = ready(&self.current) + ready(&self.outdated);
        // While a surge replica of a rollout is still coming up, the outdated ones hold the line.
        let is_surging = !self.outdated.is_empty()
            && self.current.iter().any(|replica| replica.phase != Phase::Ready);
        let mut actions = Vec::with_capacity(surplus);
        let why = format!("scale {} to {}", self.count_before, self.wanted.effective);
        for _ in 0..surplus {
            let from =
                if self.outdated.is_empty() { &mut self.current } else { &mut self.outdated };
            let Some(replica) = from.first().copied() else { break };
            if replica.phase == Phase::Ready {
                if is_surging && ready_left <= self.wanted.effective.0 as usize {
                    break;
                }
                ready_left -= 1;
            }
            let is_outdated = replica.key.provider != *self.wanted.provider
                || self.wanted.template.is_some_and(|template| replica.template != *template);
            let why = if is_outdated && self.count_before <= self.wanted.effective {
                "template changed".to_owned()
            } else {
                why.clone()
            };
            actions.push(destroy(replica, &why));
            self.taken.remove(&replica.key.ordinal);
            from.remove(0);
        }
        self.push(actions);
    }

    /// Replaces the outdated one by one: create, wait until ready, destroy; or, where a fixed port leaves no
    /// room for a second, destroy, create, wait.
    fn roll(&mut self) {
        if self.outdated.is_empty() {
            return;
        }
        let Some(template) = self.wanted.template else { return };
        let waiting: Vec<&Replica> =
            self.current.iter().filter(|r| r.phase != Phase::Ready).copied().collect();
        let is_starting = waiting.iter().all(|replica| replica.phase == Phase::Starting);
        if is_starting && !waiting.is_empty() {
            // A rollout that was cut short while its newest replica came up goes on from there.
            let actions = waiting.iter().map(|replica| Action {
                key: replica.key.clone(),
                kind: ActionKind::AwaitReady,
                why: "template changed".to_owned(),
            });
            let actions = actions.collect();
            self.push(actions);
            let surplus = self.total().saturating_sub(self.effective()).min(self.outdated.len());
            let replaced: Vec<&Replica> = self.outdated.drain(..surplus).collect();
            for old in &replaced {
                self.taken.remove(&old.key.ordinal);
            }
            self.push(replaced.iter().map(|old| destroy(old, "template changed")).collect());
        } else if let Some(first) = waiting.first() {
            let sentence = match &first.phase {
                Phase::Unhealthy { why } => {
                    format!("the rollout waits for {}, which is unhealthy: {why}", first.key)
                }
                Phase::BackOff { .. } | Phase::Stopped => format!(
                    "the rollout waits for {}, which does not stay up: {}",
                    first.key,
                    first.last_exit.as_ref().map_or("it has not started", |e| e.reason.as_str())
                ),
                Phase::Starting | Phase::Ready | Phase::Draining => {
                    format!("the rollout waits for {}, which is {}", first.key, first.phase.word())
                }
            };
            self.held.push(Held {
                ordinals: waiting.iter().map(|replica| replica.key.ordinal).collect(),
                reason: HeldReason::RolloutWaiting,
                sentence,
            });
            return;
        }
        let why = "template changed".to_owned();
        for old in std::mem::take(&mut self.outdated) {
            let why = if old.key.provider == *self.wanted.provider {
                why.clone()
            } else {
                format!("provider changed from `{}`", old.key.provider)
            };
            let is_in_the_way =
                self.wanted.has_fixed_port && old.key.provider == *self.wanted.provider;
            if is_in_the_way {
                self.push(vec![destroy(old, &why)]);
                self.taken.remove(&old.key.ordinal);
            }
            let key = self.new_key();
            self.push(vec![Action {
                key: key.clone(),
                kind: ActionKind::Create { template: template.clone() },
                why: why.clone(),
            }]);
            self.push(vec![Action { key, kind: ActionKind::AwaitReady, why: why.clone() }]);
            if !is_in_the_way {
                self.push(vec![destroy(old, &why)]);
                self.taken.remove(&old.key.ordinal);
            }
        }
    }

    /// The smallest ordinal that nothing has, and that no earlier step of this plan gives away.
    fn new_key(&mut self) -> ReplicaKey {
        let mut ordinal = Ordinal(0);
        while self.taken.contains(&ordinal) {
            ordinal.0 += 1;
        }
        self.taken.insert(ordinal);
        ReplicaKey {
            target: self.wanted.target.clone(),
            provider: self.wanted.provider.clone(),
            ordinal,
        }
    }

    fn push(&mut self, actions: Vec<Action>) {
        if !actions.is_empty() {
            self.steps.push(Step { actions });
        }
    }
}

fn destroy(replica: &Replica, why: &str) -> Action {
    Action { key: replica.key.clone(), kind: ActionKind::Destroy, why: why.to_owned() }
}
