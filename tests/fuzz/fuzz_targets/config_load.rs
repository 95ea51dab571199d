//! Any bytes as `tidegate.yaml`: loading and rendering never panic.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz config_load tests/corpus/config`
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::config;

fuzz_target!(|bytes: &[u8]| {
    let (_, diagnostics) = config::load(bytes, "tidegate.yaml");
    let _ = config::render_text(&diagnostics, "tidegate.yaml", bytes, false);
});
