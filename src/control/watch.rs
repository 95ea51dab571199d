//! Watches the configuration and credential files, and says when one of them changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::run::Event;

/// Watches until dropped.
pub(super) struct FileWatch {
    _watcher: notify::RecommendedWatcher,
}

impl FileWatch {
    /// Watches the folders of these files: editors and secret mounts replace a file rather than write it.
    pub(super) fn start(
        files: &[PathBuf],
        events: mpsc::Sender<Event>,
    ) -> Result<Self, notify::Error> {
        let names: BTreeSet<PathBuf> = files.iter().map(|file| absolute(file)).collect();
        let folders: BTreeSet<PathBuf> =
            names.iter().filter_map(|file| file.parent().map(Path::to_path_buf)).collect();
        let watched = names.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                let is_change =
                    event.kind.is_modify() || event.kind.is_create() || event.kind.is_remove();
                // Kubernetes mounts swap a `..data` link beside the file instead of the file itself.
                let is_ours = event.paths.iter().any(|path| {
                    watched.contains(path) || path.file_name().is_some_and(|name| name == "..data")
                });
                if is_change && is_ours {
                    // A full queue already holds an event that will make the controller look.
                    let _queued = events.try_send(Event::ConfigurationChanged);
                }
            })?;
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher })
    }
}

fn absolute(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}
