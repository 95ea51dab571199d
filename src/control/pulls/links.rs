//! The commits of the spec branch from the one in force up to a new one, and which pull request each is from. Reads
//! the mirror alone; what the forge knows is passed in.

use crate::control::source::Source;
use crate::forge::{Pull, PullState};
use crate::git::{CommitInfo, GitError};
use crate::model::{CommitId, PullNumber};

/// Commits of the branch that are looked through for pull requests: more than even a busy repository has while
/// something is held.
const LINKS_MAX: usize = 5_000;

/// One commit of the branch, and the content of its spec folder before and after.
pub(crate) struct Link {
    pub(super) info: CommitInfo,
    pub(super) tree: String,
    pub(super) tree_before: String,
}

/// Whether the spec is again to the byte what is in force.
pub(super) fn is_back(links: &[Link]) -> bool {
    let (new, old) = (links.first(), links.last());
    new.map(|link| &link.tree) == old.map(|link| &link.tree_before)
}

/// Whether a commit is what merging a pull request put on the branch.
pub(super) fn is_merge_of(info: &CommitInfo, pull: &Pull) -> bool {
    let PullState::Merged { commit, .. } = &pull.state else { return false };
    commit.as_ref() == Some(&info.id) || info.parents.get(1) == Some(&pull.head)
}

/// The pull request that was rebased onto the branch with its last commits beside the spec, so that the one
/// that changed the spec is no pull request's last; and the place of its last commit.
pub(super) fn rebased<'a>(
    links: &[Link],
    at: usize,
    closed: &'a [Pull],
) -> Option<(usize, &'a Pull)> {
    for (place, link) in links.iter().enumerate().take(at).rev() {
        if link.tree != link.tree_before || link.info.parents.len() != 1 {
            return None;
        }
        if let Some(pull) = closed.iter().find(|pull| is_merge_of(&link.info, pull)) {
            return Some((place, pull));
        }
    }
    None
}

/// The pull request that a subject names as GitHub's own do: `Title (#7)` or `Merge pull request #7 from ...`.
pub(super) fn named(subject: &str) -> Option<PullNumber> {
    let digits = match subject.strip_prefix("Merge pull request #") {
        Some(rest) => rest.split(' ').next()?,
        None => subject.trim_end().strip_suffix(')')?.rsplit_once("(#")?.1,
    };
    digits.parse().ok().map(PullNumber)
}

/// The commits of the branch from after the one in force up to the new one, newest first; `None` where there is
/// no such way.
pub(super) async fn links(
    source: &Source,
    in_force: &CommitId,
    new: &CommitId,
) -> Result<Option<Vec<Link>>, GitError> {
    let (in_force, new, path) = (in_force.clone(), new.clone(), source.path().to_owned());
    source
        .with_mirror(move |mirror| {
            let log = mirror.log(&new, LINKS_MAX)?;
            let Some(end) = log.iter().position(|info| info.id == in_force) else {
                return Ok(None);
            };
            let mut links = Vec::new();
            let mut tree = mirror.spec_tree(&new, &path)?.unwrap_or_default();
            for info in log.into_iter().take(end) {
                let tree_before = match info.parents.first() {
                    Some(parent) => mirror.spec_tree(parent, &path)?.unwrap_or_default(),
                    None => String::new(),
                };
                let before = tree_before.clone();
                links.push(Link { info, tree, tree_before });
                tree = before;
            }
            Ok(Some(links))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_its_pull_request_as_github_writes_it() {
        for (subject, number) in [
            ("Raise web (#7)", Some(7)),
            ("Merge pull request #12 from acme/more-web", Some(12)),
            ("Fix (#3) and more", None),
            ("Merge branch 'main'", None),
            ("Raise web (#x)", None),
        ] {
            assert_eq!(named(subject), number.map(PullNumber), "{subject}");
        }
    }
}
