//! A policy: signals, targets, rules, expression, schedules, idle, behavior.
//!
//! These types exist for their schema: a policy stays a document after it was found valid.
#![expect(dead_code, reason = "the types exist for their schema")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::REPLICAS_MAX;
use super::texts::{Cron, DurationText, Name, Percent};
use crate::model::EXPRESSION_CHARS_MAX;

/// A policy by name or in place.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum PolicyChoice {
    /// The name of one of `policies`.
    Named(Name),
    /// A policy in place.
    Inline(Box<InlinePolicy>),
}

macro_rules! policy {
    ($(#[$attribute:meta])* $type:ident { $($(#[$name_attribute:meta])* $name:ident: $name_type:ty,)? }) => {
        $(#[$attribute])*
        #[derive(Debug, JsonSchema)]
        #[schemars(rename_all = "camelCase", deny_unknown_fields)]
        pub(crate) struct $type {
            $($(#[$name_attribute])* $name: $name_type,)?
            /// The measured inputs, by the name that the rest of the policy uses.
            signals: Option<BTreeMap<String, Signal>>,
            /// Proportional rules: each votes for a count, the largest vote wins.
            targets: Option<Vec<Target>>,
            /// Threshold rules.
            rules: Option<Vec<Rule>>,
            /// A CEL expression over the signals and `count`, `ready`, `min` and `max`: one more vote. All
            /// numbers are doubles. It has `+ - * /`, comparisons, `&& || !`, `a ? b : c`, and the functions
            /// `ceil`, `floor`, `round`, `abs`, `min(a, b)` and `max(a, b)`, also as CEL's `math.ceil`,
            /// `math.least` and so on. Without a value of a signal that it needs, and when it divides by
            /// zero, it does not vote.
            #[schemars(length(min = 1, max = EXPRESSION_CHARS_MAX), example = &"ceil(backlog / 10.0)")]
            expression: Option<String>,
            /// Windows of time with a least count.
            schedules: Option<Vec<Schedule>>,
            /// When to go to zero. Only where `min` is 0.
            idle: Option<Idle>,
            /// How fast the count may move.
            behavior: Option<Behavior>,
        }
    };
}

policy! {
    /// How signals, schedules and limits turn into a count.
    Policy {
        /// The name that services use; unique.
        name: Name,
    }
}
policy! {
    /// How signals, schedules and limits turn into a count.
    InlinePolicy {
        /// A name for people.
        name: Option<Name>,
    }
}

/// One measured input.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Signal {
    /// Where it is read: `proxy`, `provider`, or a source from the controller's configuration.
    #[schemars(length(min = 1), example = &"proxy")]
    source: String,
    /// The metric of that source.
    #[schemars(example = &"requestsPerSecond")]
    metric: Option<String>,
    /// The query, for sources that take one.
    #[schemars(example = &"sum(jobs_pending{service=\"web\"})")]
    query: Option<String>,
    /// The unit, for people.
    #[schemars(example = &"ms")]
    unit: Option<String>,
    /// The oldest value that still counts. Default: three intervals of the source.
    max_age: Option<DurationText>,
    /// What to do without a value. Default: `hold`.
    on_missing: Option<OnMissing>,
}

/// What to do without a value.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum OnMissing {
    /// Keep the count, or leave the signal out.
    Word(OnMissingWord),
    /// A floor, or the last value for a time.
    Object(OnMissingObject),
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", inline)]
pub(crate) enum OnMissingWord {
    /// Do not scale down.
    Hold,
    /// Decide without this signal.
    Ignore,
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, inline, extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct OnMissingObject {
    /// Have at least this many replicas.
    #[schemars(range(max = REPLICAS_MAX))]
    floor: Option<u32>,
    /// Use the last value for this long, then hold.
    last_value: Option<DurationText>,
}

/// A proportional rule: exactly one of `perReplica`, `average` and `atMost`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Target {
    /// One of the policy's signals.
    signal: String,
    /// Votes for `ceil(value / perReplica)`.
    #[schemars(extend("exclusiveMinimum" = 0), example = 70)]
    per_replica: Option<f64>,
    /// Votes for `ceil(ready * value / average)`.
    #[schemars(extend("exclusiveMinimum" = 0), example = 70)]
    average: Option<f64>,
    /// Votes for `ceil(ready * value / atMost)`.
    #[schemars(extend("exclusiveMinimum" = 0), example = 200)]
    at_most: Option<f64>,
}

/// A threshold rule: `when`, and one of `scaleBy` and `to`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// The name that traces show.
    name: Option<String>,
    /// When it holds.
    when: Condition,
    /// By how much it moves the count: replicas, or a percentage of the count; negative is down.
    #[schemars(example = 2, example = &"+50%")]
    scale_by: Option<ScaleBy>,
    /// The count it moves to.
    #[schemars(range(max = REPLICAS_MAX))]
    to: Option<u32>,
}

/// A step of a rule.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum ScaleBy {
    /// Replicas.
    Replicas(i32),
    /// A percentage of the count.
    Percent(Percent),
}

/// A condition: `all` or `any` of others, or one signal against a threshold.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, extend("minProperties" = 1))]
pub(crate) struct Condition {
    /// Holds when all of these do.
    #[schemars(length(min = 1))]
    all: Option<Vec<Self>>,
    /// Holds when any of these does.
    #[schemars(length(min = 1))]
    any: Option<Vec<Self>>,
    /// One of the policy's signals.
    signal: Option<String>,
    /// Holds when the signal is above this.
    above: Option<f64>,
    /// Holds when the signal is below this.
    below: Option<f64>,
    /// How long it must have been so. Default: `0s`.
    r#for: Option<DurationText>,
}

/// A window of time with a least count.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Schedule {
    /// The name that traces show.
    name: Option<String>,
    /// When it opens: a cron expression of five fields. A time that the zone skips is the first instant after
    /// the gap; of a time that it repeats, the first.
    start: Cron,
    /// When it closes: a cron expression of five fields. A time that the zone skips is the first instant after
    /// the gap; of a time that it repeats, the last.
    end: Cron,
    /// IANA time zone in which both are meant.
    #[schemars(length(min = 1), example = &"Europe/Berlin")]
    timezone: String,
    /// The least replicas while it is open.
    #[schemars(range(max = REPLICAS_MAX))]
    replicas: u32,
}

/// When to go to zero.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Idle {
    /// How long the signals must have been zero.
    after: DurationText,
    /// The signals that must be zero: some of the policy's.
    #[schemars(length(min = 1))]
    signals: Vec<String>,
}

/// How fast the count may move.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Behavior {
    /// How far a signal may be from its target before the count moves. Default: `10%`.
    tolerance: Option<Percent>,
    /// Upwards.
    up: Option<Direction>,
    /// Downwards.
    down: Option<Direction>,
}

/// How fast the count may move in one direction.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Direction {
    /// Steps allowed per `per`: replicas or a percentage of the count; the largest wins.
    #[schemars(length(min = 1), example = serde_json::json!(["100%", 4]))]
    limits: Option<Vec<Limit>>,
    /// The time over which `limits` count.
    per: Option<DurationText>,
    /// How long a wish must last: the most careful one of this time wins. Default: `0s` up, `5m` down.
    stabilization: Option<DurationText>,
}

/// A limit of a step.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum Limit {
    /// Replicas.
    Replicas(#[schemars(range(max = REPLICAS_MAX))] u32),
    /// A percentage of the count.
    Percent(Percent),
}
