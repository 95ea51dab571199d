//! What several themes of tests need: real servers and faults, repositories to serve, and controllers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

pub(crate) mod containers;
pub(crate) mod controller;
pub(crate) mod dockerd;
pub(crate) mod fault_proxy;
pub(crate) mod git_servers;
pub(crate) mod github;
pub(crate) mod infra;
pub(crate) mod load;
pub(crate) mod programs;
pub(crate) mod prometheus;
pub(crate) mod relay;
pub(crate) mod repo;
pub(crate) mod running;
pub(crate) mod web_server;

use std::path::{Path, PathBuf};

/// Every file of this name under a folder.
pub(crate) fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|found| found == name) {
                found.push(path);
            }
        }
    }
    found
}
