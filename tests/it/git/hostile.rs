//! Repositories made to do harm: each is a clear finding, and nothing else happens.

use git2::Oid;
use tempfile::TempDir;
use tidegate::git::{Auth, GitError, Mirror, codes};
use tidegate::model::{CommitId, FILE_BYTES_MAX, Severity, Sources};

use crate::support::git_servers::remote;
use crate::support::repo::{Repo, SPEC};

const FILE: &str = "100644";
const LINK: &str = "120000";
const FOLDER: &str = "40000";
const SUBMODULE: &str = "160000";

struct World {
    dir: TempDir,
    repo: Repo,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let repo = Repo::init(&dir.path().join("a.git"));
        Self { dir, repo }
    }

    /// Commits `controller/` with these entries.
    fn controller(&self, entries: &[(&str, &[u8], Oid)]) -> CommitId {
        let folder = self.repo.raw_tree(entries);
        self.root(&[(FOLDER, b"controller", folder)])
    }

    fn root(&self, entries: &[(&str, &[u8], Oid)]) -> CommitId {
        self.repo.commit_tree("main", self.repo.raw_tree(entries))
    }

    fn mirror(&self) -> Mirror {
        let remote = remote(&self.repo.path.display().to_string(), Auth::None);
        Mirror::open(&self.dir.path().join("mirror"), remote).unwrap()
    }

    fn read(&self, commit: &CommitId) -> Sources {
        let mirror = self.mirror();
        mirror.fetch(&["main"]).unwrap();
        mirror.read_spec(commit, "controller").unwrap()
    }

    fn findings(&self, commit: &CommitId) -> Vec<String> {
        let sources = self.read(commit);
        sources
            .findings
            .iter()
            .map(|f| {
                assert_eq!(f.severity, Severity::Error);
                assert!(f.help.is_some() && f.position.is_none());
                format!("{}: {}", f.code, f.message)
            })
            .collect()
    }
}

#[test]
fn links_are_not_followed() {
    let world = World::new();
    let target = world.repo.blob(b"/etc/passwd");
    let spec = world.repo.blob(SPEC.as_bytes());
    let link = "symlink: `controller/spec.yaml` is a symbolic link; links are never followed";
    let commit = world.controller(&[(LINK, b"spec.yaml", target)]);
    assert_eq!(world.findings(&commit), [link]);
    assert_eq!(world.read(&commit).spec, None);
    let commit = world.root(&[(LINK, b"controller", target)]);
    assert_eq!(
        world.findings(&commit),
        ["symlink: `controller` is a symbolic link; links are never followed"]
    );
    let services = world.repo.raw_tree(&[(LINK, b"a.yaml", target), (FILE, b"b.yaml", spec)]);
    let commit = world.controller(&[
        (LINK, b"policies", target),
        (FOLDER, b"services", services),
        (FILE, b"spec.yaml", spec),
    ]);
    assert_eq!(
        world.findings(&commit),
        [
            "symlink: `controller/services/a.yaml` is a symbolic link; links are never followed",
            "symlink: `controller/policies` is a symbolic link; links are never followed",
        ]
    );
    assert_eq!(world.read(&commit).services.len(), 1);
    assert!(matches!(
        world.mirror().read_file(&commit, "controller/policies", 10),
        Err(GitError::NotAFile { kind: "symbolic link", .. })
    ));
    assert_eq!(world.mirror().read_file(&commit, "controller/policies/passwd", 10).unwrap(), None);
}

#[test]
fn names_that_lead_out_are_reported() {
    let world = World::new();
    let spec = world.repo.blob(SPEC.as_bytes());
    let inner = world.repo.raw_tree(&[(FILE, b"evil.yaml", spec)]);
    let commit = world.controller(&[
        (FOLDER, b"..", inner),
        (FILE, b"a/../../b.yaml", spec),
        (FILE, b"c\x1b[2J.yaml", spec),
        (FILE, b"spec.yaml", spec),
    ]);
    assert_eq!(
        world.findings(&commit),
        [
            "odd-name: folder `controller` has an entry named `..`, which leads out of the folder",
            "odd-name: folder `controller` has an entry named `a/../../b.yaml`, which has a slash",
            "odd-name: folder `controller` has an entry named `c\\u{1b}[2J.yaml`, which has control characters",
        ]
    );
    let services = world.repo.raw_tree(&[(FILE, b"../up.yaml", spec), (FILE, b"\xff.yaml", spec)]);
    let commit = world.controller(&[(FOLDER, b"services", services), (FILE, b"spec.yaml", spec)]);
    assert_eq!(
        world.findings(&commit),
        [
            "odd-name: folder `controller/services` has an entry named `../up.yaml`, which has a slash",
            "odd-name: folder `controller/services` has an entry whose name is not UTF-8",
        ]
    );
    assert!(world.read(&commit).services.is_empty());
}

/// `Icon\r` is what macOS makes beside the spec's folder; a forged name there is still one.
#[test]
fn names_beside_the_folder_of_the_spec_do_not_matter_unless_forged() {
    let world = World::new();
    let spec = world.repo.blob(SPEC.as_bytes());
    let folder = world.repo.raw_tree(&[(FILE, b"spec.yaml", spec)]);
    let commit = world.root(&[(FILE, b"Icon\r", spec), (FOLDER, b"controller", folder)]);
    assert_eq!(world.findings(&commit), [""; 0]);
    let commit = world.root(&[(FOLDER, b".GIT", folder), (FOLDER, b"controller", folder)]);
    assert_eq!(
        world.findings(&commit),
        ["odd-name: folder `/` has an entry named `.GIT`, which names a repository's own folder"]
    );
    let names: Vec<String> = (0..300).map(|index| format!("{index:03}\n.yaml")).collect();
    let mut entries: Vec<(&str, &[u8], Oid)> =
        names.iter().map(|name| (FILE, name.as_bytes(), spec)).collect();
    entries.push((FILE, b"spec.yaml", spec));
    assert_eq!(world.findings(&world.controller(&entries)).len(), 100);
}

#[test]
fn submodules_are_not_fetched() {
    let world = World::new();
    let elsewhere = Oid::from_str(&"1".repeat(40)).unwrap();
    let submodule =
        |path: &str| format!("submodule: `{path}` is a submodule; submodules are never fetched");
    let commit = world.root(&[(SUBMODULE, b"controller", elsewhere)]);
    assert_eq!(world.findings(&commit), [submodule("controller")]);
    let spec = world.repo.blob(SPEC.as_bytes());
    let services = world.repo.raw_tree(&[(SUBMODULE, b"shared", elsewhere)]);
    let commit = world.controller(&[(FOLDER, b"services", services), (FILE, b"spec.yaml", spec)]);
    assert_eq!(world.findings(&commit), [submodule("controller/services/shared")]);
}

#[test]
fn missing_and_misplaced_specs_are_reported() {
    let world = World::new();
    let blob = world.repo.blob(SPEC.as_bytes());
    let folder = world.repo.raw_tree(&[(FILE, b"x", blob)]);
    for (commit, expected) in [
        (world.root(&[]), "spec-missing: the spec's folder `controller` does not exist"),
        (
            world.root(&[(FILE, b"controller", blob)]),
            "spec-missing: the spec's folder `controller` is a file, not a folder",
        ),
        (world.controller(&[]), "spec-missing: `controller/spec.yaml` does not exist"),
        (
            world.controller(&[(FOLDER, b"spec.yaml", folder)]),
            "spec-is-folder: `controller/spec.yaml` is a folder, not a file",
        ),
    ] {
        assert_eq!(world.findings(&commit), [expected]);
    }
}

#[test]
fn a_huge_file_is_not_read() {
    let world = World::new();
    let huge = world.repo.blob(&vec![b'#'; 100 * 1024 * 1024]);
    let commit = world.controller(&[(FILE, b"spec.yaml", huge)]);
    assert_eq!(
        world.findings(&commit),
        [format!(
            "file-too-large: `controller/spec.yaml` has 104857600 bytes, more than the {FILE_BYTES_MAX} allowed"
        )]
    );
}

#[test]
fn the_sum_of_all_files_is_limited() {
    let world = World::new();
    // One blob under many names: small in the repository, large when read.
    let large = world.repo.blob(&vec![b'#'; FILE_BYTES_MAX]);
    let services = world.repo.raw_tree(&[
        (FILE, b"a.yaml", large),
        (FILE, b"b.yaml", large),
        (FILE, b"c.yaml", large),
        (FILE, b"d.yaml", large),
        (FILE, b"e.yaml", large),
    ]);
    let spec = world.repo.blob(SPEC.as_bytes());
    let commit = world.controller(&[(FOLDER, b"services", services), (FILE, b"spec.yaml", spec)]);
    let sources = world.read(&commit);
    assert_eq!(sources.services.len(), 3);
    assert_eq!(
        sources.findings.iter().map(|f| f.code).collect::<Vec<_>>(),
        [codes::FILE_TOO_LARGE, codes::FILE_TOO_LARGE]
    );
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    let world = World::new();
    let blob = world.repo.blob(b"services: \xff\xfe\0");
    let note = world.repo.blob(b"see README");
    let services = world.repo.raw_tree(&[
        (FILE, b"README.md", note),
        (FILE, b"a.yaml", blob),
        (FILE, b"b.yml", blob),
    ]);
    let commit = world.controller(&[(FOLDER, b"services", services), (FILE, b"spec.yaml", blob)]);
    let sources = world.read(&commit);
    assert_eq!(sources.findings, []);
    assert_eq!(sources.spec.unwrap().bytes, b"services: \xff\xfe\0");
    assert_eq!(
        sources.services.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
        ["controller/services/a.yaml", "controller/services/b.yml"]
    );
}
