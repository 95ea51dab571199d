//! Bursts and pauses asked for while others write: nobody's is lost, and the branch stays whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tidegate::record::overrides::{OVERRIDES_PATH, OverrideSet};

use crate::support::controller::{Bench, STATUS_BRANCH, run};
use crate::support::git_servers::GitHttp;
use crate::support::infra::Infra;
use crate::support::programs::wait_until;

/// Bursts that each person asks for.
const EACH: usize = 4;
/// Times at which a command is killed.
const KILLS: u32 = 12;

fn set(bench: &Bench) -> OverrideSet {
    let name = format!("refs/heads/{STATUS_BRANCH}");
    if bench.repo.open().find_reference(&name).is_err() {
        return OverrideSet::default();
    }
    let bytes = bench.repo.file(STATUS_BRANCH, OVERRIDES_PATH);
    bytes.map_or_else(OverrideSet::default, |bytes| OverrideSet::parse(&bytes).unwrap())
}

#[track_caller]
fn assert_in_a_line(bench: &Bench) {
    let mut parents: Vec<usize> =
        bench.repo.history(STATUS_BRANCH).into_iter().map(|(_, count)| count).collect();
    assert_eq!(parents.pop(), Some(0));
    assert!(parents.iter().all(|count| *count == 1), "{parents:?}");
}

#[test]
fn people_and_a_controller_write_at_once_and_nothing_is_lost() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    // Two people at one machine, and one at another.
    let state = bench.path("state").display().to_string();
    let elsewhere = bench.config().replace(&state, &bench.path("elsewhere").display().to_string());
    fs::write(bench.path("elsewhere.yaml"), elsewhere).unwrap();
    let mut controller = bench.run();
    controller.wait("the first status", || bench.status().is_some());

    let mut commands = Vec::new();
    for (person, config) in [("a", "tidegate"), ("b", "tidegate"), ("c", "elsewhere")] {
        let make = |n: usize| {
            let reason = format!("{person}-{n}");
            let mut command =
                bench.command(&["burst", "web", "-n", "3", "--author", person, "-m", &reason]);
            command.env("TIDEGATE_CONFIG", bench.path(&format!("{config}.yaml")));
            command
        };
        commands.push((0..EACH).map(make).collect::<Vec<_>>());
    }
    thread::scope(|scope| {
        for person in commands {
            scope.spawn(move || {
                for mut command in person {
                    run(&mut command).code(0);
                }
            });
        }
        // Meanwhile the controller has something to say, again and again.
        for replicas in 2..7 {
            bench.push(&bench.spec(&[("web", replicas, "1")]));
            controller.wait("a change on the status branch", || {
                bench.history().last().is_some_and(|line| line.to >= replicas)
            });
        }
    });
    let set = set(&bench);
    let mut reasons: Vec<&str> = set.bursts().iter().map(|burst| burst.reason.as_str()).collect();
    reasons.sort_unstable();
    let mut expected: Vec<String> =
        ["a", "b", "c"].iter().flat_map(|p| (0..EACH).map(move |n| format!("{p}-{n}"))).collect();
    expected.sort_unstable();
    assert_eq!(reasons, expected);
    assert_in_a_line(&bench);
    bench.assert_history_is_true();
    controller.end();
}

#[test]
fn a_command_that_is_killed_leaves_all_or_nothing() {
    let bench = Bench::new(Infra::fake);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let burst = ["burst", "web", "-n", "3", "-m", "r", "--author", "A"];
    let mut before = 0;
    for n in 0..KILLS {
        let mut child =
            bench.command(&burst).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not waited for anything: each time it is somewhere else.
        thread::sleep(Duration::from_millis(u64::from(n) * 15));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = set(&bench).bursts().len();
        assert!(after == before || after == before + 1, "{before} became {after}");
        before = after;
    }
    bench.tidegate(&burst).code(0);
    assert_eq!(set(&bench).bursts().len(), before + 1);
    assert_in_a_line(&bench);
}

#[test]
fn a_command_that_is_killed_while_it_pushes_keeps_nobody_from_the_next() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let [began, goes_on] = ["began", "goes-on"].map(|name| bench.path(name).display().to_string());
    let hook = bench.repo.path.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script =
        format!("#!/bin/sh\ntouch {began}\nwhile [ ! -e {goes_on} ]; do sleep 0.05; done\n");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let pause = ["pause", "web", "-m", "r", "--author", "A"];
    let mut child =
        bench.command(&pause).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the push", || bench.path("began").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(&goes_on, "").unwrap();
    // Whether the server finishes what it was sent is its own affair.
    bench.tidegate(&pause).code(0);
    let pauses = set(&bench).pauses().len();
    assert!(pauses == 1 || pauses == 2, "{pauses}");
    bench.tidegate(&["resume", "web"]).code(0);
    wait_until("the end of all pauses", || set(&bench).pauses().is_empty());
    assert_in_a_line(&bench);
}

#[test]
fn the_controller_keeps_what_it_does_not_write_itself() {
    let bench = Bench::new(Infra::fake);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let burst = ["burst", "web", "-n", "1", "-m", "r", "--author", "A"];
    bench.tidegate(&burst).code(0);
    let before = set(&bench);
    bench.tidegate(&["apply"]).code(0);
    bench.push(&bench.spec(&[("web", 3, "1")]));
    bench.tidegate(&["apply"]).code(0);
    assert_eq!(set(&bench), before);
    assert!(before.bursts().iter().all(|burst| burst.is_in_force(Timestamp::now().into())));
    assert!(bench.history().len() >= 2);
}
