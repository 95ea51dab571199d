//! Findings while they are collected: byte spans first, lines and columns once at the end.
//!
//! Shared by the spec and the controller's configuration. Counting lines for every finding on its own would
//! make a file with many findings slow; here each file is walked once.

use std::collections::BTreeMap;

use super::codes;
use super::yaml::{Fault, Kind, Node, Span};
use crate::model::{Code, Diagnostic, Position, Severity};

/// Findings of one file that are worth listing: more than anyone fixes at once, and a bound on the work that
/// a hostile file can cause.
pub(crate) const FINDINGS_MAX: usize = 1_000;

/// Characters of a message or a help line: twice the longest of our own words, whatever a file adds to them.
const TEXT_CHARS_MAX: usize = 400;

/// Bytes of a number that messages quote as it is written; longer ones are quoted as they are understood.
const WRITTEN_BYTES_MAX: usize = 40;

/// One finding, with its place as a byte span.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) help: Option<String>,
}

/// The findings of one file.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    file: &'a str,
    bytes: &'a [u8],
    root: Option<&'a Node>,
    list: Vec<Finding>,
    errors: usize,
}

/// What of a place is pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The value.
    Value,
    /// The key, where there is one.
    Key,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a str, bytes: &'a [u8], root: Option<&'a Node>) -> Self {
        Self { file, bytes, root, list: Vec::new(), errors: 0 }
    }

    /// Whether there are so many errors that no more are taken. Warnings do not count: a check that stops
    /// because of them could let an error pass.
    pub(crate) fn is_full(&self) -> bool {
        self.errors > FINDINGS_MAX
    }

    fn takes(&self, severity: Severity) -> bool {
        match severity {
            Severity::Error => !self.is_full(),
            Severity::Warning => self.list.len() - self.errors <= FINDINGS_MAX,
        }
    }

    /// Whether anything was found that refuses the file.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// How the number or truth value at a JSON pointer is written in the file: `1.10`, where the value is 1.1.
    pub(crate) fn written(&self, pointer: &str) -> Option<&'a str> {
        let node = self.root?.find(pointer).node;
        if !matches!(node.kind, Kind::Bool(_) | Kind::Number(_)) {
            return None;
        }
        let text = std::str::from_utf8(self.bytes.get(node.span.start..node.span.end)?).ok()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
        (text.len() <= WRITTEN_BYTES_MAX && text.bytes().all(plain)).then_some(text)
    }

    /// Adds what is wrong with the text itself.
    pub(crate) fn faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.push(Finding {
                code: fault.code,
                severity: Severity::Error,
                message: fault.message.clone(),
                span: fault.span,
                help: fault.help.clone(),
            });
        }
    }

    pub(crate) fn push(&mut self, mut finding: Finding) {
        if !self.takes(finding.severity) {
            return;
        }
        finding.message = cut(finding.message);
        finding.help = finding.help.map(cut);
        self.errors += usize::from(finding.severity == Severity::Error);
        self.list.push(finding);
    }

    /// Adds an error about the value at a JSON pointer.
    pub(crate) fn error(
        &mut self,
        code: Code,
        pointer: &str,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.at(Severity::Error, code, pointer, Part::Value, message.into(), help.into());
    }

    /// Adds a finding about a part of a place.
    pub(crate) fn at(
        &mut self,
        severity: Severity,
        code: Code,
        pointer: &str,
        part: Part,
        message: String,
        help: Option<String>,
    ) {
        if !self.takes(severity) {
            // Finding the place is the costly part.
            return;
        }
        let span = self.root.map_or(Span { start: 0, end: 0 }, |root| {
            let found = root.find(pointer);
            match (part, found.key_span) {
                (Part::Key, Some(key_span)) => key_span,
                _ => narrow(found.node, found.key_span),
            }
        });
        self.push(Finding { code, severity, message, span, help });
    }

    /// The findings as diagnostics, in the order of the file, without repetitions.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let has_error = self.errors > 0;
        let dropped = !(self.takes(Severity::Error) && self.takes(Severity::Warning));
        self.list.sort_by(|a, b| {
            (a.span, a.code, a.severity, &a.message).cmp(&(b.span, b.code, b.severity, &b.message))
        });
        self.list.dedup_by(|b, a| a.span == b.span && a.code == b.code && a.message == b.message);
        let overflow = dropped || self.list.len() > FINDINGS_MAX;
        self.list.truncate(FINDINGS_MAX);
        let mut cursor = Cursor::new(self.bytes);
        let mut out = Vec::with_capacity(self.list.len());
        for finding in self.list {
            let first_line = first_line_end(self.bytes, finding.span);
            let start = finding.span.start.min(self.bytes.len());
            let (line, column) = cursor.locate(start);
            let end = finding.span.end.clamp(start, self.bytes.len()).min(first_line.max(start));
            out.push(Diagnostic {
                code: finding.code,
                severity: finding.severity,
                message: finding.message,
                position: Some(Position { file: self.file.to_owned(), start, end, line, column }),
                help: finding.help,
            });
        }
        if overflow && let Some(last) = out.last().and_then(|last| last.position.clone()) {
            out.push(Diagnostic {
                code: codes::TOO_MANY_FINDINGS,
                severity: if has_error { Severity::Error } else { Severity::Warning },
                message: format!(
                    "there are more than {FINDINGS_MAX} findings; the rest is not shown"
                ),
                position: Some(last),
                help: Some("correct the ones before and check again".to_owned()),
            });
        }
        out
    }
}

/// A text with its end cut off where it is too long to be read.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Where to point for a value: at the key of a block that spans lines, else at the value.
fn narrow(node: &Node, key_span: Option<Span>) -> Span {
    match (&node.kind, key_span) {
        (Kind::Null, Some(key)) if node.span.start == node.span.end => key,
        _ => node.span,
    }
}

/// Where the line of `span.start` ends.
fn first_line_end(bytes: &[u8], span: Span) -> usize {
    let start = span.start.min(bytes.len());
    let tail = bytes.get(start..).unwrap_or_default();
    let length = tail.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(tail.len());
    start + length
}

/// Counts lines and columns on one forward walk; offsets must not decrease.
#[derive(Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1, column: 1 }
    }

    /// Line and column (in characters) of a byte offset, from 1. A byte order mark has no column.
    fn locate(&mut self, offset: usize) -> (usize, usize) {
        for &byte in self.bytes.get(self.at..offset).unwrap_or_default() {
            let next = self.bytes.get(self.at + 1).copied();
            self.at += 1;
            match byte {
                b'\n' => self.new_line(),
                b'\r' if next != Some(b'\n') => self.new_line(),
                // A continuation byte belongs to the character before it.
                0x80..=0xBF | b'\r' => {}
                0xEF if self.at == 1 && self.bytes.starts_with(b"\xEF\xBB\xBF") => {}
                _ => self.column += 1,
            }
        }
        (self.line, self.column)
    }

    fn new_line(&mut self) {
        self.line += 1;
        self.column = 1;
    }
}

/// Sorts diagnostics of several files: by file in the given order, then by position.
pub(crate) fn sort(diagnostics: &mut [Diagnostic], files: &[&str]) {
    let order: BTreeMap<&str, usize> =
        files.iter().enumerate().map(|(index, file)| (*file, index)).collect();
    diagnostics.sort_by_key(|diagnostic| {
        let position = diagnostic.position.as_ref();
        let file = position.and_then(|position| order.get(position.file.as_str()).copied());
        (file.map_or(0, |file| file + 1), position.map_or(0, |position| position.start))
    });
}
