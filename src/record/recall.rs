//! Which lines of the history somebody wants to see: newest first, and no more days than needed.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::history::{HISTORY_VERSION, HistoryLine, Kind};
use crate::model::{Region, ServiceId};

/// Days that are looked through at most, back from the newest wanted: what is older is asked for by its time.
pub const HISTORY_DAYS_MAX: usize = 400;

/// What is wanted of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of this service only.
    pub service: Option<ServiceId>,
    /// Of this region only.
    pub region: Option<Region>,
    /// Of this kind only.
    pub kind: Option<Kind>,
    /// With this reason code only.
    pub reason: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Before this instant only.
    pub until: Timestamp,
    /// So many lines, the newest.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// The lines, newest first.
    pub lines: Vec<HistoryLine>,
    /// Lines that this version of the program cannot read.
    pub unreadable: usize,
    /// Whether there may be more than the limit let through.
    pub is_cut: bool,
}

impl Query {
    /// The days to look at, newest first, each as the stem of its files' paths.
    pub fn days(&self) -> impl Iterator<Item = String> {
        let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
        let oldest = self.since.map(day);
        let newest = day(self.until);
        let earlier = |date: &Date| date.checked_sub(1.day()).ok();
        std::iter::successors(Some(newest), earlier)
            .take(HISTORY_DAYS_MAX)
            .take_while(move |date| oldest.is_none_or(|oldest| oldest <= *date))
            .map(|date| date.strftime("history/%Y/%m/%d").to_string())
    }

    /// Takes up one day: its files, in order. Returns whether earlier days are wanted too.
    pub fn take(&self, told: &mut Told, parts: &[Vec<u8>]) -> bool {
        let mut of_day = Vec::new();
        for line in parts.iter().flat_map(|part| part.split(|b| *b == b'\n')) {
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice::<HistoryLine>(line) {
                Ok(line) if line.v <= HISTORY_VERSION => of_day.push(line),
                Ok(_) | Err(_) => told.unreadable += 1,
            }
        }
        of_day.retain(|line| self.wants(line));
        of_day.reverse();
        // Stable: of one instant, the last written comes first.
        of_day.sort_by_key(|line| std::cmp::Reverse(line.time));
        told.lines.append(&mut of_day);
        if told.lines.len() > self.limit {
            told.lines.truncate(self.limit);
            told.is_cut = true;
        }
        !told.is_cut
    }

    fn wants(&self, line: &HistoryLine) -> bool {
        self.service.as_ref().is_none_or(|service| *service == line.target.service)
            && self.region.as_ref().is_none_or(|region| *region == line.target.region)
            && self.kind.is_none_or(|kind| kind == line.kind)
            && self.reason.as_ref().is_none_or(|reason| *reason == line.reason)
            && self.since.is_none_or(|since| since <= line.time)
            && line.time < self.until
    }
}

/// Path of the `number`th file of a day's history; a day has as many as it needs, from 0.
#[must_use]
pub fn part_path(stem: &str, number: usize) -> String {
    if number == 0 { format!("{stem}.jsonl") } else { format!("{stem}.{number}.jsonl") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(since: Option<&str>, until: &str, limit: usize) -> Query {
        Query {
            service: None,
            region: None,
            kind: None,
            reason: None,
            since: since.map(|text| text.parse().unwrap()),
            until: until.parse().unwrap(),
            limit,
        }
    }

    fn line(id: &str, time: &str, service: &str) -> String {
        serde_json::json!({
            "v": 1, "id": id, "time": time, "target": {"service": service, "region": "local"},
            "kind": "change", "from": 1, "to": 2, "reason": "bounds", "sentence": "",
            "specCommit": "a".repeat(40), "actor": "tidegate", "outcome": "applied",
            "durationMs": 1, "dryRun": false,
        })
        .to_string()
    }

    #[test]
    fn only_the_days_between_are_looked_at() {
        let days = |since, until| query(since, until, 9).days().collect::<Vec<_>>();
        let wanted = ["history/2026/03/01", "history/2026/02/28"];
        assert_eq!(days(Some("2026-02-28T23:59:59Z"), "2026-03-01T00:00:00Z"), wanted);
        assert!(days(Some("2026-03-02T00:00:00Z"), "2026-03-01T00:00:00Z").is_empty());
        assert_eq!(days(None, "2026-03-01T00:00:00Z").len(), HISTORY_DAYS_MAX);
    }

    #[test]
    fn the_newest_wanted_lines_come_first_and_no_day_too_many() {
        let text = [
            line("1", "2026-03-01T10:00:00Z", "web"),
            line("2", "2026-03-01T12:00:00Z", "db"),
            line("3", "2026-03-01T11:00:00Z", "web"),
            line("4", "2026-03-01T11:00:00Z", "web"),
            r#"{"v": 2, "id": "5", "what": "is this"}"#.to_owned(),
            line("6", "2026-03-01T13:00:00Z", "web"),
        ]
        .join("\n");
        let [first, second] = [text.as_bytes().to_vec(), Vec::new()];
        let mut wanted = query(Some("2026-03-01T10:00:00Z"), "2026-03-01T13:00:00Z", 3);
        wanted.service = Some("web".try_into().unwrap());
        let mut told = Told::default();
        assert!(wanted.take(&mut told, &[first.clone(), second.clone()]));
        let ids: Vec<&str> = told.lines.iter().map(|line| line.id.as_str()).collect();
        assert_eq!((ids, told.unreadable, told.is_cut), (vec!["4", "3", "1"], 1, false));
        wanted.limit = 2;
        let mut told = Told::default();
        assert!(!wanted.take(&mut told, &[first, second]));
        assert_eq!((told.lines.len(), told.is_cut), (2, true));
    }
}
