//! What may happen, and the quiet end at which everything must come to rest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate::apply::StopSign;
use tidegate::control::Controller;
use tidegate::control::run::{EVENTS_MAX, Surroundings, run};
use tidegate::model::{Count, HeldReason, TargetPlan};
use tidegate::providers::testing::{FakeReplica, Fault, FaultKind};
use tokio::sync::mpsc;

use super::rig::{BRANCH, Rig, at_most};
use super::spec::IDS;

/// Polls after which a kill no longer falls into a cycle.
const KILL_POLLS_MAX: usize = 40;
/// Cycles by which everything must have come to rest.
const SETTLE_CYCLES_MAX: u32 = 30;

/// One thing happens.
pub(super) async fn random(rig: &mut Rig) {
    match rig.rng.u32(0..100) {
        0..25 => cycle(rig).await,
        25..45 => outside(rig),
        45..55 if !rig.is_calm => killed_cycle(rig).await,
        55..62 if !rig.is_calm => killed_push(rig).await,
        62..66 => {
            rig.tell("restart");
            rig.controller = None;
        }
        66..76 => race(rig).await,
        76..82 if !rig.is_calm => outage(rig).await,
        82..84 if !rig.is_calm => locked_branch(rig).await,
        84..87 => deleted_branch(rig).await,
        87..89 => flapping(rig).await,
        89..95 => on_its_own(rig).await,
        _ => flush(rig).await,
    }
}

/// Something happens that the controller has no part in.
fn outside(rig: &mut Rig) {
    match rig.rng.u32(0..13) {
        10.. => load(rig),
        0..5 => {
            let what = rig.spec.edit(&mut rig.rng);
            rig.tell(format!("somebody {what}"));
            rig.commit_spec();
        }
        5 => bad_commit(rig),
        6 | 7 if !rig.is_calm => faults(rig),
        _ => meddle(rig),
    }
}

/// The load moves, or is not measured for a while.
fn load(rig: &mut Rig) {
    let id = IDS[rig.rng.usize(..4)];
    // A zero is doubted at first, and nothing is measured by no number.
    let load = match rig.rng.u32(0..10) {
        0 => 0.0,
        1 => f64::NAN,
        _ => f64::from(rig.rng.u32(1..90)),
    };
    rig.loads.insert(id, load);
    rig.is_measured = rig.rng.u32(0..5) > 0;
    rig.measure();
    rig.tell(format!("the load of {id} is {load}, measured: {}", rig.is_measured));
}

fn bad_commit(rig: &mut Rig) {
    let bad = ["services: [{id: web, bogus: 1}]\n", "", "services: {\n", "services: [{id: UP}]\n"];
    let text = bad[rig.rng.usize(..4)];
    rig.repo.commit("main", &[("controller/spec.yaml", text.as_bytes())]);
    rig.is_valid = false;
    rig.tell(format!("a bad commit: {text:?}"));
}

fn faults(rig: &mut Rig) {
    use FaultKind::{Denied, DoneButCut, DoneButSilent, RateLimited, Stale, Unavailable};
    let kinds = [Unavailable, RateLimited, Denied, DoneButCut, DoneButSilent, Stale];
    let ops = ["observe", "create", "start", "destroy", "any"];
    let faults: Vec<Fault> = (0..rig.rng.usize(1..9))
        .map(|_| Fault { op: ops[rig.rng.usize(..5)].to_owned(), kind: kinds[rig.rng.usize(..6)] })
        .collect();
    rig.tell(format!("faults: {:?}", faults.iter().map(|f| (&f.op, f.kind)).collect::<Vec<_>>()));
    rig.fake.with_world(|world| world.faults.extend(faults));
}

/// Somebody removes or stops replicas.
fn meddle(rig: &mut Rig) {
    for _ in 0..rig.rng.u32(1..4) {
        let choice = rig.rng.usize(..);
        let is_removal = rig.rng.u32(0..3) > 0;
        let hit = rig.fake.with_world(|world| {
            let ours: Vec<usize> = (0..world.replicas.len())
                .filter(|i| {
                    let replica = &world.replicas[*i];
                    replica.owner.as_str() == "me" && replica.provider.as_str() == "fake"
                })
                .collect();
            let index = *ours.get(choice % ours.len().max(1))?;
            let replica = world.replicas[index].clone();
            if is_removal {
                world.replicas.remove(index);
            } else {
                world.replicas[index].running = false;
            }
            Some(replica)
        });
        let Some(replica) = hit else { return };
        let word = if is_removal { "removes" } else { "stops" };
        if is_removal {
            *rig.killed.entry(replica.target.clone()).or_default() += 1;
        }
        rig.tell(format!("somebody {word} {}#{}", replica.target, replica.ordinal));
    }
}

async fn cycle(rig: &mut Rig) {
    if let Some(ended) = cycle_of(rig, usize::MAX).await {
        rig.tell(format!("cycle: {ended}"));
    }
}

/// Poll and tick, for at most so many polls of the future.
async fn cycle_of(rig: &mut Rig, polls: usize) -> Option<String> {
    // A start may take long: its database has threads that the paused clock does not wait for.
    rig.controller().await;
    rig.measure();
    let controller = rig.controller().await;
    let work = async {
        if let Err(error) = controller.poll().await {
            return format!("poll failed: {error}");
        }
        match controller.tick(&StopSign::default()).await {
            Ok(ticked) => format!("{} targets acted on", ticked.outcomes.len()),
            Err(tidegate::control::ControlError::NoSpec(_)) => "no spec yet".to_owned(),
            Err(error) => panic!("tick: {error}"),
        }
    };
    let ended = at_most(polls, work).await;
    check_in_force(rig);
    rig.note_adopted();
    ended
}

/// With a bad head the last good commit is in force, whatever was killed in between.
fn check_in_force(rig: &Rig) {
    let good = rig.controller.as_ref().and_then(|controller| controller.source().good());
    if !rig.is_valid && rig.adopted.is_some() {
        assert_eq!(good.map(|good| &good.commit), rig.adopted.as_ref(), "the spec in force");
    }
}

async fn killed_cycle(rig: &mut Rig) {
    let polls = rig.rng.usize(1..KILL_POLLS_MAX);
    match cycle_of(rig, polls).await {
        Some(ended) => rig.tell(format!("cycle, then a kill: {ended}")),
        None => rig.tell(format!("a kill in a cycle, after {polls} polls")),
    }
    rig.kill();
}

async fn flush(rig: &mut Rig) {
    let result = rig.controller().await.flush().await;
    rig.tell(format!("flush: {result:?}"));
}

async fn killed_push(rig: &mut Rig) {
    cycle(rig).await;
    let polls = rig.rng.usize(1..4);
    let ended = at_most(polls, rig.controller().await.flush()).await;
    rig.tell(format!("a kill while pushing: {ended:?}"));
    rig.kill();
}

/// The other writer pushes, before or at the same time.
async fn race(rig: &mut Rig) {
    cycle(rig).await;
    let racer = rig.racer();
    rig.tell("the other writer pushes");
    if rig.rng.bool() {
        tokio::task::spawn_blocking(racer).await.unwrap();
    } else {
        let thread = std::thread::spawn(racer);
        flush(rig).await;
        thread.join().unwrap();
    }
}

/// The repository cannot be reached for a while.
async fn outage(rig: &mut Rig) {
    cycle(rig).await;
    let (here, away) = (rig.repo.path.clone(), rig.dir.path().join("away.git"));
    std::fs::rename(&here, &away).unwrap();
    rig.tell("the repository is out of reach");
    cycle(rig).await;
    if let Some(controller) = &mut rig.controller {
        // A cycle without a poll goes on with the spec in force.
        let _ticked = controller.tick(&StopSign::default()).await;
    }
    flush(rig).await;
    let is_killed = rig.rng.bool();
    if is_killed {
        rig.kill();
        let started = Controller::start(
            rig.setup(),
            rig.clock.clone(),
            tidegate::control::Purpose::Act,
            Arc::new(|_| {}),
        )
        .await;
        assert!(started.is_err(), "started without a repository");
    }
    std::fs::rename(&away, &here).unwrap();
    rig.tell("the repository is back");
}

/// Somebody deletes the spec branch, and puts it back where it was.
async fn deleted_branch(rig: &mut Rig) {
    cycle(rig).await;
    let head = rig.repo.open().refname_to_id("refs/heads/main").unwrap();
    rig.repo.delete_branch("main");
    let was_valid = std::mem::replace(&mut rig.is_valid, false);
    rig.tell("the spec branch is deleted");
    cycle(rig).await;
    if !rig.is_calm && rig.rng.bool() {
        rig.kill();
        cycle(rig).await;
    }
    rig.repo.set_branch("main", head);
    rig.is_valid = was_valid;
    rig.tell("the spec branch is back");
    cycle(rig).await;
    let refused = rig.controller().await.source().refused().cloned();
    assert_eq!(refused.is_none(), was_valid, "{refused:?}");
}

/// A replica of one target dies again and again.
async fn flapping(rig: &mut Rig) {
    let target = rig.fake.with_world(|world| {
        let ours = |r: &&FakeReplica| r.owner.as_str() == "me" && r.provider.as_str() == "fake";
        world.replicas.iter().find(ours).map(|replica| replica.target.clone())
    });
    let Some(target) = target else { return };
    for _ in 0..rig.rng.u32(3..8) {
        let is_hit = rig.fake.with_world(|world| {
            let index = world.replicas.iter().position(|replica| {
                replica.owner.as_str() == "me"
                    && replica.provider.as_str() == "fake"
                    && replica.target == target
            });
            index.map(|index| world.replicas.remove(index)).is_some()
        });
        *rig.killed.entry(target.clone()).or_default() += i64::from(is_hit);
        rig.tell(format!("one of {target} dies"));
        rig.pass(Duration::from_secs(20)).await;
        cycle(rig).await;
        if rig.rng.u32(0..4) == 0 {
            flush(rig).await;
        }
    }
}

/// A lock left on the status branch refuses every push for a while.
async fn locked_branch(rig: &mut Rig) {
    cycle(rig).await;
    let lock: PathBuf = rig.repo.path.join(format!("refs/heads/{BRANCH}.lock"));
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    std::fs::write(&lock, "").unwrap();
    rig.tell("the status branch is locked");
    flush(rig).await;
    std::fs::remove_file(&lock).unwrap();
}

/// The controller runs its own loop for some minutes, while things happen, and ends by a shutdown or a kill.
async fn on_its_own(rig: &mut Rig) {
    rig.controller().await;
    let controller = rig.controller.take().unwrap();
    let shutdown = StopSign::default();
    let around = Surroundings {
        clock: rig.clock.clone(),
        shutdown: shutdown.clone(),
        reload: Arc::new(|| Err("nothing to reload".to_owned())),
        files: Vec::new(),
        on_cycle: Arc::new(|_| {}),
    };
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    rig.tell("the controller runs on its own");
    let mut running = Box::pin(run(controller, around, receiver, sender));
    for _ in 0..rig.rng.u32(2..6) {
        let pause = Duration::from_millis(rig.rng.u64(100..60_000));
        tokio::select! {
            ended = &mut running => panic!("the loop ended: {ended:?}"),
            () = tokio::time::sleep(pause) => outside(rig),
        }
    }
    if rig.is_calm || rig.rng.bool() {
        rig.tell("shutdown");
        shutdown.raise();
        running.await.unwrap();
    } else {
        rig.tell("a kill of the loop");
    }
    // What it adopted on its own is not known here.
    rig.adopted = None;
}

/// Whether a target of the spec has as many as it will have under a load that stays.
fn rests(rig: &Rig, plan: &TargetPlan) -> bool {
    let (service, region) = (plan.target.service.as_str(), plan.target.region.as_str());
    let stated = rig.spec.services.get(service).filter(|s| s.regions.contains_key(region));
    stated.is_none_or(|s| plan.count == Some(Count(s.rests_at(region, rig.loads[service]))))
}

/// The faults end, a valid spec is in force, and cycles go on until nothing is left to do.
pub(super) async fn settle(rig: &mut Rig) {
    rig.tell("everything calms down");
    rig.fake.with_world(|world| world.faults.clear());
    rig.is_measured = true;
    for id in IDS {
        let load = f64::from(rig.rng.u32(1..90));
        rig.loads.insert(id, load);
    }
    if rig.rng.bool() {
        rig.spec.allow_all();
    }
    rig.commit_spec();
    let mut is_at_rest = false;
    for _ in 0..SETTLE_CYCLES_MAX {
        rig.pass(Duration::from_secs(15)).await;
        cycle(rig).await;
        let plan = rig.controller().await.plan().await.unwrap().plan;
        let held: Vec<HeldReason> =
            plan.targets.iter().flat_map(|target| &target.held).map(|held| held.reason).collect();
        let is_done =
            plan.targets.iter().all(|target| target.steps.is_empty() && !target.change.is_stated());
        let is_vanished = |reason: &HeldReason| {
            matches!(reason, HeldReason::VanishedService | HeldReason::VanishedRegion)
        };
        // What is in the way of a count is told by the decision after the one that moved it.
        let was_at_rest = std::mem::replace(
            &mut is_at_rest,
            is_done && held.iter().all(is_vanished) && plan.targets.iter().all(|t| rests(rig, t)),
        );
        if is_at_rest && was_at_rest {
            assert_eq!(plan.is_no_changes(), held.is_empty());
            let flushed = rig.controller().await.flush().await;
            assert!(flushed.is_ok(), "{flushed:?}");
            return;
        }
        if held.contains(&HeldReason::MassDestroy) {
            rig.tell("somebody allows the mass destruction");
            rig.spec.allow_all();
            rig.commit_spec();
        }
    }
    let plan = rig.controller().await.plan().await.unwrap().plan;
    panic!("not at rest after {SETTLE_CYCLES_MAX} cycles: {:#?}", plan.targets);
}
