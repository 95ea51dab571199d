//! Finds the file behind `template.command[0]`.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The program name that means this very binary, so that its built-in worker needs no installation.
const OWN_NAME: &str = "tidegate";

/// The program's file: this binary, a path (relative to the working folder), or the first match on the
/// replica's search path. `None` if there is no executable file of that name.
pub(super) fn find(
    program: &str,
    own: &Path,
    cwd: &Path,
    search_path: Option<&OsStr>,
) -> Option<PathBuf> {
    if program == OWN_NAME {
        return Some(own.to_owned());
    }
    if program.contains('/') {
        return Some(cwd.join(program)).filter(|path| is_executable(path));
    }
    std::env::split_paths(search_path?)
        .map(|dir| dir.join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    const ANY_EXECUTE_BIT: u32 = 0o111;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & ANY_EXECUTE_BIT != 0)
}
