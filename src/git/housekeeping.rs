//! Keeps a repository of ours small: packs loose objects, and joins small packs. Nothing is ever dropped, not
//! even what no reference reaches: another reader may be at it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::GitError;
use super::bare::{io, storage};

/// Loose objects from which on they are packed: some 200 status commits. The pack is never written again, so
/// that the work follows the number of new objects and not the length of the history.
const LOOSE_OBJECTS_MAX: usize = 1_000;
/// Small packs (a fetch makes one) from which on they are joined: each lookup asks every pack.
const SMALL_PACKS_MAX: usize = 40;
/// Objects below which a pack is small. Joining ends once this many are together.
const SMALL_PACK_OBJECTS: usize = LOOSE_OBJECTS_MAX;
/// Bytes before the list of ids in a pack index of version 2: signature, version, 256 counts (gitformat-pack).
const INDEX_HEADER_BYTES: usize = 8 + 256 * 4;
/// Bytes of an object id.
const ID_BYTES: usize = 20;
/// Bytes of the index of a small pack: header, for each object id, checksum and offset, and two checksums.
const SMALL_INDEX_BYTES: u64 =
    (INDEX_HEADER_BYTES + SMALL_PACK_OBJECTS * (ID_BYTES + 4 + 4) + 2 * ID_BYTES) as u64;

/// Packs what is worth packing; says whether it did. Either part of it handles fewer objects than twice
/// [`LOOSE_OBJECTS_MAX`] and a burst of new ones, however many there are.
pub(super) fn consolidate(dir: &Path) -> Result<bool, GitError> {
    let objects = dir.join("objects");
    let has_packed = pack_loose(dir, &objects)?;
    let has_joined = join_small(dir, &objects.join("pack"))?;
    Ok(has_packed || has_joined)
}

fn pack_loose(dir: &Path, objects: &Path) -> Result<bool, GitError> {
    let loose = loose_objects(objects)?;
    if loose.len() < LOOSE_OBJECTS_MAX {
        return Ok(false);
    }
    let ids = loose.iter().map(|(id, _)| *id).collect();
    write_pack(dir, &objects.join("pack"), &ids).map_err(storage("packing objects", dir))?;
    for (_, path) in loose {
        fs::remove_file(&path).map_err(io(&path))?;
    }
    Ok(true)
}

fn join_small(dir: &Path, packs_dir: &Path) -> Result<bool, GitError> {
    let mut packs = small_packs(packs_dir)?;
    if packs.len() < SMALL_PACKS_MAX {
        return Ok(false);
    }
    // The smallest first: so none is written many times before it is no longer small.
    packs.sort_by_key(|(_, ids)| ids.len());
    let mut joined = BTreeSet::new();
    let mut old = Vec::new();
    for (index, ids) in packs {
        if joined.len() >= SMALL_PACK_OBJECTS {
            break;
        }
        joined.extend(ids);
        old.push(index);
    }
    let kept = write_pack(dir, packs_dir, &joined).map_err(storage("joining packs", dir))?;
    for index in old.into_iter().filter(|index| *index != kept) {
        // The index first: without it, what is left of a pack is not seen.
        fs::remove_file(&index).map_err(io(&index))?;
        let pack = index.with_extension("pack");
        fs::remove_file(&pack).map_err(io(&pack))?;
    }
    Ok(true)
}

fn write_pack(dir: &Path, packs_dir: &Path, ids: &BTreeSet<Oid>) -> Result<PathBuf, git2::Error> {
    let repository = Repository::open_bare(dir)?;
    let mut builder = repository.packbuilder()?;
    for id in ids {
        builder.insert_object(*id, None)?;
    }
    builder.write(packs_dir, 0o444)?;
    let name = builder.name()?.ok_or_else(|| git2::Error::from_str("the new pack has no name"))?;
    let index = packs_dir.join(format!("pack-{name}.idx"));
    if index.exists() {
        Ok(index)
    } else {
        Err(git2::Error::from_str("the new pack is not where it should be"))
    }
}

fn loose_objects(objects: &Path) -> Result<Vec<(Oid, PathBuf)>, GitError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(objects).map_err(io(objects))?.flatten() {
        let folder = entry.path();
        let Some(prefix) = entry.file_name().to_str().filter(|n| n.len() == 2).map(str::to_owned)
        else {
            continue;
        };
        for file in fs::read_dir(&folder).map_err(io(&folder))?.flatten() {
            let id = file.file_name().to_str().and_then(|rest| {
                (rest.len() == 38).then(|| Oid::from_str(&format!("{prefix}{rest}")).ok())?
            });
            found.extend(id.map(|id| (id, file.path())));
        }
    }
    Ok(found)
}

/// Indexes of the packs that are small, and the ids in them.
fn small_packs(packs_dir: &Path) -> Result<Vec<(PathBuf, Vec<Oid>)>, GitError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(packs_dir).map_err(io(packs_dir))?.flatten() {
        let path = entry.path();
        // Told by the size of the index, so that large ones need not be read.
        let is_small = path.extension().is_some_and(|e| e == "idx")
            && path.with_extension("pack").exists()
            && entry.metadata().is_ok_and(|m| m.len() < SMALL_INDEX_BYTES);
        if is_small {
            let ids = ids_of(&path)?;
            found.push((path, ids));
        }
    }
    Ok(found)
}

fn ids_of(index: &Path) -> Result<Vec<Oid>, GitError> {
    let bytes = fs::read(index).map_err(io(index))?;
    let broken = || GitError::Storage {
        doing: "reading a pack index",
        path: index.to_owned(),
        source: git2::Error::from_str("not a pack index of version 2"),
    };
    if !bytes.starts_with(&[0xff, b't', b'O', b'c', 0, 0, 0, 2]) {
        return Err(broken());
    }
    let total = bytes
        .get(INDEX_HEADER_BYTES - 4..INDEX_HEADER_BYTES)
        .and_then(|b| b.first_chunk::<4>())
        .map(|b| u32::from_be_bytes(*b) as usize)
        .ok_or_else(broken)?;
    let ids =
        bytes.get(INDEX_HEADER_BYTES..INDEX_HEADER_BYTES + total * ID_BYTES).ok_or_else(broken)?;
    ids.chunks_exact(ID_BYTES).map(|id| Oid::from_bytes(id).map_err(|_| broken())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(repository: &Repository, numbers: std::ops::Range<usize>) -> BTreeSet<Oid> {
        numbers.map(|n| repository.blob(n.to_string().as_bytes()).unwrap()).collect()
    }

    fn packs(dir: &Path) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(dir.join("objects/pack")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|e| e == "idx")).collect()
    }

    fn assert_all_are_there(dir: &Path, ids: &BTreeSet<Oid>) {
        let repository = Repository::open_bare(dir).unwrap();
        assert!(ids.iter().all(|id| repository.find_blob(*id).is_ok()));
        assert_eq!(loose_objects(&dir.join("objects")).unwrap(), []);
    }

    #[test]
    fn what_is_packed_is_not_packed_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let repository = Repository::init_bare(dir).unwrap();
        let mut all = BTreeSet::new();
        let mut before = BTreeSet::new();
        for bout in 0..3 {
            let numbers = bout * LOOSE_OBJECTS_MAX..(bout + 1) * LOOSE_OBJECTS_MAX;
            all.extend(blobs(&repository, numbers));
            assert!(consolidate(dir).unwrap());
            let now = packs(dir);
            assert!(now.is_superset(&before));
            assert_eq!(now.len(), bout + 1);
            before = now;
            assert!(!consolidate(dir).unwrap());
        }
        assert_all_are_there(dir, &all);
    }

    #[test]
    fn small_packs_are_joined_until_they_are_not_small() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let repository = Repository::init_bare(dir).unwrap();
        let mut all = BTreeSet::new();
        // Half as many objects again as one pack needs: the smallest 30 packs make it.
        let sizes = (0..SMALL_PACKS_MAX).map(|n| 20 + n);
        for size in sizes {
            let ids = blobs(&repository, all.len()..all.len() + size);
            write_pack(dir, &dir.join("objects/pack"), &ids).unwrap();
            all.extend(ids);
        }
        for (_, path) in loose_objects(&dir.join("objects")).unwrap() {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(packs(dir).len(), SMALL_PACKS_MAX);
        assert!(consolidate(dir).unwrap());
        let left = packs(dir);
        assert_eq!(left.len(), 1 + 10);
        let counts = left.iter().map(|index| ids_of(index).unwrap().len());
        assert_eq!(counts.max().unwrap(), (20..50).sum::<usize>());
        assert_eq!(small_packs(&dir.join("objects/pack")).unwrap().len(), 10);
        assert!(!consolidate(dir).unwrap());
        assert_all_are_there(dir, &all);
    }
}
