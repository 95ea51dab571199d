//! Cron expressions as sets of wall-clock minutes.
//!
//! Comes under `schedule`, which turns the minutes into instants of a zone. Knows no zone and no instant: it
//! must not, because what a minute that a zone skips or repeats means depends on whether a window opens or
//! closes there.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::civil::{Date, DateTime, time};

/// Characters of an expression: every minute of an hour listed one by one is 170.
pub(super) const CRON_CHARS_MAX: usize = 200;

/// The longest time between two matches, in years: 29 February on a given weekday comes every 28 years, and
/// after 40 across a century without a leap year, as from 2072 to 2112.
const YEARS_BETWEEN_MAX: i16 = 40;

/// Minutes of a day.
const MINUTES: u16 = 24 * 60;

/// What each field may hold: its name, its range, and the words that stand for numbers.
const FIELDS: [Field; 5] = [
    Field { name: "minute", range: "0 to 59", signs: "*,-/", words: &[] },
    Field { name: "hour", range: "0 to 23", signs: "*,-/", words: &[] },
    Field { name: "day of month", range: "1 to 31, `L` or `15W`", signs: "*,-/?LW", words: &[] },
    Field { name: "month", range: "1 to 12, or `JAN` to `DEC`", signs: "*,-/", words: &MONTHS },
    Field {
        name: "day of week",
        range: "0 to 7 with 0 and 7 for Sunday, `SUN` to `SAT`, `5L` or `1#2`",
        signs: "*,-/?L#+",
        words: &WEEKDAYS,
    },
];

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

struct Field {
    name: &'static str,
    range: &'static str,
    signs: &'static str,
    words: &'static [&'static str],
}

/// A cron expression of five fields that matches some minute of some year.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Decides about days; hours and minutes are read off it once.
    cron: Cron,
    /// Matching hours, bit 0 for midnight.
    hours: u64,
    /// Matching minutes of each of those hours.
    minutes: u64,
}

/// Why a text is no such expression, as a sentence fragment.
pub(super) type Why = String;

impl Pattern {
    /// Reads five fields: minute, hour, day of month, month, day of week. Day of month and day of week both
    /// restricted means either, as in every cron since 1987; `+` before the day of week means both.
    pub(super) fn parse(text: &str) -> Result<Self, Why> {
        if text.trim_start().starts_with('@') {
            return Err("write five fields in place of a nickname, as in `0 0 * * *`".to_owned());
        }
        if text.chars().count() > CRON_CHARS_MAX {
            return Err(format!("it is longer than {CRON_CHARS_MAX} characters"));
        }
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        if parts.len() != FIELDS.len() {
            return Err(format!(
                "it has {}, and five are wanted: minute, hour, day of month, month, day of week",
                match parts.len() {
                    1 => "1 field".to_owned(),
                    count => format!("{count} fields"),
                }
            ));
        }
        for (index, (field, part)) in FIELDS.iter().zip(&parts).enumerate() {
            let mut alone = ["*"; FIELDS.len()];
            if let Some(place) = alone.get_mut(index) {
                *place = part;
            }
            if !field.allows(part) || read(&alone.join(" ")).is_none() {
                let rises = if part.contains('-') { ", and a range goes up" } else { "" };
                let Field { name, range, .. } = field;
                return Err(format!("the {name} is `{part}`: it can be {range}{rises}"));
            }
        }
        let cron = read(&parts.join(" ")).ok_or("its fields do not go together")?;
        let bits = |last: u16, has: &dyn Fn(u32) -> bool| {
            (0..=last).filter(|n| has(u32::from(*n))).fold(0_u64, |bits, n| bits | 1 << n)
        };
        let pattern = Self {
            hours: bits(23, &|hour| cron.pattern.hour_match(hour).unwrap_or(false)),
            minutes: bits(59, &|minute| cron.pattern.minute_match(minute).unwrap_or(false)),
            cron,
        };
        // Any start will do: the search goes on for as long as two matches can be apart.
        let start = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        match pattern.next(start) {
            Some(_) => Ok(pattern),
            None => Err("no day is ever matched by it".to_owned()),
        }
    }

    /// The first matching minute at or after this wall-clock time.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        let partial = from.second() > 0 || from.subsec_nanosecond() > 0;
        let least = minute_of_day(from) + u16::from(partial);
        if self.matches_day(from.date())
            && let Some(minute) = (least..MINUTES).find(|minute| self.matches_minute(*minute))
        {
            return at(from.date(), minute);
        }
        let day = self.next_day(from.date())?;
        at(day, (0..MINUTES).find(|minute| self.matches_minute(*minute))?)
    }

    /// The first matching minute after this wall-clock time.
    pub(super) fn after(&self, from: DateTime) -> Option<DateTime> {
        self.next(from.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?)
    }

    /// The last matching minute at or before this wall-clock time.
    pub(super) fn previous(&self, from: DateTime) -> Option<DateTime> {
        let most = minute_of_day(from);
        if self.matches_day(from.date())
            && let Some(minute) = (0..=most).rev().find(|minute| self.matches_minute(*minute))
        {
            return at(from.date(), minute);
        }
        let day = self.previous_day(from.date())?;
        at(day, (0..MINUTES).rev().find(|minute| self.matches_minute(*minute))?)
    }

    /// The last matching minute before this wall-clock time.
    pub(super) fn before(&self, from: DateTime) -> Option<DateTime> {
        self.previous(from.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?)
    }

    /// The first matching day after this one. Months that do not match are passed over whole, so that even
    /// the rarest pattern is found within a few hundred steps.
    fn next_day(&self, from: Date) -> Option<Date> {
        let last = from.year().saturating_add(YEARS_BETWEEN_MAX);
        let mut day = from.tomorrow().ok()?;
        while day.year() <= last {
            if !self.matches_month(day) {
                day = day.last_of_month().tomorrow().ok()?;
            } else if self.matches_day(day) {
                return Some(day);
            } else {
                day = day.tomorrow().ok()?;
            }
        }
        None
    }

    fn previous_day(&self, from: Date) -> Option<Date> {
        let first = from.year().saturating_sub(YEARS_BETWEEN_MAX);
        let mut day = from.yesterday().ok()?;
        while day.year() >= first {
            if !self.matches_month(day) {
                day = day.first_of_month().yesterday().ok()?;
            } else if self.matches_day(day) {
                return Some(day);
            } else {
                day = day.yesterday().ok()?;
            }
        }
        None
    }

    fn matches_month(&self, day: Date) -> bool {
        self.cron.pattern.month_match(number(day.month())).unwrap_or(false)
    }

    fn matches_day(&self, day: Date) -> bool {
        let weekday = number(day.weekday().to_sunday_zero_offset());
        let weekday = Weekday::from_days_from_sunday(weekday);
        let (month, of_month) = (number(day.month()), number(day.day()));
        self.matches_month(day)
            && self
                .cron
                .pattern
                .day_match(i32::from(day.year()), month, of_month, weekday)
                .unwrap_or(false)
    }

    fn matches_minute(&self, of_day: u16) -> bool {
        self.hours >> (of_day / 60) & 1 == 1 && self.minutes >> (of_day % 60) & 1 == 1
    }
}

impl Field {
    /// Whether a field has only characters and words with a meaning there. The parser itself would read
    /// `MON` in the place of the minute as 1.
    fn allows(&self, part: &str) -> bool {
        let mut rest = part.to_ascii_uppercase();
        for word in self.words {
            // Beside a digit or another letter it would be read as a part of a longer number.
            while let Some(at) = rest.find(word) {
                let after = at + word.len();
                let apart = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
                let before = rest.get(..at).and_then(|text| text.chars().next_back());
                let next = rest.get(after..).and_then(|text| text.chars().next());
                if !apart(before) || !(apart(next) || next == Some('L')) {
                    return false;
                }
                rest.replace_range(at..after, "~");
            }
        }
        rest.chars().all(|c| c.is_ascii_digit() || c == '~' || self.signs.contains(c))
    }
}

fn read(text: &str) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    // Seconds that are disallowed are at zero, so that no minute is missed.
    parser.parse(text).ok()
}

fn minute_of_day(at: DateTime) -> u16 {
    let part = |part: i8| u16::try_from(part).unwrap_or(0);
    part(at.hour()) * 60 + part(at.minute())
}

fn at(day: Date, minute_of_day: u16) -> Option<DateTime> {
    let hour = i8::try_from(minute_of_day / 60).ok()?;
    let minute = i8::try_from(minute_of_day % 60).ok()?;
    (hour < 24).then(|| day.to_datetime(time(hour, minute, 0, 0)))
}

/// Parts of a date are never negative.
fn number(part: i8) -> u32 {
    u32::try_from(part).unwrap_or(0)
}
