//! Keeps a repository of ours small: packs loose objects, and joins small packs. Nothing is ever dropped, not
//! even what no reference reaches: another reader may be at it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::GitError;
use super::bare::{io, storage};

/// Loose objects from which on they are packed: some 200 status commits.
const LOOSE_OBJECTS_MAX: usize = 1_000;
/// Small packs from which on they are joined: each lookup asks every pack.
const SMALL_PACKS_MAX: usize = 40;
/// Bytes below which a pack is small. Larger ones are left alone, so the work does not grow with history.
const SMALL_PACK_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes before the list of ids in a pack index of version 2: signature, version, 256 counts (gitformat-pack).
const INDEX_HEADER_BYTES: usize = 8 + 256 * 4;
/// Bytes of an object id.
const ID_BYTES: usize = 20;

/// Packs what is worth packing; says whether it did.
pub(super) fn consolidate(dir: &Path) -> Result<bool, GitError> {
    let objects = dir.join("objects");
    let packs_dir = objects.join("pack");
    let loose = loose_objects(&objects)?;
    let packs = small_packs(&packs_dir)?;
    if loose.len() < LOOSE_OBJECTS_MAX && packs.len() < SMALL_PACKS_MAX {
        return Ok(false);
    }
    let mut ids: BTreeSet<Oid> = loose.iter().map(|(id, _)| *id).collect();
    for pack in &packs {
        ids.extend(ids_of(pack)?);
    }
    let kept = write_pack(dir, &packs_dir, &ids).map_err(storage("packing objects", dir))?;
    for (_, path) in loose {
        fs::remove_file(&path).map_err(io(&path))?;
    }
    for index in packs.into_iter().filter(|index| *index != kept) {
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

/// Indexes of the packs that are small.
fn small_packs(packs_dir: &Path) -> Result<Vec<PathBuf>, GitError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(packs_dir).map_err(io(packs_dir))?.flatten() {
        let path = entry.path();
        let is_small = path.extension().is_some_and(|e| e == "idx")
            && fs::metadata(path.with_extension("pack")).is_ok_and(|m| m.len() < SMALL_PACK_BYTES);
        if is_small {
            found.push(path);
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
