//! The section of a plan, within its budget.
//!
//! What there is is laid down from the most important to the least, each part whole, until the budget is used:
//! holds, warnings and totals, the rows of the table, backtests, a fold for each service, their config diffs, and
//! charts last. So what is left out first is what is missed least, and nothing is ever cut in the middle.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::folds::{Fold, Group, groups};
use super::lines::{line, list};
use super::table::{heading, row, sorted};
use super::{SECTION_BYTES_MAX, Section};
use crate::model::{Guard, HeldReason, Plan, PullNumber, Spec, TargetId, TargetPlan};
use crate::plan::render::inert::{code, fence};
use crate::plan::render::{cost, counted, is_eventful};

/// Bytes that the lines about what is left out need, one of each kind.
const LEFT_OUT_BYTES: usize = 600;
/// Bytes of each list above the table: the longest entry made inert.
const LIST_BYTES_MAX: usize = 3_000;
/// Entries of each list above the table.
const LIST_MAX: usize = 10;
/// Services that a proposed guard names.
const GUARD_SERVICES_MAX: usize = 20;
/// Folds in a row that do not fit before no other is tried: the rest is as large, and putting thousands into words
/// for nothing takes time.
const MISSES_MAX: usize = 8;

/// What the section of a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The spec it starts from; its commit is [`Plan::base_commit`].
    pub base: Option<&'a Spec>,
    /// The spec it realises.
    pub after: &'a Spec,
    /// The pull request, for the command that shows all.
    pub pull: Option<PullNumber>,
    /// What changed policies would have done.
    pub backtests: &'a [Backtest],
    /// What else a reader should know, each a line of plain text.
    pub notes: &'a [String],
}

/// What a changed policy would have done with recorded load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backtest {
    /// The target it was tried on.
    pub target: TargetId,
    /// Our own markdown, already inert.
    pub table: String,
    /// Our own mermaid source, already inert.
    pub chart: Option<String>,
    /// Why there is less to see than there could be: plain text.
    pub note: Option<String>,
}

/// The section of a plan.
#[must_use]
pub fn planned(planned: &Planned<'_>) -> Section {
    let plan = planned.plan;
    let eventful: Vec<&TargetPlan> = plan.targets.iter().filter(|t| is_eventful(t)).collect();
    let top = top(planned, &eventful);
    let bottom = totals(plan);
    let mut room =
        Room(SECTION_BYTES_MAX.saturating_sub(top.len() + bottom.len() + LEFT_OUT_BYTES));
    let show_all = match planned.pull {
        Some(number) => format!("`tidegate plan --pr {}` shows all", number.0),
        None => "`tidegate plan` shows all".to_owned(),
    };

    let rows = rows(&eventful, &plan.totals.currency, &mut room);
    room.close_unless(rows.shown == eventful.len());
    let mut backtests: Vec<(&Backtest, bool)> = Vec::new();
    for backtest in planned.backtests {
        if room.take(test(backtest, false).len()) {
            backtests.push((backtest, false));
        }
    }
    room.close_unless(backtests.len() == planned.backtests.len());
    let groups = groups(&eventful);
    let mut folds = folds(planned, &groups, &mut room);
    room.close_unless(folds.len() == groups.len());
    let mut is_all = true;
    for (fold, has_diff) in folds.iter_mut().filter(|(fold, _)| fold.diff.is_some()) {
        *has_diff = room.take(fold.text(true).len().saturating_sub(fold.text(false).len()));
        is_all &= *has_diff;
    }
    room.close_unless(is_all);
    for (backtest, has_chart) in &mut backtests {
        let bytes = test(backtest, true).len().saturating_sub(test(backtest, false).len());
        *has_chart = room.take(bytes);
    }

    let mut out = top;
    out.push_str(&rows.text);
    let left_out = |out: &mut String, count: usize, one: &str, many: &str| {
        if count > 0 {
            let _ = writeln!(out, "{} left out here: {show_all}.\n", counted(count, one, many));
        }
    };
    left_out(&mut out, eventful.len() - rows.shown, "more target is", "more targets are");
    out.push_str(&bottom);
    let without = planned.backtests.len() - backtests.len();
    for (backtest, has_chart) in &backtests {
        out.push_str(&test(backtest, *has_chart));
    }
    left_out(&mut out, without, "backtest is", "backtests are");
    for (fold, has_diff) in &folds {
        out.push_str(&fold.text(*has_diff));
    }
    let without = groups.len() - folds.len();
    left_out(&mut out, without, "service's details are", "services' details are");
    Section(out.trim_end().to_owned())
}

/// The bytes that are left.
struct Room(usize);

impl Room {
    /// Takes so many, if they are there.
    fn take(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Leaves nothing to what is less important than a part that was not all laid down.
    fn close_unless(&mut self, is_all: bool) {
        if !is_all {
            self.0 = 0;
        }
    }
}

/// The folds that there is room for, without their diffs.
fn folds(planned: &Planned<'_>, groups: &[Group<'_>], room: &mut Room) -> Vec<(Fold, bool)> {
    let (mut folds, mut misses) = (Vec::new(), 0);
    for group in groups {
        if misses == MISSES_MAX {
            break;
        }
        let fold = Fold::of(group, planned);
        if room.take(fold.text(false).len()) {
            folds.push((fold, false));
            misses = 0;
        } else {
            misses += 1;
        }
    }
    folds
}

struct Rows {
    text: String,
    shown: usize,
}

fn rows(eventful: &[&TargetPlan], currency: &str, room: &mut Room) -> Rows {
    let mut text = heading(currency);
    if eventful.is_empty() || !room.take(text.len() + 1) {
        return Rows { text: String::new(), shown: 0 };
    }
    let mut shown = 0;
    for target in sorted(eventful) {
        let row = row(target);
        if !room.take(row.len()) {
            break;
        }
        text.push_str(&row);
        shown += 1;
    }
    text.push('\n');
    Rows { text, shown }
}

/// What nobody may miss: holds, warnings, a guard that changes, notes.
fn top(planned: &Planned<'_>, eventful: &[&TargetPlan]) -> String {
    let mut out = String::new();
    let held: Vec<(&TargetPlan, &crate::model::Held)> =
        sorted(eventful).into_iter().flat_map(|t| t.held.iter().map(move |h| (t, h))).collect();
    if !held.is_empty() {
        let _ = writeln!(
            out,
            "**Held: {} not done.**\n",
            counted(held.len(), "thing is", "things are")
        );
        let lines: Vec<String> = held
            .iter()
            .take(LIST_MAX)
            .map(|(t, h)| format!("{}: {}", code(&t.target.to_string()), line(&h.sentence)))
            .collect();
        list_of(&mut out, &lines, held.len());
        guard_lines(&mut out, &held);
    }
    let warnings = &planned.plan.warnings;
    if !warnings.is_empty() {
        let _ = writeln!(out, "**{}:**\n", counted(warnings.len(), "Warning", "Warnings"));
        let lines = warnings.iter().take(LIST_MAX).map(|warning| line(&warning.sentence));
        list_of(&mut out, &lines.collect::<Vec<_>>(), warnings.len());
    }
    let before = planned.base.and_then(|spec| spec.guard.as_ref());
    let after = planned.after.guard.as_ref();
    if before != after {
        let _ = writeln!(out, "**The guard changes:** {} → {}.\n", guard(before), guard(after));
    }
    if !planned.notes.is_empty() {
        out.push_str("**Note:**\n\n");
        let lines = planned.notes.iter().take(LIST_MAX).map(|note| line(note));
        list_of(&mut out, &lines.collect::<Vec<_>>(), planned.notes.len());
    }
    if eventful.is_empty() {
        let count = planned.plan.targets.len();
        let _ = writeln!(
            out,
            "No change and no action: {} as the spec says.\n",
            counted(count, "target is", "targets are")
        );
    }
    out
}

/// The first of so many entries as a list, with the number of the others.
fn list_of(out: &mut String, lines: &[String], all: usize) {
    list(out, lines, all, LIST_BYTES_MAX);
    out.push('\n');
}

/// What to write into the spec to let go what is held.
fn guard_lines(out: &mut String, held: &[(&TargetPlan, &crate::model::Held)]) {
    let mut services: Vec<&str> = held
        .iter()
        .filter(|(_, held)| match held.reason {
            HeldReason::VanishedService | HeldReason::VanishedRegion | HeldReason::MassDestroy => {
                true
            }
            HeldReason::ProviderGap
            | HeldReason::NoTemplate
            | HeldReason::DriftReported
            | HeldReason::RolloutWaiting => false,
        })
        .map(|(target, _)| target.target.service.as_str())
        .collect();
    services.sort_unstable();
    services.dedup();
    if services.is_empty() {
        return;
    }
    let more = services.len().saturating_sub(GUARD_SERVICES_MAX);
    services.truncate(GUARD_SERVICES_MAX);
    let mut lines = format!("guard:\n  allowDestroy: [{}]", services.join(", "));
    if more > 0 {
        let _ = write!(lines, "   # and {more} more");
    }
    lines.push_str("\n  until: YYYY-MM-DD");
    let _ = writeln!(
        out,
        "To let go what is held from being destroyed, add these lines to the spec:\n\n{}",
        fence("yaml", &lines)
    );
}

fn guard(guard: Option<&Guard>) -> String {
    let Some(guard) = guard else { return "none".to_owned() };
    let more = guard.allow_destroy.len().saturating_sub(GUARD_SERVICES_MAX);
    let mut names: Vec<String> =
        guard.allow_destroy.iter().take(GUARD_SERVICES_MAX).map(|id| code(id.as_str())).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    format!("{} may be destroyed until {}", names.join(", "), guard.until)
}

/// Sums over all targets, shown or not.
fn totals(plan: &Plan) -> String {
    let totals = &plan.totals;
    let mut out = format!(
        "In all: create {}, start {}, destroy {}, hold {}; {} now.",
        totals.create,
        totals.start,
        totals.destroy,
        totals.held,
        counted(totals.existing, "replica exists", "replicas exist")
    );
    let cost = cost(totals.cost_now, totals.cost_after, totals.cost_max, &totals.currency);
    if let Some(cost) = cost {
        let _ = write!(out, " Cost {}.", line(&cost));
    }
    out.push_str("\n\n");
    out
}

/// The fold of a backtest.
fn test(backtest: &Backtest, has_chart: bool) -> String {
    let mut out = format!(
        "<details><summary>Backtest of {}: the changed policy on recorded load</summary>\n\n{}\n\n",
        backtest.target,
        backtest.table.trim()
    );
    match &backtest.chart {
        Some(chart) if has_chart => {
            let _ = writeln!(out, "{}", fence("mermaid", chart));
        }
        Some(_) => out.push_str("The chart is left out here.\n\n"),
        None => {}
    }
    if let Some(note) = &backtest.note {
        let _ = writeln!(out, "{}\n", line(note));
    }
    out.push_str("</details>\n\n");
    out
}
