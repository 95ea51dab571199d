//! Words from elsewhere, made inert: what a spec, a person, a branch or a provider wrote is shown, never obeyed.
//!
//! Every rendering for a page takes foreign words through here and nowhere else. [`harmless`] makes hidden
//! characters visible; [`inline`] is for running text, table cells and summaries, [`code`] for names, [`fence`]
//! for lines. None of them can fail, and none of them drops a character but by [`cut`], which says so.
//!
//! Two readers have to be kept from finding a meaning. The first is the markdown parser: what is syntax to it
//! is written as a character reference, which can never be structure (CommonMark 0.31, section 2.5) and which,
//! other than a backslash, also works inside HTML such as `<summary>`. The second is GitHub, which looks through
//! the text *after* that for mentions, references, commits and emoji, where `&#64;` has long been `@` again:
//! there a zero-width space is put between the sign and the word.

use std::fmt::Write as _;

/// Keeps a sign from the word after it. It has no width; foreign text cannot contain one, because [`harmless`]
/// writes those as escapes.
const APART: &str = "&#8203;";
/// Digits of a hexadecimal run that can be a commit for GitHub.
const COMMIT_DIGITS_MIN: usize = 7;
/// The fewest backticks of a fence.
const FENCE_MIN: usize = 3;
const ELLIPSIS: char = '…';

/// Text with every character made visible as `\u{…}` that a terminal or a page would obey, or that nobody can
/// see: control characters (ANSI sequences with them), marks of direction, line and paragraph separators,
/// characters without width, blanks that look like letters, tags and variation selectors. The last could be left
/// alone where they only choose the look of an emoji; but two texts that differ must look different to who
/// reviews them.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text from elsewhere as plain words on one line: no markup, no HTML, no mention, no reference, no link, no emoji,
/// no formula, no border of a table cell.
#[must_use]
pub fn inline(text: &str) -> String {
    let text = harmless(text);
    let text = text.trim();
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut hex_run = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        if c.is_ascii_hexdigit() {
            hex_run = if hex_run + 1 == COMMIT_DIGITS_MIN && is_hex_word(text, at) {
                out.push_str(APART);
                1
            } else {
                hex_run + 1
            };
        } else {
            hex_run = 0;
        }
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '`' | '[' | ']' | '|' | '\\' | '~' | '!' => reference(&mut out, c),
            // A dollar sign opens a formula.
            '@' | '#' | '$' => {
                reference(&mut out, c);
                out.push_str(APART);
            }
            ':' if rest.starts_with("//") || is_emoji(rest) => {
                out.push(c);
                out.push_str(APART);
            }
            ':' if ends_with_word(text, at, "mailto") || ends_with_word(text, at, "xmpp") => {
                out.push(c);
                out.push_str(APART);
            }
            '.' if ends_with_word(text, at, "www") => {
                out.push_str(APART);
                out.push(c);
            }
            '-' if ends_with_word(text, at, "gh") => {
                out.push(c);
                out.push_str(APART);
            }
            // At the beginning they would make a list, a heading or a rule.
            '-' | '+' | '=' if before.is_none() => reference(&mut out, c),
            '.' | ')'
                if (rest.is_empty() || rest.starts_with(' '))
                    && text.get(..at).is_some_and(is_number) =>
            {
                reference(&mut out, c);
            }
            c => out.push(c),
        }
        before = Some(c);
    }
    out
}

fn reference(out: &mut String, c: char) {
    let _ = write!(out, "&#{};", u32::from(c));
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text before this place ends in this word, in small or capital letters.
fn ends_with_word(text: &str, at: usize, word: &str) -> bool {
    at.checked_sub(word.len())
        .and_then(|start| text.get(start..at))
        .is_some_and(|found| found.eq_ignore_ascii_case(word))
}

/// Whether what follows a colon is the rest of an emoji's name, which times such as `08:00+01:00` are not.
fn is_emoji(rest: &str) -> bool {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-');
    let name: Vec<u8> = rest.bytes().take_while(is_name).collect();
    let is_known = name.iter().any(u8::is_ascii_alphabetic)
        || matches!(name.first(), Some(b'+' | b'-'))
        || matches!(name.as_slice(), b"100" | b"1234");
    is_known && rest.as_bytes().get(name.len()) == Some(&b':')
}

/// Whether the word with this place in it has hexadecimal digits only, so that it can be read as a commit.
fn is_hex_word(text: &str, at: usize) -> bool {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let bytes = text.as_bytes();
    let start = bytes.get(..at).and_then(|before| before.iter().rposition(|b| !is_word(b)));
    let word = bytes.get(start.map_or(0, |start| start + 1)..).unwrap_or_default();
    word.iter().take_while(|b| is_word(b)).all(u8::is_ascii_hexdigit)
}

/// A name from elsewhere, set apart as code.
///
/// What needs no care goes between backticks, so that it can be copied; all else goes into an element, inert as
/// anywhere, because no form of backticks holds every backtick, backslash and border of a cell.
#[must_use]
pub fn code(text: &str) -> String {
    let is_plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'`' | b'|' | b'\\' | b'<' | b'>' | b'&');
    if text.is_empty() {
        "(empty)".to_owned()
    } else if text.bytes().all(is_plain) {
        format!("`{text}`")
    } else {
        format!("<code>{}</code>", inline(text))
    }
}

/// Lines from elsewhere in a fence that none of them can close.
///
/// `info` is ours: the language, or nothing.
#[must_use]
pub fn fence(info: &str, lines: &str) -> String {
    let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let ticks = "`".repeat(FENCE_MIN.max(longest + 1));
    let mut out = format!("{ticks}{info}\n");
    for line in lines.lines() {
        out.push_str(&harmless(line));
        out.push('\n');
    }
    out.push_str(&ticks);
    out.push('\n');
    out
}

/// A text of at most so many bytes, whole characters; where it was longer, an ellipsis ends it.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(ELLIPSIS.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = text.get(..end).unwrap_or_default().to_owned();
    out.push(ELLIPSIS);
    out
}
