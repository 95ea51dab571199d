//! `overrides.yaml`: the bursts and pauses that people asked for, as the status branch keeps them.
//!
//! Only time decides what of it is in force: whatever is in the file and over has no effect, and is left out by
//! whoever writes the file next. Equal sets make equal files, so that nothing is committed for nothing.

mod advice;
mod begin;
mod document;
mod end;
mod order;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

pub use begin::{BURST_TTL_DEFAULT, PAUSE_DEFAULT, PAUSE_MAX};
pub use order::{Effect, Order, OrderError, Wish};

use crate::model::{Burst, Moment, Pause, Region, ServiceId};

/// Path of the file on the status branch.
pub const OVERRIDES_PATH: &str = "overrides.yaml";
/// Version of the file's form. Readers refuse a newer one.
pub const OVERRIDES_VERSION: u32 = 1;
/// Bytes of the file: many times what [`ENTRIES_MAX`] entries of ordinary length need.
pub const OVERRIDES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bursts and pauses at one time, together: the file is written anew with each, and a person should still be
/// able to read it. Far more than people ask for; a program that asks for a burst every minute meets it.
pub const ENTRIES_MAX: usize = 1_000;
/// How long what is over is kept: the clocks of two machines may differ by so much, and one that is ahead must
/// not take away what is still in force by the other's.
const KEPT_AFTER_END: Duration = Duration::from_secs(300);

/// Why the overrides cannot be read, or not take one more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverridesError {
    /// Written by a later version of this program.
    #[error(
        "read {OVERRIDES_PATH}: it has version {0}, and this program knows {OVERRIDES_VERSION}; use the version that wrote it"
    )]
    Newer(u32),
    /// Not of the form that this program writes.
    #[error(
        "read {OVERRIDES_PATH}: {0}; correct the file on the status branch, or remove it to end all bursts and pauses"
    )]
    Malformed(String),
    /// There are too many.
    #[error(
        "add one more: there are {ENTRIES_MAX} bursts and pauses already; end some that are not needed"
    )]
    Full,
    /// Another entry has the same id.
    #[error("add `{0}`: another one has this id; ask again")]
    IdTaken(String),
}

/// All bursts and pauses of a status branch, sorted by service, region, begin and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverrideSet {
    bursts: Vec<Burst>,
    pauses: Vec<Pause>,
}

/// Which bursts or pauses are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(String),
    /// Those of a service; with a region those of this region only, not those of all regions at once.
    Of(ServiceId, Option<Region>),
}

/// What bursts and pauses have in common.
trait ForATime: Clone + PartialEq {
    fn id(&self) -> &str;
    fn place(&self) -> (&ServiceId, Option<&Region>);
    fn begins(&self) -> Moment;
    fn ends(&self) -> Moment;
}

macro_rules! for_a_time {
    ($name:ident) => {
        impl ForATime for $name {
            fn id(&self) -> &str {
                &self.id
            }
            fn place(&self) -> (&ServiceId, Option<&Region>) {
                (&self.service, self.region.as_ref())
            }
            fn begins(&self) -> Moment {
                self.from
            }
            fn ends(&self) -> Moment {
                self.until
            }
        }
    };
}
for_a_time!(Burst);
for_a_time!(Pause);

impl OverrideSet {
    /// Reads the file.
    ///
    /// # Errors
    /// [`OverridesError`] when any of it cannot be understood: half a set of overrides is none.
    pub fn parse(text: &[u8]) -> Result<Self, OverridesError> {
        document::parse(text)
    }

    /// Writes the file.
    #[must_use]
    pub fn render(&self) -> String {
        document::render(self)
    }

    /// The bursts, whether or not they are in force.
    #[must_use]
    pub fn bursts(&self) -> &[Burst] {
        &self.bursts
    }

    /// The pauses, whether or not they are in force.
    #[must_use]
    pub fn pauses(&self) -> &[Pause] {
        &self.pauses
    }

    /// Adds a burst; one that is there already changes nothing.
    ///
    /// # Errors
    /// [`OverridesError::Full`], [`OverridesError::IdTaken`].
    pub fn add_burst(&mut self, burst: Burst) -> Result<(), OverridesError> {
        let others = self.pauses.len();
        add(&mut self.bursts, burst, others)
    }

    /// Adds a pause; one that is there already changes nothing.
    ///
    /// # Errors
    /// [`OverridesError::Full`], [`OverridesError::IdTaken`].
    pub fn add_pause(&mut self, pause: Pause) -> Result<(), OverridesError> {
        let others = self.bursts.len();
        add(&mut self.pauses, pause, others)
    }

    /// Takes bursts out, and gives them.
    pub fn end_bursts(&mut self, which: &Which) -> Vec<Burst> {
        end(&mut self.bursts, which)
    }

    /// Takes pauses out, and gives them.
    pub fn end_pauses(&mut self, which: &Which) -> Vec<Pause> {
        end(&mut self.pauses, which)
    }

    /// Leaves out what is over, and has been for longer than clocks differ.
    pub fn forget_ended(&mut self, now: Moment) {
        let horizon = now.before(KEPT_AFTER_END);
        self.bursts.retain(|burst| horizon < burst.until);
        self.pauses.retain(|pause| horizon < pause.until);
    }
}

fn add<T: ForATime>(to: &mut Vec<T>, new: T, others: usize) -> Result<(), OverridesError> {
    if let Some(same) = to.iter().find(|old| old.id() == new.id()) {
        let is_same = *same == new;
        return if is_same { Ok(()) } else { Err(OverridesError::IdTaken(new.id().to_owned())) };
    }
    if to.len() + others >= ENTRIES_MAX {
        return Err(OverridesError::Full);
    }
    to.push(new);
    sort(to);
    Ok(())
}

fn sort<T: ForATime>(entries: &mut [T]) {
    entries.sort_by(|a, b| (a.place(), a.begins(), a.id()).cmp(&(b.place(), b.begins(), b.id())));
}

fn end<T: ForATime>(from: &mut Vec<T>, which: &Which) -> Vec<T> {
    from.extract_if(.., |entry| match which {
        Which::Id(id) => entry.id() == id,
        Which::Of(service, region) => {
            let (its_service, its_region) = entry.place();
            its_service == service && (region.is_none() || its_region == region.as_ref())
        }
    })
    .collect()
}
