//! Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, `7d`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number and unit could be read.
    #[error("`{0}` is not a duration: write a number and a unit, as in `30s`, `5m` or `1h30m`")]
    Malformed(String),
    /// Longer than a year: certainly a slip of the pen.
    #[error("`{0}` is longer than a year")]
    TooLong(String),
}

/// No timer of a controller is meant to be longer than a year.
const SECONDS_MAX: u64 = 366 * 24 * 3600;

/// Reads a duration: one or more of a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), largest unit
/// first, no spaces.
///
/// # Errors
/// [`DurationError`] when the text has no such form or means more than a year.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut unit_before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(malformed()),
        };
        if unit_ms >= unit_before {
            return Err(malformed());
        }
        unit_before = unit_ms;
        let number: u64 = number.parse().map_err(|_| malformed())?;
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| ms / 1000 <= SECONDS_MAX)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = tail;
    }
    if unit_before == u64::MAX {
        return Err(malformed());
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration in the form [`parse_duration`] reads; below a millisecond it is `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, unit_ms) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        let number = rest / unit_ms;
        rest %= unit_ms;
        if number > 0 {
            out.push_str(&number.to_string());
            out.push_str(unit);
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_refuses_the_rest() {
        let seconds = |text: &str| parse_duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("30s"), Ok(30.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("250ms"), Ok(0.25));
        for bad in
            ["", "5", "s", "5 m", "-5s", "1.5h", "30m1h", "5s5s", "5x", "99999999999999999999s"]
        {
            assert!(matches!(seconds(bad), Err(DurationError::Malformed(_))), "{bad}");
        }
        assert!(matches!(seconds("400d"), Err(DurationError::TooLong(_))));
    }

    proptest::proptest! {
        #[test]
        fn writing_then_reading_is_the_identity(ms in 0u64..SECONDS_MAX * 1000) {
            let duration = Duration::from_millis(ms);
            proptest::prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
