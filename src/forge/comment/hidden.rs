//! The hidden first line: the memo, and a hash by which an edit of somebody else's shows.
//!
//! Not a signature: who may edit the comment may also compute the hash. Nothing in a memo is trusted with more
//! than being shown.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::{MEMO_VERSION, Memo, Phase};
use crate::model::OwnerId;
use crate::plan::render::inert::{cut, harmless};

/// Bytes of the line: four for three of the memo, the marker, the longest owner (63) and the hash (64).
pub(super) const LINE_BYTES_MAX: usize = MEMO_BYTES_MAX.div_ceil(3) * 4 + 256;
/// Bytes of the memo as JSON: a dozen earlier plans and as many failures.
const MEMO_BYTES_MAX: usize = 6_000;
/// Bytes of one text in it: two lines on a page.
const TEXT_BYTES_MAX: usize = 240;
/// Bytes of a name or hash in it: logins have at most 39, a digest has 71.
const NAME_BYTES_MAX: usize = 80;
/// Entries of one list in it, the last of which may say how many more there are.
const LIST_MAX: usize = 20;
/// Earlier plans that are kept before lists of a phase are cut further.
const EARLIER_KEPT: usize = 3;
/// Earlier plans that are kept at most: more than most pull requests have pushes.
const EARLIER_MAX: usize = 12;

const START: &str = "<!-- tidegate:pull:";
const END: &str = " -->";

/// The line for a memo and all that follows the line.
pub(super) fn line(memo: &Memo, rest: &str) -> String {
    let encoded = URL_SAFE_NO_PAD.encode(json(memo));
    let hash = hash(&encoded, rest);
    format!("{START}{} {encoded} {hash}{END}", memo.owner)
}

/// What a hidden line says.
pub(super) struct Found<'a> {
    pub(super) memo: Memo,
    encoded: &'a str,
    hash: &'a str,
}

impl Found<'_> {
    /// Whether the line was written with this after it.
    pub(super) fn is_of(&self, rest: &str) -> bool {
        self.hash == hash(self.encoded, rest)
    }
}

/// Reads the line, where it is one of this owner in a version that is known.
pub(super) fn parse<'a>(line: &'a str, owner: &OwnerId) -> Option<Found<'a>> {
    let inner = line.strip_prefix(START)?.strip_suffix(END)?;
    let mut parts = inner.split(' ');
    let (Some(of), Some(encoded), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if of != owner.as_str() || encoded.len() > LINE_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let memo: Memo = serde_json::from_slice(&bytes).ok()?;
    (memo.version == MEMO_VERSION && memo.owner == *owner).then_some(Found { memo, encoded, hash })
}

fn hash(encoded: &str, rest: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(encoded.as_bytes());
    hash.update(b"\n");
    hash.update(rest.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(memo: &Memo) -> Vec<u8> {
    serde_json::to_vec(memo).unwrap_or_default()
}

/// The memo cut to what the line holds: texts, then lists, then the oldest plans. What fits is left as it is, so that
/// cutting again changes nothing.
pub(super) fn bounded(memo: &Memo) -> Memo {
    let mut memo = memo.clone();
    memo.key = name(&memo.key);
    memo.verdict = text(&memo.verdict);
    memo.digest.iter_mut().for_each(|digest| digest.0 = name(&digest.0));
    for earlier in &mut memo.earlier {
        earlier.verdict = text(&earlier.verdict);
        earlier.digest.iter_mut().for_each(|digest| digest.0 = name(&digest.0));
    }
    if let Phase::Held { digest, .. } = &mut memo.phase {
        digest.0 = name(&digest.0);
    }
    if let Some(merged) = merged(&mut memo.phase)
        && let Some(by) = &mut merged.by
    {
        *by = name(by);
    }
    for list in lists(&mut memo.phase) {
        *list = list.iter().take(LIST_MAX).map(|line| text(line)).chain(more(list)).collect();
        shorten(list, LIST_MAX);
    }
    forget(&mut memo, EARLIER_MAX);
    let mut kept = memo.earlier.len();
    while kept > EARLIER_KEPT && json(&memo).len() > MEMO_BYTES_MAX {
        kept -= 1;
        forget(&mut memo, kept);
    }
    let mut entries = LIST_MAX;
    while entries > 2 && json(&memo).len() > MEMO_BYTES_MAX {
        entries -= 1;
        lists(&mut memo.phase).into_iter().for_each(|list| shorten(list, entries));
    }
    while kept > 0 && json(&memo).len() > MEMO_BYTES_MAX {
        kept -= 1;
        forget(&mut memo, kept);
    }
    memo
}

fn text(text: &str) -> String {
    cut(&harmless(text), TEXT_BYTES_MAX)
}

fn name(text: &str) -> String {
    cut(&harmless(text), NAME_BYTES_MAX)
}

fn forget(memo: &mut Memo, kept: usize) {
    let gone = memo.earlier.len().saturating_sub(kept);
    memo.earlier.drain(..gone);
    memo.earlier_left_out = memo.earlier_left_out.saturating_add(gone);
}

/// The line for what `shorten` takes away already at the first time.
fn more(list: &[String]) -> Option<String> {
    let gone = list.len().saturating_sub(LIST_MAX);
    (gone > 0).then(|| format!("and {gone} more"))
}

/// Keeps so many entries, the last of which says how many are gone.
fn shorten(list: &mut Vec<String>, entries: usize) {
    if list.len() <= entries {
        return;
    }
    let told = list.last().and_then(|last| told(last));
    if told.is_some() {
        list.pop();
    }
    let kept = entries.saturating_sub(1);
    let gone = list.len().saturating_sub(kept) + told.unwrap_or_default();
    list.truncate(kept);
    list.push(format!("and {gone} more"));
}

pub(super) fn told(line: &str) -> Option<usize> {
    line.strip_prefix("and ")?.strip_suffix(" more")?.parse().ok()
}

fn merged(phase: &mut Phase) -> Option<&mut super::Merge> {
    match phase {
        Phase::Planned | Phase::Invalid | Phase::Conflict | Phase::Untouched => None,
        Phase::Applying { merged, .. }
        | Phase::Applied { merged, .. }
        | Phase::Failed { merged, .. }
        | Phase::Waiting { merged, .. }
        | Phase::Superseded { merged, .. }
        | Phase::Held { merged, .. }
        | Phase::Refused { merged, .. } => Some(merged),
    }
}

/// Every list of texts in a phase.
fn lists(phase: &mut Phase) -> Vec<&mut Vec<String>> {
    match phase {
        Phase::Planned | Phase::Invalid | Phase::Conflict | Phase::Untouched => Vec::new(),
        Phase::Applying { merged, .. }
        | Phase::Applied { merged, .. }
        | Phase::Superseded { merged, .. } => vec![&mut merged.differences],
        Phase::Failed { merged, failures: list, .. }
        | Phase::Waiting { merged, waits: list }
        | Phase::Held { merged, differences: list, .. }
        | Phase::Refused { merged, findings: list } => vec![&mut merged.differences, list],
    }
}
