//! Violations of a schema, said so that one knows what to write instead.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Violated};
use serde_json::Value;

use super::codes;
use super::findings::{Findings, Part};
use super::formats::Format;
use super::schema::Checker;
use super::suggest::{help_of, list_of};
use crate::model::{Code, Severity};

/// Checks a document and adds every violation.
pub(crate) fn check(checker: &Checker, value: &Value, findings: &mut Findings<'_>) {
    if checker.validator.is_valid(value) {
        return;
    }
    for error in checker.validator.iter_errors(value) {
        if findings.is_full() {
            break;
        }
        report(checker, &error, findings);
    }
}

fn report(checker: &Checker, error: &ValidationError<'_>, findings: &mut Findings<'_>) {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        Violated::AdditionalProperties { unexpected }
        | Violated::UnevaluatedProperties { unexpected } => {
            for key in unexpected {
                unknown_key(checker, error, pointer, key, findings);
            }
        }
        Violated::Required { property } => missing_key(checker, error, property, findings),
        Violated::AnyOf { context } | Violated::OneOfNotValid { context } => {
            union(checker, error, context, findings);
        }
        Violated::PropertyNames { error: inner } => {
            property_name(checker, error, inner, findings);
        }
        Violated::Pattern { .. } if format_beside(checker, error).is_some() => {}
        Violated::Type { .. } if let Some(format) = secret_format(checker, error) => {
            let message = (format.check)("").err().unwrap_or_default();
            findings.error(format.code, pointer, message, None);
        }
        kind => {
            let (code, message, help) = describe(checker, error, kind);
            findings.error(code, pointer, message, help);
        }
    }
}

/// The schema object that holds the violated keyword.
fn schema_of<'a>(checker: &'a Checker, error: &ValidationError<'_>) -> Option<&'a Value> {
    let path = error.schema_path().as_str();
    let (object, _) = path.rsplit_once('/')?;
    checker.schema.pointer(object)
}

/// Our format that stands beside a violated pattern: it reports the same text, with a better message.
fn format_beside<'a>(checker: &'a Checker, error: &ValidationError<'_>) -> Option<&'a str> {
    let name = schema_of(checker, error)?.get("format")?.as_str()?;
    let format = checker.formats.iter().find(|format| format.name == name)?;
    let text = error.instance().as_str()?;
    (format.check)(text).is_err().then_some(name)
}

/// The format of a place whose value may be a secret by mistake: no message repeats what stands there.
fn secret_format<'a>(checker: &'a Checker, error: &ValidationError<'_>) -> Option<&'a Format> {
    let name = schema_of(checker, error)?.get("format")?.as_str()?;
    checker.formats.iter().find(|format| format.is_secret && format.name == name)
}

/// The keys that a place allows, without deprecated spellings.
fn allowed_keys<'a>(checker: &'a Checker, error: &ValidationError<'_>) -> Vec<&'a str> {
    let properties = schema_of(checker, error).and_then(|schema| schema.get("properties"));
    let Some(Value::Object(properties)) = properties else { return Vec::new() };
    properties
        .iter()
        .filter(|(_, property)| property.get("deprecated") != Some(&Value::Bool(true)))
        .map(|(key, _)| key.as_str())
        .collect()
}

fn unknown_key(
    checker: &Checker,
    error: &ValidationError<'_>,
    pointer: &str,
    key: &str,
    findings: &mut Findings<'_>,
) {
    let at = format!("{pointer}/{}", escape(key));
    let allowed = allowed_keys(checker, error);
    let message = format!("unknown key `{key}`{}", inside(pointer));
    let help = help_of(key, &allowed, "the keys here are");
    findings.at(Severity::Error, codes::UNKNOWN_KEY, &at, Part::Key, message, help);
}

fn missing_key(
    checker: &Checker,
    error: &ValidationError<'_>,
    property: &Value,
    findings: &mut Findings<'_>,
) {
    let pointer = error.instance_path().as_str();
    let key = property.as_str().unwrap_or_default();
    let description = schema_of(checker, error)
        .and_then(|schema| schema.get("properties")?.get(key)?.get("description")?.as_str());
    let help = description.map(|text| format!("`{key}`: {}", first_sentence(text)));
    let message = format!("the key `{key}` is missing{}", inside(pointer));
    findings.at(Severity::Error, codes::MISSING_KEY, pointer, Part::Key, message, help);
}

fn property_name(
    checker: &Checker,
    error: &ValidationError<'_>,
    inner: &ValidationError<'_>,
    findings: &mut Findings<'_>,
) {
    if matches!(inner.kind(), Violated::Pattern { .. }) && format_beside(checker, inner).is_some() {
        return;
    }
    let key = inner.instance().as_str().unwrap_or_default().to_owned();
    let at = format!("{}/{}", error.instance_path().as_str(), escape(&key));
    let (code, message, help) = describe(checker, inner, inner.kind());
    findings.at(Severity::Error, code, &at, Part::Key, message, help);
}

/// A value that fits no branch of a union: the errors of the branch that was most likely meant.
fn union(
    checker: &Checker,
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    findings: &mut Findings<'_>,
) {
    let pointer = error.instance_path().as_str();
    let is_here = |inner: &ValidationError<'_>| inner.instance_path().as_str() == pointer;
    let mut constants = Vec::new();
    let mut types = Vec::new();
    let mut tags: Vec<(&str, Value)> = Vec::new();
    let mut best: Option<(usize, &Vec<ValidationError<'static>>)> = None;
    for branch in context {
        let mut mismatch = false;
        for inner in branch {
            if is_tag(inner, pointer) {
                // Another type of a tagged union.
                if let Violated::Constant { expected_value } = inner.kind() {
                    tags.push((inner.instance_path().as_str(), expected_value.as_ref().clone()));
                }
                mismatch = true;
            }
        }
        for inner in branch.iter().filter(|inner| is_here(inner)) {
            match inner.kind() {
                Violated::Constant { expected_value } => {
                    constants.push(expected_value.as_ref().clone());
                    mismatch = true;
                }
                Violated::Enum { options } => {
                    constants.extend(options.as_array().cloned().unwrap_or_default());
                    // An enumeration of texts is what was meant by a text, and by nothing else.
                    mismatch = !error.instance().is_string();
                    if mismatch {
                        types.push("text".to_owned());
                    }
                }
                Violated::Type { kind } => {
                    types.push(type_word(kind));
                    mismatch = true;
                }
                Violated::AnyOf { context } | Violated::OneOfNotValid { context } => {
                    // Enumerations with documented values are unions of constants.
                    let inner_constants = constants_of(context);
                    mismatch = !(error.instance().is_string() && !inner_constants.is_empty());
                    if mismatch && !inner_constants.is_empty() {
                        types.push("text".to_owned());
                    }
                    constants.extend(inner_constants);
                }
                _ => {}
            }
        }
        if !mismatch && best.is_none_or(|(count, _)| branch.len() < count) {
            best = Some((branch.len(), branch));
        }
    }
    if let Some((_, branch)) = best {
        for inner in branch {
            report(checker, inner, findings);
        }
        return;
    }
    if let Some((at, _)) = tags.first() {
        let written = error.instance().get(at.rsplit('/').next().unwrap_or_default());
        let values: Vec<&str> = tags.iter().filter_map(|(_, value)| value.as_str()).collect();
        let shown = written.map(shown).unwrap_or_default();
        let help = help_of(written.and_then(Value::as_str).unwrap_or_default(), &values, VALUES);
        let message = format!("{} cannot be {shown}", place(at));
        findings.error(codes::UNKNOWN_VALUE, at, message, help);
        return;
    }
    if !constants.is_empty() && error.instance().is_string() {
        let (code, message, help) = not_one_of(error, &constants);
        findings.error(code, pointer, message, help);
        return;
    }
    if types.is_empty() {
        types.push("text".to_owned());
    }
    types.dedup();
    let (code, message, help) = wrong_type(error, &types.join(" or "));
    findings.error(code, pointer, message, help);
}

fn constants_of(context: &[Vec<ValidationError<'static>>]) -> Vec<Value> {
    let mut constants = Vec::new();
    for inner in context.iter().flatten() {
        match inner.kind() {
            Violated::Constant { expected_value } => {
                constants.push(expected_value.as_ref().clone());
            }
            Violated::Enum { options } => {
                constants.extend(options.as_array().cloned().unwrap_or_default());
            }
            _ => {}
        }
    }
    constants
}

/// Begins a list of possible values.
const VALUES: &str = "the values are";

/// Whether an error says that the tag of a tagged union, a key of the value itself, is another one.
fn is_tag(error: &ValidationError<'_>, pointer: &str) -> bool {
    let key = error.instance_path().as_str().strip_prefix(pointer);
    let is_child = key.is_some_and(|key| key.starts_with('/') && !key[1..].contains('/'));
    is_child && matches!(error.kind(), Violated::Constant { .. })
}

type Said = (Code, String, Option<String>);

fn describe(checker: &Checker, error: &ValidationError<'_>, kind: &Violated) -> Said {
    let name = place(error.instance_path().as_str());
    let range = |text: String| (codes::OUT_OF_RANGE, format!("{name} {text}"), None);
    let instance = shown(error.instance());
    match kind {
        Violated::Type { kind } => wrong_type(error, &type_word(kind)),
        Violated::Enum { options } => {
            not_one_of(error, options.as_array().map(Vec::as_slice).unwrap_or_default())
        }
        Violated::Constant { expected_value } => {
            not_one_of(error, std::slice::from_ref(expected_value.as_ref()))
        }
        Violated::Format { format } => {
            let known = checker.formats.iter().find(|known| known.name == format);
            let text = error.instance().as_str().unwrap_or_default();
            match known.map(|known| (known.code, (known.check)(text))) {
                Some((code, Err(message))) => (code, message, None),
                _ => (codes::BAD_FORMAT, format!("{name} is not a valid {format}"), None),
            }
        }
        Violated::Pattern { pattern } => (
            codes::BAD_FORMAT,
            format!("{instance} is not a valid value of {name}"),
            schema_of(checker, error)
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

fn wrong_type(error: &ValidationError<'_>, expected: &str) -> Said {
    let instance = error.instance();
    let name = place(error.instance_path().as_str());
    let found = match instance.as_ref() {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => shown(instance),
        Value::String(_) => format!("the text {}", shown(instance)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    };
    let wants_text = expected.split(" or ").any(|kind| kind == "text");
    let help = match instance.as_ref() {
        Value::Null => Some("give it a value, or remove the key".to_owned()),
        Value::Bool(_) | Value::Number(_) if wants_text => {
            Some(format!("write it in quotes: \"{instance}\""))
        }
        Value::String(text) if text.parse::<f64>().is_ok() && !wants_text => {
            Some("write it without quotes".to_owned())
        }
        _ => None,
    };
    let article = if expected == "true or false" { "" } else { "a " };
    (codes::WRONG_TYPE, format!("{name} must be {article}{expected}; found {found}"), help)
}

fn not_one_of(error: &ValidationError<'_>, options: &[Value]) -> Said {
    let name = place(error.instance_path().as_str());
    let texts: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    if !error.instance().is_string() && !texts.is_empty() {
        let (code, message, help) = wrong_type(error, "text");
        let listed = list_of(&texts, VALUES);
        return (code, message, help.or(listed));
    }
    let written = error.instance().as_str().unwrap_or_default();
    let message = format!("{name} cannot be {}", shown(error.instance()));
    (codes::UNKNOWN_VALUE, message, help_of(written, &texts, VALUES))
}

fn type_word(kind: &TypeKind) -> String {
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

fn entries(count: u64) -> String {
    if count == 1 { "one entry".to_owned() } else { format!("{count} entries") }
}

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A value as a message shows it, in backquotes, not too long.
fn shown(value: &Value) -> String {
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
fn place(pointer: &str) -> String {
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
fn inside(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" in {}", place(pointer)) }
}

fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => line.trim_end_matches('.').to_owned(),
    }
}

/// A key as a segment of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
