//! History lines that are not on the status branch yet, kept on disk so that a crash loses none.
//!
//! A line is in the journal before its change counts as recorded and leaves it after the push that carries
//! it was confirmed. A crash in between makes it be pushed again, and its id keeps it from being there twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::record::HistoryLine;

/// The journal file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads what is unpublished. A last line cut short by a crash was not recorded and is dropped.
    pub(super) fn read(&self) -> io::Result<Vec<HistoryLine>> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
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

    #[test]
    fn a_line_cut_short_by_a_crash_is_dropped_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::at(folder.path().join("journal.jsonl"));
        assert_eq!(journal.read().unwrap(), []);
        let line: HistoryLine = serde_json::from_value(serde_json::json!({
            "v": 1, "id": "r-1", "time": "2026-01-01T00:00:00Z",
            "target": {"service": "web", "region": "local"},
            "kind": "change", "from": 1, "to": 2, "reason": "at-desired", "sentence": "",
            "specCommit": "a".repeat(40), "actor": "tidegate", "outcome": "applied",
            "durationMs": 1, "dryRun": false,
        }))
        .unwrap();
        journal.append(&[line.clone(), line.clone()]).unwrap();
        let text = std::fs::read(folder.path().join("journal.jsonl")).unwrap();
        std::fs::write(folder.path().join("journal.jsonl"), &text[..text.len() - 9]).unwrap();
        assert_eq!(journal.read().unwrap(), std::slice::from_ref(&line));
        journal.replace(&[line.clone(), line]).unwrap();
        assert_eq!(journal.read().unwrap().len(), 2);
    }
}
