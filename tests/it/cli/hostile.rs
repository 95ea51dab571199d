//! Repositories made to do harm, through the command line: a clear finding each, and nothing else.

use std::fmt::Write as _;

use super::{said, snapshot};
use crate::support::controller::{run, tidegate};
use crate::support::repo::Repo;

const FILE: &str = "100644";
const LINK: &str = "120000";
const FOLDER: &str = "40000";
const SUBMODULE: &str = "160000";
/// Bytes of a blob that no spec needs.
const HUGE: usize = 100 * 1024 * 1024;

#[test]
fn each_is_refused_with_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::init(&dir.path().join("spec.git"));
    let passwd = repo.blob(b"/etc/passwd");
    let good = repo.blob(b"services: []\n");
    let inner = repo.raw_tree(&[(FILE, b"a", good)]);
    let bomb = bomb();
    let spec = |mode, id| repo.raw_tree(&[(mode, b"spec.yaml", id)]);
    let cases = [
        ("symlink", spec(LINK, passwd)),
        ("submodule", spec(SUBMODULE, passwd)),
        ("folder", spec(FOLDER, inner)),
        ("dots", repo.raw_tree(&[(FOLDER, b"..", inner), (FILE, b"spec.yaml", good)])),
        ("invalid UTF-8", spec(FILE, repo.blob(b"services: [\xff\xfe]\n"))),
        ("alias bomb", spec(FILE, repo.blob(bomb.as_bytes()))),
        ("100 MB", spec(FILE, repo.blob(&vec![b' '; HUGE]))),
        ("nothing", repo.raw_tree(&[])),
    ];
    let mut all = String::new();
    for (name, controller) in cases {
        repo.commit_tree("main", repo.raw_tree(&[(FOLDER, b"controller", controller)]));
        let ran = run(tidegate(dir.path()).args(["validate", "--repo"]).arg(&repo.path));
        assert_eq!(ran.status.code(), Some(1), "{name}: {ran}");
        write!(all, "# {name}\n{}\n", said(&ran)).unwrap();
    }
    snapshot("hostile", dir.path(), &all);
}

/// Nine levels of nine aliases each.
fn bomb() -> String {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{below}]").unwrap();
    }
    text.push_str("services: *a9\n");
    text
}
