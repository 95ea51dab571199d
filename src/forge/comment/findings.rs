//! The section where there is no plan: findings with their lines, conflicts, nothing touched.

use std::fmt::Write as _;

use super::lines::{line, list};
use super::{Links, SECTION_BYTES_MAX, Section};
use crate::model::{CommitId, Diagnostic, Position, Severity, SourceFile, Sources};
use crate::plan::render::counted;
use crate::plan::render::inert::{code, cut, fence, inline};

/// Bytes of a message or a help text: they quote what was written, which may be long.
const MESSAGE_BYTES_MAX: usize = 600;
/// Lines of an excerpt.
const EXCERPT_LINES_MAX: usize = 6;
/// Bytes of a line of an excerpt.
const EXCERPT_BYTES_MAX: usize = 160;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 200;
/// Bytes of the line that says how many findings are left out.
const REST_BYTES: usize = 200;
/// Bytes of the list of paths: half of the section, which is more than a reader needs.
const PATHS_BYTES_MAX: usize = SECTION_BYTES_MAX / 2;
/// Paths of a conflict that are named.
const PATHS_MAX: usize = 50;

/// What is wrong: every finding with its lines and a link to them at the head commit, errors first.
///
/// `sources` is what was checked; a finding whose file it does not have goes without an excerpt.
#[must_use]
pub fn invalid(
    findings: &[Diagnostic],
    sources: &Sources,
    head: &CommitId,
    links: &Links,
) -> Section {
    let files: Vec<&SourceFile> =
        sources.spec.iter().chain(&sources.services).chain(&sources.policies).collect();
    let mut sorted: Vec<&Diagnostic> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    let mut out = String::new();
    let mut shown = 0;
    for finding in &sorted {
        let block = block(finding, &files, head, links);
        if out.len() + block.len() + REST_BYTES > SECTION_BYTES_MAX {
            break;
        }
        out.push_str(&block);
        shown += 1;
    }
    if shown < sorted.len() {
        let rest = counted(sorted.len() - shown, "more finding", "more findings");
        let _ = writeln!(out, "And {rest}: `tidegate validate` shows all.");
    }
    Section(out.trim_end().to_owned())
}

fn block(finding: &Diagnostic, files: &[&SourceFile], head: &CommitId, links: &Links) -> String {
    let mut out = String::new();
    let level = match finding.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let _ = write!(out, "**{level}** {}", code(finding.code.0));
    let excerpt = finding.position.as_ref().map(|position| {
        let file = files.iter().find(|file| file.path == position.file);
        (position, file.map(|file| Excerpt::of(file, position)))
    });
    if let Some((position, excerpt)) = &excerpt {
        let last = excerpt.as_ref().map_or(position.line, |excerpt| excerpt.last);
        let path = cut(&position.file, PATH_BYTES_MAX);
        let _ = write!(out, " in {}", links.lines(head, &path, (position.line, last)));
    }
    let _ = writeln!(out, ": {}", inline(&cut(&finding.message, MESSAGE_BYTES_MAX)));
    if let Some((_, Some(excerpt))) = &excerpt
        && !excerpt.lines.is_empty()
    {
        let _ = write!(out, "\n{}", fence("yaml", &excerpt.lines));
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "\nHelp: {}", inline(&cut(help, MESSAGE_BYTES_MAX)));
    }
    out.push('\n');
    out
}

/// The offending lines.
struct Excerpt {
    lines: String,
    last: usize,
}

impl Excerpt {
    fn of(file: &SourceFile, position: &Position) -> Self {
        let bytes = file.bytes.as_slice();
        let end = position.end.min(bytes.len());
        let start = position.start.min(end);
        let line_start = bytes
            .get(..start)
            .and_then(|before| before.iter().rposition(|b| *b == b'\n'))
            .map_or(0, |at| at + 1);
        // What ends with a line break does not reach into the next line.
        let text = bytes.get(start..end).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let breaks = text.iter().filter(|b| **b == b'\n').count();
        let shown = bytes.get(line_start..).unwrap_or_default().split(|b| *b == b'\n');
        let mut lines = String::new();
        for (line, number) in shown.take((breaks + 1).min(EXCERPT_LINES_MAX)).zip(position.line..) {
            // Only so much of a long line is looked at.
            let line = line.get(..line.len().min(4 * EXCERPT_BYTES_MAX)).unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let _ = writeln!(lines, "{number:>4} | {}", cut(line.trim_end(), EXCERPT_BYTES_MAX));
        }
        if breaks + 1 > EXCERPT_LINES_MAX {
            let _ = writeln!(lines, "   … {} more lines", breaks + 1 - EXCERPT_LINES_MAX);
        }
        Self { lines, last: position.line + breaks }
    }
}

/// What does not merge.
#[must_use]
pub fn conflict(paths: &[String]) -> Section {
    let mut out = String::from("These files conflict with the base branch:\n\n");
    let shown = paths.iter().take(PATHS_MAX).map(|path| code(&cut(path, PATH_BYTES_MAX)));
    list(&mut out, &shown.collect::<Vec<_>>(), paths.len(), PATHS_BYTES_MAX);
    out.push_str("\nMerge or rebase onto the base branch to resolve it.");
    Section(out)
}

/// Where there was no time for a plan before it was merged.
#[must_use]
pub fn unplanned() -> Section {
    Section(line("It was merged before it could be planned, so nothing was reviewed here."))
}

/// Where nothing of the spec is touched any more.
#[must_use]
pub fn untouched() -> Section {
    Section(line("Nothing of the spec is changed."))
}
