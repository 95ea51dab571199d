//! The words for violations of a schema.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Violated};
use serde_json::Value;

use super::codes;
use super::findings::Findings;
use super::suggest::{help_of, list_of};
use super::violations::{Document, schema_of};
use crate::model::Code;

/// Begins a list of possible values.
pub(super) const VALUES: &str = "the values are";

pub(super) type Said = (Code, String, Option<String>);

pub(super) fn describe(
    part: Document<'_>,
    error: &ValidationError<'_>,
    kind: &Violated,
    findings: &Findings<'_>,
) -> Said {
    let name = place(&part.pointer(error));
    let range = |text: String| (codes::OUT_OF_RANGE, format!("{name} {text}"), None);
    let instance = shown(error.instance());
    match kind {
        Violated::Type { kind } => wrong_type(part, error, &type_word(kind), findings),
        Violated::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            not_one_of(part, error, options, findings)
        }
        Violated::Constant { expected_value } => {
            not_one_of(part, error, std::slice::from_ref(expected_value.as_ref()), findings)
        }
        Violated::Format { format } => {
            let known = part.checker.formats.iter().find(|known| known.name == format);
            let text = error.instance().as_str().unwrap_or_default();
            match known.map(|known| (known.code, (known.check)(text))) {
                Some((code, Err(message))) => (code, message, None),
                _ => (codes::BAD_FORMAT, format!("{name} is not a valid {format}"), None),
            }
        }
        Violated::Pattern { pattern } => (
            codes::BAD_FORMAT,
            format!("{instance} is not a valid value of {name}"),
            schema_of(part, error)
                .and_then(|schema| schema.get("examples")?.get(0))
                .map(|example| format!("write it as in {}", shown(example)))
                .or_else(|| Some(format!("it must match `{pattern}`"))),
        ),
        Violated::Minimum { limit } => range(format!("is {instance}; it must be at least {limit}")),
        Violated::Maximum { limit } => range(format!("is {instance}; it may be at most {limit}")),
        Violated::ExclusiveMinimum { limit } => {
            range(format!("is {instance}; it must be more than {limit}"))
        }
        Violated::ExclusiveMaximum { limit } => {
            range(format!("is {instance}; it must be less than {limit}"))
        }
        Violated::MinLength { .. } => range("is empty".to_owned()),
        Violated::MaxLength { limit } => range(format!("has more than {limit} characters")),
        Violated::MinItems { limit } => range(format!("needs at least {}", entries(*limit))),
        Violated::MaxItems { limit } => range(format!("has more than {limit} entries")),
        Violated::MinProperties { limit } => range(format!("needs at least {limit} of its keys")),
        Violated::MaxProperties { limit } => range(format!("takes at most {limit} of its keys")),
        _ => (codes::BAD_FORMAT, format!("{name} is not valid: {error}"), None),
    }
}

pub(super) fn wrong_type(
    part: Document<'_>,
    error: &ValidationError<'_>,
    expected: &str,
    findings: &Findings<'_>,
) -> Said {
    let instance = error.instance();
    let pointer = part.pointer(error);
    let name = place(&pointer);
    // `1.10` and `0777` mean other texts than the numbers that they are read as.
    let written = || {
        findings
            .written(&pointer)
            .map_or_else(|| instance.to_string(), |written| written.to_owned())
    };
    let found = match instance.as_ref() {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{}`", written()),
        Value::String(_) => format!("the text {}", shown(instance)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    };
    let wants_text = expected.split(" or ").any(|kind| kind == "text");
    let help = match instance.as_ref() {
        Value::Null => Some("give it a value, or remove the key".to_owned()),
        Value::Bool(_) | Value::Number(_) if wants_text => {
            Some(format!("write it in quotes: \"{}\"", written()))
        }
        Value::String(text) if text.parse::<f64>().is_ok() && !wants_text => {
            Some("write it without quotes".to_owned())
        }
        _ => None,
    };
    let article = if expected == "true or false" { "" } else { "a " };
    (codes::WRONG_TYPE, format!("{name} must be {article}{expected}; found {found}"), help)
}

pub(super) fn not_one_of(
    part: Document<'_>,
    error: &ValidationError<'_>,
    options: &[Value],
    findings: &Findings<'_>,
) -> Said {
    let name = place(&part.pointer(error));
    let texts: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    if !error.instance().is_string() && !texts.is_empty() {
        let (code, message, help) = wrong_type(part, error, "text", findings);
        let listed = list_of(&texts, VALUES);
        return (code, message, help.or(listed));
    }
    let written = error.instance().as_str().unwrap_or_default();
    let message = format!("{name} cannot be {}", shown(error.instance()));
    (codes::UNKNOWN_VALUE, message, help_of(written, &texts, VALUES))
}

pub(super) fn type_word(kind: &TypeKind) -> String {
    let word = |kind: &str| {
        match kind {
            "string" => "text",
            "integer" => "whole number",
            "number" => "number",
            "boolean" => "true or false",
            "array" => "list",
            "object" => "mapping",
            _ => "null",
        }
        .to_owned()
    };
    match kind {
        TypeKind::Single(kind) => word(&kind.to_string()),
        TypeKind::Multiple(kinds) => {
            let words: Vec<String> = kinds.iter().map(|kind| word(&kind.to_string())).collect();
            words.join(" or ")
        }
    }
}

pub(super) fn entries(count: u64) -> String {
    if count == 1 { "one entry".to_owned() } else { format!("{count} entries") }
}

/// Characters of a value that a message repeats.
pub(super) const SHOWN_CHARS_MAX: usize = 60;

/// A value as a message shows it, in backquotes, not too long.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() > SHOWN_CHARS_MAX {
        let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        format!("`{cut}…`")
    } else {
        format!("`{text}`")
    }
}

/// The name of a place: the last key of its pointer, with its index where it is an entry of a list.
pub(super) fn place(pointer: &str) -> String {
    let mut segments = pointer.rsplit('/').map(|s| s.replace("~1", "/").replace("~0", "~"));
    match (segments.next(), segments.next()) {
        (Some(last), Some(before)) if !last.is_empty() => {
            if last.bytes().all(|b| b.is_ascii_digit()) {
                format!("an entry of `{before}`")
            } else {
                format!("`{last}`")
            }
        }
        _ => "the document".to_owned(),
    }
}

/// Where a key stands, for the end of a sentence.
pub(super) fn inside(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" in {}", place(pointer)) }
}

pub(super) fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => line.trim_end_matches('.').to_owned(),
    }
}
