//! Between a merge and its apply: is what was merged what was reviewed?
//!
//! Every commit since the one in force is a *link*. A link that a pull request brought must have the digest of
//! the plan that the pull request's comment showed, or the digest from the commit in force on, so that several
//! pull requests may arrive at once and a later one may cover an earlier one. A commit that nobody reviewed (a
//! direct push, a pull request merged before it could be planned) has nothing to be compared with.
//!
//! Where the merge result is to the byte what was planned here, nobody has to be asked; else the forge says
//! which pull request a commit is from. What cannot be known is held like what differs, as long as
//! `onMismatch` says `hold`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::judgement::{Judgement, MergedPull, Mismatch, Waiting};
use super::links::{Link, is_back, is_merge_of, links, named, rebased};
use super::making;
use super::reviews::{Review, Reviews};
use crate::config::OnMismatch;
use crate::control::source::{Good, Source};
use crate::forge::comment;
use crate::forge::{Forge, ForgeError, Pull, PullState};
use crate::git::{CommitInfo, GitError, Mirror};
use crate::model::{Catalogue, CommitId, OwnerId, PlanDigest, PullNumber};
use crate::plan;

/// Time that the forge has to say which pull requests commits are from: nothing else is decided meanwhile. What
/// is not known then is asked again with the next poll.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Commits that one rebase may have brought.
const REBASED_MAX: usize = 100;
/// How long after the branch the forge may move a pull request.
const FORGE_LAG: Duration = Duration::from_millis(750);
/// How far back closed pull requests are listed: a commit may be old when it arrives, but a merge is not.
const CLOSED_SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a commit may name a pull request that is still open: after that it is somebody's words.
const NOT_YET_MAX: Duration = Duration::from_secs(60);
/// A pull request may have been touched by the forge's clock before its commit was made by the committer's.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// Decides whether a new commit may be put in force.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) forge: Arc<dyn Forge>,
    pub(crate) reviews: Reviews,
    pub(crate) on_mismatch: OnMismatch,
    pub(crate) owner: OwnerId,
    pub(crate) branch: String,
    /// The mirror that has the heads of pull requests.
    pub(crate) mirror: Arc<Mutex<Mirror>>,
    /// What was judged of the commit that waits.
    pub(crate) waiting: Waiting,
}

impl Gate {
    /// Judges a commit that is to follow the one in force.
    ///
    /// # Errors
    /// [`GitError`] when the mirror cannot be read.
    pub(crate) async fn judge(
        &self,
        source: &Source,
        catalogue: &Catalogue,
        in_force: Option<&Good>,
        new: &Good,
    ) -> Result<Judgement, GitError> {
        let nobodys = || Judgement::Go { pulls: Vec::new(), is_new: true };
        let Some(in_force) = in_force else { return Ok(nobodys()) };
        let Some(links) = links(source, &in_force.commit, &new.commit).await? else {
            // The branch was rewritten: there is no way from the one to the other to look along.
            return Ok(nobodys());
        };
        let is_new = links.iter().any(|link| link.tree != link.tree_before);
        let (known, open) = self.known(&in_force.commit, &links);
        if open.is_empty() {
            return Ok(Judgement::Go { pulls: known, is_new });
        }
        if let Some(judgement) = self.waiting.judged(&in_force.commit, &new.commit, &self.reviews) {
            return Ok(judgement);
        }
        let is_patient = self.waiting.time(&new.commit) < NOT_YET_MAX;
        let asking = self.ask(source, catalogue, in_force, &links, &open, is_patient);
        let judgement = match tokio::time::timeout(ASK_MAX, asking).await {
            Ok(Ok(asked)) => self.settled(known, asked, is_back(&links)),
            Ok(Err(Asking::Git(error))) => return Err(error),
            Ok(Err(Asking::Forge(error))) => self.unknown(known, error.to_string()),
            Err(_) => self.unknown(known, "the forge takes too long to answer".to_owned()),
        };
        self.waiting.note(&in_force.commit, &new.commit, &judgement);
        Ok(judgement)
    }

    /// What needs nobody to be asked: the pull requests that were planned to give exactly what they gave, and
    /// the links that remain.
    fn known(&self, in_force: &CommitId, links: &[Link]) -> (Vec<MergedPull>, Vec<usize>) {
        let (mut known, mut open) = (Vec::new(), Vec::new());
        let mut at = 0;
        // What is older than a plan from the commit in force on is covered by it, and still has its own comment.
        let mut is_covered = false;
        while let Some(link) = links.get(at) {
            let merged = |number| MergedPull {
                number,
                commit: link.info.id.clone(),
                differences: Vec::new(),
            };
            let first_of = |(n, first): (usize, &Link)| {
                Some((self.reviews.planned(&first.tree_before, link)?, n + 1))
            };
            let before = links.get(at..).unwrap_or_default().iter().take(REBASED_MAX);
            if link.tree == link.tree_before {
                at += 1;
            } else if let Some(number) = self.reviews.planned_from(in_force, link) {
                known.push(merged(number));
                is_covered = true;
                at += 1;
            } else if let Some((number, covered)) = before.enumerate().find_map(first_of) {
                known.push(merged(number));
                at += covered;
            } else {
                if !is_covered {
                    open.push(at);
                }
                at += 1;
            }
        }
        (known, open)
    }

    /// Which pull requests the open links are from, and whether they are what was reviewed.
    async fn ask(
        &self,
        source: &Source,
        catalogue: &Catalogue,
        in_force: &Good,
        links: &[Link],
        open: &[usize],
        is_patient: bool,
    ) -> Result<Asked, Asking> {
        let oldest = links.last().map_or(Timestamp::UNIX_EPOCH, |link| link.info.time);
        let newest = links.first().map_or(oldest, |link| link.info.time);
        let since = oldest.max(newest.checked_sub(CLOSED_SPAN).unwrap_or(oldest));
        let since = since.checked_sub(CLOCKS_APART).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut closed = self.forge.closed_pulls(&self.branch, since).await?;
        let is_from_nobody = |closed: &[Pull]| {
            open.iter().any(|at| {
                let is_of = |link: &Link| closed.iter().any(|pull| is_merge_of(&link.info, pull));
                !links.get(*at).is_none_or(is_of) && rebased(links, *at, closed).is_none()
            })
        };
        let is_closed = |number| closed.iter().any(|pull| pull.number == number);
        let may_be_late =
            self.on_mismatch == OnMismatch::Hold && self.reviews.any(|n| !is_closed(n));
        if is_from_nobody(&closed) && may_be_late {
            // The forge moves the branch first, and a moment later calls the pull request merged.
            tokio::time::sleep(FORGE_LAG).await;
            closed = self.forge.closed_pulls(&self.branch, since).await?;
        }
        let mut asked = Asked::default();
        let mut covered = 0;
        for at in open {
            let Some(link) = links.get(*at).filter(|_| *at >= covered) else { continue };
            let mut last = *at;
            let pull = match closed.iter().find(|pull| is_merge_of(&link.info, pull)) {
                Some(pull) => pull.clone(),
                None => match self.hinted(&link.info, is_patient).await? {
                    Hinted::Nobody => match rebased(links, *at, &closed) {
                        Some((end, pull)) => {
                            last = end;
                            pull.clone()
                        }
                        None => continue,
                    },
                    Hinted::Pull(pull) => *pull,
                    Hinted::NotYet(number) => {
                        asked.waits.push(format!(
                            "{} seems to be from pull request {number}, which the forge does not call \
                             merged yet",
                            link.info.id.short()
                        ));
                        continue;
                    }
                },
            };
            let (_, facts) = self.forge.pull(pull.number).await?;
            let after_it = *at - last;
            let count = usize::try_from(facts.commits).unwrap_or(1).saturating_sub(after_it);
            let of_last = links.get(last).unwrap_or(link);
            let mut merged = MergedPull {
                number: pull.number,
                commit: of_last.info.id.clone(),
                differences: Vec::new(),
            };
            let review = match self.reviews.of(pull.number) {
                Some(review) => Reviewed::Known(review),
                None => self.read_review(pull.number).await?,
            };
            // A squash beside the spec may follow somebody's direct push: only of a pull request whose plan
            // has to do with the spec its earlier commits are sought.
            if after_it > 0 && (count == 0 || !review.has_plan()) {
                continue;
            }
            let count = count.max(1);
            let review = match review {
                Reviewed::Known(review) if self.is_in(&link.info.id, &review.base).await => {
                    Reviewed::Unknown(
                        "the comment shows a plan that was made after the merge, so what was reviewed is not known"
                            .to_owned(),
                    )
                }
                review => review,
            };
            let review = match review {
                Reviewed::Known(review) => review,
                Reviewed::Never => {
                    asked.merged.push(merged);
                    continue;
                }
                Reviewed::Unknown(why) => {
                    let digest = self.digest(source, catalogue, Some(in_force), link).await?;
                    if !digest.as_ref().is_some_and(|digest| self.reviews.is_approved(digest)) {
                        merged.differences.push(why);
                    }
                    asked.take(merged, digest);
                    continue;
                }
            };
            let after = self.load(source, catalogue, &link.info.id).await;
            let mut first_digest = None;
            let mut is_reviewed = false;
            // Of a squash or a merge the commit before is the base; of a rebase it is as many commits back
            // as the pull request had.
            for back in [1, count] {
                let base = links.get(*at + back - 1).and_then(|first| first.info.parents.first());
                let Some(base) = base else { continue };
                let before = self.load(source, catalogue, base).await;
                let Some(digest) = digest_of(before.as_ref(), after.as_ref()) else { continue };
                if Some(&digest) == review.digest.as_ref() {
                    is_reviewed = true;
                    covered = covered.max(*at + back);
                    break;
                }
                first_digest.get_or_insert(digest);
            }
            let whole = digest_of(Some(in_force), after.as_ref());
            if !is_reviewed && whole.is_some() && whole == review.digest {
                asked.merged.push(merged);
                break;
            }
            let digest = first_digest.or(whole);
            let is_approved =
                digest.as_ref().is_some_and(|digest| self.reviews.is_approved(digest));
            if !is_reviewed && !is_approved {
                merged.differences =
                    self.differences(source, catalogue, &review, link, after.as_ref()).await;
            }
            asked.take(merged, digest);
        }
        Ok(asked)
    }

    fn settled(&self, mut known: Vec<MergedPull>, asked: Asked, is_back: bool) -> Judgement {
        if is_back {
            // Whatever was not reviewed is undone again: there is nothing to hold.
            known.extend(asked.merged);
            return Judgement::Go { pulls: known, is_new: true };
        }
        let is_held = self.on_mismatch == OnMismatch::Hold;
        if is_held && !asked.mismatches.is_empty() {
            return Judgement::Hold(asked.mismatches);
        }
        if is_held && !asked.waits.is_empty() {
            return Judgement::Wait(asked.waits.join("; "));
        }
        known.extend(asked.merged);
        known.extend(asked.mismatches.into_iter().map(|mismatch| mismatch.pull));
        Judgement::Go { pulls: known, is_new: true }
    }

    fn unknown(&self, known: Vec<MergedPull>, why: String) -> Judgement {
        match self.on_mismatch {
            OnMismatch::Hold => Judgement::Wait(format!(
                "it is not known yet whether the new commit is what was reviewed: {why}"
            )),
            OnMismatch::Apply => Judgement::Go { pulls: known, is_new: true },
        }
    }

    /// The pull request that a commit's own words name, for the moment in which the forge has moved the
    /// branch and not yet the pull request.
    async fn hinted(&self, info: &CommitInfo, is_patient: bool) -> Result<Hinted, Asking> {
        let Some(number) = named(&info.subject) else { return Ok(Hinted::Nobody) };
        match self.forge.pull(number).await {
            Ok((pull, _)) if is_merge_of(info, &pull) => Ok(Hinted::Pull(Box::new(pull))),
            Ok((pull, _)) if pull.state == PullState::Open && pull.base == self.branch => {
                // Anybody may write a number into a commit: only a pull request that was planned waits.
                let is_planned = is_patient && self.reviews.of(number).is_some();
                Ok(if is_planned { Hinted::NotYet(number) } else { Hinted::Nobody })
            }
            Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(Hinted::Nobody),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a commit is in the history of another.
    async fn is_in(&self, old: &CommitId, new: &CommitId) -> bool {
        let (old, new) = (old.clone(), new.clone());
        let look = move |mirror: &Mirror| Ok(mirror.is_in_history_of(&old, &new));
        making::with(&self.mirror, look).await.unwrap_or(false)
    }

    /// What the comment of a pull request showed, read from the comment itself.
    async fn read_review(&self, number: PullNumber) -> Result<Reviewed, Asking> {
        let me = self.forge.me().await?;
        let comments = self.forge.comments(number, None).await?;
        let ours = comments.iter().filter(|comment| comment.author == me);
        let Some(read) = ours.into_iter().find_map(|c| comment::read(&c.body, &self.owner)) else {
            return Ok(Reviewed::Never);
        };
        if !read.is_intact {
            return Ok(Reviewed::Unknown(
                "the comment with the plan was edited by hand, so what was reviewed is not known"
                    .to_owned(),
            ));
        }
        let memo = read.memo;
        Ok(Reviewed::Known(Review {
            is_fork: false,
            head: memo.head,
            base: memo.base,
            from: memo.from,
            digest: memo.digest,
            spec_tree: None,
            base_tree: None,
        }))
    }

    async fn load(&self, source: &Source, catalogue: &Catalogue, at: &CommitId) -> Option<Good> {
        source.load_if_known(at, Some(catalogue)).await
    }

    async fn digest(
        &self,
        source: &Source,
        catalogue: &Catalogue,
        in_force: Option<&Good>,
        link: &Link,
    ) -> Result<Option<PlanDigest>, Asking> {
        let after = self.load(source, catalogue, &link.info.id).await;
        Ok(digest_of(in_force, after.as_ref()))
    }

    /// How what was merged differs from what was reviewed, in lines of plain text.
    async fn differences(
        &self,
        source: &Source,
        catalogue: &Catalogue,
        review: &Review,
        link: &Link,
        after: Option<&Good>,
    ) -> Vec<String> {
        let (base, head, path) =
            (review.base.clone(), review.head.clone(), source.path().to_owned());
        let merging = move |mirror: &Mirror| mirror.merge_spec(&base, &head, &path);
        let reviewed = making::with(&self.mirror, merging)
            .await
            .ok()
            .and_then(|merged| crate::spec::load(&merged.sources?, Some(catalogue)).spec);
        let (Some(reviewed), Some(after)) = (reviewed, after) else {
            return vec![format!(
                "the plan in the comment is of {} on {}, and what was merged in {} is not the same",
                review.head.short(),
                review.base.short(),
                link.info.id.short()
            )];
        };
        plan::render::differences(&reviewed, &after.spec)
    }
}

fn digest_of(before: Option<&Good>, after: Option<&Good>) -> Option<PlanDigest> {
    Some(plan::digest(before.map(|good| &good.spec), &after?.spec))
}

/// What asking came to.
#[derive(Debug, Default)]
struct Asked {
    merged: Vec<MergedPull>,
    mismatches: Vec<Mismatch>,
    waits: Vec<String>,
}

impl Asked {
    fn take(&mut self, pull: MergedPull, digest: Option<PlanDigest>) {
        match digest {
            Some(digest) if !pull.differences.is_empty() => {
                self.mismatches.push(Mismatch { pull, digest });
            }
            Some(_) | None => self.merged.push(pull),
        }
    }
}

enum Hinted {
    Nobody,
    Pull(Box<Pull>),
    NotYet(PullNumber),
}

enum Reviewed {
    Known(Review),
    Never,
    Unknown(String),
}

impl Reviewed {
    /// Whether there may have been a plan.
    fn has_plan(&self) -> bool {
        match self {
            Self::Known(review) => review.digest.is_some(),
            Self::Unknown(_) => true,
            Self::Never => false,
        }
    }
}

enum Asking {
    Git(GitError),
    Forge(ForgeError),
}

impl From<GitError> for Asking {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl From<ForgeError> for Asking {
    fn from(error: ForgeError) -> Self {
        Self::Forge(error)
    }
}
