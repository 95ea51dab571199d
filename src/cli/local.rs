//! A spec folder on this machine's disk, read as the repository's would be.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::model::{FILE_BYTES_MAX, FILES_MAX, SourceFile, Sources};

/// Reads a spec: a file, a folder with `spec.yaml`, or a folder with `controller/spec.yaml`.
pub(super) fn read(path: &Path) -> anyhow::Result<Sources> {
    if path.is_file() {
        return Ok(Sources { spec: Some(file(path)?), ..Sources::default() });
    }
    let folder = [path.to_path_buf(), path.join("controller")]
        .into_iter()
        .find(|folder| folder.join("spec.yaml").is_file() || folder.join("services").is_dir())
        .with_context(|| {
            format!(
                "find a spec: there is neither `{0}/spec.yaml` nor `{0}/controller/spec.yaml`; name a \
                 file or folder, or write one with `tidegate init`",
                path.display()
            )
        })?;
    let spec = folder.join("spec.yaml");
    Ok(Sources {
        spec: if spec.is_file() { Some(file(&spec)?) } else { None },
        services: files(&folder.join("services"))?,
        policies: files(&folder.join("policies"))?,
        findings: Vec::new(),
    })
}

fn files(folder: &Path) -> anyhow::Result<Vec<SourceFile>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("list the folder `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("list the folder `{}`", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            bail!("the folder `{}` has more than {FILES_MAX} files", folder.display());
        }
    }
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> anyhow::Result<SourceFile> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| format!("read `{name}`"))?.len();
    if size > FILE_BYTES_MAX as u64 {
        bail!("`{name}` has {size} bytes; a spec file may have at most {FILE_BYTES_MAX}");
    }
    let bytes = std::fs::read(path).with_context(|| format!("read `{name}`"))?;
    Ok(SourceFile { path: name, bytes })
}
