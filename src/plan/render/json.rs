//! A plan for programs: version 1 of `plan.json`, with a published schema.
//!
//! The types of the wire, apart from those of the model, so that neither holds the other back.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{self, Bounds};

/// Version of the document's form.
pub const PLAN_VERSION: u32 = 1;

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// Version of this form.
    pub version: u32,
    /// The spec commit it realises.
    pub spec_commit: String,
    /// The spec commit it starts from.
    pub base_commit: Option<String>,
    /// Hash of the effects that the spec change states.
    pub digest: String,
    /// Whether there is nothing to do, nothing held back and nothing stated.
    pub no_changes: bool,
    /// The plan in a sentence.
    pub verdict: String,
    /// Every target that has something to say.
    pub targets: Vec<Target>,
    /// How many targets have nothing to say.
    pub unchanged_targets: usize,
    /// What a reader should know before agreeing.
    pub warnings: Vec<String>,
    /// Sums.
    pub totals: Totals,
}

/// One target's part.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The service.
    pub service: String,
    /// The region.
    pub region: String,
    /// The provider that runs it.
    pub provider: Option<String>,
    /// `unchanged`, `added`, `changed` or `removed`.
    pub change: String,
    /// The bounds in the base spec.
    #[schemars(with = "Option<std::collections::BTreeMap<String, u32>>")]
    pub bounds_before: Option<Bounds>,
    /// The bounds in this spec.
    #[schemars(with = "Option<std::collections::BTreeMap<String, u32>>")]
    pub bounds_after: Option<Bounds>,
    /// Replicas that exist; null where the world could not be read.
    pub count: Option<u32>,
    /// Replicas that are ready.
    pub ready: u32,
    /// What the count should be.
    pub effective: Option<u32>,
    /// Who owns the count: `spec` or `policy`.
    pub owner: Option<String>,
    /// Reason code of the decision.
    pub reason: Option<String>,
    /// The decision in a sentence.
    pub sentence: Option<String>,
    /// What stands in the way of another count.
    pub refused: Option<Refused>,
    /// Steps, one after the other; the actions of one may run at once.
    pub steps: Vec<Vec<Action>>,
    /// What is held.
    pub held: Vec<Held>,
    /// Cost per hour.
    pub cost: Option<Cost>,
    /// What the schedules of its policy will do in the next 7 days, where they are new; once for all regions
    /// of a service.
    pub schedules: Vec<Schedule>,
}

/// Something that stands in the way.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Stable reason code.
    pub reason: String,
    /// Why, in a sentence.
    pub sentence: String,
}

/// What a schedule will do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The least replicas while it is open.
    pub replicas: u32,
    /// The IANA name of its zone.
    pub zone: String,
    /// Its first windows.
    pub windows: Vec<Window>,
    /// How many more there are.
    pub more: usize,
}

/// A window of a schedule, its end not included.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its start, in UTC.
    pub from: String,
    /// Its end, in UTC.
    pub to: String,
    /// Its start in its zone, for people.
    pub local_from: String,
    /// Its end in its zone, for people.
    pub local_to: String,
    /// `skipped` where the zone has not the time of the start, `repeated` where it has it twice.
    pub from_shift: Option<String>,
    /// The same for the end.
    pub to_shift: Option<String>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// `create`, `start`, `await-ready` or `destroy`.
    pub action: String,
    /// The provider.
    pub provider: String,
    /// The replica's ordinal.
    pub ordinal: u32,
    /// Why.
    pub why: String,
}

/// Something held back.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Reason code.
    pub reason: String,
    /// The replicas concerned.
    pub ordinals: Vec<u32>,
    /// What it is and what ends the hold.
    pub sentence: String,
}

/// Cost per hour.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// At the present count.
    pub now: Option<f64>,
    /// At the effective count.
    pub after: Option<f64>,
    /// At the maximum.
    pub max: Option<f64>,
    /// Currency code.
    pub currency: String,
}

/// Sums over a plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Replicas to create.
    pub create: usize,
    /// Replicas to start again.
    pub start: usize,
    /// Replicas to destroy.
    pub destroy: usize,
    /// Things held back.
    pub held: usize,
    /// Replicas that exist.
    pub existing: usize,
    /// Cost per hour.
    pub cost: Option<Cost>,
}

/// The plan as a document.
#[must_use]
pub fn document(plan: &model::Plan) -> PlanDocument {
    let targets: Vec<Target> = plan
        .targets
        .iter()
        .filter(|target| super::is_eventful(target))
        .map(|t| target(t, &plan.totals.currency))
        .collect();
    let totals = &plan.totals;
    PlanDocument {
        version: PLAN_VERSION,
        spec_commit: plan.spec_commit.to_string(),
        base_commit: plan.base_commit.as_ref().map(ToString::to_string),
        digest: plan.digest.to_string(),
        no_changes: plan.is_no_changes(),
        verdict: super::verdict(plan),
        unchanged_targets: plan.targets.len() - targets.len(),
        targets,
        warnings: plan.warnings.iter().map(|warning| warning.sentence.clone()).collect(),
        totals: Totals {
            create: totals.create,
            start: totals.start,
            destroy: totals.destroy,
            held: totals.held,
            existing: totals.existing,
            cost: cost(totals.cost_now, totals.cost_after, totals.cost_max, &totals.currency),
        },
    }
}

/// The document's JSON Schema.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PlanDocument).to_value()
}

fn target(target: &model::TargetPlan, currency: &str) -> Target {
    let decision = target.decision.as_ref();
    Target {
        service: target.target.service.to_string(),
        region: target.target.region.to_string(),
        provider: target.provider.as_ref().map(ToString::to_string),
        change: target.change.word().to_owned(),
        bounds_before: target.bounds_before,
        bounds_after: target.bounds_after,
        count: target.count.map(|count| count.0),
        ready: target.ready.0,
        effective: decision.and_then(|decision| decision.effective).map(|count| count.0),
        owner: decision.map(|decision| decision.owner.word().to_owned()),
        reason: decision.map(|decision| decision.reason.code().to_owned()),
        sentence: decision.map(model::Decision::sentence),
        refused: decision
            .and_then(model::Decision::refusal)
            .map(|(reason, sentence)| Refused { reason: reason.code().to_owned(), sentence }),
        steps: target
            .steps
            .iter()
            .map(|step| {
                step.actions
                    .iter()
                    .map(|action| Action {
                        action: action.kind.word().to_owned(),
                        provider: action.key.provider.to_string(),
                        ordinal: action.key.ordinal.0,
                        why: action.why.clone(),
                    })
                    .collect()
            })
            .collect(),
        held: target
            .held
            .iter()
            .map(|held| Held {
                reason: held.reason.code().to_owned(),
                ordinals: held.ordinals.iter().map(|ordinal| ordinal.0).collect(),
                sentence: held.sentence.clone(),
            })
            .collect(),
        cost: cost(target.cost_now, target.cost_after, target.cost_max, currency),
        schedules: target.schedules.iter().map(schedule).collect(),
    }
}

fn schedule(schedule: &model::PlannedSchedule) -> Schedule {
    let shift = |shift: Option<model::Shift>| {
        let word = match shift? {
            model::Shift::Skipped => "skipped",
            model::Shift::Repeated => "repeated",
        };
        Some(word.to_owned())
    };
    let window = |window: &model::PlannedWindow| Window {
        from: window.marked.window.from.to_string(),
        to: window.marked.window.to.to_string(),
        local_from: window.local_from.clone(),
        local_to: window.local_to.clone(),
        from_shift: shift(window.marked.from_shift),
        to_shift: shift(window.marked.to_shift),
    };
    Schedule {
        name: schedule.name.to_string(),
        replicas: schedule.floor.0,
        zone: schedule.zone.clone(),
        windows: schedule.windows.iter().map(window).collect(),
        more: schedule.more,
    }
}

fn cost(now: Option<f64>, after: Option<f64>, max: Option<f64>, currency: &str) -> Option<Cost> {
    (now.is_some() || after.is_some() || max.is_some()).then(|| Cost {
        now,
        after,
        max,
        currency: currency.to_owned(),
    })
}
