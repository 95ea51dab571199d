//! The head: what became of the pull request, and what there is to do. Made of the memo alone.

use std::fmt::Write as _;
use std::time::Duration;

use super::lines::{line, list};
use super::{Links, Memo, Merge, Phase, hidden};
use crate::model::{PlanDigest, format_duration};
use crate::plan::render::inert::{code, fence};
use crate::plan::render::{NO_CHANGES, counted};

/// Bytes of the head: two lists of [`LIST_BYTES_MAX`], the longest verdict made inert, and our own sentences.
pub(super) const BYTES_MAX: usize = 2 * LIST_BYTES_MAX + 5_500;
/// Bytes of a list in it: the longest entry made inert.
const LIST_BYTES_MAX: usize = 3_000;
/// Digits of a digest that a command names.
const DIGEST_DIGITS: usize = 12;
/// Above this, times are told without parts of a second.
const EXACT_MAX: Duration = Duration::from_secs(10);

/// The head of the comment.
pub(super) fn head(memo: &Memo, links: &Links) -> String {
    let mut out = String::new();
    let verdict = line(&memo.verdict);
    match &memo.phase {
        Phase::Planned if memo.verdict.starts_with(NO_CHANGES) => {
            let _ = writeln!(out, "### No changes\n\n{verdict} Merging does nothing here.");
        }
        Phase::Planned => {
            let _ = writeln!(out, "### Planned\n\n**{verdict}** Merging applies it.");
        }
        Phase::Invalid => {
            let _ = writeln!(
                out,
                "### Not valid\n\n**{verdict}** What merging would make is not a valid spec. Merged all the \
                 same, it is refused, and the last good commit stays in force."
            );
        }
        Phase::Conflict => {
            let _ = writeln!(
                out,
                "### Does not merge\n\n**{verdict}** There is nothing to plan until it merges with the base \
                 branch again; then it is planned by itself."
            );
        }
        Phase::Untouched => {
            let _ = writeln!(
                out,
                "### Nothing of the spec\n\nThis pull request changes nothing of the spec any more: merging it \
                 does nothing here."
            );
        }
        Phase::Applying { merged, actions } => {
            let what = match actions {
                0 => "No action is needed; what was merged is taken over.".to_owned(),
                n => format!("{} under way.", counted(*n, "action is", "actions are")),
            };
            let _ = writeln!(out, "### Applying\n\n**{what}** {}", merge(merged, links));
        }
        Phase::Applied { merged, took_ms, actions } => {
            let took = took(*took_ms);
            match actions {
                0 => {
                    let _ = writeln!(
                        out,
                        "### Applied, no changes\n\n**Nothing had to be done.** It is in force since {took} \
                         after the merge was seen. {}",
                        merge(merged, links)
                    );
                }
                n => {
                    let done = counted(*n, "action is", "actions are");
                    let _ = writeln!(
                        out,
                        "### Applied in {took}\n\n**{done} done.** {}",
                        merge(merged, links)
                    );
                }
            }
        }
        Phase::Failed { merged, took_ms, failures } => {
            let _ = writeln!(
                out,
                "### Failed\n\n**{} failed, {} after the merge was seen.** It is tried again by itself until it \
                 succeeds or a newer commit takes over. To undo it, revert the pull request. {}\n",
                counted(told(failures), "thing", "things"),
                took(*took_ms),
                merge(merged, links)
            );
            listed(&mut out, failures);
        }
        Phase::Waiting { merged, waits } => {
            let _ = writeln!(
                out,
                "### Waiting\n\n**Nothing failed, and not everything is done.** It goes on by itself as soon as \
                 it can. {}\n",
                merge(merged, links)
            );
            listed(&mut out, waits);
        }
        Phase::Superseded { merged, by, by_pull } => {
            let pull = by_pull.map_or_else(String::new, |n| format!(" of {}", links.pull(n)));
            let _ = writeln!(
                out,
                "### Superseded\n\n**A newer commit took over: {}{pull}.** This one was not applied in full; what \
                 the newer one says is in force. {}",
                links.commit(by),
                merge(merged, links)
            );
        }
        Phase::Held { merged, digest, differences } => {
            held(&mut out, memo, digest, differences);
            let _ = writeln!(out, "\n{}", merge(merged, links));
        }
        Phase::Refused { merged, findings } => {
            let _ = writeln!(
                out,
                "### Refused\n\n**What was merged is not a valid spec.** Nothing of it is applied, and the last \
                 good commit stays in force. To go on, merge a fix or revert it. {}\n",
                merge(merged, links)
            );
            listed(&mut out, findings);
        }
    }
    differences(&mut out, &memo.phase);
    out
}

fn held(out: &mut String, memo: &Memo, digest: &PlanDigest, differences: &[String]) {
    let reviewed = memo.digest.as_ref().map_or("none".to_owned(), |digest| code(&short(digest)));
    let _ = writeln!(
        out,
        "### Held: merged, and not applied\n\n**What was merged is not what was reviewed, so nothing of it is \
         applied.** What was in force before stays in force. Reviewed was the plan {reviewed}, merged was \
         {}. They differ:\n",
        code(&short(digest))
    );
    listed(out, differences);
    let command = fence("", &format!("/tidegate apply {}", short(digest)));
    let _ = writeln!(
        out,
        "\nTo end this, revert the pull request, or comment\n\n{command}\nto apply what was merged. With \
         `forge.onMismatch: apply` in the controller's configuration, differences are told and not held."
    );
}

/// The digits of a digest that tell it apart, without the name of the hash.
fn short(digest: &PlanDigest) -> String {
    let digits = digest.as_str().split_once(':').map_or(digest.as_str(), |(_, digits)| digits);
    digits.chars().take(DIGEST_DIGITS).collect()
}

/// Which merge, by whom.
fn merge(merged: &Merge, links: &Links) -> String {
    let by = merged.by.as_ref().map_or_else(String::new, |by| format!(" by {}", code(by)));
    let at = merged.seen_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("Merged{by} as {}, seen {at}.", links.commit(&merged.commit))
}

/// What differs and is applied all the same.
fn differences(out: &mut String, phase: &Phase) {
    let differences = match phase {
        Phase::Planned | Phase::Invalid | Phase::Conflict | Phase::Untouched => return,
        Phase::Held { .. } => return,
        Phase::Applying { merged, .. }
        | Phase::Applied { merged, .. }
        | Phase::Failed { merged, .. }
        | Phase::Waiting { merged, .. }
        | Phase::Superseded { merged, .. }
        | Phase::Refused { merged, .. } => &merged.differences,
    };
    if !differences.is_empty() {
        out.push_str(
            "\nWhat was merged is not quite what was reviewed, and `forge.onMismatch: apply` lets it pass:\n\n",
        );
        listed(out, differences);
    }
}

fn listed(out: &mut String, texts: &[String]) {
    let all = told(texts);
    // The last may only say how many more there are, which is told again here.
    let own = texts.len() - usize::from(texts.last().is_some_and(|t| hidden::told(t).is_some()));
    let lines: Vec<String> = texts.iter().take(own).map(|text| line(text)).collect();
    list(out, &lines, all, LIST_BYTES_MAX);
}

/// How many there are, with those that a last line only counts.
fn told(texts: &[String]) -> usize {
    let more = texts.last().and_then(|last| hidden::told(last));
    more.map_or(texts.len(), |more| texts.len() - 1 + more)
}

pub fn took(ms: u64) -> String {
    let exact = Duration::from_millis(ms);
    if exact < EXACT_MAX {
        return format!("{:.1} s", exact.as_secs_f64());
    }
    format_duration(Duration::from_secs(exact.as_secs()))
}
