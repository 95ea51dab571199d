//! What an unquoted scalar means: the core schema of YAML 1.2, so `no` is a text and `0777` is 777.

use serde_json::Number;

use super::Kind;

/// Whole numbers up to here survive as floating point, so that `2.0` may be read as `2`.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    match number(text) {
        Some(number) => Kind::Number(number),
        None => Kind::Text(text.into()),
    }
}

/// The number a text is, if it is a finite one. `2.0` is the whole number 2.
pub(super) fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return whole(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return whole(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let signed = text.strip_prefix('+').unwrap_or(text);
        if let Ok(value) = signed.parse::<i64>() {
            return Some(value.into());
        }
        if let Ok(value) = signed.parse::<u64>() {
            return Some(value.into());
        }
    }
    let digits = unsigned.bytes().any(|b| b.is_ascii_digit());
    let shape = unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let starts = unsigned.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.');
    if !(digits && shape && starts) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "within the range where floats are exact")]
    if value.fract() == 0.0 && value.abs() < EXACT_FLOAT_MAX {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

fn whole(digits: &str, radix: u32) -> Option<Number> {
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(Number::from)
}
