//! The codes of what can be wrong with reading a spec from a repository.

use super::Code;

/// The folder or its `spec.yaml` is not in the commit.
pub const SPEC_MISSING: Code = Code("spec-missing");
/// A folder stands where a file should.
pub const SPEC_IS_FOLDER: Code = Code("spec-is-folder");
/// A symbolic link stands where a file or a folder should.
pub const SYMLINK: Code = Code("symlink");
/// A submodule stands where a file or a folder should.
pub const SUBMODULE: Code = Code("submodule");
/// A file, a folder listing or all files together are larger than the limit.
pub const FILE_TOO_LARGE: Code = Code("file-too-large");
/// The spec has more files than the limit.
pub const TOO_MANY_FILES: Code = Code("too-many-files");
/// A name in the repository that no file may have: `..`, slashes, control characters.
pub const ODD_NAME: Code = Code("odd-name");

/// All of them.
pub const ALL: [Code; 7] =
    [SPEC_MISSING, SPEC_IS_FOLDER, SYMLINK, SUBMODULE, FILE_TOO_LARGE, TOO_MANY_FILES, ODD_NAME];
