//! Windows of time: half-open, opened and closed by cron expressions in an IANA zone.
//!
//! Pure functions of an instant, so that a clock that is set back changes nothing. Two steps, which must not
//! be mixed: windows are paired in wall-clock time, where every minute stands once and in order, and only
//! then are their two ends turned into instants. Pairing instants instead would lose a day's window where a
//! zone repeats an hour.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::Moment;
use super::cron::Pattern;

#[cfg(test)]
mod tests;

/// Why three texts are not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// `start` is not a cron expression that ever matches.
    #[error("`{text}` is not a cron expression: {why}")]
    Start {
        /// As written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// `end` is not a cron expression that ever matches.
    #[error("`{text}` is not a cron expression: {why}")]
    End {
        /// As written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// `timezone` is not an IANA zone.
    #[error("`{0}` is not a time zone: write an IANA name, as in `Europe/Berlin`")]
    Zone(String),
}

/// The zones and their rules, the same in every build of one version: what a window means must not depend on
/// the machine that reads the spec.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The IANA names of all time zones.
#[must_use]
pub fn zone_names() -> Vec<String> {
    ZONES.available().map(|name| name.as_str().to_owned()).collect()
}

/// When a schedule is open: from each instant of `start` to the next of `end`, `start` included and `end`
/// not. What opens again while it is open changes nothing; what ends and starts in the same minute goes on.
///
/// Where the zone skips a minute, an edge there is at the first instant after the gap; where it repeats a
/// minute, a start is at the first occurrence and an end at the last.
#[derive(Debug, Clone)]
pub struct Windows {
    start: Pattern,
    end: Pattern,
    zone: TimeZone,
    texts: [String; 3],
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant in it.
    pub from: Moment,
    /// The first instant after it.
    pub to: Moment,
}

/// Where an edge of a window lies that the zone has not exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// The zone skips the minute that the expression names: the edge is the first instant after the gap.
    Skipped,
    /// The zone has the minute twice: a start is at the first, an end at the last.
    Repeated,
}

/// A window, with what the zone did to its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedWindow {
    /// The window.
    pub window: Window,
    /// What happened to its start.
    pub from_shift: Option<Shift>,
    /// What happened to its end.
    pub to_shift: Option<Shift>,
}

impl PartialEq for Windows {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

/// A window in wall-clock time: the first start at or after an end, and the end that follows.
#[derive(Debug, Clone, Copy)]
struct Pair {
    open: DateTime,
    close: DateTime,
}

/// Windows in a row of which nothing is left once they are instants, because a gap swallowed them: a zone
/// that skips a whole day swallows a day's.
const SWALLOWED_MAX: usize = 24 * 60;

impl Windows {
    /// Reads the three texts.
    ///
    /// # Errors
    /// [`ScheduleError`] for the first that cannot be read.
    pub fn parse(start: &str, end: &str, zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self {
            start: Pattern::parse(start)
                .map_err(|why| ScheduleError::Start { text: start.to_owned(), why })?,
            end: Pattern::parse(end)
                .map_err(|why| ScheduleError::End { text: end.to_owned(), why })?,
            zone: ZONES.get(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?,
            texts: [start.to_owned(), end.to_owned(), zone.to_owned()],
        })
    }

    /// The window that is open at this instant.
    #[must_use]
    pub fn open_at(&self, now: Moment) -> Option<Window> {
        let latest = self.latest(now)?;
        self.window(latest).map(|marked| marked.window).filter(|window| now < window.to)
    }

    /// The next instant after `now` at which it may open or close, or at which another window begins. Until
    /// then [`Self::open_at`] gives the same answer.
    #[must_use]
    pub fn next_edge(&self, now: Moment) -> Option<Moment> {
        let open = self.open_at(now);
        let next = self.following(now).next().map(|marked| marked.window.from);
        [open.map(|window| window.to), next].into_iter().flatten().min()
    }

    /// The windows that have a part in `[from, until)`, at most `max` of them, in order.
    #[must_use]
    pub fn upcoming(&self, from: Moment, until: Moment, max: usize) -> Vec<Window> {
        self.upcoming_marked(from, until, max).into_iter().map(|marked| marked.window).collect()
    }

    /// [`Self::upcoming`], with what the zone did to the edges.
    #[must_use]
    pub fn upcoming_marked(&self, from: Moment, until: Moment, max: usize) -> Vec<MarkedWindow> {
        let open = self.latest(from).and_then(|pair| self.window(pair));
        let open = open.filter(|marked| from < marked.window.to && from < until);
        let next = self.following(from).take_while(|marked| marked.window.from < until);
        open.into_iter().chain(next).take(max).collect()
    }

    /// The zone.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The IANA name of its zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        let [_, _, zone] = &self.texts;
        self.zone.iana_name().unwrap_or(zone)
    }

    /// The latest pair that opened at or before an instant.
    fn latest(&self, now: Moment) -> Option<Pair> {
        let now = now.timestamp();
        let offset = self.zone.to_offset(now);
        let local = offset.to_datetime(now);
        let start = match self.zone.to_ambiguous_timestamp(local).offset() {
            // The second time that this minute passes: the whole repeated time has been once already.
            AmbiguousOffset::Fold { before, after } if offset == after => {
                let end = self.transition_before(now).map(|fold| before.to_datetime(fold));
                self.start.before(end.unwrap_or(local))?
            }
            _ => self.start.previous(local)?,
        };
        self.pair(start)
    }

    /// The pair that a minute of `start` belongs to.
    fn pair(&self, start: DateTime) -> Option<Pair> {
        let close = self.end.after(start)?;
        let last_close = self.end.previous(start);
        let open = last_close.and_then(|close| self.start.next(close)).unwrap_or(start);
        Some(Pair { open, close })
    }

    /// The windows that begin after an instant, in order, without those that a gap swallowed.
    fn following(&self, now: Moment) -> impl Iterator<Item = MarkedWindow> {
        let first = match self.latest(now) {
            Some(pair) => self.start.next(pair.close),
            None => self.start.next(self.zone.to_datetime(now.timestamp())),
        };
        let pairs = std::iter::successors(first.and_then(|start| self.pair(start)), |pair| {
            self.pair(self.start.next(pair.close)?)
        });
        let mut swallowed = 0;
        pairs
            .map(|pair| self.window(pair))
            .take_while(move |window| {
                swallowed = if window.is_some() { 0 } else { swallowed + 1 };
                swallowed <= SWALLOWED_MAX
            })
            .flatten()
    }

    /// The instants of a pair; `None` where a gap leaves nothing between them.
    fn window(&self, pair: Pair) -> Option<MarkedWindow> {
        let (from, from_shift) = self.instant(pair.open, |before, _| before)?;
        let (to, to_shift) = self.instant(pair.close, |_, after| after)?;
        let window = Window { from: from.into(), to: to.into() };
        (from < to).then_some(MarkedWindow { window, from_shift, to_shift })
    }

    /// When a wall-clock time is; `repeated` chooses between the offsets of a time that comes twice.
    fn instant(
        &self,
        local: DateTime,
        repeated: impl FnOnce(jiff::tz::Offset, jiff::tz::Offset) -> jiff::tz::Offset,
    ) -> Option<(Timestamp, Option<Shift>)> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                Some((offset.to_timestamp(local).ok()?, None))
            }
            AmbiguousOffset::Fold { before, after } => {
                let offset = repeated(before, after);
                Some((offset.to_timestamp(local).ok()?, Some(Shift::Repeated)))
            }
            AmbiguousOffset::Gap { before, .. } => {
                // With the offset of before, a time in the gap is at or after the jump.
                let late = before.to_timestamp(local).ok()?;
                let jump = self.transition_before(late).unwrap_or(late);
                Some((jump, Some(Shift::Skipped)))
            }
        }
    }

    /// The last change of offset at or before an instant.
    fn transition_before(&self, at: Timestamp) -> Option<Timestamp> {
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let changes = self.zone.preceding(just_after);
        changes
            .map(|change| change.timestamp())
            // Some entries of a zone change its abbreviation alone.
            .find(|change| {
                let before = change.checked_sub(SignedDuration::from_nanos(1));
                before
                    .is_ok_and(|before| self.zone.to_offset(before) != self.zone.to_offset(*change))
            })
    }
}
