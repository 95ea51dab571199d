//! Texts: which are accepted from people, and how commits and errors are put.

use std::fmt::Write as _;

use super::OrderError;
use crate::model::{Region, ServiceId};

/// Characters of a reason: it stands in one line of a table, a commit and a history.
pub(super) const REASON_CHARS_MAX: usize = 300;
/// Characters of an author: a name and an address.
pub(super) const AUTHOR_CHARS_MAX: usize = 200;
/// Characters of an id.
pub(super) const ID_CHARS_MAX: usize = 64;
/// Names that an error lists, so that it stays readable with a thousand services.
const NAMES_MAX: usize = 10;

/// A text of one line that says something.
pub(super) fn one_line(what: &'static str, text: &str, max: usize) -> Result<String, OrderError> {
    let text = text.trim();
    if text.is_empty() || !is_one_line(text, max) {
        return Err(OrderError::Text { what, max });
    }
    Ok(text.to_owned())
}

/// Whether a text has at most so many characters and nothing that breaks a line: in a commit's message a line of
/// its own could pass for a trailer.
pub(super) fn is_one_line(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max
        && !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

pub(super) fn place(service: &ServiceId, region: Option<&Region>) -> String {
    region.map_or_else(|| service.to_string(), |region| format!("{service}/{region}"))
}

/// The message of a commit: its trailers name the bursts or pauses, and who asked.
pub(super) fn message(
    subject: &str,
    reason: &str,
    author: &str,
    kind: &str,
    ids: &[&str],
) -> String {
    let mut message = format!("{subject}\n\n{reason}\n\n");
    for id in ids {
        let _ = writeln!(message, "Tidegate-{kind}: {id}");
    }
    let _ = writeln!(message, "Tidegate-Author: {author}");
    message
}

pub(super) fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let shown: Vec<&str> = all.iter().take(NAMES_MAX).copied().collect();
    match all.len() - shown.len() {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
