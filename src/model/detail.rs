//! Why a stage of deciding did what it did, as data; and the sentence that a person reads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Count, Moment, SignalName, SignalState, TargetKind, format_duration};

/// Why a stage did what it did. Displays as a sentence without a full stop.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A sentence that needs no data.
    Plain(&'static str),
    /// What a measurement is worth.
    Signal {
        /// Whose.
        name: SignalName,
        /// What it is worth.
        state: SignalState,
        /// The number, where there is one.
        value: Option<f64>,
        /// How old the number is.
        age: Duration,
        /// What is wrong with it.
        why: Option<Arc<str>>,
    },
    /// The vote of a proportional rule over a total.
    Demand {
        /// Its signal.
        signal: SignalName,
        /// What each replica is meant for.
        level: f64,
        /// The signal's value.
        value: f64,
        /// The value that is expected when a replica that is ordered now serves.
        outlook: f64,
        /// The value above which the count before steps up.
        upper: f64,
        /// The count before.
        have: Count,
        /// The count it asks for.
        wants: Count,
        /// Why.
        why: DemandWhy,
    },
    /// The vote of a proportional rule over a mean.
    Target {
        /// Its signal.
        signal: SignalName,
        /// What its level means.
        kind: TargetKind,
        /// Its level.
        level: f64,
        /// The signal's value.
        value: f64,
        /// Ready replicas that the value was measured over, where that matters.
        ready: Count,
        /// The count it asks for.
        wants: Count,
    },
    /// A proportional rule without a value, or an average without replicas.
    NoTarget {
        /// Its signal.
        signal: SignalName,
    },
    /// A proportional rule whose steps up did not help.
    Ineffective {
        /// Its signal.
        signal: SignalName,
        /// The count it asks for.
        wants: Count,
        /// When it may try again.
        until: Moment,
    },
    /// A rule that holds.
    Rule {
        /// Its name.
        name: Arc<str>,
        /// How long it has held.
        held: Duration,
        /// The count it asks for.
        wants: Count,
    },
    /// A rule whose condition must hold for longer.
    RuleWaits {
        /// Its name.
        name: Arc<str>,
    },
    /// A rule that does not hold.
    NoRule {
        /// Its name.
        name: Arc<str>,
    },
    /// A rule of which it is not known whether it holds.
    RuleUnknown {
        /// Its name.
        name: Arc<str>,
    },
    /// The expression's value.
    Expression {
        /// The value.
        value: f64,
        /// The count it asks for.
        wants: Count,
    },
    /// An expression that could not be computed.
    NoExpression {
        /// Why.
        why: Arc<str>,
    },
    /// `desired`, because the spec asks for it.
    Desired {
        /// How many.
        desired: Count,
        /// Whether the mode is `disabled`.
        is_disabled: bool,
    },
    /// `desired`, because no vote is in force.
    NoVote {
        /// How many.
        desired: Count,
    },
    /// The largest of the votes.
    Largest {
        /// How many voted.
        votes: u32,
    },
    /// A signal without a value: it is not known what would be asked for.
    Unknown {
        /// Whose.
        signal: SignalName,
        /// What it is.
        state: SignalState,
        /// What is wrong with it.
        why: Option<Arc<str>>,
    },
    /// A signal without a value forbids going down.
    Missing {
        /// Whose.
        signal: SignalName,
        /// What it is.
        state: SignalState,
        /// What is wrong with it.
        why: Option<Arc<str>>,
        /// What was wanted.
        wanted: Count,
    },
    /// A signal without a value asks for a floor.
    MissingFloor {
        /// Whose.
        signal: SignalName,
        /// At least so many.
        floor: Count,
    },
    /// Near enough.
    Tolerated {
        /// The signal's value as a share of what the count is meant for: 1 is exactly on target.
        ratio: f64,
        /// The largest such share at which the count stays.
        upper: f64,
        /// The smallest such share at which the count stays.
        lower: f64,
    },
    /// A wish has not lasted long enough.
    Stabilizing {
        /// How long it must last.
        window: Duration,
        /// What is allowed meanwhile.
        allowed: Count,
        /// Whether the wish is to go down.
        is_down: bool,
    },
    /// No step down so soon after a start of the controller.
    Restarted {
        /// When it may go down again.
        until: Moment,
    },
    /// A step was cut.
    Limited {
        /// What was wanted.
        wanted: Count,
        /// What the limit leaves.
        allowed: Count,
        /// The time over which the limit counts.
        per: Duration,
    },
    /// A step down would be undone at once.
    Flapping {
        /// What was wanted.
        wanted: Count,
        /// What would undo it.
        by: Arc<str>,
    },
    /// Nothing happened for long enough.
    Idle {
        /// For how long.
        idle: Duration,
    },
    /// Nothing happens, but not for long enough.
    IdleWaits {
        /// For how long.
        idle: Duration,
        /// How long it must be.
        after: Duration,
    },
    /// Floors in force.
    Floors {
        /// The largest.
        floor: Count,
        /// All of them by name.
        names: Box<[Arc<str>]>,
    },
    /// Clamped to the bounds.
    Clamped {
        /// What was wanted.
        wanted: Count,
        /// The least.
        min: Count,
        /// The most.
        max: Count,
    },
    /// Waiting after a change.
    Cooldown {
        /// When it may go down again.
        until: Moment,
    },
    /// What the service may cost.
    Cost {
        /// The cap, in the currency of the price table, per hour.
        cap: f64,
        /// Replicas of this target that fit under it.
        allowed: Count,
    },
    /// Held still by a person.
    Paused {
        /// Who.
        author: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// Until when.
        until: Moment,
    },
    /// What exists.
    Exists {
        /// How many.
        count: Count,
    },
}

/// Why a demand is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemandWhy {
    /// The load asks for it.
    Load,
    /// The count before is near enough.
    Near,
    /// Fewer would do, and holding the count has not cost as much as a change yet.
    Waits,
    /// A level that comes back soon is kept.
    Returns,
}

/// Numbers for people: at most three decimals, none where they are zero.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text == "-0" { "0" } else { text })
    }
}

/// What a signal in this state is, as the rest of a sentence about it.
fn told(state: SignalState) -> &'static str {
    match state {
        SignalState::Value => "has a value",
        SignalState::Absent => "is absent",
        SignalState::Stale => "is stale",
        SignalState::Error => "cannot be used",
    }
}

/// Begins a sentence about a signal without a value.
fn missing(
    f: &mut fmt::Formatter<'_>,
    signal: &SignalName,
    state: SignalState,
    why: Option<&str>,
) -> fmt::Result {
    write!(f, "{signal} {}", told(state))?;
    why.map_or(Ok(()), |why| write!(f, " ({why})"))
}

/// The noun for so many.
fn replicas(count: Count) -> &'static str {
    if count == Count(1) { "replica" } else { "replicas" }
}

/// Whole seconds for people.
fn whole(time: Duration) -> String {
    format_duration(Duration::from_secs(time.as_secs()))
}

impl fmt::Display for Detail {
    #[expect(clippy::too_many_lines, reason = "one arm per sentence")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(text),
            Self::Signal {
                name,
                state: SignalState::Value,
                value: Some(value),
                age,
                why: None,
            } => {
                write!(f, "{name} is {}, {} old", Short(*value), whole(*age))
            }
            Self::Signal { name, state, value, age, why } => {
                write!(f, "{name} {}", told(*state))?;
                match (why, value) {
                    (Some(why), _) => write!(f, ": {why}"),
                    (None, Some(value)) => {
                        write!(f, ": the newest value, {}, is {} old", Short(*value), whole(*age))
                    }
                    (None, None) => Ok(()),
                }
            }
            Self::Demand { signal, level, value, outlook, upper, have, wants, why } => {
                write!(f, "{signal} is {}", Short(*value))?;
                if outlook > value {
                    write!(f, " and on its way to {}", Short(*outlook))?;
                } else if *why == DemandWhy::Load && f64::from(wants.0) * level < *value {
                    f.write_str(" and falling")?;
                }
                match why {
                    DemandWhy::Load => {
                        write!(f, "; each replica is meant for {}, so {wants}", Short(*level))
                    }
                    DemandWhy::Near => write!(
                        f,
                        "; {} {} meant for {}, and there is a step up above {}, so {wants}",
                        have.0,
                        if *have == Count(1) { "replica is" } else { "replicas are" },
                        Short(*level * f64::from(have.0)),
                        Short(*upper)
                    ),
                    DemandWhy::Waits => write!(
                        f,
                        "; fewer would do, but holding {have} has not cost as much as a change yet"
                    ),
                    DemandWhy::Returns => write!(
                        f,
                        "; fewer would do, but the load has come back to this level soon until now"
                    ),
                }
            }
            Self::Target { signal, kind, level, value, ready, wants } => write!(
                f,
                "{signal} is {} on {} ready {} and is meant to be {}{}, so {wants}",
                Short(*value),
                ready.0,
                replicas(*ready),
                if *kind == TargetKind::AtMost { "at most " } else { "" },
                Short(*level)
            ),
            Self::NoTarget { signal } => write!(f, "no vote without a value of {signal}"),
            Self::Ineffective { signal, wants, until } => write!(
                f,
                "{signal} asks for {wants}, but the last two steps up brought less than a tenth of the \
                 relief that they should have: look for the bottleneck elsewhere; no further step for \
                 {signal} before {until}"
            ),
            Self::Rule { name, held: Duration::ZERO, wants } => {
                write!(f, "rule `{name}` holds, so {wants}")
            }
            Self::Rule { name, held, wants } => {
                write!(f, "rule `{name}` has held for {}, so {wants}", whole(*held))
            }
            Self::RuleWaits { name } => {
                write!(f, "the condition of rule `{name}` must last longer")
            }
            Self::NoRule { name } => write!(f, "rule `{name}` does not hold"),
            Self::RuleUnknown { name } => {
                write!(f, "without its signals nobody knows whether rule `{name}` holds")
            }
            Self::Expression { value, wants } => {
                write!(f, "the expression is {}, so {wants}", Short(*value))
            }
            Self::NoExpression { why } => write!(f, "the expression has no value: {why}"),
            Self::Desired { desired, is_disabled: false } => {
                write!(f, "the spec asks for {desired}")
            }
            Self::Desired { desired, is_disabled: true } => {
                write!(f, "the spec asks for {desired} and autoscaling is disabled")
            }
            Self::NoVote { desired } => {
                write!(f, "no vote is in force, so the count rests at desired {desired}")
            }
            Self::Largest { votes: 1 } => f.write_str("the only vote"),
            Self::Largest { votes } => write!(f, "the largest of {votes} votes"),
            Self::Unknown { signal, state, why } => {
                missing(f, signal, *state, why.as_deref())?;
                f.write_str(", so the count holds")
            }
            Self::Missing { signal, state, why, wanted } => {
                missing(f, signal, *state, why.as_deref())?;
                write!(f, ", so the count does not go down to {wanted}")
            }
            Self::MissingFloor { signal, floor } => {
                write!(f, "while {signal} has no value there are at least {floor}")
            }
            Self::Tolerated { ratio, upper, lower } => write!(
                f,
                "the load is {} % of what the count is meant for, and from {} % to {} % the count stays",
                Short(ratio * 100.0),
                Short(lower * 100.0),
                Short(upper * 100.0)
            ),
            Self::Stabilizing { window, allowed, is_down: true } => {
                write!(
                    f,
                    "{allowed} was wanted within the last {}, so no lower yet",
                    whole(*window)
                )
            }
            Self::Stabilizing { window, allowed, is_down: false } => write!(
                f,
                "no more than {allowed} was wanted within the last {}, so no higher yet",
                whole(*window)
            ),
            Self::Restarted { until } => {
                write!(f, "the controller started a moment ago, so no step down before {until}")
            }
            Self::Limited { wanted, allowed, per } => write!(
                f,
                "{wanted} is wanted, and the limit per {} leaves {allowed} for now",
                whole(*per)
            ),
            Self::Flapping { wanted, by } => {
                write!(f, "with {wanted} {} {by} would ask for more at once", replicas(*wanted))
            }
            Self::Idle { idle } => {
                write!(f, "nothing has happened for {}, so nothing runs", whole(*idle))
            }
            Self::IdleWaits { idle, after } => write!(
                f,
                "nothing has happened for {}; the last replica goes after {}",
                whole(*idle),
                whole(*after)
            ),
            Self::Floors { floor, names } => {
                write!(f, "at least {floor}, because of ")?;
                for (index, name) in names.iter().enumerate() {
                    let glue = if index == 0 { "" } else { ", " };
                    write!(f, "{glue}{name}")?;
                }
                Ok(())
            }
            Self::Clamped { wanted, min, max } => {
                if wanted > max {
                    write!(f, "{wanted} is over the maximum, so {max}")
                } else if wanted < min {
                    write!(f, "{wanted} is under the minimum, so {min}")
                } else {
                    write!(f, "{wanted} is within {min} to {max}")
                }
            }
            Self::Cooldown { until } => {
                write!(f, "the count changed a moment ago, so no step down before {until}")
            }
            Self::Cost { cap, allowed } => write!(
                f,
                "the service may cost {} an hour, which leaves {allowed} {} for this region",
                Short(*cap),
                replicas(*allowed)
            ),
            Self::Paused { author, reason, until } => {
                write!(f, "paused by {author} until {until}: {reason}")
            }
            Self::Exists { count: Count(1) } => f.write_str("1 replica exists"),
            Self::Exists { count } => write!(f, "{count} replicas exist"),
        }
    }
}
