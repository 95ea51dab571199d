//! The foot: what the plan above is of, and the plans before it. Made of the memo alone.

use std::fmt::Write as _;

use super::lines::{line, list};
use super::{Earlier, Links, Memo};
use crate::plan::render::counted;
use crate::plan::render::inert::code;

/// Bytes of the foot: the log, and the line above it.
pub(super) const BYTES_MAX: usize = LOG_BYTES_MAX + 2_500;
/// Bytes of the log: a dozen plans with their sentences and links.
const LOG_BYTES_MAX: usize = 5_000;
/// Digits of a digest in the log.
const DIGEST_CHARS: usize = 19;

/// The foot of the comment.
pub(super) fn foot(memo: &Memo, links: &Links) -> String {
    let mut out = String::new();
    let what = memo
        .digest
        .as_ref()
        .map_or("Looked at".to_owned(), |digest| format!("Plan {} of", code(digest.as_str())));
    let from = memo.from.as_ref().map_or_else(
        || "nothing in force yet".to_owned(),
        |from| format!("{} in force", links.commit(from)),
    );
    let _ = writeln!(
        out,
        "{what} head {} on base {}, from {from}, at {}.",
        links.commit(&memo.head),
        links.commit(&memo.base),
        memo.planned_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    );
    let all = memo.earlier.len().saturating_add(memo.earlier_left_out);
    if all == 0 {
        return out;
    }
    let title = counted(all, "earlier plan", "earlier plans");
    let _ = writeln!(out, "\n<details><summary>{title}</summary>\n");
    let lines: Vec<String> = memo.earlier.iter().rev().map(|plan| entry(plan, links)).collect();
    let mut log = String::new();
    list(&mut log, &lines, lines.len(), LOG_BYTES_MAX);
    out.push_str(&log);
    if memo.earlier_left_out > 0 {
        let _ = writeln!(out, "- and {} before these", memo.earlier_left_out);
    }
    out.push_str("\n</details>\n");
    out
}

fn entry(plan: &Earlier, links: &Links) -> String {
    let digest = plan.digest.as_ref().map_or_else(String::new, |digest| {
        let digits: String = digest.as_str().chars().take(DIGEST_CHARS).collect();
        format!(" {}", code(&digits))
    });
    format!(
        "{}{digest} of {} on {}: {}",
        plan.planned_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        links.commit(&plan.head),
        links.commit(&plan.base),
        line(&plan.verdict)
    )
}
