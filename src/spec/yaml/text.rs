//! Bytes to text: encoding, byte order mark, forbidden characters, and character to byte offsets.

use super::{Fault, Span};
use crate::spec::codes;

/// Characters between two entries of the offset table: a trade of memory (one entry each) for time (at most
/// this many characters are stepped over per look-up).
const CHECKPOINT_CHARS: usize = 128;

/// The mark that some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text of a file without its byte order mark, and how many bytes that mark had.
pub(super) fn decode(bytes: &[u8]) -> Result<(&str, usize), Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        Fault {
            code: codes::BAD_ENCODING,
            span: Span { start, end: start + error.error_len().unwrap_or(1) },
            message: "the file is not UTF-8 from here on".to_owned(),
            help: Some("save the file as UTF-8".to_owned()),
        }
    })?;
    let stripped = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let skipped = text.len() - stripped.len();
    match stripped.char_indices().find(|(_, c)| is_forbidden(*c)) {
        Some((at, c)) => Err(Fault {
            code: codes::BAD_YAML,
            span: Span { start: skipped + at, end: skipped + at + c.len_utf8() },
            message: format!("the control character U+{:04X} may not stand in YAML", u32::from(c)),
            help: Some(
                "remove it, or write it as an escape in a double-quoted text: \"\\x1b\"".to_owned(),
            ),
        }),
        None => Ok((stripped, skipped)),
    }
}

/// Control characters that YAML 1.2 does not allow. NUL matters most: scanners take it for the end.
fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// Turns offsets in characters, as the scanner counts, into offsets in bytes.
#[derive(Debug)]
pub(super) struct Offsets<'a> {
    text: &'a str,
    skipped: usize,
    /// Byte offset of every [`CHECKPOINT_CHARS`]th character; empty for ASCII, where nothing is to convert.
    checkpoints: Vec<usize>,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(text: &'a str, skipped: usize) -> Self {
        let checkpoints = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(CHECKPOINT_CHARS).map(|(at, _)| at).collect()
        };
        Self { text, skipped, checkpoints }
    }

    /// The byte offset in the original file of the character with this index.
    pub(super) fn byte(&self, chars: usize) -> usize {
        self.skipped + self.byte_in_text(chars)
    }

    fn byte_in_text(&self, chars: usize) -> usize {
        if self.checkpoints.is_empty() {
            return chars.min(self.text.len());
        }
        let Some(base) = self.checkpoints.get(chars / CHECKPOINT_CHARS) else {
            return self.text.len();
        };
        let tail = self.text.get(*base..).unwrap_or_default();
        tail.char_indices()
            .nth(chars % CHECKPOINT_CHARS)
            .map_or(self.text.len(), |(at, _)| base + at)
    }
}
