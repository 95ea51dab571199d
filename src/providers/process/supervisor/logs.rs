//! Takes what a replica prints to files that cannot grow without limit.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

/// Bytes taken from a pipe at once: there are two such buffers for each replica on the host.
const CHUNK_BYTES: usize = 4096;

/// A log file and the one before it.
#[derive(Debug)]
pub(super) struct RotatedFile {
    path: PathBuf,
    bytes_max: u64,
    open: Option<(File, u64)>,
}

impl RotatedFile {
    pub(super) fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, bytes_max, open: None }
    }

    /// Appends; before the file would grow over its limit, it takes the place of the one before it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        if self.open.as_ref().is_some_and(|(_, length)| length + added > self.bytes_max) {
            self.open = None;
            let mut before = self.path.clone().into_os_string();
            before.push(".1");
            std::fs::rename(&self.path, before)?;
        }
        let (mut file, length) = match self.open.take() {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
                let length = file.metadata()?.len();
                (file, length)
            }
        };
        file.write_all(bytes)?;
        self.open = Some((file, length + added));
        Ok(())
    }
}

/// Carries everything from a pipe to a file until the pipe ends.
///
/// A full disk loses output; it never stops the replica, which would wait for ever on a full pipe.
pub(super) async fn carry(pipe: OwnedFd, mut file: RotatedFile) -> io::Result<()> {
    let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        if let Some(bytes) = chunk.get(..length) {
            let _lost = file.append(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_hold_the_latest_output_within_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        let mut file = RotatedFile::new(path.clone(), 10);
        for word in ["aaaa", "bbbb", "cccc", "dddd", "eeee"] {
            file.append(word.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "eeee");
        let before = dir.path().join("stdout.log.1");
        assert_eq!(std::fs::read_to_string(&before).unwrap(), "ccccdddd");

        // Another supervisor goes on where this one ended.
        RotatedFile::new(path.clone(), 10).append(b"ffff").unwrap();
        let mut third = RotatedFile::new(path.clone(), 10);
        third.append(b"").unwrap();
        third.append(b"gggg").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "gggg");
        assert_eq!(std::fs::read_to_string(&before).unwrap(), "eeeeffff");
    }
}
