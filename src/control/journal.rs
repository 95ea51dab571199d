//! History lines that are not on the status branch yet, kept on disk so that a crash loses none.
//!
//! A line is in the journal before its change counts as recorded and leaves it after the push that carries
//! it was confirmed. A crash in between makes it be pushed again, and its id keeps it from being there twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::record::HistoryLine;

/// Unreadable journals that are kept: each is a fault that somebody should look at.
const ASIDE_MAX: u32 = 100;

/// The journal file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes up what is unpublished, and leaves a journal that can be added to. A last line cut short by a
    /// crash was not recorded and is dropped. Other lines that cannot be read (of a newer version, or on
    /// a damaged disk) stay where nothing touches them: the old file is kept aside.
    pub(super) fn restore(&self) -> io::Result<Vec<HistoryLine>> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut lines = Vec::new();
        let mut unreadable = 0_usize;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(read) => lines.push(read),
                Err(_) if line.ends_with(b"\n") => unreadable += 1,
                Err(_) => {}
            }
        }
        if unreadable > 0 {
            let aside = self.keep_aside()?;
            tracing::warn!(
                lines = unreadable, kept = %aside.display(),
                "lines of the journal of unpublished history cannot be read and will not be published"
            );
        }
        // A line cut short must not be continued by the next one.
        self.replace(&lines)?;
        Ok(lines)
    }

    /// Keeps the present file under another name, too: until it is replaced, nothing may be lost.
    fn keep_aside(&self) -> io::Result<PathBuf> {
        for number in 1..=ASIDE_MAX {
            let aside = with_suffix(&self.path, &format!(".unreadable-{number}"));
            match std::fs::hard_link(&self.path, &aside) {
                Ok(()) => return Ok(aside),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => {
                    // No links on this file system; the name is free.
                    std::fs::copy(&self.path, &aside)?;
                    return Ok(aside);
                }
            }
        }
        Err(io::Error::other(format!(
            "there are {ASIDE_MAX} unreadable journals already: look at them and remove them"
        )))
    }

    /// Adds lines; returns once they are on the disk.
    pub(super) fn append(&self, lines: &[HistoryLine]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&encode(lines)?)?;
        file.sync_data()
    }

    /// Replaces all lines, at once or not at all.
    pub(super) fn replace(&self, lines: &[HistoryLine]) -> io::Result<()> {
        let temporary = with_suffix(&self.path, ".new");
        let mut file = File::create(&temporary)?;
        file.write_all(&encode(lines)?)?;
        file.sync_data()?;
        std::fs::rename(&temporary, &self.path)
    }
}

fn encode(lines: &[HistoryLine]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        out.push(b'\n');
    }
    Ok(out)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sentence: &str) -> HistoryLine {
        serde_json::from_value(serde_json::json!({
            "v": 1, "id": "r-1", "time": "2026-01-01T00:00:00Z",
            "target": {"service": "web", "region": "local"},
            "kind": "change", "from": 1, "to": 2, "reason": "at-desired", "sentence": sentence,
            "specCommit": "a".repeat(40), "actor": "tidegate", "outcome": "applied",
            "durationMs": 1, "dryRun": false,
        }))
        .unwrap()
    }

    #[test]
    fn a_line_cut_short_by_a_crash_is_dropped_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::at(path.clone());
        assert_eq!(journal.restore().unwrap(), []);
        let line = line("→ ä");
        journal.append(std::slice::from_ref(&line)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let within_letters = (0..whole.len()).filter(|at| whole[*at] >= 0x80);
        for cut in within_letters.chain([1, whole.len() - 2]) {
            std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            assert_eq!(journal.restore().unwrap(), std::slice::from_ref(&line), "cut at {cut}");
        }
        journal.append(std::slice::from_ref(&line)).unwrap();
        assert_eq!(journal.restore().unwrap().len(), 2);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was kept aside");
    }

    #[test]
    fn lines_around_unreadable_ones_are_kept_and_the_old_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::at(path.clone());
        let line = line("");
        journal.append(std::slice::from_ref(&line)).unwrap();
        let good = std::fs::read(&path).unwrap();
        for number in 1..=2 {
            let old = [&good[..], b"{\"v\": 9}\n\xff\xfe\n", &good[..]].concat();
            std::fs::write(&path, &old).unwrap();
            assert_eq!(journal.restore().unwrap(), [line.clone(), line.clone()]);
            assert_eq!(journal.restore().unwrap().len(), 2);
            let aside = with_suffix(&path, &format!(".unreadable-{number}"));
            assert_eq!(std::fs::read(aside).unwrap(), old);
        }
    }
}
