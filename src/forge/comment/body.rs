//! The four parts put together, and taken apart again.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Memo, foot, head, hidden};
use crate::model::{CommitId, OwnerId, PullNumber};
use crate::plan::render::inert::code;

/// How long a comment may be. GitHub counts 65,536 characters and does not say of which kind; a text of so many
/// *bytes* has no more UTF-16 units and no more code points than that, whichever is meant.
pub const COMMENT_CHARS_MAX: usize = 65_536;
/// Bytes of the plan in it: what is left by the hidden line, head and foot at their longest.
pub const SECTION_BYTES_MAX: usize = COMMENT_CHARS_MAX
    - hidden::LINE_BYTES_MAX
    - head::BYTES_MAX
    - foot::BYTES_MAX
    - 2 * (FOOT.len() + PLAN.len());

/// The lines between the parts. Neither stands in head or foot, where every `<` of others is a character
/// reference: so the first `PLAN` and the last `FOOT` are ours whatever the plan between them quotes.
const PLAN: &str = "<!-- tidegate:plan -->";
const FOOT: &str = "<!-- tidegate:foot -->";

/// Bytes of a comment that is read at all: four for each character that the forge allows.
const READ_BYTES_MAX: usize = 4 * COMMENT_CHARS_MAX;

/// The part of a comment that holds what was reviewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section(pub String);

/// Where commits, pull requests and files are to be seen. An address that is not `http` makes plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Links {
    /// Before a commit id: `https://github.com/acme/infra/commit/`.
    pub commit_base: String,
    /// Before a commit id, a slash and a path: `https://github.com/acme/infra/blob/`.
    pub file_base: String,
    /// Before a number: `https://github.com/acme/infra/pull/`.
    pub pull_base: String,
}

impl Links {
    /// The addresses of a repository on GitHub: `https://github.com/acme/infra`.
    #[must_use]
    pub fn of(repository: &str) -> Self {
        let repository = repository.trim_end_matches('/');
        Self {
            commit_base: format!("{repository}/commit/"),
            file_base: format!("{repository}/blob/"),
            pull_base: format!("{repository}/pull/"),
        }
    }

    /// A commit, short, with a link where there is an address.
    pub(super) fn commit(&self, commit: &CommitId) -> String {
        link(&code(commit.short()), &format!("{}{commit}", self.commit_base))
    }

    /// A pull request.
    pub(super) fn pull(&self, number: PullNumber) -> String {
        link(&format!("pull request {}", number.0), &format!("{}{}", self.pull_base, number.0))
    }

    /// Lines of a file at a commit.
    pub(super) fn lines(
        &self,
        commit: &CommitId,
        path: &str,
        (first, last): (usize, usize),
    ) -> String {
        let words = match first == last {
            true => format!("{} line {first}", code(path)),
            false => format!("{} lines {first} to {last}", code(path)),
        };
        // A browser would take dots for a way up, out of the repository.
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return link(&words, &format!("{}{commit}", self.commit_base));
        }
        let place = if first == last { format!("L{first}") } else { format!("L{first}-L{last}") };
        link(&words, &format!("{}{commit}/{}#{place}", self.file_base, encoded(path)))
    }
}

/// A link with words that are inert already; the words alone where the address is none.
fn link(words: &str, address: &str) -> String {
    let is_plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'_' | b'-' | b'~' | b'/' | b':' | b'%' | b'#')
    };
    let is_http = address.starts_with("https://") || address.starts_with("http://");
    if is_http && address.bytes().all(is_plain) {
        format!("[{words}]({address})")
    } else {
        words.to_owned()
    }
}

/// A path as a part of an address (RFC 3986, section 2.3): all but plain characters as `%XX`.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The whole comment, within [`COMMENT_CHARS_MAX`] whatever the memo holds.
///
/// What of the memo is too long is cut by whole lines first, the oldest of [`Memo::earlier`] before anything
/// else; [`read`] gives back what was kept. A section that none of ours made and that is over
/// [`SECTION_BYTES_MAX`] is left out as a whole.
#[must_use]
pub fn body(memo: &Memo, section: &Section, links: &Links) -> String {
    let memo = hidden::bounded(memo);
    let plan = if section.0.len() <= SECTION_BYTES_MAX {
        section.0.as_str()
    } else {
        "The plan is too long to be shown here: `tidegate plan` shows it."
    };
    let rest = format!(
        "{}\n{PLAN}\n{plan}\n{FOOT}\n\n{}",
        head::head(&memo, links),
        foot::foot(&memo, links)
    );
    let rest = rest.trim_end();
    format!("{}\n{rest}\n", hidden::line(&memo, rest))
}

/// A comment of ours, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it remembers.
    pub memo: Memo,
    /// The plan as it was reviewed.
    pub section: Section,
    /// Whether it is as we wrote it; else somebody has edited it.
    pub is_intact: bool,
}

/// Takes apart a comment; `None` where it is not ours, of another owner, of a newer version, or past
/// understanding.
#[must_use]
pub fn read(body: &str, owner: &OwnerId) -> Option<Read> {
    if body.len() > READ_BYTES_MAX {
        return None;
    }
    let body = body.replace("\r\n", "\n");
    let (first, rest) = body.split_once('\n')?;
    let found = hidden::parse(first.trim_end(), owner)?;
    let rest = rest.trim_end();
    let plan = format!("\n{PLAN}\n");
    let foot = format!("\n{FOOT}\n");
    let section = rest.split_once(&plan).and_then(|(_, after)| after.rsplit_once(&foot));
    let is_intact = section.is_some() && found.is_of(rest);
    let section = section.map(|(section, _)| section).unwrap_or_default();
    Some(Read { memo: found.memo, section: Section(section.to_owned()), is_intact })
}
