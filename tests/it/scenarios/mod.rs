//! Scenario scripts in virtual time: each file of `tests/scenarios` is a spec, a line `---`, and a script;
//! what is decided is compared with a golden file. `README.md` beside the scripts explains the language.

mod script;
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate::model::Reason;

/// Present only in a child process that runs all scripts and prints their outcomes.
const CHILD: &str = "TIDEGATE_TEST_SCENARIOS";
/// What a child prints around the outcomes.
const MARK: &str = "==== outcome ====\n";

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    found.sort();
    found
}

fn run(path: &Path) -> script::Outcome {
    script::run(&path.display().to_string(), &std::fs::read_to_string(path).unwrap())
}

#[test]
fn every_scenario_decides_as_its_golden_file_says() {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::glob!("../../scenarios", "*.txt", |path| {
            insta::assert_snapshot!("scenario", run(path).text);
        });
    });
}

#[test]
fn every_reason_occurs_in_some_scenario() {
    let seen: BTreeSet<Reason> = scripts().iter().flat_map(|path| run(path).reasons).collect();
    // These two are about what happened without a decision.
    let elsewhere = [Reason::Drift, Reason::Removed];
    let missing: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| !seen.contains(reason) && !elsewhere.contains(reason))
        .map(|reason| reason.code())
        .collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}

/// Two other processes, with other memory layouts and other hash seeds, decide byte for byte the same.
#[test]
fn other_processes_decide_the_same() {
    let expected = all();
    for _ in 0..2 {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "scenarios::print_all_scenarios", "--nocapture", "--test-threads=1"])
            .env(CHILD, "yes")
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        let said = said.split(MARK).nth(1).unwrap();
        let differs = said.lines().zip(expected.lines()).find(|(said, expected)| said != expected);
        assert_eq!(differs, None);
        assert_eq!(said.len(), expected.len());
    }
}

/// The child of the test above; by itself it has nothing to do.
#[test]
fn print_all_scenarios() {
    if std::env::var_os(CHILD).is_some() {
        println!("{MARK}{}{MARK}", all());
    }
}

/// Every decision and every memory of all scenarios, in full.
fn all() -> String {
    scripts().iter().map(|path| run(path)).map(|outcome| outcome.text + &outcome.evidence).collect()
}
