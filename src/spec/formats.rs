//! Forms of text that the schemas name with `format:` and that are checked by functions of our own.
//!
//! Editors know the pattern beside each format; the function is what decides, and its message is what the
//! user reads.

use crate::model::{
    Code, CpuShare, MemoryBytes, PolicyName, Region, SecretName, Windows, parse_duration,
};

use super::codes;

/// A form of text: its name in the schema, the code of a violation, and the check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) code: Code,
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// Whether what stands there may be a secret by mistake.
    pub(crate) is_secret: bool,
}

impl Format {
    pub(crate) const fn new(
        name: &'static str,
        code: Code,
        check: fn(&str) -> Result<(), String>,
    ) -> Self {
        Self { name, code, check, is_secret: false }
    }
}

/// Declares a text type for the raw documents: a string in the schema, with format, pattern and examples.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $format:literal, $pattern:expr, $examples:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(transparent)]
        #[allow(dead_code, reason = "some of these types exist for their schema alone")]
        pub(crate) struct $name(pub(crate) String);

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "format": $format,
                    "pattern": $pattern,
                    "examples": $examples,
                })
            }
        }
    };
}
pub(crate) use text_type;

/// The formats of the spec.
pub(crate) const SPEC: &[Format] = &[
    Format::new("tidegate-duration", codes::BAD_DURATION, duration),
    Format::new("tidegate-cpu", codes::BAD_QUANTITY, |t| cpu(t).map(drop)),
    Format::new("tidegate-memory", codes::BAD_QUANTITY, |t| memory(t).map(drop)),
    Format::new("tidegate-env-name", codes::BAD_ENV_NAME, env_name),
    Format::new("tidegate-label", codes::BAD_FORMAT, label),
    Format::new("tidegate-name", codes::BAD_FORMAT, name),
    Format::new("tidegate-secret-name", codes::BAD_FORMAT, secret_name),
    Format::new("tidegate-instant", codes::BAD_FORMAT, |t| instant(t).map(drop)),
    Format::new("tidegate-cron", codes::BAD_CRON, cron),
    Format::new("tidegate-percent", codes::BAD_FORMAT, percent),
    Format::new("tidegate-absolute-path", codes::BAD_FORMAT, url_path),
];

pub(crate) fn duration(text: &str) -> Result<(), String> {
    parse_duration(text).map(drop).map_err(|error| error.to_string())
}

fn label(text: &str) -> Result<(), String> {
    Region::try_from(text).map(drop).map_err(|error| error.to_string())
}

fn name(text: &str) -> Result<(), String> {
    PolicyName::try_from(text).map(drop).map_err(|error| error.to_string())
}

fn secret_name(text: &str) -> Result<(), String> {
    SecretName::try_from(text).map(drop).map_err(|error| error.to_string())
}

/// Thousandths of a core from `0.5`, `2` or `500m`.
pub(crate) fn cpu(text: &str) -> Result<CpuShare, String> {
    let bad = || {
        format!(
            "`{text}` is not a share of processor cores: write `0.5`, `2` or `500m`, above zero"
        )
    };
    let millicores = match text.strip_suffix('m') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u32>().map_err(|_| bad())?
        }
        Some(_) => return Err(bad()),
        None => cpu_cores(text.parse().map_err(|_| bad())?).ok_or_else(bad)?.millicores,
    };
    if millicores == 0 || millicores > MILLICORES_MAX {
        return Err(bad());
    }
    Ok(CpuShare { millicores })
}

/// More cores than any machine has: certainly a slip of the pen.
const MILLICORES_MAX: u32 = 10_000_000;

/// Thousandths of a core from a number of cores.
pub(crate) fn cpu_cores(cores: f64) -> Option<CpuShare> {
    let millicores = (cores * 1000.0).round();
    let in_range = millicores >= 1.0 && millicores <= f64::from(MILLICORES_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 1 and MILLICORES_MAX"
    )]
    in_range.then_some(CpuShare { millicores: millicores as u32 })
}

/// Bytes from `512Mi`, `1Gi`, `1G` or `1048576`.
pub(crate) fn memory(text: &str) -> Result<MemoryBytes, String> {
    let bad =
        || format!("`{text}` is not an amount of memory: write `512Mi`, `1Gi` or `1G`, above zero");
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        "Ti" | "TiB" => 1 << 40,
        _ => return Err(bad()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(number) => number.checked_mul(factor).ok_or_else(bad)?,
        Err(_) => {
            let bytes = number.parse::<f64>().map_err(|_| bad())? * factor as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, since no sign was read, and a cast of floats saturates"
            )]
            let bytes = bytes as u64;
            bytes
        }
    };
    if bytes == 0 || bytes > MEMORY_BYTES_MAX {
        return Err(bad());
    }
    Ok(MemoryBytes { bytes })
}

/// A pebibyte: more memory than any machine has.
const MEMORY_BYTES_MAX: u64 = 1 << 50;

/// POSIX names of environment variables, with lower-case letters as in practice.
pub(crate) fn env_name(text: &str) -> Result<(), String> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(format!(
        "`{text}` cannot be an environment variable: use letters, digits and `_`, and start with no digit"
    ))
}

/// An instant from an RFC 3339 timestamp, or from a date: its first instant in UTC.
pub(crate) fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(timestamp);
    }
    text.parse::<jiff::civil::Date>()
        .ok()
        .filter(|_| text.len() == DATE_CHARS)
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
        .ok_or_else(|| {
            format!("`{text}` is not a time: write `2026-12-01` or `2026-12-01T09:00:00Z`")
        })
}

/// Characters of `2026-12-01`: longer texts that start with a date are not dates.
const DATE_CHARS: usize = 10;

fn cron(text: &str) -> Result<(), String> {
    Windows::parse(text, text, "UTC").map(drop).map_err(|error| error.to_string())
}

fn percent(text: &str) -> Result<(), String> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text).strip_suffix('%');
    match number.map(str::parse::<f64>) {
        Some(Ok(value)) if value.is_finite() => Ok(()),
        _ => Err(format!("`{text}` is not a percentage: write it as in `50%`")),
    }
}

fn url_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("`{text}` is not an absolute path: start it with `/`, without spaces"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_mean_what_people_expect() {
        let millicores = |text| cpu(text).ok().map(|share| share.millicores);
        assert_eq!(millicores("0.5"), Some(500));
        assert_eq!(millicores("500m"), Some(500));
        assert_eq!(millicores("2"), Some(2000));
        for bad in ["", "m", "0", "0m", "-1", "1 core", "nan", "inf", "1e99", "+5m"] {
            assert_eq!(millicores(bad), None, "{bad}");
        }
        let bytes = |text| memory(text).ok().map(|memory| memory.bytes);
        assert_eq!(bytes("512Mi"), Some(512 << 20));
        assert_eq!(bytes("1G"), Some(1_000_000_000));
        assert_eq!(bytes("1.5Gi"), Some(3 << 29));
        for bad in ["", "Mi", "0", "-1Mi", "512 Mi", "512mi", "99999999999999999999Gi", "1.2.3G"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_is_its_first_instant_in_utc() {
        let date = instant("2026-12-01").expect("a date");
        assert_eq!(date, "2026-12-01T00:00:00Z".parse().expect("a timestamp"));
        assert_eq!(instant("2026-12-01T01:00:00+01:00"), Ok(date));
        for bad in ["", "tomorrow", "2026-13-01", "2026-12-01T09:00", "01.12.2026"] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }
}
