//! Processor time and memory of the controller at 100, 1,000 and 10,000 targets, on the fake world and a real
//! repository on the disk. `README.md` beside this file says what each figure means.
//!
//! Each size is measured in a process of its own, so that one does not leave its memory to the next.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a measurement that cannot go on has failed, and is at the edge itself"
)]

mod decide;
mod fleet;
mod measure;
mod pulls;
mod store;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used here")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::apply::StopSign;
use tidegate::control::{Controller, Good, Polled, Purpose};
use tidegate::decide::{World, decide_all};
use tidegate::model::{CommitId, Observed};
use tidegate::plan::render;
use tidegate::providers::testing::FakeProvider;
use tidegate::{plan, spec};

use measure::Runs;

/// As in the program that is measured, and counted.
#[global_allocator]
static ALLOCATOR: measure::Counted = measure::Counted;

/// The sizes, in targets.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Replicas that every target has.
const DESIRED: usize = 2;
/// Runs of which the least, the median and the most are reported.
const RUNS: usize = 15;
/// Measures deciding alone.
const DECIDE: &str = "decide";
/// Measures pull requests, with the whole program.
const PULLS: &str = "pulls";
/// Where the child finds its folder: present only in a child.
const CHILD: &str = "--child";
/// Measures recording instead, at a number of targets and of hours.
const STORE: &str = "--store";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [word, targets, folder] if word == CHILD => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let report = runtime.block_on(child(targets.parse().unwrap(), folder.as_ref()));
            println!("{report}");
        }
        words if words.iter().any(|word| word == PULLS) => {
            println!("{}", serde_json::to_string_pretty(&pulls::report()).unwrap());
        }
        words if words.iter().any(|word| word == DECIDE) => {
            println!("{}", serde_json::to_string_pretty(&decide::report()).unwrap());
        }
        [word, targets, hours, ..] if word == STORE => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let measured = store::recording(targets.parse().unwrap(), hours.parse().unwrap());
            println!("{}", serde_json::to_string_pretty(&runtime.block_on(measured)).unwrap());
        }
        // Cargo passes `--bench`; a number measures that size alone.
        _ => {
            let wanted: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
            let sizes = if wanted.is_empty() { SIZES.to_vec() } else { wanted };
            let reports: Vec<Value> = sizes.into_iter().map(parent).collect();
            println!("{}", serde_json::to_string_pretty(&reports).unwrap());
        }
    }
}

/// Prepares the repository of one size, and has a process of its own measure it.
fn parent(targets: usize) -> Value {
    let temp = tempfile::tempdir().unwrap();
    fleet::make_repository(temp.path(), &fleet::spec(targets, DESIRED));
    let done = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, &targets.to_string()])
        .arg(temp.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(done.status.success(), "the measurement of {targets} targets failed");
    serde_json::from_slice(&done.stdout).unwrap()
}

async fn child(targets: usize, folder: &Path) -> Value {
    let world = FakeProvider::in_memory("world".try_into().unwrap());
    let idle = idle(folder, &world).await;
    let start = start_to_plan(folder, &world).await;
    let change = change(targets, folder, &world).await;
    json!({ "targets": targets, "idle_cycle": idle, "start_to_first_plan": start, "change": change })
}

/// One cycle with nothing to do: the poll of the repository, the tick, and the look for what to publish.
async fn idle(folder: &Path, world: &FakeProvider) -> Value {
    let mut controller = converged(folder, world).await;
    let stop = StopSign::default();
    measure::forget_peak();
    let mut runs = Runs::default();
    for _ in 0..RUNS {
        let ticked = runs
            .measure(async {
                assert_eq!(controller.poll().await.unwrap(), Polled::Unchanged);
                let ticked = controller.tick(&stop).await.unwrap();
                controller.flush().await.unwrap();
                ticked
            })
            .await;
        assert!(ticked.planned.plan.is_no_changes(), "an idle cycle has something to do");
    }
    let mut report = runs.summary();
    report["memory"] = measure::memory();
    report
}

/// A controller whose world is as its spec says, and whose status branch says so.
async fn converged(folder: &Path, world: &FakeProvider) -> Controller {
    let mut controller = fleet::controller(folder, world, Purpose::Act).await;
    let stop = StopSign::default();
    controller.poll().await.unwrap();
    let planned = controller.plan().await.unwrap();
    fleet::populate(world, controller.setup(), &planned.plan);
    // The first tick finds the replicas, the second has nothing to do.
    for _ in 0..2 {
        let _ticked = controller.tick(&stop).await.unwrap();
        controller.flush().await.unwrap();
    }
    controller
}

/// From nothing to the first plan, with the mirror there already: what a restart takes.
async fn start_to_plan(folder: &Path, world: &FakeProvider) -> Value {
    let mut runs = Runs::default();
    for _ in 0..RUNS {
        let controller = runs
            .measure(async {
                let mut controller = fleet::controller(folder, world, Purpose::Act).await;
                let _polled = controller.poll().await.unwrap();
                let planned = controller.plan().await.unwrap();
                (controller, planned)
            })
            .await;
        drop(controller);
    }
    runs.summary()
}

/// A commit that changes every target: its text validated, decided, planned and shown.
async fn change(targets: usize, folder: &Path, world: &FakeProvider) -> Value {
    let mut controller = fleet::controller(folder, world, Purpose::Look).await;
    let planned = controller.plan().await.unwrap();
    let catalogue = controller.setup().catalogue.clone();
    let before = planned.good.clone();
    let observed = planned.observed;
    let sources = fleet::sources(fleet::spec(targets, DESIRED + 1));
    let commit = CommitId::try_from("c".repeat(40)).unwrap();
    let (mut all, mut load, mut decide, mut plan) =
        (Runs::default(), Runs::default(), Runs::default(), Runs::default());
    for _ in 0..RUNS {
        let text = all
            .measure(async {
                let spec = load.measure(async { spec::load(&sources, Some(&catalogue)) }).await;
                let spec = spec.spec.unwrap();
                let decisions = decide
                    .measure(async {
                        let world = World {
                            now: observed.at.into(),
                            spec: &spec,
                            templates: &before.templates,
                            observed: &observed,
                            measured: &BTreeMap::new(),
                            bursts: &[],
                            pauses: &[],
                            prices: &catalogue.prices,
                        };
                        decide_all(&world, &mut BTreeMap::new())
                    })
                    .await;
                let input = Changed { before: &before, observed: &observed, commit: &commit };
                plan.measure(async {
                    let plan = input.plan(&spec, &decisions, &catalogue.prices);
                    assert_eq!(plan.totals.create, targets);
                    render::text(&plan, false)
                })
                .await
            })
            .await;
        assert!(text.len() > targets);
    }
    let mut report = all.summary();
    report["validate"] = load.summary();
    report["decide"] = decide.summary();
    report["plan_and_render"] = plan.summary();
    report
}

/// A plan from one spec to another.
struct Changed<'a> {
    before: &'a Arc<Good>,
    observed: &'a Observed,
    commit: &'a CommitId,
}

impl Changed<'_> {
    fn plan(
        &self,
        spec: &tidegate::model::Spec,
        decisions: &[tidegate::model::Decision],
        prices: &tidegate::model::Prices,
    ) -> tidegate::model::Plan {
        plan::plan(&plan::Input {
            spec,
            spec_commit: self.commit,
            base: Some((&self.before.spec, &self.before.commit)),
            templates: &plan::template_hashes(spec),
            observed: self.observed,
            decisions,
            done: &std::collections::BTreeSet::new(),
            prices,
            now: self.observed.at,
        })
    }
}
