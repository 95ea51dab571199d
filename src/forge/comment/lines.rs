//! Lists within a budget: whole lines, and how many there are besides.

use std::fmt::Write as _;

use crate::plan::render::inert::{cut, inline};

/// Bytes of foreign text on one line, before it is made inert; longer ones are cut.
pub(super) const LINE_BYTES_MAX: usize = 240;
/// What "and 1234567 more" needs at most, with the sign of a list before it.
const MORE_BYTES: usize = 64;

/// Foreign text as one inert line.
pub(super) fn line(text: &str) -> String {
    inline(&cut(text, LINE_BYTES_MAX))
}

/// Adds inert texts as list items, as many as `bytes_max` allows, and how many of `all` are left out.
pub(super) fn list(out: &mut String, items: &[String], all: usize, bytes_max: usize) {
    let end = out.len() + bytes_max.saturating_sub(MORE_BYTES);
    let mut shown = 0;
    for item in items {
        if out.len() + item.len() + "- \n".len() > end {
            break;
        }
        let _ = writeln!(out, "- {item}");
        shown += 1;
    }
    if shown < all {
        let _ = writeln!(out, "- and {} more", all - shown);
    }
}
