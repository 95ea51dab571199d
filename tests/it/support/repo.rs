//! Repositories for tests, written straight into the object database: also what no git program would write.

use std::path::{Path, PathBuf};

use git2::{
    ObjectType, Oid, Repository, RepositoryInitOptions, Signature, Time, build::TreeUpdateBuilder,
};
use tidegate::model::CommitId;

/// A spec that is valid and says little.
pub(crate) const SPEC: &str = "services: []\n";

/// A bare repository.
#[derive(Debug)]
pub(crate) struct Repo {
    /// Its folder, which is also an address.
    pub(crate) path: PathBuf,
}

impl Repo {
    /// Makes an empty one.
    pub(crate) fn init(path: &Path) -> Self {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        Repository::init_opts(path, &options).unwrap();
        Self { path: path.to_owned() }
    }

    /// The repository, by libgit2.
    pub(crate) fn open(&self) -> Repository {
        Repository::open_bare(&self.path).unwrap()
    }

    /// Commits files on top of a branch, which is made when it is not there.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &[u8])]) -> CommitId {
        let repository = self.open();
        let base = match repository.find_branch(branch, git2::BranchType::Local) {
            Ok(branch) => branch.get().peel_to_tree().unwrap(),
            Err(_) => {
                let empty = repository.treebuilder(None).unwrap().write().unwrap();
                repository.find_tree(empty).unwrap()
            }
        };
        let mut update = TreeUpdateBuilder::new();
        for (path, content) in files {
            update.upsert(*path, repository.blob(content).unwrap(), git2::FileMode::Blob);
        }
        let tree = update.create_updated(&repository, &base).unwrap();
        self.commit_tree(branch, tree)
    }

    /// Commits a tree on top of a branch, whatever the tree holds.
    pub(crate) fn commit_tree(&self, branch: &str, tree: Oid) -> CommitId {
        let repository = self.open();
        let parent = repository
            .find_branch(branch, git2::BranchType::Local)
            .ok()
            .map(|branch| branch.get().peel_to_commit().unwrap());
        let author =
            Signature::new("Ann", "ann@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        // Built by hand, because libgit2's own function wants the tree to be readable.
        let header = parent.iter().map(|p| format!("parent {}\n", p.id())).collect::<String>();
        let text = format!(
            "tree {tree}\n{header}author {a} <{e}> 1700000000 +0000\n\
             committer {a} <{e}> 1700000000 +0000\n\nchange\n\nBody\n",
            a = author.name().unwrap(),
            e = author.email().unwrap(),
        );
        let id = repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
        self.set_branch(branch, id);
        CommitId::try_from(id.to_string()).unwrap()
    }

    /// A tree of entries as they are given, without any check: (mode, name, id).
    pub(crate) fn raw_tree(&self, entries: &[(&str, &[u8], Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(id.as_bytes());
        }
        self.open().odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
    }

    /// A blob.
    pub(crate) fn blob(&self, content: &[u8]) -> Oid {
        self.open().blob(content).unwrap()
    }

    /// Moves a branch anywhere.
    pub(crate) fn set_branch(&self, branch: &str, commit: Oid) {
        self.open().reference(&format!("refs/heads/{branch}"), commit, true, "test").unwrap();
    }

    /// Deletes a branch.
    pub(crate) fn delete_branch(&self, branch: &str) {
        self.open().find_reference(&format!("refs/heads/{branch}")).unwrap().delete().unwrap();
    }

    /// The commits of a branch, newest first, with the number of parents of each.
    pub(crate) fn history(&self, branch: &str) -> Vec<(CommitId, usize)> {
        let repository = self.open();
        let mut walk = repository.revwalk().unwrap();
        walk.push_ref(&format!("refs/heads/{branch}")).unwrap();
        walk.map(|id| {
            let commit = repository.find_commit(id.unwrap()).unwrap();
            (CommitId::try_from(commit.id().to_string()).unwrap(), commit.parent_count())
        })
        .collect()
    }

    /// A file at the head of a branch.
    pub(crate) fn file(&self, branch: &str, path: &str) -> Option<Vec<u8>> {
        let repository = self.open();
        let tree = repository
            .find_reference(&format!("refs/heads/{branch}"))
            .unwrap()
            .peel_to_tree()
            .unwrap();
        let entry = tree.get_path(Path::new(path)).ok()?;
        Some(repository.find_blob(entry.id()).unwrap().content().to_vec())
    }
}
