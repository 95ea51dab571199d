//! Replays the fuzzers' corpus and all examples through both loaders: none may panic or hang.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use tidegate::model::{SourceFile, Sources};
use tidegate::{config, spec};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn no_known_input_panics_or_hangs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join("tests/corpus"), &mut found);
    files(&root.join("examples"), &mut found);
    assert!(found.len() > 50, "the corpus is where it is looked for");
    for path in found {
        let bytes = std::fs::read(&path).unwrap();
        let start = Instant::now();
        let file = SourceFile { path: "input".to_owned(), bytes };
        let (_, diagnostics) = config::load(&file.bytes, "input");
        let _ = config::render_text(&diagnostics, "input", &file.bytes, true);
        for sources in [
            Sources { spec: Some(file.clone()), ..Sources::default() },
            Sources { services: vec![file.clone()], ..Sources::default() },
            Sources { policies: vec![file], ..Sources::default() },
        ] {
            let loaded = spec::load(&sources, None);
            let _ = spec::render::text(&loaded.diagnostics, &sources, true);
        }
        // Generous for a busy machine and a build without optimisation; a blow-up takes minutes.
        assert!(start.elapsed().as_secs() < 60, "{}", path.display());
    }
}
