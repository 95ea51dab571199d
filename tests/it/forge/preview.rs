//! The comment on the command line: the same bytes as at the forge, and the same again from a snapshot, far from
//! everything.

use std::fs;

use jiff::Timestamp;
use tidegate::model::{Moment, TargetId};
use tidegate::store::{Batch, Reading, Retention, Sample, Store};

use super::scene::{SPEC, Scene};
use crate::support::controller::{run, tidegate};
use crate::support::github::Proposal;

fn plan(scene: &Scene, args: &[&str]) -> crate::support::controller::Ran {
    scene.bench.tidegate(&[&["plan"], args].concat())
}

/// What a snapshot gives on a machine that has nothing else.
fn elsewhere(snapshot: &std::path::Path, args: &[&str]) -> crate::support::controller::Ran {
    let empty = tempfile::tempdir().unwrap();
    let snapshot = snapshot.display().to_string();
    run(tidegate(empty.path()).args(["plan", "--from", &snapshot]).args(args))
}

#[test]
fn the_command_line_shows_what_the_forge_has_and_a_snapshot_repeats_it() {
    let scene = Scene::new("");
    scene.push(&[("api", 1, "1"), ("web", 2, "1")]);
    let mut controller = scene.run();
    let number = scene.open("More web", &[("api", 1, "1"), ("web", 4, "1")]);
    scene.wait_for_comment(&mut controller, number, "Create 2 replicas");
    let head = scene.forge.pull(number).head;
    scene.wait_for_check(&mut controller, &head, "tidegate/plan", "success");
    scene.forge.forget_requests();

    let snapshot = scene.bench.path("snapshot.json");
    let (pr, file) = (number.to_string(), snapshot.display().to_string());
    let shown = plan(&scene, &["--pr", &pr, "--save", &file]).code(0);
    let comment = scene.comment(number).unwrap();
    assert_eq!(shown.stdout, format!("{comment}\n"));
    assert_eq!(elsewhere(&snapshot, &[]).code(0).stdout, shown.stdout);
    assert_eq!(elsewhere(&snapshot, &["--detailed-exitcode"]).code(2).stdout, shown.stdout);
    let document = elsewhere(&snapshot, &["--output", "json"]).code(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["totals"]["create"], 2, "{document:#}");
    assert_eq!(scene.forge.counts().writes_in_all(), 0, "looking writes nothing");

    // Not valid, not there, into another branch.
    let broken = scene.bench.spec(&[("web", 2, "1")]).replace("desired: 2", "desired: 12");
    let broken = scene.open_text("Too many", &broken).to_string();
    let refused = plan(&scene, &["--pr", &broken, "--save", &file]).code(1);
    assert!(refused.stdout.contains("bounds-order"), "{refused}");
    assert_eq!(elsewhere(&snapshot, &[]).code(1).stdout, refused.stdout);
    let missing = plan(&scene, &["--pr", "77"]).code(1);
    assert!(missing.stderr.contains("#77"), "{missing}");
    scene.forge.push_to("other", &[("x", Some(b"x"))], "acme");
    let other = scene.forge.open(&Proposal {
        base: "other",
        files: &[(SPEC, Some(b"services: []\n"))],
        ..Proposal::default()
    });
    let other = plan(&scene, &["--pr", &other.to_string()]).code(1);
    assert!(other.stderr.contains("`other`"), "{other}");

    // What is no snapshot, and one of a version to come.
    fs::write(&snapshot, "{}").unwrap();
    let bad = elsewhere(&snapshot, &[]).code(1);
    assert!(bad.stderr.contains("snapshot"), "{bad}");
    fs::write(&snapshot, "{\"version\": 99}").unwrap();
    let newer = elsewhere(&snapshot, &[]).code(1);
    assert!(newer.stderr.contains("version 99"), "{newer}");
    controller.end();
    scene.forge.finish();
}

/// A day of a load that rises and falls, one value every 15 seconds up to now.
fn record_a_day(scene: &Scene, target: &TargetId) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let now = Moment::from(Timestamp::now());
        let state = scene.bench.path("state");
        fs::create_dir_all(&state).unwrap();
        let store = Store::open(&state.join("state.db"), Retention::default()).await;
        let samples = (0..24 * 240).map(|n: i64| Sample {
            target: target.clone(),
            signal: "load".try_into().unwrap(),
            at: Moment(now.0 - n * 15_000),
            reading: Reading::Value(40.0 + 30.0 * (n as f64 / 240.0).sin()),
        });
        store.record(now, Batch { samples: samples.collect(), ..Batch::default() });
        store.flush().await.unwrap();
        store.close().await;
    });
}

#[test]
fn a_changed_policy_is_replayed_on_what_was_recorded() {
    let scene = Scene::new("");
    scene.bench.load(&[("load", 40.0)]);
    scene.configure_with_script();
    let policy = |per_replica: u32| {
        format!(
            "{{signals: {{load: {{source: script, metric: load, maxAge: 10m}}}}, targets: [{{signal: load, \
             perReplica: {per_replica}}}]}}"
        )
    };
    let spec = |per_replica| {
        format!("services:\n{}", scene.bench.moved("web", [1, 4, 20], "", &policy(per_replica)))
    };
    scene.forge.push_to("main", &[(SPEC, Some(spec(10).as_bytes()))], "acme");
    record_a_day(&scene, &crate::support::load::local("web"));
    let mut controller = scene.run();
    let number = scene.open_text("Let a replica do more", &spec(20));
    scene.wait_for_comment(&mut controller, number, "replica-hours");
    let comment = scene.comment(number).unwrap();
    assert!(comment.contains("\nxychart-beta\n"), "{comment}");
    let row = comment.lines().find(|line| line.starts_with("| replica-hours |")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let [old, new] = [cells[2], cells[3]].map(|cell| cell.parse::<f64>().unwrap());
    assert!(0.5 * old < new && new < 0.7 * old, "twice the load for each replica: {row}");
    controller.end();
    scene.forge.finish();
}
