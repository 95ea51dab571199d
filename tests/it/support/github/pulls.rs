//! What people do with pull requests on GitHub: open, push, change, close, merge.

use jiff::Timestamp;
use tidegate::model::CommitId;

use super::git::{self, Conflict};
use super::state::{HeadRepo, MergedRecord, PullRecord, State};
use super::{Forge, hooks};

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "GitHub's names of them")]
pub(crate) enum Merge {
    /// A commit of two parents.
    Merge,
    /// One commit of everything.
    Squash,
    /// A copy of each commit.
    Rebase,
}

/// A pull request to be opened.
#[derive(Debug, Clone)]
pub(crate) struct Proposal<'a> {
    pub(crate) title: &'a str,
    pub(crate) body: Option<&'a str>,
    pub(crate) author: &'a str,
    /// What its first commit changes; `None` as content removes a file.
    pub(crate) files: &'a [(&'a str, Option<&'a [u8]>)],
    pub(crate) base: &'a str,
    /// The commit that it is made on top of; `None`: the head of the base branch.
    pub(crate) from: Option<&'a CommitId>,
    /// Its branch; `None`: `change-N`.
    pub(crate) branch: Option<&'a str>,
    /// The login in whose fork the branch is; `None`: in the repository itself.
    pub(crate) fork: Option<&'a str>,
    pub(crate) is_draft: bool,
    pub(crate) labels: &'a [&'a str],
}

impl Default for Proposal<'_> {
    fn default() -> Self {
        Self {
            title: "A change",
            body: None,
            author: "ann",
            files: &[],
            base: "main",
            from: None,
            branch: None,
            fork: None,
            is_draft: false,
            labels: &[],
        }
    }
}

impl Forge {
    /// Opens a pull request and gives its number.
    pub(crate) fn open(&self, proposal: &Proposal<'_>) -> u64 {
        let mut state = self.state();
        let folder = state.place.folder.clone();
        let number = state.pulls.keys().last().unwrap_or(&0) + 1;
        let base_sha = git::head(&folder, proposal.base);
        let (from, at) = (proposal.from.unwrap_or(&base_sha), state.next_commit_at());
        let message = format!("{}\n", proposal.title);
        let (files, author) = (proposal.files, proposal.author);
        let head = git::commit_files(&folder, Some(from), files, &message, author, at);
        let now = Timestamp::now();
        let pull = PullRecord {
            number,
            title: proposal.title.to_owned(),
            body: proposal.body.map(str::to_owned),
            author: proposal.author.to_owned(),
            head_ref: proposal.branch.map_or_else(|| format!("change-{number}"), str::to_owned),
            head_repo: proposal
                .fork
                .map_or(HeadRepo::Same, |owner| HeadRepo::Fork(owner.to_owned())),
            head: head.clone(),
            base: proposal.base.to_owned(),
            base_sha,
            is_draft: proposal.is_draft,
            labels: proposal.labels.iter().map(|&label| label.to_owned()).collect(),
            created_at: now,
            updated_at: now,
            closed_at: None,
            merged: None,
        };
        state.pulls.insert(number, pull);
        set_head(&mut state, number, head);
        hooks::pull_changed(&state, number, "opened");
        number
    }

    /// A pull request as it stands.
    pub(crate) fn pull(&self, number: u64) -> PullRecord {
        self.state().pulls[&number].clone()
    }

    /// Pushes a further commit to a pull request.
    pub(crate) fn push(&self, number: u64, files: &[(&str, Option<&[u8]>)]) -> CommitId {
        let onto = self.pull(number).head;
        self.push_onto(number, &onto, files)
    }

    /// Takes a pull request's commits away and pushes another on top of the base branch.
    pub(crate) fn force_push(&self, number: u64, files: &[(&str, Option<&[u8]>)]) -> CommitId {
        let onto = self.head_of(&self.pull(number).base);
        self.push_onto(number, &onto, files)
    }

    fn push_onto(&self, number: u64, onto: &CommitId, files: &[(&str, Option<&[u8]>)]) -> CommitId {
        let mut state = self.state();
        let (folder, at) = (state.place.folder.clone(), state.next_commit_at());
        let author = state.pulls[&number].author.clone();
        let head = git::commit_files(&folder, Some(onto), files, "Further change\n", &author, at);
        set_head(&mut state, number, head.clone());
        hooks::pull_changed(&state, number, "synchronize");
        head
    }

    /// Merges the base branch into a pull request, as the button `Update branch` does.
    pub(crate) fn update_branch(&self, number: u64) -> Result<CommitId, Conflict> {
        let mut state = self.state();
        let (folder, at) = (state.place.folder.clone(), state.next_commit_at());
        let pull = state.pulls[&number].clone();
        let base = git::head(&folder, &pull.base);
        let message = format!("Merge branch '{}' into {}\n", pull.base, pull.head_ref);
        let head = git::merge(&folder, &pull.head, &base, &message, &pull.author, at)?;
        set_head(&mut state, number, head.clone());
        hooks::pull_changed(&state, number, "synchronize");
        Ok(head)
    }

    /// Changes anything of a pull request by hand: title, draft, labels, base.
    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut PullRecord)) {
        let mut state = self.state();
        change(state.pulls.get_mut(&number).unwrap());
        state.touch(number);
        hooks::pull_changed(&state, number, "edited");
    }

    /// Makes a pull request a draft, or ready.
    pub(crate) fn set_draft(&self, number: u64, is_draft: bool) {
        self.change(number, |pull| pull.is_draft = is_draft);
    }

    /// Gives a pull request other labels.
    pub(crate) fn set_labels(&self, number: u64, labels: &[&str]) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.change(number, |pull| pull.labels = labels);
    }

    /// Deletes the fork that a pull request is from.
    pub(crate) fn delete_fork(&self, number: u64) {
        self.change(number, |pull| {
            if let HeadRepo::Fork(owner) = &pull.head_repo {
                pull.head_repo = HeadRepo::Gone(owner.clone());
            }
        });
    }

    /// Closes a pull request without merging it.
    pub(crate) fn close(&self, number: u64) {
        let mut state = self.state();
        state.pulls.get_mut(&number).unwrap().closed_at = Some(Timestamp::now());
        state.touch(number);
        hooks::pull_changed(&state, number, "closed");
    }

    /// Opens a closed pull request again.
    pub(crate) fn reopen(&self, number: u64) {
        let mut state = self.state();
        state.pulls.get_mut(&number).unwrap().closed_at = None;
        state.touch(number);
        hooks::pull_changed(&state, number, "reopened");
    }

    /// Merges a pull request; gives what GitHub calls its merge commit, of a rebase the last copy.
    pub(crate) fn merge(&self, number: u64, how: Merge, by: &str) -> Result<CommitId, Conflict> {
        Ok(self.merge_all(&[number], how, by)?.remove(0))
    }

    /// Merges several pull requests in one push of their base branch, as a merge queue does; none where one
    /// of them is in conflict.
    pub(crate) fn merge_all(
        &self,
        numbers: &[u64],
        how: Merge,
        by: &str,
    ) -> Result<Vec<CommitId>, Conflict> {
        let mut state = self.state();
        let folder = state.place.folder.clone();
        let base = state.pulls[&numbers[0]].base.clone();
        let before = git::head(&folder, &base);
        let mut tip = before.clone();
        let mut done = Vec::new();
        for number in numbers {
            let (pull, at) = (state.pulls[number].clone(), state.next_commit_at());
            assert!(pull.closed_at.is_none(), "pull request {number} is closed");
            assert_eq!(pull.base, base, "one push is of one branch");
            let from = git::merge_base(&folder, &tip, &pull.head);
            let own = git::between(&folder, &from, &pull.head);
            let landed = landed(&state, &pull, &own, &tip, how, by, at)?;
            tip = landed.last().expect("a pull request has commits").clone();
            let by = by.to_owned();
            done.push((*number, MergedRecord { commit: tip.clone(), by, landed, own }));
        }
        let reference = format!("refs/heads/{base}");
        git::set(&folder, &reference, &tip);
        let mut commits = Vec::new();
        for (number, merged) in done {
            commits.push(merged.commit.clone());
            let pull = state.pulls.get_mut(&number).unwrap();
            (pull.merged, pull.closed_at) = (Some(merged), Some(Timestamp::now()));
            state.touch(number);
            hooks::pull_changed(&state, number, "closed");
        }
        hooks::pushed(&state, &reference, before.as_str(), tip.as_str());
        Ok(commits)
    }

    /// Opens a pull request that undoes a merged one, as the button `Revert` does.
    pub(crate) fn open_revert(&self, number: u64, by: &str) -> Result<u64, Conflict> {
        let (head, title, base) = {
            let mut state = self.state();
            let (folder, at) = (state.place.folder.clone(), state.next_commit_at());
            let pull = state.pulls[&number].clone();
            let merged = pull.merged.expect("a merged pull request");
            let title = format!("Revert \"{}\"", pull.title);
            let onto = git::head(&folder, &pull.base);
            let mut head = onto;
            for commit in merged.landed.iter().rev() {
                head = git::revert(&folder, &head, commit, &format!("{title}\n"), by, at)?;
            }
            (head, title, pull.base)
        };
        let branch = format!("revert-{number}");
        let title = title.as_str();
        let proposal = Proposal {
            title,
            author: by,
            base: &base,
            branch: Some(&branch),
            from: Some(&head),
            ..Proposal::default()
        };
        let revert = self.open(&proposal);
        // What `open` put on top of the revert is an empty commit.
        set_head(&mut self.state(), revert, head);
        Ok(revert)
    }
}

/// The commits that a merge puts on the base branch, oldest first.
fn landed(
    state: &State,
    pull: &PullRecord,
    own: &[CommitId],
    tip: &CommitId,
    how: Merge,
    by: &str,
    at: i64,
) -> Result<Vec<CommitId>, Conflict> {
    let (folder, head) = (&state.place.folder, &pull.head);
    let (number, title) = (pull.number, &pull.title);
    match how {
        Merge::Merge => {
            let from = match &pull.head_repo {
                HeadRepo::Same => &state.place.owner,
                HeadRepo::Fork(owner) | HeadRepo::Gone(owner) => owner,
            };
            let branch = &pull.head_ref;
            let message = format!("Merge pull request #{number} from {from}/{branch}\n\n{title}\n");
            Ok(vec![git::merge(folder, tip, head, &message, by, at)?])
        }
        Merge::Squash => {
            let message = format!("{title} (#{number})\n");
            Ok(vec![git::squash(folder, tip, head, &message, &pull.author, at)?])
        }
        Merge::Rebase => git::rebase(folder, tip, own, by, at),
    }
}

/// A pull request's head is another from now on: in its branch, where that is here, and in `refs/pull`.
fn set_head(state: &mut State, number: u64, head: CommitId) {
    let folder = state.place.folder.clone();
    git::set(&folder, &format!("refs/pull/{number}/head"), &head);
    let pull = state.pulls.get_mut(&number).unwrap();
    if pull.head_repo == HeadRepo::Same {
        git::set(&folder, &format!("refs/heads/{}", pull.head_ref), &head);
    }
    pull.base_sha = git::head(&folder, &pull.base);
    pull.head = head;
    state.touch(number);
}
