//! From a merge result and the world to what a pull request is told. Pure.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::making::Job;
use super::sight::Sight;
use crate::control::source::Good;
use crate::decide::{self, World};
use crate::forge::comment::{self, Backtest, Links, Phase, Planned, Section};
use crate::forge::{Annotation, Check, CheckState, Context};
use crate::git::Merged;
use crate::model::{CommitId, Diagnostic, Moment, Plan, PlanDigest, Severity, Sources, Spec};
use crate::plan::{self, render};
use crate::spec;

/// Annotations that are made at all: a file with more errors has one cause.
const ANNOTATIONS_MAX: usize = 200;

/// A merge result, read.
#[derive(Debug)]
pub(crate) struct Merge {
    /// What git made of it.
    pub(crate) merged: Merged,
    /// Its spec, where that is valid.
    pub(crate) spec: Option<Spec>,
    /// What is wrong with it, and what is worth a warning.
    pub(crate) findings: Vec<Diagnostic>,
}

impl Merge {
    /// Reads the spec of a merge result.
    pub(crate) fn read(merged: Merged, sight: &Sight) -> Self {
        let Some(sources) = &merged.sources else {
            return Self { merged, spec: None, findings: Vec::new() };
        };
        let loaded = spec::load(sources, Some(&sight.catalogue));
        Self { spec: loaded.spec, findings: loaded.diagnostics, merged }
    }
}

/// What a pull request is told.
#[derive(Debug)]
pub(crate) struct Made {
    /// How it stands.
    pub(crate) phase: Phase,
    /// One sentence.
    pub(crate) verdict: String,
    /// The digest of the plan, where there is one.
    pub(crate) digest: Option<PlanDigest>,
    /// Hash of all whose change is worth an edit.
    pub(crate) key: String,
    /// The plan, for the comment.
    pub(crate) section: Section,
    /// The check on the head.
    pub(crate) check: Check,
    /// The plan itself.
    pub(crate) plan: Option<Plan>,
}

/// What a pull request's plan is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The pull request.
    pub(crate) job: &'a Job,
    /// The merge result.
    pub(crate) merge: &'a Merge,
    /// The world.
    pub(crate) sight: &'a Sight,
    /// What the changed policies would have done.
    pub(crate) backtests: &'a [Backtest],
    /// Addresses for people.
    pub(crate) links: &'a Links,
}

/// Makes what a pull request is told.
pub(crate) fn compose(inputs: &Inputs<'_>) -> Made {
    let Merge { merged, spec, findings } = inputs.merge;
    let Some(sources) = &merged.sources else { return conflict(inputs) };
    if !merged.touches_spec() {
        return untouched(inputs);
    }
    match spec {
        Some(spec) => planned(inputs, spec, findings),
        None => invalid(inputs, findings, sources),
    }
}

fn planned(inputs: &Inputs<'_>, spec: &Spec, findings: &[Diagnostic]) -> Made {
    let sight = inputs.sight;
    let base = sight.in_force.as_deref();
    let plan = plan_of(&inputs.job.head, spec, sight);
    let mut notes: Vec<String> = findings.iter().map(|found| found.message.clone()).collect();
    let conflicts = &inputs.merge.merged.conflicts;
    if !conflicts.is_empty() {
        notes.push(format!(
            "it does not merge as it is: {} outside of the spec conflict with the base branch",
            render::counted(conflicts.len(), "file", "files")
        ));
    }
    let section = comment::planned(&Planned {
        plan: &plan,
        base: base.map(|good| &good.spec),
        after: spec,
        pull: Some(inputs.job.number),
        backtests: inputs.backtests,
        notes: &notes,
    });
    let back = base.map(|good| plan::digest(Some(spec), &good.spec));
    let shown: BTreeSet<String> =
        plan.targets.iter().filter_map(|t| t.provider.as_ref()).map(|p| format!("{p}/")).collect();
    let mut key = Key::new("planned", &inputs.job.head);
    key.add(plan.digest.as_str());
    key.add(back.as_ref().map_or("", PlanDigest::as_str));
    for gap in sight.gaps().iter().filter(|gap| shown.iter().any(|p| gap.starts_with(p.as_str()))) {
        key.add(gap);
    }
    let verdict = render::verdict(&plan);
    Made {
        phase: Phase::Planned,
        digest: Some(plan.digest.clone()),
        key: key.hash(),
        section,
        check: check(CheckState::Success, &verdict, Vec::new()),
        verdict,
        plan: Some(plan),
    }
}

/// The plan of a spec as if it were in force now.
pub(crate) fn plan_of(commit: &CommitId, spec: &Spec, sight: &Sight) -> Plan {
    let templates = plan::template_hashes(spec);
    let measured = sight.measured_for(spec);
    let now = Moment::from(sight.observed.at);
    let mut states = sight.states.clone();
    let decisions = decide::decide_all(
        &World {
            now,
            spec,
            templates: &templates,
            observed: &sight.observed,
            measured: &measured,
            bursts: &sight.bursts,
            pauses: &sight.pauses,
            prices: &sight.catalogue.prices,
        },
        &mut states,
    );
    let base = sight.in_force.as_deref().map(|good: &Good| (&good.spec, &good.commit));
    plan::plan(&plan::Input {
        spec,
        spec_commit: commit,
        base,
        templates: &templates,
        observed: &sight.observed,
        decisions: &decisions,
        done: &BTreeSet::new(),
        prices: &sight.catalogue.prices,
        now: sight.observed.at,
    })
}

fn invalid(inputs: &Inputs<'_>, findings: &[Diagnostic], sources: &Sources) -> Made {
    let errors = findings.iter().filter(|found| found.severity == Severity::Error).count();
    let first = findings.iter().find(|found| found.severity == Severity::Error);
    let verdict = format!(
        "{} in the spec{}",
        if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") },
        first.map(|found| format!(": {}", found.message)).unwrap_or_default()
    );
    let mut key = Key::new("invalid", &inputs.job.head);
    for found in findings {
        key.add(found.code.0);
        key.add(&found.message);
        if let Some(at) = &found.position {
            key.add(&format!("{}:{}:{}", at.file, at.line, at.column));
        }
    }
    Made {
        phase: Phase::Invalid,
        digest: None,
        key: key.hash(),
        section: comment::invalid(findings, sources, &inputs.job.head, inputs.links),
        check: check(CheckState::Failure, &verdict, annotations(findings, sources)),
        verdict,
        plan: None,
    }
}

fn conflict(inputs: &Inputs<'_>) -> Made {
    let conflicts = &inputs.merge.merged.conflicts;
    let verdict = match conflicts.as_slice() {
        [only] => format!("does not merge: conflict in {only}"),
        paths => format!("does not merge: conflicts in {} files", paths.len()),
    };
    let mut key = Key::new("conflict", &inputs.job.head);
    conflicts.iter().for_each(|path| key.add(path));
    Made {
        phase: Phase::Conflict,
        digest: None,
        key: key.hash(),
        section: comment::conflict(conflicts),
        check: check(CheckState::Failure, &verdict, Vec::new()),
        verdict,
        plan: None,
    }
}

fn untouched(inputs: &Inputs<'_>) -> Made {
    let verdict = "does not change the spec".to_owned();
    Made {
        phase: Phase::Untouched,
        digest: None,
        key: Key::new("untouched", &inputs.job.head).hash(),
        section: comment::untouched(),
        check: check(CheckState::Success, &verdict, Vec::new()),
        verdict,
        plan: None,
    }
}

fn check(state: CheckState, summary: &str, annotations: Vec<Annotation>) -> Check {
    let summary = render::harmless(summary);
    Check { context: Context::Plan, state, summary, url: None, annotations }
}

fn annotations(findings: &[Diagnostic], sources: &Sources) -> Vec<Annotation> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut annotations = Vec::new();
    for found in findings {
        let Some(at) = &found.position else { continue };
        let text = sources.file(&at.file).map(|file| file.bytes.as_slice()).unwrap_or_default();
        let inside = text.get(at.start..at.end).unwrap_or_default();
        let lines = inside.iter().filter(|byte| **byte == b'\n').count();
        let help = found.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
        annotations.push(Annotation {
            path: at.file.clone(),
            line: number(at.line),
            end_line: number(at.line + lines),
            is_error: found.severity == Severity::Error,
            title: found.code.to_string(),
            message: format!("{}{help}", found.message),
        });
    }
    annotations.sort_by_key(|annotation| !annotation.is_error);
    annotations.truncate(ANNOTATIONS_MAX);
    annotations
}

/// A hash over parts, each with its end.
struct Key(Sha256);

impl Key {
    fn new(kind: &str, head: &CommitId) -> Self {
        let mut key = Self(Sha256::new());
        key.add(kind);
        key.add(head.as_str());
        key
    }

    fn add(&mut self, part: &str) {
        self.0.update(part.len().to_le_bytes());
        self.0.update(part.as_bytes());
    }

    fn hash(self) -> String {
        let digits = self.0.finalize();
        digits.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
