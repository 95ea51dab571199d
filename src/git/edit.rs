//! Edits of the status branch as data: applied to whatever the branch holds now, so that losing a race to
//! another writer loses nothing, and applying one twice changes nothing.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Tree};

use super::GitError;
use super::bare::storage;
use super::read::{self, Kind};

/// Lines of a history file from which on a new part is begun. Every commit writes the last part again, so this
/// and the next bound what a commit costs, however long the history is.
pub const PART_LINES_MAX: usize = 2_000;
/// Bytes of a history file from which on a new part is begun.
pub const PART_BYTES_MAX: usize = 1024 * 1024;
/// What stands before a line's key.
const KEY_PREFIX: &[u8] = b"\"id\":\"";
/// Characters of a path in the status branch.
const PATH_CHARS_MAX: usize = 512;

/// A change of the status branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The file is this, whatever it was.
    Put {
        /// Path in the branch.
        path: String,
        /// Content.
        content: Vec<u8>,
    },
    /// The lines are in the history, each once. They go to `<path_stem>.jsonl`, and when that is full to
    /// `<path_stem>.1.jsonl` and so on.
    Append {
        /// Path in the branch without `.jsonl`.
        path_stem: String,
        /// For each line its key, which stands in it as `"id":"<key>"`, and the line without its end. A line
        /// whose key is in any part already is left out.
        lines: Vec<(String, String)>,
    },
}

impl Edit {
    /// Refuses what could not be applied exactly once.
    pub(super) fn check(&self) -> Result<(), GitError> {
        let (path, why) = match self {
            Self::Put { path, .. } => (path, None),
            Self::Append { path_stem, lines } => (
                path_stem,
                lines.iter().find_map(|(key, line)| {
                    if key.is_empty() || key.contains(['"', '\\']) || key.contains(char::is_control)
                    {
                        Some(
                            "a key must be text without quotes, backslashes and control characters",
                        )
                    } else if line.contains(['\n', '\r']) {
                        Some("a line must not have a line end inside")
                    } else if !line.contains(&format!("\"id\":\"{key}\"")) {
                        Some("a line must hold its key as `\"id\":\"<key>\"`")
                    } else {
                        None
                    }
                }),
            ),
        };
        let path_ok = path.len() <= PATH_CHARS_MAX
            && !path.contains(char::is_control)
            && path
                .split('/')
                .all(|name| !matches!(name, "" | "." | "..") && !name.eq_ignore_ascii_case(".git"));
        let why = if path_ok { why } else { Some("not a path inside the branch") };
        match why {
            None => Ok(()),
            Some(why) => Err(GitError::InvalidEdit { path: path.clone(), why }),
        }
    }
}

/// The keys in each part of the history that was read before, as hashes: parts are immutable under their id,
/// so only a new last part has to be read. A hit is confirmed in the part itself.
#[derive(Debug, Default)]
pub(super) struct KeyIndex(HashMap<Oid, HashSet<u64>>);

/// The tree that `edits` make of `base`, or of nothing.
pub(super) fn apply(
    repository: &Repository,
    base: Option<&Tree<'_>>,
    edits: &[Edit],
    index: &mut KeyIndex,
) -> Result<Oid, GitError> {
    let fail = |error| storage("writing the status", repository.path())(error);
    let empty = repository.treebuilder(None).and_then(|b| b.write()).map_err(fail)?;
    let mut tree = match base {
        Some(base) => base.clone(),
        None => repository.find_tree(empty).map_err(fail)?,
    };
    let mut seen = HashSet::new();
    for edit in edits {
        let files = match edit {
            Edit::Put { path, content } => BTreeMap::from([(path.clone(), content.clone())]),
            Edit::Append { path_stem, lines } => {
                append(repository, &tree, path_stem, lines, index, &mut seen).map_err(fail)?
            }
        };
        if files.is_empty() {
            continue;
        }
        let mut update = TreeUpdateBuilder::new();
        for (path, content) in files {
            let blob = repository.blob(&content).map_err(fail)?;
            update.upsert(path, blob, FileMode::Blob);
        }
        tree = update
            .create_updated(repository, &tree)
            .and_then(|id| repository.find_tree(id))
            .map_err(fail)?;
    }
    index.0.retain(|id, _| seen.contains(id));
    Ok(tree.id())
}

/// The parts that change when `lines` are appended, with their new content.
fn append(
    repository: &Repository,
    tree: &Tree<'_>,
    stem: &str,
    lines: &[(String, String)],
    index: &mut KeyIndex,
    seen: &mut HashSet<Oid>,
) -> Result<BTreeMap<String, Vec<u8>>, git2::Error> {
    let parts = parts_of(repository, tree, stem)?;
    for id in parts.values() {
        seen.insert(*id);
        if !index.0.contains_key(id) {
            let hashes = keys_in(repository.odb()?.read(*id)?.data()).map(hash).collect();
            index.0.insert(*id, hashes);
        }
    }
    let mut number = parts.keys().next_back().copied().unwrap_or(0);
    let mut part = match parts.get(&number) {
        Some(id) => repository.odb()?.read(*id)?.data().to_vec(),
        None => Vec::new(),
    };
    let mut part_lines = part.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
    let mut changed = BTreeMap::new();
    let mut is_changed = false;
    let mut added = HashSet::new();
    for (key, line) in lines {
        if !added.insert(key) || is_present(repository, &parts, index, key)? {
            continue;
        }
        if part_lines >= PART_LINES_MAX || part.len() >= PART_BYTES_MAX {
            let full = std::mem::take(&mut part);
            if is_changed {
                changed.insert(part_path(stem, number), full);
            }
            number += 1;
            part_lines = 0;
        }
        if part.last().is_some_and(|b| *b != b'\n') {
            part.push(b'\n');
        }
        part.extend_from_slice(line.as_bytes());
        part.push(b'\n');
        part_lines += 1;
        is_changed = true;
    }
    if is_changed {
        changed.insert(part_path(stem, number), part);
    }
    Ok(changed)
}

fn is_present(
    repository: &Repository,
    parts: &BTreeMap<u32, Oid>,
    index: &KeyIndex,
    key: &str,
) -> Result<bool, git2::Error> {
    let wanted = hash(key.as_bytes());
    for id in parts.values() {
        if index.0.get(id).is_some_and(|keys| keys.contains(&wanted))
            && keys_in(repository.odb()?.read(*id)?.data()).any(|found| found == key.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The parts of a history that are there, by number.
fn parts_of(
    repository: &Repository,
    tree: &Tree<'_>,
    stem: &str,
) -> Result<BTreeMap<u32, Oid>, git2::Error> {
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let Some((Kind::Folder, folder)) = read::entry_at(repository, tree, folder)? else {
        return Ok(BTreeMap::new());
    };
    let mut parts = BTreeMap::new();
    for entry in &repository.find_tree(folder)? {
        let number =
            entry.name().ok().and_then(|n| n.strip_prefix(name)?.strip_suffix(".jsonl")).and_then(
                |n| if n.is_empty() { Some(0) } else { n.strip_prefix('.')?.parse().ok() },
            );
        let is_file = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000;
        if let (Some(number), true) = (number, is_file) {
            parts.insert(number, entry.id());
        }
    }
    Ok(parts)
}

fn part_path(stem: &str, number: u32) -> String {
    if number == 0 { format!("{stem}.jsonl") } else { format!("{stem}.{number}.jsonl") }
}

/// Every `"id":"…"` in a file.
fn keys_in(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let at = rest.windows(KEY_PREFIX.len()).position(|w| w == KEY_PREFIX)?;
        rest = rest.get(at + KEY_PREFIX.len()..)?;
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\n'))?;
        let (key, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(key)
    })
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
