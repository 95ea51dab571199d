//! Schedules: expressions that can be read, and windows that close when they should.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Checker, list};
use crate::model::{Moment, ScheduleError, Severity, Window, Windows, zone_names};
use crate::spec::codes;
use crate::spec::findings::Part;
use crate::spec::suggest::nearest;

/// A Monday: the windows of the weeks after it stand for all weeks.
const MONDAY: Moment = Moment(1_767_571_200_000);
const DAY_MS: i64 = 24 * 3_600_000;
/// Windows that are looked at: more than a schedule opens in two weeks by hours.
const WINDOWS_MAX: usize = 400;

/// Some expression, for reading a zone alone.
const DAILY: &str = "0 0 * * *";

impl Checker<'_, '_, '_> {
    pub(super) fn schedules(&mut self, document: &Value) {
        for (index, schedule) in list(document, "schedules") {
            if self.findings.is_full() {
                return;
            }
            self.schedule(schedule, &format!("/schedules/{index}"));
        }
    }

    fn schedule(&mut self, schedule: &Value, at: &str) {
        if schedule.get("replicas").and_then(Value::as_u64) == Some(0) {
            let message = "a floor of 0 replicas raises no count";
            let help = "say how many replicas there are to be at least, or remove the schedule";
            let at = self.place.at(&format!("{at}/replicas"));
            self.findings.error(codes::NO_EFFECT, &at, message, help.to_owned());
        }
        let text = |key| schedule.get(key).and_then(Value::as_str);
        let (start, end, zone) = (text("start"), text("end"), text("timezone"));
        if let Some(zone) = zone
            && let Err(error @ ScheduleError::Zone(_)) = Windows::parse(DAILY, DAILY, zone)
        {
            let at = self.place.at(&format!("{at}/timezone"));
            self.findings.error(codes::UNKNOWN_ZONE, &at, error.to_string(), near_zone(zone));
        }
        // What is no cron expression is reported by the schema.
        if let (Some(start), Some(end)) = (start, end) {
            self.windows(start, end, at);
        }
    }

    fn windows(&mut self, start: &str, end: &str, at: &str) {
        let pair = (Windows::parse(start, end, "UTC"), Windows::parse(start, start, "UTC"));
        let (Ok(windows), Ok(starts)) = pair else { return };
        let fortnight = Moment(MONDAY.0 + 14 * DAY_MS);
        let upcoming = windows.upcoming(MONDAY, fortnight, WINDOWS_MAX);
        if is_always_open(&windows) {
            let message = "this schedule is always open: where it ends, it starts again";
            let help = "raise `min` in place of it, or correct `end`";
            let at = self.place.at(&format!("{at}/end"));
            self.findings.at(
                Severity::Warning,
                codes::ALWAYS_OPEN,
                &at,
                Part::Value,
                message.to_owned(),
                Some(help.to_owned()),
            );
            return;
        }
        if !(is_weekly(start) && is_weekly(end)) {
            // Windows of a month, or of a year, are of different lengths by nature.
            return;
        }
        let same_days = weekdays(start) == weekdays(end);
        if let Some(window) = left_open(&upcoming, &starts, same_days) {
            let day = |moment: Moment, format| {
                moment.timestamp().to_zoned(TimeZone::UTC).strftime(format).to_string()
            };
            let (opens, closes) = (day(window.from, "%A %H:%M"), day(window.to, "%A %H:%M"));
            let message =
                format!("what opens on {opens} stays open until {closes}: `end` names other days");
            let help =
                "let `end` match within a day of every `start`; a window that is to stay open \
                        over days wants a schedule of its own"
                    .to_owned();
            let at = self.place.at(&format!("{at}/end"));
            self.findings.error(codes::WINDOW_LEFT_OPEN, &at, message, help);
        }
    }
}

/// A window that stays open over a whole day and more, although the days of `start` and `end` tell that it
/// was not meant to: either it is still open when it starts again on another day, or both name the same days
/// and others of its windows close within a day. A window from one named day to another is neither.
fn left_open(windows: &[Window], starts: &Windows, same_days: bool) -> Option<Window> {
    let length = |window: &Window| window.to.0 - window.from.0;
    let some_close_in_time = windows.iter().any(|window| length(window) <= DAY_MS);
    let next_day =
        |window: &Window| Moment(window.from.0 - window.from.0.rem_euclid(DAY_MS) + DAY_MS);
    let covers_a_day = |window: &&Window| next_day(window).0 + DAY_MS <= window.to.0;
    let starts_again = |window: &Window| {
        let next = starts.upcoming(next_day(window), window.to, 2);
        // The first may have begun before that day.
        next.iter().any(|start| start.from >= next_day(window))
    };
    windows
        .iter()
        .filter(covers_a_day)
        .find(|window| starts_again(window) || (same_days && some_close_in_time))
        .copied()
}

/// Whether each window begins where the one before it ends, over the weeks and years that are looked at.
fn is_always_open(windows: &Windows) -> bool {
    let far = Moment::from(Timestamp::MAX);
    let upcoming = windows.upcoming(MONDAY, far, WINDOWS_MAX);
    let [first, ..] = upcoming.as_slice() else { return false };
    first.from <= MONDAY && upcoming.is_sorted_by(|a, b| a.to >= b.from)
}

/// Whether an expression repeats every week: neither days of the month nor months are named.
fn is_weekly(cron: &str) -> bool {
    let mut fields = cron.split_ascii_whitespace().skip(2);
    let is_any = |field: Option<&str>| field.is_some_and(|field| matches!(field, "*" | "?"));
    let (day, month) = (fields.next(), fields.next());
    is_any(day) && is_any(month) && fields.next().is_some_and(|field| !field.contains(['#', 'L']))
}

fn weekdays(cron: &str) -> Option<String> {
    cron.split_ascii_whitespace().nth(4).map(str::to_ascii_uppercase)
}

/// The zone that was probably meant: by the name of its city, or by a slip of the pen.
fn near_zone(written: &str) -> Option<String> {
    let names = zone_names();
    let city = written.rsplit('/').next().unwrap_or(written).trim().replace(' ', "_");
    let of_city = names.iter().find(|name| {
        name.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&city))
    });
    let initial = written.chars().next().map(|c| c.to_ascii_uppercase());
    let alike: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.chars().next() == initial).collect();
    let near = of_city.map(String::as_str).or_else(|| nearest(written, &alike));
    near.map(|name| format!("did you mean `{name}`?"))
}
