//! Diagnostics for people and for programs.
//!
//! What a spec contains is shown, never obeyed: control characters and those that change the direction of
//! text are replaced before anything reaches a terminal.

use std::borrow::Cow;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::model::{Diagnostic, Position, Severity, SourceFile, Sources};

/// Characters of an excerpt: what fits on a terminal, with room for the line number.
const EXCERPT_CHARS_MAX: usize = 120;
/// Characters of an excerpt before the offending text, where the line is longer than that.
const CONTEXT_CHARS_MAX: usize = 40;
/// What stands for a character that is not shown, and for what is cut off.
const REPLACEMENT: char = '\u{fffd}';
const ELLIPSIS: &str = "…";

/// Diagnostics for a terminal: message, place, excerpt, help. Colours only when asked for.
#[must_use]
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let files: Vec<&SourceFile> =
        sources.spec.iter().chain(&sources.services).chain(&sources.policies).collect();
    text_of(diagnostics, &files, color)
}

/// Like [`text`], for any files.
#[must_use]
pub(crate) fn text_of(diagnostics: &[Diagnostic], files: &[&SourceFile], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(EXCERPT_CHARS_MAX * 2);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, files, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(diagnostic: &Diagnostic, files: &[&SourceFile], renderer: &Renderer) -> String {
    let message = visible(&diagnostic.message);
    let help = diagnostic.help.as_deref().map(visible);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(message).id(diagnostic.code.0);
    let mut group = Group::with_title(title);
    if let Some(position) = &diagnostic.position {
        let path = visible(&position.file);
        let file = files.iter().find(|file| file.path == position.file);
        let excerpt = file.and_then(|file| excerpt(&file.bytes, position));
        // A line that is cut in front would show a wrong column: then the place is stated apart.
        if excerpt.as_ref().is_none_or(|excerpt| excerpt.is_cut) {
            let origin = Origin::path(path.clone()).line(position.line);
            group = group.element(origin.char_column(position.column));
        }
        if let Some(excerpt) = excerpt {
            let mark = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
            let snippet = Snippet::source(excerpt.line).line_start(position.line).annotation(mark);
            group = group.element(if excerpt.is_cut { snippet } else { snippet.path(path) });
        }
    }
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// The offending line as it is shown, and the offending bytes in it.
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
    is_cut: bool,
}

fn excerpt(bytes: &[u8], position: &Position) -> Option<Excerpt> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let before = bytes.get(..position.start)?;
    let line_start = before.iter().rposition(is_break).map_or(0, |at| at + 1);
    let after = bytes.get(position.start..)?;
    let line_end = position.start + after.iter().position(is_break).unwrap_or(after.len());
    let end = position.end.clamp(position.start, line_end);
    let part = |from: usize, to: usize| {
        let text = String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default());
        visible(text.strip_prefix('\u{feff}').unwrap_or(&text)).into_owned()
    };
    let (mut lead, mut marked, mut tail) =
        (part(line_start, position.start), part(position.start, end), part(end, line_end));
    let total = lead.chars().count() + marked.chars().count() + tail.chars().count();
    let is_cut = total > EXCERPT_CHARS_MAX && lead.chars().count() > CONTEXT_CHARS_MAX;
    if total > EXCERPT_CHARS_MAX {
        lead = keep_end(&lead, CONTEXT_CHARS_MAX);
        marked = keep_start(&marked, EXCERPT_CHARS_MAX - CONTEXT_CHARS_MAX);
        let used = lead.chars().count() + marked.chars().count();
        tail = keep_start(&tail, EXCERPT_CHARS_MAX.saturating_sub(used));
    }
    let start = lead.len();
    let end = start + marked.len();
    let line = lead + &marked + &tail;
    (!line.trim().is_empty()).then_some(Excerpt { line, start, end, is_cut })
}

fn keep_start(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned() + ELLIPSIS,
        None => text.to_owned(),
    }
}

fn keep_end(text: &str, chars_max: usize) -> String {
    let chars = text.chars().count();
    if chars <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(chars - chars_max).collect();
    ELLIPSIS.to_owned() + &kept
}

/// The text with every character replaced that a terminal would obey rather than show.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match c {
        '\t' => ' ',
        c if is_obeyed(c) => REPLACEMENT,
        c => c,
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Control characters, line and paragraph separators, and the marks that change the direction of text or
/// have no width.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Diagnostics for programs: `{"valid": …, "diagnostics": […]}`, lines and columns from 1.
#[must_use]
pub fn json(diagnostics: &[Diagnostic]) -> Value {
    let entries: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let position = diagnostic.position.as_ref();
            json!({
                "code": diagnostic.code.0,
                "severity": diagnostic.severity.to_string(),
                "message": diagnostic.message,
                "file": position.map(|position| &position.file),
                "line": position.map(|position| position.line),
                "column": position.map(|position| position.column),
                "help": diagnostic.help,
            })
        })
        .collect();
    let valid = !diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    json!({"valid": valid, "diagnostics": entries})
}
