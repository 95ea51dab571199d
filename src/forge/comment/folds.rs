//! The folds of a plan: one for each service, with its actions, holds, schedules and what its config changes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::lines::line;
use super::planned::Planned;
use super::table::{Weight, actions, weight};
use crate::model::{ActionKind, ServiceId, TargetPlan};
use crate::plan::render::inert::{code, fence, inline};
use crate::plan::render::{config_diff, counted, harmless, schedule, sign};

/// Actions of one kind for one reason that are listed of a target: the rest are like them.
const ALIKE_MAX: usize = 5;

/// A service with something to say.
pub(super) struct Group<'a> {
    service: &'a ServiceId,
    targets: Vec<&'a TargetPlan>,
    weight: Weight,
}

/// The fold of a service, in words.
pub(super) struct Fold {
    head: String,
    /// The config diff in its fence, and how many lines it has.
    pub(super) diff: Option<(String, usize)>,
}

const END: &str = "\n</details>\n\n";

/// The services of these targets, the weightiest first.
pub(super) fn groups<'a>(targets: &[&'a TargetPlan]) -> Vec<Group<'a>> {
    let mut by_service: BTreeMap<&ServiceId, Vec<&TargetPlan>> = BTreeMap::new();
    for target in targets {
        by_service.entry(&target.target.service).or_default().push(target);
    }
    let mut groups: Vec<Group<'_>> = by_service
        .into_iter()
        .map(|(service, targets)| {
            let weight = targets.iter().map(|t| weight(t)).max().unwrap_or(Weight::Quiet);
            Group { service, targets, weight }
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.weight));
    groups
}

impl Fold {
    /// Puts a service into words.
    pub(super) fn of(group: &Group<'_>, planned: &Planned<'_>) -> Self {
        let mut head = format!("<details><summary>{}</summary>\n\n", title(group));
        for target in &group.targets {
            body(&mut head, target);
        }
        let is_stated = group.targets.iter().any(|target| target.change.is_stated());
        let diff = if is_stated { diff(group.service, planned) } else { String::new() };
        let diff = (!diff.is_empty()).then(|| {
            let text = format!("What the spec says of it:\n\n{}", fence("diff", &diff));
            (text, diff.lines().count())
        });
        Self { head, diff }
    }

    /// The fold, with its diff or with the line that stands for it.
    pub(super) fn text(&self, has_diff: bool) -> String {
        let diff = match &self.diff {
            None => String::new(),
            Some((text, _)) if has_diff => text.clone(),
            Some((_, lines)) => {
                format!(
                    "{} left out here.\n",
                    counted(*lines, "line of diff is", "lines of diff are")
                )
            }
        };
        format!("{}{diff}{END}", self.head)
    }
}

fn diff(service: &ServiceId, planned: &Planned<'_>) -> String {
    let before = planned.base.and_then(|spec| Some((spec, spec.services.get(service)?)));
    let after = planned.after.services.get(service).map(|found| (planned.after, found));
    config_diff(before, after)
}

/// What a reader sees of it without opening it.
fn title(group: &Group<'_>) -> String {
    let mut parts = Vec::new();
    for target in &group.targets {
        if let Some(actions) = actions(target) {
            parts.push(format!("{}: {actions}", target.target));
        }
    }
    if parts.len() > ALIKE_MAX {
        parts = vec![format!("{}: actions in {} regions", group.service, parts.len())];
    }
    let held: usize = group.targets.iter().map(|target| target.held.len()).sum();
    if held > 0 {
        parts.push(format!("{}: {held} held", group.service));
    }
    if parts.is_empty() {
        parts.push(format!("{}: no actions", group.service));
    }
    parts.join("; ")
}

fn body(out: &mut String, target: &TargetPlan) {
    let lines = action_lines(target);
    if !lines.is_empty() {
        out.push_str(&fence("diff", &lines));
        out.push('\n');
    }
    let name = code(&target.target.to_string());
    let mut items = String::new();
    if let Some((reason, sentence)) = target.decision.as_ref().and_then(|d| d.refusal()) {
        let _ = writeln!(items, "- {name} refused, {}: {}", code(reason.code()), line(&sentence));
    }
    for held in &target.held {
        let _ = writeln!(
            items,
            "- {name} held, {}: {}",
            code(held.reason.code()),
            line(&held.sentence)
        );
    }
    for planned in &target.schedules {
        let _ = writeln!(items, "- {}", inline(&schedule::title(planned)));
        for window in schedule::lines(planned) {
            let _ = writeln!(items, "  - {}", inline(&window));
        }
    }
    if !items.is_empty() {
        out.push_str(&items);
        out.push('\n');
    }
}

/// One line for each action, in order; of many alike, the first.
fn action_lines(target: &TargetPlan) -> String {
    let mut out = String::new();
    let mut alike: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for action in target.steps.iter().flat_map(|step| &step.actions) {
        let seen = alike.entry((verb(&action.kind), &action.why)).or_default();
        *seen += 1;
        if *seen > ALIKE_MAX {
            continue;
        }
        let _ = writeln!(
            out,
            "{} {} {}  ({})",
            sign(&action.kind),
            verb(&action.kind),
            action.key,
            harmless(&action.why)
        );
    }
    for ((word, why), count) in alike {
        if count > ALIKE_MAX {
            let _ = writeln!(
                out,
                "  and {} more like it: {word} ({})",
                count - ALIKE_MAX,
                harmless(why)
            );
        }
    }
    out
}

fn verb(kind: &ActionKind) -> &'static str {
    match kind {
        ActionKind::AwaitReady => "wait for",
        ActionKind::Create { .. } | ActionKind::Start | ActionKind::Destroy => kind.word(),
    }
}
