//! A plan for a terminal.

use std::fmt::Write as _;

use super::{cost, counted, harmless, is_eventful, schedule, sign, verdict};
use crate::model::{ActionKind, Plan, Step, TargetPlan};

/// Renders the plan; escape codes only where colour is wanted.
#[must_use]
pub fn text(plan: &Plan, colour: bool) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    let to = plan.spec_commit.short();
    let way = match &plan.base_commit {
        None => format!("for {to}, the first"),
        Some(base) if *base == plan.spec_commit => format!("for {to}, which is in force"),
        Some(base) => format!("for {to}, from {}", base.short()),
    };
    let _ = writeln!(
        out,
        "{} {way}  {}",
        paint.bold("Plan"),
        paint.dim(plan.digest.as_str().get(..19).unwrap_or_default())
    );
    let eventful = plan.targets.iter().filter(|target| is_eventful(target));
    let mut shown = 0usize;
    for target in eventful {
        shown += 1;
        out.push('\n');
        write_target(&mut out, target, &plan.totals.currency, &paint);
    }
    let quiet = plan.targets.len() - shown;
    if quiet > 0 && shown > 0 {
        let _ = writeln!(
            out,
            "\n{}",
            paint.dim(&counted(quiet, "target unchanged", "targets unchanged"))
        );
    }
    for warning in &plan.warnings {
        let _ = writeln!(out, "\n{} {}", paint.yellow("warning:"), harmless(&warning.sentence));
    }
    let _ = writeln!(out, "\n{}", paint.bold(&verdict(plan)));
    let totals = &plan.totals;
    if let Some(cost) = cost(totals.cost_now, totals.cost_after, totals.cost_max, &totals.currency)
    {
        let _ = writeln!(out, "Cost {cost}.");
    }
    out
}

fn write_target(out: &mut String, target: &TargetPlan, currency: &str, paint: &Paint) {
    let provider = target.provider.as_ref().map(|p| format!(" on {p}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "{}{provider}  {}",
        paint.bold(&target.target.to_string()),
        paint.dim(target.change.word())
    );
    match (target.bounds_before, target.bounds_after) {
        (Some(before), Some(after)) if before != after => {
            let _ = writeln!(out, "  bounds  {before} → {after}");
        }
        (None, Some(after)) => {
            let _ = writeln!(out, "  bounds  {after}");
        }
        (Some(before), None) => {
            let _ = writeln!(out, "  bounds  {before} → gone from the spec");
        }
        (Some(_) | None, _) => {}
    }
    if let Some(decision) = &target.decision {
        let count = target.count.map_or("unknown".to_owned(), |count| count.to_string());
        let after = decision.effective.map_or("unknown".to_owned(), |count| count.to_string());
        let arrow = if count == after { count } else { format!("{count} → {after}") };
        let _ = writeln!(
            out,
            "  count   {arrow}, owned by the {}: {}",
            decision.owner.word(),
            harmless(&decision.sentence())
        );
    }
    if let Some((reason, sentence)) = target.decision.as_ref().and_then(|d| d.refusal()) {
        let what = paint.yellow(&format!("! refused  {}", reason.code()));
        let _ = writeln!(out, "  {what}  {}", harmless(&sentence));
    }
    for step in &target.steps {
        write_step(out, step, paint);
    }
    for held in &target.held {
        let what = paint.yellow(&format!("! held     {}", held.reason.code()));
        let _ = writeln!(out, "  {what}  {}", harmless(&held.sentence));
    }
    for planned in &target.schedules {
        let _ = writeln!(out, "  {}", schedule::title(planned));
        for line in schedule::lines(planned) {
            let _ = writeln!(out, "    {}", paint.dim(&line));
        }
    }
    if let Some(cost) = cost(target.cost_now, target.cost_after, target.cost_max, currency) {
        let _ = writeln!(out, "  cost    {cost}");
    }
}

/// One line for each action; the waiting of a step is one line.
fn write_step(out: &mut String, step: &Step, paint: &Paint) {
    let mut waiting = Vec::new();
    for action in &step.actions {
        let line = format!("{} {:<8} {}", sign(&action.kind), action.kind.word(), action.key);
        let line = match action.kind {
            ActionKind::Create { .. } | ActionKind::Start => paint.green(&line),
            ActionKind::Destroy => paint.red(&line),
            ActionKind::AwaitReady => {
                waiting.push(format!("#{}", action.key.ordinal));
                continue;
            }
        };
        let _ = writeln!(out, "  {line}  {}", paint.dim(&harmless(&action.why)));
    }
    if !waiting.is_empty() {
        let be = if waiting.len() == 1 { "is" } else { "are" };
        let line = format!(
            "{} wait until {} {be} ready",
            sign(&ActionKind::AwaitReady),
            waiting.join(", ")
        );
        let _ = writeln!(out, "  {}", paint.dim(&line));
    }
}

/// Colours, or none.
struct Paint {
    colour: bool,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }
    fn dim(&self, text: &str) -> String {
        self.wrap("2", text)
    }
    fn red(&self, text: &str) -> String {
        self.wrap("31", text)
    }
    fn green(&self, text: &str) -> String {
        self.wrap("32", text)
    }
    fn yellow(&self, text: &str) -> String {
        self.wrap("33", text)
    }
}
