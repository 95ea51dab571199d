//! Any bytes as `spec.yaml`: loading and rendering never panic.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz spec_load tests/corpus/spec`
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::model::{SourceFile, Sources};
use tidegate::spec;

fuzz_target!(|bytes: &[u8]| {
    let file = SourceFile { path: "spec.yaml".to_owned(), bytes: bytes.to_vec() };
    let sources = Sources { spec: Some(file), ..Sources::default() };
    let loaded = spec::load(&sources, None);
    let _ = spec::render::text(&loaded.diagnostics, &sources, false);
});
