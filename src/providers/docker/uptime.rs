//! Reads the daemon's "Up 5 minutes", so that a container that went on running since the last look need
//! not be inspected again. Pure.

/// A duration known to a whole unit: the daemon rounds down, and to an hour or a day when it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uptime {
    /// At least this long, in seconds.
    pub(super) at_least: i64,
    /// Less than this, in seconds.
    pub(super) below: i64,
}

/// Seconds of what the daemon calls a month and a year.
const MONTH: i64 = 30 * 24 * 3600;
const YEAR: i64 = 365 * 24 * 3600;

impl Uptime {
    /// Reads the `Status` of a running container; `None` when it is no uptime that we know.
    pub(super) fn parse(status: &str) -> Option<Self> {
        let text = status.strip_prefix("Up ")?;
        // Health of an image's own check, or "(Paused)", follows in parentheses.
        let text = text.split(" (").next().unwrap_or(text);
        match text {
            "Less than a second" => return Some(Self { at_least: 0, below: 1 }),
            "1 second" => return Some(Self { at_least: 1, below: 2 }),
            "About a minute" => return Some(Self { at_least: 60, below: 120 }),
            "About an hour" => return Some(Self { at_least: 3600 - 60, below: 2 * 3600 }),
            _ => {}
        }
        let (number, unit) = text.split_once(' ')?;
        let number: i64 = number.parse().ok()?;
        let unit = match unit {
            "seconds" => 1,
            "minutes" => 60,
            "hours" => 3600,
            "days" => 24 * 3600,
            "weeks" => 7 * 24 * 3600,
            "months" => MONTH,
            "years" => YEAR,
            _ => return None,
        };
        // Hours are rounded to the nearest in some versions: half a unit of slack on the lower side.
        let slack = if unit >= 3600 { unit / 2 } else { 0 };
        let start = number.checked_mul(unit)?;
        Some(Self { at_least: start - slack, below: start.checked_add(unit)? })
    }

    /// Whether a container that had this uptime `elapsed` seconds ago and has `now` must have been
    /// restarted in between. `slack` absorbs rounding and the time the requests took.
    pub(super) fn was_restarted(self, now: Self, elapsed: i64, slack: i64) -> bool {
        now.below + slack < self.at_least.saturating_add(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarted(before: &str, after: &str, elapsed: i64) -> bool {
        Uptime::parse(before).unwrap().was_restarted(Uptime::parse(after).unwrap(), elapsed, 2)
    }

    #[test]
    fn tells_a_restart_from_going_on() {
        assert!(!restarted("Up 6 seconds", "Up 21 seconds", 15));
        assert!(!restarted("Up 50 seconds", "Up About a minute", 15));
        assert!(!restarted("Up 59 minutes", "Up About an hour", 60));
        assert!(!restarted("Up About an hour", "Up About an hour (healthy)", 15));
        assert!(!restarted("Up 47 hours", "Up 2 days", 3600));
        assert!(restarted("Up 6 seconds", "Up 3 seconds", 15));
        assert!(restarted("Up 2 hours", "Up Less than a second", 15));
        assert!(restarted("Up Less than a second", "Up 5 seconds", 15));
        assert_eq!(Uptime::parse("Exited (1) 51 seconds ago"), None);
    }
}
