//! Windows of time: half-open, opened and closed by cron expressions in an IANA zone.

use std::str::FromStr as _;

use croner::Cron;
use jiff::tz::TimeZone;

use super::Moment;

/// Why three texts are not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// `start` is not a cron expression.
    #[error("`{text}` is not a cron expression: {why}")]
    Start {
        /// As written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// `end` is not a cron expression.
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

/// When a schedule is open: from each instant of `start` to the next of `end`, `start` included and `end`
/// not.
#[derive(Debug, Clone)]
pub struct Windows {
    start: Cron,
    end: Cron,
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

impl PartialEq for Windows {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Windows {
    /// Reads the three texts.
    ///
    /// # Errors
    /// [`ScheduleError`] for the first that cannot be read.
    pub fn parse(start: &str, end: &str, zone: &str) -> Result<Self, ScheduleError> {
        let cron = |text: &str| Cron::from_str(text).map_err(|error| error.to_string());
        Ok(Self {
            start: cron(start)
                .map_err(|why| ScheduleError::Start { text: start.to_owned(), why })?,
            end: cron(end).map_err(|why| ScheduleError::End { text: end.to_owned(), why })?,
            zone: TimeZone::get(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?,
            texts: [start.to_owned(), end.to_owned(), zone.to_owned()],
        })
    }

    /// The window that is open at this instant.
    #[must_use]
    pub fn open_at(&self, now: Moment) -> Option<Window> {
        let zoned = now.timestamp().to_zoned(self.zone.clone());
        let from = self.start.find_previous_occurrence(&zoned, true).ok()?;
        let to = self.end.find_next_occurrence(&from, false).ok()?;
        let window = Window { from: from.timestamp().into(), to: to.timestamp().into() };
        (now < window.to).then_some(window)
    }

    /// The next instant after `now` at which it may open or close.
    #[must_use]
    pub fn next_edge(&self, now: Moment) -> Option<Moment> {
        let zoned = now.timestamp().to_zoned(self.zone.clone());
        let next = |cron: &Cron| {
            let next = cron.find_next_occurrence(&zoned, false).ok()?;
            Some(Moment::from(next.timestamp()))
        };
        [next(&self.start), next(&self.end)].into_iter().flatten().min()
    }

    /// The IANA name of its zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        let [_, _, zone] = &self.texts;
        zone
    }
}
