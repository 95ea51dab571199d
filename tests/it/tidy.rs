//! The rules that a single package cannot enforce by itself: who may use whom, and what must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/`, each with the modules that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("spec", &["model"]),
    ("git", &["model"]),
    ("plan", &["model"]),
    ("record", &["model"]),
    ("store", &["model"]),
    ("decide", &["model", "spec"]),
    ("providers", &["model", "spec"]),
    ("observe", &["model", "spec", "providers"]),
    ("apply", &["model", "providers", "plan"]),
    // Words for people come from plan's renderings.
    ("forge", &["model", "plan"]),
    // Listens: the forge's webhooks, which only wake the loop.
    ("serve", &["model", "forge", "control"]),
    // Reads `tidegate.yaml`: spec's loader and diagnostics, what providers and metric sources accept, and what
    // the store keeps.
    ("config", &["model", "spec", "providers", "observe", "store"]),
    // Lets recorded time pass, asks `decide` at every tick, and words the result like a plan.
    ("backtest", &["model", "spec", "decide", "plan"]),
    (
        "control",
        &[
            "model",
            "spec",
            "git",
            "plan",
            "record",
            "store",
            "decide",
            "providers",
            "observe",
            "apply",
            "config",
            // Pull requests: what a changed policy would have done, and where the plan is told.
            "backtest",
            "forge",
        ],
    ),
    // A view: control's functions, plan's renderings, spec's diagnostics. It starts the hidden worker and
    // supervisor of the process provider, and the demo looks at its replicas.
    (
        "cli",
        &[
            "model",
            "spec",
            "git",
            "plan",
            "record",
            "store",
            "decide",
            "backtest",
            "config",
            "control",
            "apply",
            "observe",
            "providers",
            "forge",
            "serve",
            "telemetry",
        ],
    ),
    ("telemetry", &[]),
];

/// Longer files are cut by subject.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a file that are product code: what stands before the tests in it.
fn product_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap();
    name == "tests.rs"
        || path.parent().unwrap().ends_with("tests")
        || path.ends_with("model/testing.rs")
}

/// Our modules named after `crate::`, also inside `use crate::{a, b::c}`.
fn used_modules(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let code: String = product_lines(text)
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            None => vec![rest],
            Some(group) => {
                let mut depth = 0;
                let end = group.find(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth < 0
                });
                let group = &group[..end.unwrap()];
                let mut depth = 0;
                group
                    .split(|c| {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        c == ',' && depth == 0
                    })
                    .map(str::trim)
                    .collect()
            }
        };
        for name in names {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            used.insert(name[..end].to_owned());
        }
    }
    used.retain(|name| !name.is_empty());
    used
}

#[test]
fn modules_use_only_what_they_may() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let relative = path.strip_prefix(root().join("src")).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") || is_test(&path) {
            continue;
        }
        let allowed =
            may_use.get(module).unwrap_or_else(|| panic!("`{module}` is not in the table"));
        for used in used_modules(&fs::read_to_string(&path).unwrap()) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses `{used}`", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these imports go against the flow:\n{}", wrong.join("\n"));
}

#[test]
fn no_provider_knows_another() {
    let folder = root().join("src/providers");
    let providers: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(providers.contains(&"process".to_owned()));
    for provider in &providers {
        assert!(folder.join(provider).join("docs.md").is_file(), "{provider} has no docs.md");
        let conformance = root().join(format!("tests/it/conformance/{provider}.rs"));
        assert!(conformance.is_file(), "{provider} has no {}", conformance.display());
        for path in files(&folder.join(provider), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for other in providers.iter().filter(|other| *other != provider) {
                let import = format!("providers::{other}");
                assert!(!text.contains(&import), "{} names {import}", path.display());
            }
        }
    }
}

#[test]
fn the_pure_stages_do_no_io() {
    let effects = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "tokio",
        "reqwest",
        "git2",
        "fastrand",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
    ];
    for stage in ["model", "spec", "decide", "plan", "record", "backtest"] {
        for path in files(&root().join("src").join(stage), "rs") {
            if is_test(&path) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for line in product_lines(&text).filter(|line| !line.trim_start().starts_with("//")) {
                for effect in effects {
                    assert!(!line.contains(effect), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = files(&root().join("src"), "rs")
        .into_iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "cut these by subject:\n{}", long.join("\n"));
}

#[test]
fn no_test_file_is_forgotten() {
    for path in files(&root().join("tests/it"), "rs") {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path == root().join("tests/it/main.rs") {
            continue;
        }
        let (parent, name) = match stem {
            "mod" => {
                let folder = path.parent().unwrap();
                (folder.parent().unwrap(), folder.file_name().unwrap().to_str().unwrap())
            }
            _ => (path.parent().unwrap(), stem),
        };
        let beside = parent.with_extension("rs");
        let candidates = [parent.join("mod.rs"), parent.join("main.rs"), beside];
        let is_listed = candidates.iter().filter(|file| file.is_file()).any(|file| {
            let text = fs::read_to_string(file).unwrap();
            text.lines().any(|line| line.trim_end().ends_with(&format!("mod {name};")))
        });
        assert!(is_listed, "{} is in no module list", path.display());
    }
}

#[test]
fn the_readme_names_the_two_commands_and_what_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- demo", "tests/run"] {
        assert!(readme.contains(command), "README.md does not name `{command}`");
    }
    assert!(readme.lines().count() <= 200, "README.md is longer than a newcomer reads");
    let spec = fs::read_to_string(root().join("examples/quickstart/controller/spec.yaml")).unwrap();
    let shown: Vec<&str> =
        spec.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    assert!(readme.contains(&shown.join("\n")), "README.md does not show the quickstart's spec");
    let policies =
        fs::read_to_string(root().join("examples/policies/controller/spec.yaml")).unwrap();
    let policy = policies
        .split("\n\n")
        .find_map(|part| part.find("  - name: requests\n").map(|at| &part[at..]));
    assert!(readme.contains(policy.unwrap()), "README.md does not show the smallest policy");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
        assert!(root().join(link).exists(), "README.md links to {link}, which does not exist");
    }
}

#[test]
fn the_top_level_stays_as_it_is() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "src",
        "schema",
        "examples",
        "deploy",
        "tests",
        "target",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "{name} does not belong here"
        );
    }
}
