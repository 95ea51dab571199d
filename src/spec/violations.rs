//! Violations of a schema, said so that one knows what to write instead.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Violated;
use serde_json::Value;

use super::codes;
use super::findings::{Findings, Part};
use super::formats::Format;
use super::schema::Checker;
use super::suggest::help_of;
use super::wording::{
    VALUES, describe, first_sentence, inside, not_one_of, place, shown, type_word, wrong_type,
};
use crate::model::Severity;

/// Checks a document and adds every violation.
pub(crate) fn check(checker: &Checker, value: &Value, findings: &mut Findings<'_>) {
    check_part(checker, value, "", findings);
}

/// Checks a part of a document, which stands at a JSON pointer. Parts bound the work: the violations of one
/// are made all at once.
pub(crate) fn check_part(
    checker: &Checker,
    value: &Value,
    prefix: &str,
    findings: &mut Findings<'_>,
) {
    if findings.is_full() || checker.validator.is_valid(value) {
        return;
    }
    let part = Document { checker, prefix };
    for error in checker.validator.iter_errors(value) {
        if findings.is_full() {
            break;
        }
        report(part, &error, findings);
    }
}

/// A part of a document: what it is checked against, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) checker: &'a Checker,
    prefix: &'a str,
}

impl Document<'_> {
    /// The JSON pointer of a violation.
    pub(super) fn pointer(self, error: &ValidationError<'_>) -> String {
        format!("{}{}", self.prefix, error.instance_path().as_str())
    }
}

fn report(part: Document<'_>, error: &ValidationError<'_>, findings: &mut Findings<'_>) {
    let pointer = &part.pointer(error);
    match error.kind() {
        Violated::AdditionalProperties { unexpected }
        | Violated::UnevaluatedProperties { unexpected } => {
            for key in unexpected {
                if findings.is_full() {
                    return;
                }
                unknown_key(part, error, pointer, key, findings);
            }
        }
        Violated::Required { property } => missing_key(part, error, property, findings),
        Violated::AnyOf { context } | Violated::OneOfNotValid { context } => {
            union(part, error, context, findings);
        }
        Violated::PropertyNames { error: inner } => {
            property_name(part, error, inner, findings);
        }
        Violated::Pattern { .. } if format_beside(part, error).is_some() => {}
        Violated::Type { .. } if let Some(format) = secret_format(part, error) => {
            let message = (format.check)("").err().unwrap_or_default();
            findings.error(format.code, pointer, message, None);
        }
        kind => {
            let (code, message, help) = describe(part, error, kind, findings);
            findings.error(code, pointer, message, help);
        }
    }
}

/// The schema object that holds the violated keyword.
pub(super) fn schema_of<'a>(part: Document<'a>, error: &ValidationError<'_>) -> Option<&'a Value> {
    let path = error.schema_path().as_str();
    let (object, _) = path.rsplit_once('/')?;
    part.checker.schema.pointer(object)
}

/// Our format that stands beside a violated pattern: it reports the same text, with a better message.
fn format_beside<'a>(part: Document<'a>, error: &ValidationError<'_>) -> Option<&'a str> {
    let name = schema_of(part, error)?.get("format")?.as_str()?;
    let format = part.checker.formats.iter().find(|format| format.name == name)?;
    let text = error.instance().as_str()?;
    (format.check)(text).is_err().then_some(name)
}

/// The format of a place whose value may be a secret by mistake: no message repeats what stands there.
fn secret_format<'a>(part: Document<'a>, error: &ValidationError<'_>) -> Option<&'a Format> {
    let name = schema_of(part, error)?.get("format")?.as_str()?;
    part.checker.formats.iter().find(|format| format.is_secret && format.name == name)
}

/// The keys that a place allows, without deprecated spellings.
fn allowed_keys<'a>(part: Document<'a>, error: &ValidationError<'_>) -> Vec<&'a str> {
    let properties = schema_of(part, error).and_then(|schema| schema.get("properties"));
    let Some(Value::Object(properties)) = properties else { return Vec::new() };
    properties
        .iter()
        .filter(|(_, property)| property.get("deprecated") != Some(&Value::Bool(true)))
        .map(|(key, _)| key.as_str())
        .collect()
}

fn unknown_key(
    part: Document<'_>,
    error: &ValidationError<'_>,
    pointer: &str,
    key: &str,
    findings: &mut Findings<'_>,
) {
    let at = format!("{pointer}/{}", escape(key));
    let allowed = allowed_keys(part, error);
    let message = format!("unknown key `{key}`{}", inside(pointer));
    let help = help_of(key, &allowed, "the keys here are");
    findings.at(Severity::Error, codes::UNKNOWN_KEY, &at, Part::Key, message, help);
}

fn missing_key(
    part: Document<'_>,
    error: &ValidationError<'_>,
    property: &Value,
    findings: &mut Findings<'_>,
) {
    let pointer = &part.pointer(error);
    let key = property.as_str().unwrap_or_default();
    let description = schema_of(part, error)
        .and_then(|schema| schema.get("properties")?.get(key)?.get("description")?.as_str());
    let help = description.map(|text| format!("`{key}`: {}", first_sentence(text)));
    let message = format!("the key `{key}` is missing{}", inside(pointer));
    findings.at(Severity::Error, codes::MISSING_KEY, pointer, Part::Key, message, help);
}

fn property_name(
    part: Document<'_>,
    error: &ValidationError<'_>,
    inner: &ValidationError<'_>,
    findings: &mut Findings<'_>,
) {
    if matches!(inner.kind(), Violated::Pattern { .. }) && format_beside(part, inner).is_some() {
        return;
    }
    let key = inner.instance().as_str().unwrap_or_default().to_owned();
    let at = format!("{}/{}", part.pointer(error), escape(&key));
    let (code, message, help) = describe(part, inner, inner.kind(), findings);
    findings.at(Severity::Error, code, &at, Part::Key, message, help);
}

/// A value that fits no branch of a union: the errors of the branch that was most likely meant.
fn union(
    part: Document<'_>,
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    findings: &mut Findings<'_>,
) {
    let pointer = &part.pointer(error);
    let is_here = |inner: &ValidationError<'_>| part.pointer(inner) == *pointer;
    let mut constants = Vec::new();
    let mut types = Vec::new();
    let mut tags: Vec<(String, Value)> = Vec::new();
    let mut best: Option<(usize, &Vec<ValidationError<'static>>)> = None;
    for branch in context {
        let mut mismatch = false;
        for inner in branch {
            if is_tag(part, inner, pointer) {
                // Another type of a tagged union.
                if let Violated::Constant { expected_value } = inner.kind() {
                    tags.push((part.pointer(inner), expected_value.as_ref().clone()));
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
                    mismatch = !error.instance().is_string() || inner_constants.is_empty();
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
            if findings.is_full() {
                return;
            }
            report(part, inner, findings);
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
        let (code, message, help) = not_one_of(part, error, &constants, findings);
        findings.error(code, pointer, message, help);
        return;
    }
    if types.is_empty() {
        types.push("text".to_owned());
    }
    types.dedup();
    let (code, message, help) = wrong_type(part, error, &types.join(" or "), findings);
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

/// Whether an error says that the tag of a tagged union, a key of the value itself, is another one.
fn is_tag(part: Document<'_>, error: &ValidationError<'_>, pointer: &str) -> bool {
    let child = part.pointer(error);
    let key = child.strip_prefix(pointer);
    let is_child = key.and_then(|key| key.strip_prefix('/')).is_some_and(|key| !key.contains('/'));
    is_child && matches!(error.kind(), Violated::Constant { .. })
}

/// A key as a segment of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
