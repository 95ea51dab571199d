//! Watches the configuration and credential files, and says when one of them changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::run::Event;

/// Watches until dropped.
pub(super) struct FileWatch {
    watcher: notify::RecommendedWatcher,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    folders: BTreeSet<PathBuf>,
}

impl FileWatch {
    /// Watches these files.
    ///
    /// # Errors
    /// [`notify::Error`] when the system lets nothing be watched. A single folder that cannot be watched
    /// is a warning, and the others are.
    pub(super) fn start(
        files: &[PathBuf],
        events: mpsc::Sender<Event>,
    ) -> Result<Self, notify::Error> {
        let watched = Arc::new(Mutex::new(BTreeSet::new()));
        let ours = watched.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let is_change =
                event.kind.is_modify() || event.kind.is_create() || event.kind.is_remove();
            let ours: &BTreeSet<PathBuf> = &ours.lock().unwrap_or_else(PoisonError::into_inner);
            // Kubernetes mounts swap a `..data` link beside the file instead of the file itself.
            let is_ours = event.paths.iter().any(|path| {
                ours.contains(path) || path.file_name().is_some_and(|name| name == "..data")
            });
            if is_change && is_ours {
                // A full queue already holds an event that will make the controller look.
                let _queued = events.try_send(Event::ConfigurationChanged);
            }
        })?;
        let mut watch = Self { watcher, files: watched, folders: BTreeSet::new() };
        watch.renew(files);
        Ok(watch)
    }

    /// Watches these files from now on, and no others. Watches their folders: editors and secret mounts
    /// replace a file rather than write it.
    pub(super) fn renew(&mut self, files: &[PathBuf]) {
        let files: BTreeSet<PathBuf> = files.iter().map(|file| absolute(file)).collect();
        let folders: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent().map(Path::to_path_buf)).collect();
        // Before the folders: the first event may come while the others are added.
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        for folder in self.folders.difference(&folders) {
            // Fails for a folder that was removed, which is no longer watched anyway.
            let _unwatched = self.watcher.unwatch(folder);
        }
        // Also those that were watched before: one that was removed and made again is another folder.
        for folder in &folders {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(
                    %error, folder = %folder.display(),
                    "cannot watch a folder; changes of the configuration's files in it need a restart"
                );
            }
        }
        self.folders = folders;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Events come within a few milliseconds; too short a time could only let the test miss a fault.
    const QUIET: Duration = Duration::from_millis(100);

    async fn is_told_within(time: Duration, events: &mut mpsc::Receiver<Event>) -> bool {
        tokio::time::timeout(time, events.recv()).await.is_ok()
    }

    async fn is_told(events: &mut mpsc::Receiver<Event>) -> bool {
        let is_told = is_told_within(Duration::from_secs(10), events).await;
        // One change may be several events.
        while is_told_within(QUIET, events).await {}
        is_told
    }

    #[tokio::test]
    async fn what_can_be_watched_is_and_another_list_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::create_dir_all(&old).unwrap();
        std::fs::create_dir_all(&new).unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let missing = folder.path().join("missing/file");
        let mut watch = FileWatch::start(&[missing, old.join("file")], sender).unwrap();
        std::fs::write(old.join("file"), "1").unwrap();
        assert!(is_told(&mut events).await);

        watch.renew(&[new.join("file")]);
        std::fs::write(old.join("file"), "2").unwrap();
        std::fs::write(new.join("other"), "3").unwrap();
        assert!(!is_told_within(QUIET, &mut events).await);
        std::fs::write(new.join("file"), "4").unwrap();
        assert!(is_told(&mut events).await);

        std::fs::remove_dir_all(&new).unwrap();
        std::fs::create_dir(&new).unwrap();
        while is_told_within(QUIET, &mut events).await {}
        watch.renew(&[new.join("file")]);
        std::fs::write(new.join("file"), "5").unwrap();
        assert!(is_told(&mut events).await);
    }
}
