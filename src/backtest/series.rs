//! A recorded signal: rows of a time and a value, as a file or a metric source gives them.
//!
//! A row says what was measured over the step that ends at its stamp, so a value is never known before what
//! it measures has happened. The usual distance between rows is the step; where the next row is later than
//! twice that, there is a gap.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};

use crate::model::Moment;

/// One measured value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    /// The end of the time that it was measured over.
    pub at: Moment,
    /// The value, finite.
    pub value: f64,
}

/// What is missing in a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many pairs of neighbours are further apart than twice the step.
    pub count: usize,
    /// The longest distance of such a pair.
    pub longest: Duration,
}

/// A recorded signal: at least two rows, stamps rising.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Row>")]
pub struct Series {
    rows: Vec<Row>,
    /// For each row and one more: seconds and value times seconds of all rows before it.
    totals: Vec<Total>,
    step: Duration,
    gaps: Gaps,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Total {
    seconds: f64,
    area: f64,
}

/// Written as its rows; the rest follows from them.
impl Serialize for Series {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(out)
    }
}

impl TryFrom<Vec<Row>> for Series {
    type Error = SeriesError;

    fn try_from(rows: Vec<Row>) -> Result<Self, SeriesError> {
        Self::of("the recording", rows)
    }
}

/// Why rows are no series. The place is `file:line`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SeriesError {
    /// The line is not UTF-8.
    #[error("{place}: the line is not UTF-8 text; write `epoch_seconds,value`")]
    NotText {
        /// Where.
        place: String,
    },
    /// A row has too few or too many columns.
    #[error("{place}: a row has {found} column(s); write two, `epoch_seconds,value`")]
    Columns {
        /// Where.
        place: String,
        /// How many there are.
        found: usize,
    },
    /// The first column is no time.
    #[error(
        "{place}: `{text}` is no time stamp; write seconds since 1970 (`1700000000`) or a UTC time \
         (`2023-11-14T22:13:20Z`)"
    )]
    Stamp {
        /// Where.
        place: String,
        /// What stands there.
        text: String,
    },
    /// The first column is a time in milliseconds, or centuries away.
    #[error(
        "{place}: `{text}` is not in this century when read as seconds; give seconds, not milliseconds"
    )]
    FarStamp {
        /// Where.
        place: String,
        /// What stands there.
        text: String,
    },
    /// The second column is no number.
    #[error(
        "{place}: `{text}` is no value; write a finite number, and leave the row out where there is none"
    )]
    Value {
        /// Where.
        place: String,
        /// What stands there.
        text: String,
    },
    /// A stamp is not after the one before.
    #[error(
        "{place}: {stamp} is not after the row before it, {before}; sort the rows by time, each once"
    )]
    Order {
        /// Where.
        place: String,
        /// The stamp.
        stamp: Moment,
        /// The stamp before.
        before: Moment,
    },
    /// Too little to know a step.
    #[error("{file}: {found} row with a value is too little; give at least two")]
    TooShort {
        /// The file.
        file: String,
        /// How many rows there are.
        found: usize,
    },
    /// So long that a stamp must be wrong.
    #[error(
        "{file}: the rows span more than {} days, from {from} to {to}; check their stamps",
        SPAN_DAYS_MAX
    )]
    TooLong {
        /// The file.
        file: String,
        /// The first stamp.
        from: Moment,
        /// The last stamp.
        to: Moment,
    },
}

/// Longest time that a series may span, in days: a year and a month. What is longer is a slip in a stamp, and
/// would be replayed second by second.
const SPAN_DAYS_MAX: u64 = 400;
/// Stamps from here on, in seconds since 1970 (the year 2100), are milliseconds.
const STAMP_S_MAX: f64 = 4_102_444_800.0;
/// A row is missed when the next one is later than so many steps.
const STEPS_DUE: u32 = 2;

impl Series {
    /// Reads rows of `epoch_seconds,value`. A first line of names, lines that are empty or begin with `#` are
    /// passed over. Stamps may have decimals, or be times such as `2023-11-14T22:13:20Z`.
    ///
    /// # Errors
    /// [`SeriesError`] with the file and line of the first row that is wrong.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, SeriesError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut rows: Vec<Row> = Vec::new();
        let mut is_first = true;
        for (line, text) in (1_u64..).zip(text.split(|byte| *byte == b'\n')) {
            let place = || format!("{file}:{line}");
            let text = str::from_utf8(text).map_err(|_| SeriesError::NotText { place: place() })?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if std::mem::take(&mut is_first) && is_header(text) {
                continue;
            }
            let row = row(text, place)?;
            if let Some(before) = rows.last().filter(|before| before.at >= row.at) {
                let (stamp, before) = (row.at, before.at);
                return Err(SeriesError::Order { place: place(), stamp, before });
            }
            rows.push(row);
        }
        Self::of(file, rows)
    }

    /// A series of rows that rise in time; `name` is what an error calls it.
    ///
    /// # Errors
    /// [`SeriesError`] when there are fewer than two rows, they do not rise, or span too long a time.
    pub fn of(name: &str, rows: Vec<Row>) -> Result<Self, SeriesError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(SeriesError::TooShort { file: name.to_owned(), found: 0 });
        };
        if rows.len() < 2 {
            return Err(SeriesError::TooShort { file: name.to_owned(), found: rows.len() });
        }
        if let Some((before, row)) = pairs(&rows).find(|(before, row)| before.at >= row.at) {
            return Err(SeriesError::Order {
                place: name.to_owned(),
                stamp: row.at,
                before: before.at,
            });
        }
        if last.at.since(first.at) > Duration::from_secs(SPAN_DAYS_MAX * 24 * 3600) {
            let (from, to) = (first.at, last.at);
            return Err(SeriesError::TooLong { file: name.to_owned(), from, to });
        }
        let step = usual_step(&rows);
        let mut totals = Vec::with_capacity(rows.len() + 1);
        let mut total = Total::default();
        totals.push(total);
        let mut before: Option<Moment> = None;
        let mut gaps = Gaps::default();
        for row in &rows {
            let distance = before.map_or(step, |before| row.at.since(before));
            if distance > step * STEPS_DUE {
                gaps.count += 1;
                gaps.longest = gaps.longest.max(distance);
            }
            let seconds = distance.min(step).as_secs_f64();
            total.seconds += seconds;
            total.area += row.value * seconds;
            totals.push(total);
            before = Some(row.at);
        }
        Ok(Self { rows, totals, step, gaps })
    }

    /// The rows, stamps rising.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The usual distance between two rows.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.step
    }

    /// What is missing.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// The beginning of what the first row measures.
    #[must_use]
    pub fn begin(&self) -> Moment {
        self.rows.first().map_or(Moment(0), |row| row.at.before(self.step))
    }

    /// The end of what the last row measures.
    #[must_use]
    pub fn end(&self) -> Moment {
        self.rows.last().map_or(Moment(0), |row| row.at)
    }

    /// The first row with a value under zero.
    #[must_use]
    pub fn negative(&self) -> Option<Row> {
        self.rows.iter().copied().find(|row| row.value < 0.0)
    }

    /// How long after a row the next one is missed.
    pub(super) fn due(&self) -> Duration {
        self.step * STEPS_DUE
    }

    /// The mean of the rows from index `from` up to, not including, `to`, each by the time that it measures;
    /// `None` where there are none.
    pub(super) fn mean(&self, from: usize, to: usize) -> Option<f64> {
        let (start, end) = (self.totals.get(from)?, self.totals.get(to)?);
        let seconds = end.seconds - start.seconds;
        (seconds > 0.0).then(|| (end.area - start.area) / seconds)
    }
}

fn pairs(rows: &[Row]) -> impl Iterator<Item = (&Row, &Row)> {
    rows.iter().zip(rows.iter().skip(1))
}

/// The commonest distance between neighbours; of equally common ones the shortest.
fn usual_step(rows: &[Row]) -> Duration {
    let mut distances: Vec<Duration> =
        pairs(rows).map(|(before, row)| row.at.since(before.at)).collect();
    distances.sort_unstable();
    let runs = distances.chunk_by(|a, b| a == b);
    // Of equals, `max_by_key` gives the last: from the back, that is the shortest.
    let commonest = runs.rev().max_by_key(|run| run.len());
    commonest.and_then(|run| run.first()).copied().unwrap_or(Duration::from_secs(1))
}

/// The columns of a line, without the quotes that some programs put around every one.
fn columns(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).map(|field| {
        let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
        inner.unwrap_or(field)
    })
}

/// Whether no column of the first line can be data.
fn is_header(text: &str) -> bool {
    let is_data = |field: &str| field.parse::<f64>().is_ok() || stamp(field).is_some();
    !columns(text).any(is_data)
}

fn row(text: &str, place: impl Fn() -> String) -> Result<Row, SeriesError> {
    let mut fields = columns(text);
    let (Some(first), Some(second), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(SeriesError::Columns { place: place(), found: columns(text).count() });
    };
    let at = match stamp(first) {
        Some(Ok(at)) => at,
        Some(Err(Far)) => {
            return Err(SeriesError::FarStamp { place: place(), text: shown(first) });
        }
        None => return Err(SeriesError::Stamp { place: place(), text: shown(first) }),
    };
    let value = second.parse::<f64>().ok().filter(|value| value.is_finite());
    let value = value.ok_or_else(|| SeriesError::Value { place: place(), text: shown(second) })?;
    Ok(Row { at, value })
}

/// A number that is no time of this age.
struct Far;

/// Reads a time: seconds since 1970, or a date and time, UTC unless it says otherwise.
fn stamp(text: &str) -> Option<Result<Moment, Far>> {
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() {
            return None;
        }
        if !(0.0..STAMP_S_MAX).contains(&seconds) {
            return Some(Err(Far));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is far below the limit of an i64"
        )]
        return Some(Ok(Moment((seconds * 1000.0).round() as i64)));
    }
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(Ok(time.into()))
}

/// Longest piece of a file that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 40;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Series, SeriesError> {
        Series::parse("rps.csv", text.as_bytes())
    }

    fn refused(text: &str) -> String {
        read(text).expect_err("to be refused").to_string()
    }

    #[test]
    fn reads_what_people_and_programs_write() {
        let plain = read("100,1\n115,2\n130,4\n").expect("rows");
        assert_eq!(plain.step(), Duration::from_secs(15));
        assert_eq!((plain.begin(), plain.end()), (Moment(85_000), Moment(130_000)));
        let dressed =
            read("\u{feff}# exported\nepoch_utc,requests\n\n100.0, 1 \n\"115\",\"2\"\r\n130,4.0");
        assert_eq!(dressed, Ok(plain.clone()));
        let dates = read(
            "timestamp,value\n1970-01-01T00:01:40Z,1\n1970-01-01 00:01:55,2\n\
             1970-01-01T01:02:10+01:00,4\n",
        );
        assert_eq!(dates, Ok(plain));
    }

    #[test]
    fn says_where_a_row_is_wrong_and_what_would_be_right() {
        insta::assert_snapshot!(
            [
                refused("epoch_seconds,value\n100,1\nnoon,2\n"),
                refused("100,1\n115,NaN\n"),
                refused("100,1\n115,\n"),
                refused("time,value\n\n# late\n100,1,3\n"),
                refused("100\n115\n"),
                refused("100,1\n130,2\n115,3\n"),
                refused("100,1\n100,2\n"),
                refused("1700000000000,1\n"),
                refused("time,value\n100,1\n"),
                refused("0,1\n99999999,1\n"),
                Series::parse("rps.csv", b"100,1\n115,\xff\n").expect_err("").to_string(),
            ]
            .join("\n"),
            @"
        rps.csv:3: `noon` is no time stamp; write seconds since 1970 (`1700000000`) or a UTC time (`2023-11-14T22:13:20Z`)
        rps.csv:2: `NaN` is no value; write a finite number, and leave the row out where there is none
        rps.csv:2: `` is no value; write a finite number, and leave the row out where there is none
        rps.csv:4: a row has 3 column(s); write two, `epoch_seconds,value`
        rps.csv:1: a row has 1 column(s); write two, `epoch_seconds,value`
        rps.csv:3: 1970-01-01T00:01:55Z is not after the row before it, 1970-01-01T00:02:10Z; sort the rows by time, each once
        rps.csv:2: 1970-01-01T00:01:40Z is not after the row before it, 1970-01-01T00:01:40Z; sort the rows by time, each once
        rps.csv:1: `1700000000000` is not in this century when read as seconds; give seconds, not milliseconds
        rps.csv: 1 row with a value is too little; give at least two
        rps.csv: the rows span more than 400 days, from 1970-01-01T00:00:00Z to 1973-03-03T09:46:39Z; check their stamps
        rps.csv:2: the line is not UTF-8 text; write `epoch_seconds,value`
        "
        );
    }

    #[test]
    fn a_recording_is_written_and_read_again() {
        let series = read("10,1\n20,0.1\n30,12345678.9\n51,4\n").expect("rows");
        let text = serde_json::to_string(&series).expect("text");
        let again: Series = serde_json::from_str(&text).expect("the same");
        assert_eq!(again, series);
        assert_eq!(serde_json::to_string(&again).expect("text"), text);
        assert!(text.starts_with(r#"[{"at":10000,"value":1.0},"#), "{text}");
        let refused = |text: &str| serde_json::from_str::<Series>(text).expect_err("no series");
        assert!(refused(r#"[{"at":1,"value":1}]"#).to_string().contains("at least two"));
        assert!(
            refused(r#"[{"at":2,"value":1},{"at":1,"value":1}]"#).to_string().contains("not after")
        );
        // What is no number is written as null, and is none.
        assert!(
            refused(r#"[{"at":1,"value":null},{"at":2,"value":1}]"#).to_string().contains("null")
        );
    }

    #[test]
    fn a_gap_is_more_than_twice_the_usual_step_and_counts_for_one_step() {
        let series = read("10,1\n20,1\n30,1\n51,4\n60,4\n70,4\n").expect("rows");
        assert_eq!(series.step(), Duration::from_secs(10));
        assert_eq!(series.gaps(), Gaps { count: 1, longest: Duration::from_secs(21) });
        // 30 s of 1; 10 s, 9 s and 10 s of 4.
        assert_eq!(series.mean(0, 6), Some((30.0 + 4.0 * 29.0) / 59.0));
        assert_eq!(series.mean(3, 3), None);
    }
}
