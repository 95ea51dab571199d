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
            /// The measured inputs, by the name that the rest of the policy uses. Each is asked once per
            /// decision, with all others at once.
            signals: Option<BTreeMap<String, Signal>>,
            /// Proportional rules: each votes for a count, and the largest vote of all parts wins. One
            /// `perReplica` target and nothing else is a complete policy.
            targets: Option<Vec<Target>>,
            /// Threshold rules, for what is not proportional: each votes while its condition holds. A rule
            /// that steps down acts only where nothing else votes for more.
            rules: Option<Vec<Rule>>,
            /// A CEL expression over the signals and `count`, `ready`, `min` and `max`: one more vote. All
            /// numbers are doubles. It has `+ - * /`, comparisons, `&& || !`, `a ? b : c`, and the functions
            /// `ceil`, `floor`, `round`, `abs`, `min(a, b)` and `max(a, b)`, also as CEL's `math.ceil`,
            /// `math.least` and so on. Without a value of a signal that it needs, and when it divides by
            /// zero, it does not vote.
            #[schemars(length(min = 1, max = EXPRESSION_CHARS_MAX), example = &"ceil(backlog / 10.0)")]
            expression: Option<String>,
            /// Windows of time with a least count. They raise what the votes come to and never lower it; of
            /// several that are open, the largest counts.
            schedules: Option<Vec<Schedule>>,
            /// When to go from one replica to zero. Only where `min` is 0; without it the last replica
            /// stays, because a source that reads zero for a moment must not stop a service.
            idle: Option<Idle>,
            /// How near is near enough, and how fast the count may move. Leave it out to begin with: the
            /// defaults are measured on real traffic, and stating a part gives it its plain meaning.
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
    /// Where it is read: `provider` (what the replicas use), `proxy` (what goes through their load balancer),
    /// or a source by its name under `metrics` of the controller's configuration. A spec names sources; their
    /// addresses and credentials are the operator's.
    #[schemars(length(min = 1), example = &"proxy")]
    source: String,
    /// The metric, for sources that have them by name. `provider` has `cpuPercent`
    /// (mean over the ready replicas, of `resources.cpu`, else of one core), `memoryPercent` (likewise, of
    /// `resources.memory`), `memoryBytes` and `ready`.
    #[schemars(example = &"requestsPerSecond")]
    metric: Option<String>,
    /// The query, for sources that take one. It must come to one number: aggregate, as in `sum(...)`. For a
    /// load, ask for the rate over a minute: shorter is noise, longer is late. What is gone at zero is no news:
    /// write `sum(...) or vector(0)` where no series means none.
    #[schemars(example = &"sum(jobs_pending{service=\"web\"})")]
    query: Option<String>,
    /// The unit, for people; nothing is converted.
    #[schemars(example = &"ms")]
    unit: Option<String>,
    /// The oldest value that still counts; an older one is missing. Default: `60s`, three scrapes of the usual
    /// 15 seconds and the delay of one evaluation, so that one missed scrape is no missing data.
    max_age: Option<DurationText>,
    /// What to do without a value: when the source fails, has no such series, or its newest value is too old.
    /// Default: `hold`, because no data is never a reason to scale down.
    on_missing: Option<OnMissing>,
}

/// What to do without a value.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum OnMissing {
    /// Keep the count at least, or leave the signal out.
    Word(OnMissingWord),
    /// A floor, or the last value for a time.
    Object(OnMissingObject),
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", inline)]
pub(crate) enum OnMissingWord {
    /// Do not scale down meanwhile; other signals may still raise the count.
    Hold,
    /// Decide as if the signal were not in the policy: for one that is absent in normal times, as a latency
    /// without requests is.
    Ignore,
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, inline, extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct OnMissingObject {
    /// Have at least this many replicas meanwhile, and do not go lower than the count.
    #[schemars(range(max = REPLICAS_MAX))]
    floor: Option<u32>,
    /// Use the last value for this long, then hold: for a signal that moves slowly.
    last_value: Option<DurationText>,
}

/// A proportional rule: exactly one of `perReplica`, `average` and `atMost`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Target {
    /// One of the policy's signals.
    signal: String,
    /// For a total, which does not change with the replicas, as requests per second or jobs that wait: how much
    /// of it each replica is for, in the signal's unit. Votes for `ceil(value / perReplica)`.
    ///
    /// Write 70 % of what a replica can serve: the level is read so, and what is left is headroom that the
    /// default rule spends. It orders ahead on a rise, keeps counts that come back soon, and lets a count run
    /// up to 1.43 times the level before it steps up where headroom would not pay; over a day it spends what the
    /// level itself would cost. For the plain meaning, state `behavior.tolerance`.
    #[schemars(extend("exclusiveMinimum" = 0), example = 70)]
    per_replica: Option<f64>,
    /// For a mean over the ready replicas, as `cpuPercent`: what it should be, in the signal's unit. Votes for
    /// `ceil(ready * value / average)`.
    #[schemars(extend("exclusiveMinimum" = 0), example = 70)]
    average: Option<f64>,
    /// For what must not be exceeded and falls when there are more replicas, as a latency: the most it should
    /// be, in the signal's unit. Votes for `ceil(ready * value / atMost)`. Where steps up bring no relief twice in a
    /// row, it stops asking for more for 10 minutes: the bottleneck is elsewhere.
    #[schemars(extend("exclusiveMinimum" = 0), example = 200)]
    at_most: Option<f64>,
}

/// A threshold rule: `when`, and one of `scaleBy` and `to`. It votes while its condition holds, from where the
/// count was when it began to hold; while it goes on holding it steps again after its longest `for`, at least a
/// minute, and once the replicas of the last step are ready.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// The name that traces and `explain` show. Default: its place, as in `rule 2`.
    name: Option<String>,
    /// When it holds.
    when: Condition,
    /// By how much it moves the count: replicas, or a percentage of the count; negative is down.
    #[schemars(example = 2, example = &"+50%")]
    scale_by: Option<ScaleBy>,
    /// The count that it votes for.
    #[schemars(range(max = REPLICAS_MAX))]
    to: Option<u32>,
}

/// A step of a rule.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
pub(crate) enum ScaleBy {
    /// Replicas.
    Replicas(#[schemars(range(min = -10_000, max = 10_000))] i32),
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
    /// Holds while the signal is strictly above this, in its unit. With `below`, it must be between the two.
    above: Option<f64>,
    /// Holds while the signal is strictly below this, in its unit.
    below: Option<f64>,
    /// How long it must have been so without a break. A missing value neither begins nor ends it. Default: `0s`,
    /// at once.
    r#for: Option<DurationText>,
}

/// A window of time with a least count.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Schedule {
    /// The name that traces and `explain` show. Default: its place, as in `schedule 2`.
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
    /// The least replicas while it is open; not more than `max`.
    #[schemars(range(max = REPLICAS_MAX))]
    replicas: u32,
}

/// When to go to zero.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Idle {
    /// How long the signals must have been exactly zero. Longer than the pauses of its users: the first request
    /// after it waits for a start.
    after: DurationText,
    /// The signals that must all be zero, and known to be: some of the policy's, and such as exist at zero.
    #[schemars(length(min = 1))]
    signals: Vec<String>,
}

/// How fast the count may move.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Behavior {
    /// How far a load may be from its level before the count moves. Default: `10%` for `average` and `atMost`;
    /// for `perReplica`, what the noise, the past rises and the cost of the load come to. Stated, a `perReplica`
    /// target has its plain meaning: `ceil(value / perReplica)`, and the count stays while the load is within
    /// this share of it; with `down.stabilization` stated as well, nothing is looked ahead for either.
    tolerance: Option<Percent>,
    /// Upwards. Default: `{limits: ["300%", 10], per: 15s, stabilization: 0s}`: a flash crowd is met in one step,
    /// and a wrong number does not buy everything at once.
    up: Option<Direction>,
    /// Downwards. Default: `{limits: ["50%", 1], per: 1m, stabilization: 5m}`: a wrong number takes minutes to do
    /// harm, and load that comes back within five minutes is the rule.
    down: Option<Direction>,
}

/// How fast the count may move in one direction.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Direction {
    /// What the count may move by within `per`: replicas, or a percentage of what it was when that time began; the
    /// largest of them counts, and a percentage allows one replica at least. `[0]` allows none. Default: up
    /// `["300%", 10]`, down `["50%", 1]`.
    #[schemars(length(min = 1), example = serde_json::json!(["100%", 4]))]
    limits: Option<Vec<Limit>>,
    /// The time over which `limits` count. Default: `15s` up, one decision; `1m` down.
    per: Option<DurationText>,
    /// How long a wish must last: the most careful one of this time wins. Default: `0s` up, because waiting costs
    /// requests; `5m` down. Without it, a `perReplica` target going down waits by what holding and changing cost
    /// instead; stated, by this time alone.
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
