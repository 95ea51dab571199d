//! What people ask for, checked against the spec and turned into a change of the set: the same for every way
//! of asking.

use std::time::Duration;

use super::{OverrideSet, OverridesError, PAUSE_MAX, begin, end};
use crate::model::{
    Burst, Catalogue, Count, Moment, Pause, Region, ServiceId, Spec, format_duration,
};

/// What a burst and a pause are asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The id it is to have, unique.
    pub id: String,
    /// The service.
    pub service: ServiceId,
    /// The region; all of the service's without it.
    pub region: Option<Region>,
    /// When it begins; now without it.
    pub from: Option<Moment>,
    /// How long it lasts; a default without it.
    pub lasting: Option<Duration>,
    /// Why, in one line.
    pub reason: String,
    /// Who asks.
    pub author: String,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A burst.
    Burst {
        /// What for.
        wish: Wish,
        /// The least replicas while it lasts.
        replicas: Count,
    },
    /// The end of a burst.
    EndBurst {
        /// The burst's id, or a service for all of its bursts.
        what: String,
        /// Of a service, the bursts of this region only.
        region: Option<Region>,
        /// Who asks.
        author: String,
    },
    /// A pause.
    Pause(Wish),
    /// The end of all pauses of a service.
    Resume {
        /// The service.
        service: ServiceId,
        /// The pauses of this region only.
        region: Option<Region>,
        /// Who asks.
        author: String,
    },
}

/// What an order comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What happens, in a line.
    pub subject: String,
    /// What to know about it: each a sentence without a full stop.
    pub warnings: Vec<String>,
    /// Bursts that begin or end by it.
    pub bursts: Vec<Burst>,
    /// Pauses that begin or end by it.
    pub pauses: Vec<Pause>,
    /// The message of the commit, with trailers, that it is made by.
    pub message: String,
}

/// Why what is asked for is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The spec has no such service.
    #[error("service `{service}` is not in the spec; it has {known}")]
    NoSuchService {
        /// As asked.
        service: ServiceId,
        /// What there is.
        known: String,
    },
    /// The service has no such region.
    #[error("service `{service}` has no region `{region}`; it has {known}")]
    NoSuchRegion {
        /// The service.
        service: ServiceId,
        /// As asked.
        region: Region,
        /// What there is.
        known: String,
    },
    /// Its count is moved by commits alone.
    #[error(
        "service `{0}` has `autoscale: disabled`: only commits change its count; change `desired` instead"
    )]
    Disabled(ServiceId),
    /// A burst longer than the spec allows.
    #[error("{asked} is longer than the {limit} that {whose} allows; ask for less, or raise it in the spec", asked = format_duration(*asked), limit = format_duration(*limit))]
    BurstTooLong {
        /// As asked.
        asked: Duration,
        /// The longest.
        limit: Duration,
        /// What says so.
        whose: String,
    },
    /// A pause longer than any.
    #[error("{asked} is longer than the {max} that a pause may last; for longer, say `autoscale: disabled` in the spec", asked = format_duration(*asked), max = format_duration(PAUSE_MAX))]
    PauseTooLong {
        /// As asked.
        asked: Duration,
    },
    /// It would be over at once.
    #[error("it would last no time; ask for some, as in `30m`")]
    NoTime,
    /// It would begin in the past, or too far ahead.
    #[error(
        "it cannot begin at {0}: begin now or within the next 30 days; what comes later is a schedule in the policy"
    )]
    Begin(Moment),
    /// A text that is not one line.
    #[error("the {what} must be one line of 1 to {max} characters, without control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// The longest.
        max: usize,
    },
    /// There is nothing to end.
    #[error("{0}")]
    NothingToEnd(String),
    /// The set cannot take it.
    #[error(transparent)]
    Set(#[from] OverridesError),
}

impl Order {
    /// Whether it has to be checked against the spec. An end need not be: it must be possible also for a service
    /// that is gone.
    #[must_use]
    pub fn needs_spec(&self) -> bool {
        matches!(self, Self::Burst { .. } | Self::Pause(_))
    }

    /// Changes the set as asked for, and leaves out of it what is over. Nothing is changed by an error. The
    /// catalogue gives prices and default providers only.
    ///
    /// # Errors
    /// [`OrderError`] for what is refused.
    pub fn apply(
        &self,
        spec: &Spec,
        catalogue: &Catalogue,
        set: &mut OverrideSet,
        now: Moment,
    ) -> Result<Effect, OrderError> {
        let mut after = set.clone();
        after.forget_ended(now);
        let effect = match self {
            Self::Burst { wish, replicas } => {
                begin::begin_burst(wish, *replicas, spec, catalogue, &mut after, now)?
            }
            Self::Pause(wish) => begin::begin_pause(wish, spec, &mut after, now)?,
            Self::EndBurst { what, region, author } => {
                end::end_bursts(what, region.as_ref(), author, &mut after, now)?
            }
            Self::Resume { service, region, author } => {
                end::resume(service, region.as_ref(), author, &mut after, now)?
            }
        };
        *set = after;
        Ok(effect)
    }
}
