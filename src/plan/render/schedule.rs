//! Schedules in words, the same for terminal and page.

use super::{counted, harmless};
use crate::model::{PlannedSchedule, PlannedWindow, Shift};

/// What the schedule does: `schedule days: at least 4 replicas, in Europe/Berlin, the next 7 days`.
pub(crate) fn title(schedule: &PlannedSchedule) -> String {
    let least = usize::try_from(schedule.floor.0).unwrap_or(usize::MAX);
    let name = harmless(&schedule.name);
    let replicas = counted(least, "replica", "replicas");
    format!("schedule {name}: at least {replicas}, in {}, the next 7 days", schedule.zone)
}

/// One line for each window, and one for those that are not listed.
pub(crate) fn lines(schedule: &PlannedSchedule) -> Vec<String> {
    let mut lines: Vec<String> = schedule.windows.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("not open in these days".to_owned());
    }
    if schedule.more > 0 {
        lines.push(format!("and {} more", schedule.more));
    }
    lines
}

fn line(window: &PlannedWindow) -> String {
    let utc = |at: crate::model::Moment| at.timestamp().strftime("%m-%d %H:%MZ").to_string();
    let marked = window.marked;
    let mut line = format!(
        "{} to {} ({} to {})",
        window.local_from,
        window.local_to,
        utc(marked.window.from),
        utc(marked.window.to)
    );
    line.push_str(match marked.from_shift {
        None => "",
        Some(Shift::Skipped) => "; the clock skips the time of its start: it opens right after",
        Some(Shift::Repeated) => {
            "; the clock has the time of its start twice: it opens at the first"
        }
    });
    line.push_str(match marked.to_shift {
        None => "",
        Some(Shift::Skipped) => "; the clock skips the time of its end: it closes right after",
        Some(Shift::Repeated) => {
            "; the clock has the time of its end twice: it closes at the second"
        }
    });
    line
}
