//! What was reviewed: of each open pull request the plan that its comment shows, so that what is merged can be
//! compared with it without asking anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::links::{Link, named};
use crate::model::{CommitId, PlanDigest, PullNumber};

/// Hexadecimal digits of a digest that an approval must name: too many to hit by accident.
pub(crate) const APPROVAL_DIGITS_MIN: usize = 12;
/// Reviews that are remembered, the newest: also those of closed pull requests, whose merge may not have been seen
/// yet.
const REVIEWS_MAX: usize = 2_000;
/// Approvals that are remembered: far more than are ever waited for at once.
const APPROVALS_MAX: usize = 100;

/// The plan that a pull request's comment shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Review {
    /// The head that was planned.
    pub(crate) head: CommitId,
    /// The commit of the base branch that it was merged onto.
    pub(crate) base: CommitId,
    /// The commit that was in force.
    pub(crate) from: Option<CommitId>,
    /// The plan's digest; `None` where there was no plan, because the merge result was not valid.
    pub(crate) digest: Option<PlanDigest>,
    /// Whether it is from another repository: a stranger's.
    pub(crate) is_fork: bool,
    /// Content of the spec folder in the merge result.
    pub(crate) spec_tree: Option<String>,
    /// Content of the spec folder at the base.
    pub(crate) base_tree: Option<String>,
}

#[derive(Debug, Default)]
struct Book {
    reviews: BTreeMap<PullNumber, Review>,
    approved: BTreeSet<String>,
}

/// Shared between the worker, which fills it, and the gate, which asks it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reviews(Arc<Mutex<Book>>);

impl Reviews {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the comment of a pull request shows now.
    pub(crate) fn note(&self, number: PullNumber, review: Review) {
        let mut book = self.book();
        if book.reviews.len() >= REVIEWS_MAX {
            book.reviews.pop_first();
        }
        book.reviews.insert(number, review);
    }

    /// Whether there is a planned pull request that this holds for.
    pub(crate) fn any(&self, mut is: impl FnMut(PullNumber) -> bool) -> bool {
        let book = self.book();
        book.reviews.iter().any(|(number, review)| review.digest.is_some() && is(*number))
    }

    /// What the comment of a pull request shows.
    pub(crate) fn of(&self, number: PullNumber) -> Option<Review> {
        self.book().reviews.get(&number).cloned()
    }

    /// The pull request whose merge onto a base of this content was planned to give exactly the content of this
    /// commit.
    pub(crate) fn planned(&self, from_tree: &str, link: &Link) -> Option<PullNumber> {
        self.best(link, |review| review.base_tree.as_deref() == Some(from_tree))
    }

    /// The pull request whose plan, from this commit in force, was of exactly the content of this commit.
    pub(crate) fn planned_from(&self, in_force: &CommitId, link: &Link) -> Option<PullNumber> {
        self.best(link, |review| review.from.as_ref() == Some(in_force))
    }

    /// Two may have been planned to give the same. The one whose head the commit has as its parent is meant, whoever
    /// it is from. Other commits say nothing that a stranger could not have written: then it is not one of a
    /// stranger's, which nobody may have looked at, and of several the one that is named.
    fn best(&self, link: &Link, is_from: impl Fn(&Review) -> bool) -> Option<PullNumber> {
        let book = self.book();
        let all = || {
            book.reviews.iter().filter(|(_, review)| {
                review.digest.is_some()
                    && review.spec_tree.as_deref() == Some(link.tree.as_str())
                    && is_from(review)
            })
        };
        if let Some(head) = link.info.parents.get(1) {
            return all().find(|(_, review)| review.head == *head).map(|(number, _)| *number);
        }
        let own = || all().filter(|(_, review)| !review.is_fork);
        let by_name = own().find(|(number, _)| named(&link.info.subject) == Some(**number));
        let only = || own().next().filter(|_| own().count() == 1);
        by_name.or_else(only).map(|(number, _)| *number)
    }

    /// Notes that somebody who may agrees to a digest, of which he named the first digits.
    pub(crate) fn approve(&self, digits: &str) {
        let mut book = self.book();
        if book.approved.len() >= APPROVALS_MAX {
            book.approved.pop_first();
        }
        book.approved.insert(digits.to_owned());
    }

    /// Whether somebody who may agrees to this digest.
    pub(crate) fn is_approved(&self, digest: &PlanDigest) -> bool {
        self.book().approved.iter().any(|digits| names(digits, digest))
    }
}

/// Whether these are the first digits of a digest.
pub(crate) fn names(digits: &str, digest: &PlanDigest) -> bool {
    let hex = digest.as_str().strip_prefix("sha256:").unwrap_or(digest.as_str());
    digits.len() >= APPROVAL_DIGITS_MIN && hex.starts_with(digits)
}
