//! Reads a spec's files from the object database of a commit. Follows nothing, and reports every hazard as a
//! finding: a repository's content is never trusted.

use git2::{ObjectType, Oid, Repository, Tree};

use super::codes;
use crate::model::{Code, Diagnostic, FILE_BYTES_MAX, FILES_MAX, Severity, SourceFile, Sources};

/// Bytes of one folder listing: some 300,000 entries, more than any folder of specs has.
const TREE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of all files of a spec together: four times the largest single file.
const SPEC_BYTES_MAX: usize = 4 * FILE_BYTES_MAX;
/// Findings about a repository's files that are worth listing.
const FINDINGS_MAX: usize = 100;
/// Characters of a repository's name that a message repeats.
const NAME_CHARS_MAX: usize = 80;

const MODE_LINK: i32 = 0o120_000;
const MODE_SUBMODULE: i32 = 0o160_000;
const MODE_FOLDER: i32 = 0o040_000;

/// What stands at a name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Submodule,
}

impl Kind {
    fn of(mode: i32) -> Self {
        match mode & 0o170_000 {
            MODE_LINK => Self::Link,
            MODE_SUBMODULE => Self::Submodule,
            MODE_FOLDER => Self::Folder,
            _ => Self::File,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "symbolic link",
            Self::Submodule => "submodule",
        }
    }
}

/// What stands at a path, found without following anything; `None`: nothing.
///
/// # Errors
/// The object database cannot be read.
pub(super) fn entry_at(
    repository: &Repository,
    root: &Tree<'_>,
    path: &str,
) -> Result<Option<(Kind, Oid)>, git2::Error> {
    let mut at = (Kind::Folder, root.id());
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if at.0 != Kind::Folder {
            return Ok(None);
        }
        let tree = repository.find_tree(at.1)?;
        let found = tree.get_name(name).map(|e| (Kind::of(e.filemode()), e.id()));
        match found {
            Some(found) => at = found,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

struct Reader<'r> {
    repository: &'r Repository,
    sources: Sources,
    bytes: usize,
    files: usize,
}

/// Reads the spec under `path`.
///
/// # Errors
/// The object database cannot be read: the mirror is broken, which says nothing about the spec.
pub(super) fn read_spec(
    repository: &Repository,
    root: &Tree<'_>,
    path: &str,
) -> Result<Sources, git2::Error> {
    let mut reader = Reader { repository, sources: Sources::default(), bytes: 0, files: 0 };
    let path: String = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect::<Vec<_>>()
        .join("/");
    if let Some(folder) = reader.walk_to(root, &path)? {
        reader.read_folder(folder, &path)?;
    }
    Ok(reader.sources)
}

impl<'r> Reader<'r> {
    fn find(&mut self, code: Code, message: String, help: &str) {
        if self.sources.findings.len() >= FINDINGS_MAX {
            return;
        }
        self.sources.findings.push(Diagnostic {
            code,
            severity: Severity::Error,
            message,
            position: None,
            help: Some(help.to_owned()),
        });
    }

    /// Goes down to the folder of the spec, one name at a time.
    fn walk_to(&mut self, root: &Tree<'_>, path: &str) -> Result<Option<Tree<'r>>, git2::Error> {
        let mut at = root.id();
        let mut walked = String::new();
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let Some(mut tree) = self.tree(at, "", !names.is_empty())? else { return Ok(None) };
        for (index, name) in names.iter().enumerate() {
            walked = join(&walked, name);
            let entry = tree.get_name(name).map(|e| (Kind::of(e.filemode()), e.id()));
            match entry {
                Some((Kind::Folder, id)) => at = id,
                Some((kind @ (Kind::Link | Kind::Submodule), _)) => {
                    self.report_kind(kind, &walked);
                    return Ok(None);
                }
                Some((Kind::File, _)) | None => {
                    let why =
                        if entry.is_some() { "is a file, not a folder" } else { "does not exist" };
                    self.find(
                        codes::SPEC_MISSING,
                        format!("the spec's folder `{walked}` {why}"),
                        "create it with a `spec.yaml`, or correct `repository.path`",
                    );
                    return Ok(None);
                }
            }
            let is_above = index + 1 < names.len();
            let Some(next) = self.tree(at, &walked, is_above)? else { return Ok(None) };
            tree = next;
        }
        Ok(Some(tree))
    }

    fn read_folder(&mut self, folder: Tree<'r>, path: &str) -> Result<(), git2::Error> {
        let at = |name: &str| {
            folder.get_name(name).map(|entry| (Kind::of(entry.filemode()), entry.id()))
        };
        let spec_path = join(path, "spec.yaml");
        match at("spec.yaml") {
            Some((kind, id)) => self.sources.spec = self.file(kind, id, &spec_path)?,
            None => self.find(
                codes::SPEC_MISSING,
                format!("`{spec_path}` does not exist"),
                "create it, or correct `repository.path`",
            ),
        }
        for name in ["services", "policies"] {
            let path = join(path, name);
            let files = match at(name) {
                None => continue,
                Some((Kind::Folder, id)) => self.files_of(id, &path)?,
                Some((kind, _)) => {
                    self.report_not_folder(kind, &path);
                    continue;
                }
            };
            if name == "services" {
                self.sources.services = files;
            } else {
                self.sources.policies = files;
            }
        }
        Ok(())
    }

    fn files_of(&mut self, id: Oid, path: &str) -> Result<Vec<SourceFile>, git2::Error> {
        let Some(tree) = self.tree(id, path, false)? else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for entry in &tree {
            let Ok(name) = entry.name() else {
                self.find(
                    codes::ODD_NAME,
                    format!("folder `{path}` has an entry whose name is not UTF-8"),
                    "rename it",
                );
                continue;
            };
            let kind = Kind::of(entry.filemode());
            let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
            let is_odd = odd(name.as_bytes()).is_some();
            if is_odd || (!is_yaml && kind != Kind::Submodule) {
                continue;
            }
            if self.files >= FILES_MAX {
                self.find(
                    codes::TOO_MANY_FILES,
                    format!("the spec has more than {FILES_MAX} files"),
                    "put several services into `spec.yaml`",
                );
                break;
            }
            if let Some(file) = self.file(kind, entry.id(), &join(path, name))? {
                files.push(file);
            }
        }
        Ok(files)
    }

    fn file(&mut self, kind: Kind, id: Oid, path: &str) -> Result<Option<SourceFile>, git2::Error> {
        if kind != Kind::File {
            self.report_kind(kind, path);
            return Ok(None);
        }
        let odb = self.repository.odb()?;
        let (size, object) = odb.read_header(id)?;
        if object != ObjectType::Blob {
            self.find(
                codes::SPEC_IS_FOLDER,
                format!("`{path}` is not a file"),
                "put a plain file in its place",
            );
            return Ok(None);
        }
        if size > FILE_BYTES_MAX {
            self.find(
                codes::FILE_TOO_LARGE,
                format!("`{path}` has {size} bytes, more than the {FILE_BYTES_MAX} allowed"),
                "split it into files under `services/`",
            );
            return Ok(None);
        }
        if self.bytes + size > SPEC_BYTES_MAX {
            self.find(
                codes::FILE_TOO_LARGE,
                format!("with `{path}` the spec has more than {SPEC_BYTES_MAX} bytes in all"),
                "use policies by name instead of repeating them",
            );
            return Ok(None);
        }
        self.bytes += size;
        self.files += 1;
        Ok(Some(SourceFile { path: path.to_owned(), bytes: odb.read(id)?.data().to_vec() }))
    }

    /// A folder's listing, unless it is too long; every odd name in it is a finding. What stands beside the
    /// spec's folder, in a folder above it, is not the spec's: there only names that no git makes count.
    fn tree(
        &mut self,
        id: Oid,
        path: &str,
        is_above: bool,
    ) -> Result<Option<Tree<'r>>, git2::Error> {
        let shown = if path.is_empty() { "/" } else { path };
        let (size, _) = self.repository.odb()?.read_header(id)?;
        if size > TREE_BYTES_MAX {
            self.find(
                codes::FILE_TOO_LARGE,
                format!("folder `{shown}` has too many entries"),
                "move the spec to a folder of its own",
            );
            return Ok(None);
        }
        let tree = self.repository.find_tree(id)?;
        for entry in &tree {
            let name = entry.name_bytes();
            let why = if is_above { forged(name) } else { odd(name) };
            if let Some(why) = why {
                let name: String = String::from_utf8_lossy(entry.name_bytes())
                    .escape_debug()
                    .take(NAME_CHARS_MAX)
                    .collect();
                self.find(
                    codes::ODD_NAME,
                    format!("folder `{shown}` has an entry named `{name}`, which {why}"),
                    "no git program makes such a name: find out who pushed it, and remove it",
                );
            }
        }
        Ok(Some(tree))
    }

    fn report_not_folder(&mut self, kind: Kind, path: &str) {
        if kind == Kind::File {
            self.find(
                codes::SPEC_MISSING,
                format!("`{path}` is a file, not a folder"),
                "make it a folder with one file for each service or policy",
            );
        } else {
            self.report_kind(kind, path);
        }
    }

    fn report_kind(&mut self, kind: Kind, path: &str) {
        match kind {
            Kind::File => {}
            Kind::Folder => self.find(
                codes::SPEC_IS_FOLDER,
                format!("`{path}` is a folder, not a file"),
                "put a plain file in its place",
            ),
            Kind::Link => self.find(
                codes::SYMLINK,
                format!("`{path}` is a symbolic link; links are never followed"),
                "put the file or folder itself in its place",
            ),
            Kind::Submodule => self.find(
                codes::SUBMODULE,
                format!("`{path}` is a submodule; submodules are never fetched"),
                "put the files themselves in its place",
            ),
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Why no file of a spec should have this name, if so.
fn odd(name: &[u8]) -> Option<&'static str> {
    forged(name)
        .or_else(|| name.iter().any(u8::is_ascii_control).then_some("has control characters"))
}

/// Why no git program makes this name, if so.
fn forged(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name == b"." || name == b".." {
        Some("leads out of the folder")
    } else if name.eq_ignore_ascii_case(b".git") {
        Some("names a repository's own folder")
    } else if name.contains(&b'/') {
        Some("has a slash")
    } else {
        None
    }
}
