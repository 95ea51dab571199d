//! What people ask for, checked against the spec and turned into a change of the set: the same for every way
//! of asking.

use std::fmt::Write as _;
use std::time::Duration;

use super::{OverrideSet, OverridesError, Which};
use crate::model::{
    Autoscale, Burst, Catalogue, Count, Moment, Pause, Region, RegionScale, Service, ServiceId,
    Spec, TargetId, format_duration,
};

/// The longest, and default, time to live of a burst where the spec says nothing (`burstTTL`): enough for a
/// campaign's rush or the first part of an incident, and what a forgotten burst costs at most.
pub const BURST_TTL_DEFAULT: Duration = Duration::from_secs(3600);
/// How long a pause lasts unless said otherwise: a pause without an end is one that is found weeks later, and a
/// day gets everyone past a night.
pub const PAUSE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// The longest pause: what is to rest for longer belongs into the spec, where it is reviewed.
pub const PAUSE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far ahead a burst or pause may begin: what is planned for later is a schedule.
const AHEAD_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Characters of a reason: it stands in one line of a table, a commit and a history.
pub(super) const REASON_CHARS_MAX: usize = 300;
/// Characters of an author: a name and an address.
pub(super) const AUTHOR_CHARS_MAX: usize = 200;
/// Characters of an id.
pub(super) const ID_CHARS_MAX: usize = 64;
/// Names that an error lists, so that it stays readable with a thousand services.
const NAMES_MAX: usize = 10;

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
    #[error("the {what} must be one line of 1 to {max} characters")]
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
                begin_burst(wish, *replicas, spec, catalogue, &mut after, now)?
            }
            Self::Pause(wish) => begin_pause(wish, spec, &mut after, now)?,
            Self::EndBurst { what, region, author } => {
                end_bursts(what, region.as_ref(), author, &mut after, now)?
            }
            Self::Resume { service, region, author } => {
                resume(service, region.as_ref(), author, &mut after, now)?
            }
        };
        *set = after;
        Ok(effect)
    }
}

fn begin_burst(
    wish: &Wish,
    replicas: Count,
    spec: &Spec,
    catalogue: &Catalogue,
    set: &mut OverrideSet,
    now: Moment,
) -> Result<Effect, OrderError> {
    let (service, regions) = concerned(wish, spec)?;
    let [reason, author] = checked_texts(wish)?;
    if service.scale.autoscale == Autoscale::Disabled {
        return Err(OrderError::Disabled(service.id.clone()));
    }
    let (limit, whose) = ttl_limit(service, &regions);
    let lasting = wish.lasting.unwrap_or(limit);
    if lasting > limit {
        return Err(OrderError::BurstTooLong { asked: lasting, limit, whose });
    }
    let (from, until) = times(wish.from, lasting, now)?;
    let burst = Burst {
        id: wish.id.clone(),
        service: wish.service.clone(),
        region: wish.region.clone(),
        replicas,
        reason,
        author,
        from,
        until,
    };
    let warnings = warnings(&burst, service, &regions, spec, catalogue, set);
    set.add_burst(burst.clone())?;
    let place = place(&burst.service, burst.region.as_ref());
    let subject = format!("{place} burst to at least {replicas}{}", span(from, until, now));
    let message = message(&subject, &burst.reason, &burst.author, "Burst", &[&burst.id]);
    Ok(Effect { subject, warnings, bursts: vec![burst], pauses: Vec::new(), message })
}

fn begin_pause(
    wish: &Wish,
    spec: &Spec,
    set: &mut OverrideSet,
    now: Moment,
) -> Result<Effect, OrderError> {
    concerned(wish, spec)?;
    let [reason, author] = checked_texts(wish)?;
    let lasting = wish.lasting.unwrap_or(PAUSE_DEFAULT);
    if lasting > PAUSE_MAX {
        return Err(OrderError::PauseTooLong { asked: lasting });
    }
    let (from, until) = times(wish.from, lasting, now)?;
    let Wish { id, service, region, .. } = wish.clone();
    let pause = Pause { id, service, region, reason, author, from, until };
    let others = set.pauses().iter().filter(|other| {
        other.service == pause.service
            && (other.region.is_none() || pause.region.is_none() || other.region == pause.region)
            && other.from < pause.until
            && pause.from < other.until
            && other.id != pause.id
    });
    let warnings = others
        .map(|other| {
            let place = place(&other.service, other.region.as_ref());
            format!(
                "{place} is also paused until {} by {} ({})",
                other.until, other.author, other.reason
            )
        })
        .collect();
    set.add_pause(pause.clone())?;
    let place = place(&pause.service, pause.region.as_ref());
    let subject = format!("{place} paused{}", span(from, until, now));
    let message = message(&subject, &pause.reason, &pause.author, "Pause", &[&pause.id]);
    Ok(Effect { subject, warnings, bursts: Vec::new(), pauses: vec![pause], message })
}

fn end_bursts(
    what: &str,
    region: Option<&Region>,
    author: &str,
    set: &mut OverrideSet,
    now: Moment,
) -> Result<Effect, OrderError> {
    let author = one_line("author", author, AUTHOR_CHARS_MAX)?;
    // Before the service of the same name: an id is what this program gave and people copy.
    let mut ended = set.end_bursts(&Which::Id(what.to_owned()));
    if ended.is_empty()
        && let Ok(service) = ServiceId::try_from(what)
    {
        ended = set.end_bursts(&Which::Of(service, region.cloned()));
    }
    ended.retain(|burst| now < burst.until);
    let ids: Vec<&str> = ended.iter().map(|burst| burst.id.as_str()).collect();
    let Some(first) = ended.first() else {
        let mut known: Vec<String> =
            set.bursts().iter().filter(|burst| now < burst.until).map(named_burst).collect();
        return Err(nothing("burst", what, region, &mut known));
    };
    let place = place(&first.service, first.region.as_ref());
    let subject = match ended.len() {
        1 => format!("{place} burst {} ended", first.id),
        n => format!("{} {n} bursts ended", first.service),
    };
    let message = message(&subject, "Ended before its time.", &author, "Burst", &ids);
    Ok(Effect { subject, warnings: Vec::new(), bursts: ended, pauses: Vec::new(), message })
}

fn resume(
    service: &ServiceId,
    region: Option<&Region>,
    author: &str,
    set: &mut OverrideSet,
    now: Moment,
) -> Result<Effect, OrderError> {
    let author = one_line("author", author, AUTHOR_CHARS_MAX)?;
    let mut ended = set.end_pauses(&Which::Of(service.clone(), region.cloned()));
    ended.retain(|pause| now < pause.until);
    let left: Vec<&Pause> = set.pauses().iter().filter(|pause| now < pause.until).collect();
    if ended.is_empty() {
        let mut known = left.iter().map(|pause| named_pause(pause)).collect();
        return Err(nothing("pause", service.as_str(), region, &mut known));
    }
    let whole = left.iter().find(|pause| pause.service == *service && pause.region.is_none());
    let warnings = whole
        .map(|pause| {
            format!(
                "all of {service} is paused until {} by {}; end that without --region",
                pause.until, pause.author
            )
        })
        .into_iter()
        .collect();
    let ids: Vec<&str> = ended.iter().map(|pause| pause.id.as_str()).collect();
    let subject = format!("{} resumed", place(service, region));
    let message = message(&subject, "Ended before its time.", &author, "Pause", &ids);
    Ok(Effect { subject, warnings, bursts: Vec::new(), pauses: ended, message })
}

/// The service, and those of its regions that a wish is about.
fn concerned<'a>(
    wish: &Wish,
    spec: &'a Spec,
) -> Result<(&'a Service, Vec<(&'a Region, &'a RegionScale)>), OrderError> {
    let Some(service) = spec.services.get(&wish.service) else {
        let known = names(spec.services.keys().map(ServiceId::as_str));
        return Err(OrderError::NoSuchService { service: wish.service.clone(), known });
    };
    let regions = &service.scale.regions;
    match &wish.region {
        None => Ok((service, regions.iter().collect())),
        Some(region) => match regions.get_key_value(region) {
            Some(found) => Ok((service, vec![found])),
            None => Err(OrderError::NoSuchRegion {
                service: service.id.clone(),
                region: region.clone(),
                known: names(regions.keys().map(Region::as_str)),
            }),
        },
    }
}

/// The longest time to live in all of the regions, and what says so.
fn ttl_limit(service: &Service, regions: &[(&Region, &RegionScale)]) -> (Duration, String) {
    let limit = |(name, region): &(&Region, &RegionScale)| match (
        region.burst_ttl,
        service.scale.burst_ttl,
    ) {
        (Some(limit), _) => (limit, format!("`burstTTL` of {}/{name}", service.id)),
        (None, Some(limit)) => (limit, format!("`burstTTL` of {}", service.id)),
        (None, None) => (BURST_TTL_DEFAULT, "the default of `burstTTL`".to_owned()),
    };
    regions
        .iter()
        .map(limit)
        .min_by_key(|(limit, _)| *limit)
        .unwrap_or((BURST_TTL_DEFAULT, "the default of `burstTTL`".to_owned()))
}

fn times(
    from: Option<Moment>,
    lasting: Duration,
    now: Moment,
) -> Result<(Moment, Moment), OrderError> {
    let from = from.unwrap_or(now);
    if from < now || now.after(AHEAD_MAX) < from {
        return Err(OrderError::Begin(from));
    }
    let until = from.after(lasting);
    if until <= from { Err(OrderError::NoTime) } else { Ok((from, until)) }
}

/// What the asker of a burst should know.
fn warnings(
    burst: &Burst,
    service: &Service,
    regions: &[(&Region, &RegionScale)],
    spec: &Spec,
    catalogue: &Catalogue,
    set: &OverrideSet,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let replicas = burst.replicas;
    for (name, region) in regions {
        let target = TargetId { service: service.id.clone(), region: (*name).clone() };
        if region.bounds.max < replicas {
            warnings.push(format!(
                "{target} has `max: {}`, and gets no more than that",
                region.bounds.max
            ));
        }
        let (least, why) = least_without(burst, &target, service, region, spec, set);
        if replicas.min(region.bounds.max) <= least {
            warnings.push(format!(
                "{target} has at least {least} without it ({why}): it makes no difference while that lasts"
            ));
        }
        let pause = set.pauses().iter().find(|p| p.is_about(&target) && p.is_in_force(burst.from));
        if let Some(pause) = pause {
            warnings.push(format!(
                "{target} is paused until {} by {}: the count stays as it is until then, or `tidegate resume {}`",
                pause.until, pause.author, service.id
            ));
        }
    }
    warnings.extend(cost_warning(burst, service, catalogue));
    warnings
}

/// The least replicas that a target has at the beginning of a burst without it, and why.
fn least_without(
    burst: &Burst,
    target: &TargetId,
    service: &Service,
    region: &RegionScale,
    spec: &Spec,
    set: &OverrideSet,
) -> (Count, String) {
    let mut floors = vec![(region.bounds.min, "its `min`".to_owned())];
    if service.scale.autoscale == Autoscale::Manual {
        floors.push((region.bounds.desired, "its `desired`".to_owned()));
    }
    for schedule in spec.policy_of(service).into_iter().flat_map(|policy| &policy.schedules) {
        if let Some(window) = schedule.windows.open_at(burst.from) {
            let why = format!("schedule {} until {}", schedule.name, window.to);
            floors.push((schedule.replicas, why));
        }
    }
    for other in set.bursts() {
        if other.id != burst.id && other.is_about(target) && other.is_in_force(burst.from) {
            let why = format!("burst {} by {} until {}", other.id, other.author, other.until);
            floors.push((other.replicas, why));
        }
    }
    let (least, why) = floors.into_iter().max_by_key(|(least, _)| *least).unwrap_or_default();
    (least.min(region.bounds.max), why)
}

/// Whether the cost cap of the service stands in the way, as far as prices are known.
fn cost_warning(burst: &Burst, service: &Service, catalogue: &Catalogue) -> Option<String> {
    let cap = service.scale.max_hourly_cost?;
    let provider =
        service.provider.as_ref().or_else(|| catalogue.default_for(service.scale.strategy))?;
    let price = catalogue.prices.of(provider)?;
    let least = |(name, region): (&Region, &RegionScale)| {
        let is_meant = burst.region.as_ref().is_none_or(|meant| meant == name);
        let bounds = region.bounds;
        let count =
            if is_meant { burst.replicas.clamp(bounds.min, bounds.max) } else { bounds.min };
        f64::from(count.0)
    };
    let cost = price * service.scale.regions.iter().map(least).sum::<f64>();
    let currency = &catalogue.prices.currency;
    (cost > cap).then(|| {
        format!(
            "{} would cost at least {cost:.2} {currency} per hour, and has `maxHourlyCost: {cap:.2}`: the cap \
             holds it lower",
            service.id
        )
    })
}

fn checked_texts(wish: &Wish) -> Result<[String; 2], OrderError> {
    Ok([
        one_line("reason", &wish.reason, REASON_CHARS_MAX)?,
        one_line("author", &wish.author, AUTHOR_CHARS_MAX)?,
    ])
}

fn one_line(what: &'static str, text: &str, max: usize) -> Result<String, OrderError> {
    let text = text.trim();
    if text.is_empty() || !is_one_line(text, max) {
        return Err(OrderError::Text { what, max });
    }
    Ok(text.to_owned())
}

/// Whether a text has at most so many characters and nothing that breaks a line: in a commit's message a line of
/// its own could pass for a trailer.
pub(super) fn is_one_line(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max
        && !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

fn place(service: &ServiceId, region: Option<&Region>) -> String {
    region.map_or_else(|| service.to_string(), |region| format!("{service}/{region}"))
}

fn span(from: Moment, until: Moment, now: Moment) -> String {
    if from == now { format!(" until {until}") } else { format!(" from {from} until {until}") }
}

fn message(subject: &str, reason: &str, author: &str, kind: &str, ids: &[&str]) -> String {
    let mut message = format!("{subject}\n\n{reason}\n\n");
    for id in ids {
        let _ = writeln!(message, "Tidegate-{kind}: {id}");
    }
    let _ = writeln!(message, "Tidegate-Author: {author}");
    message
}

fn named_burst(burst: &Burst) -> String {
    format!("{} of {}", burst.id, place(&burst.service, burst.region.as_ref()))
}

fn named_pause(pause: &Pause) -> String {
    place(&pause.service, pause.region.as_ref())
}

fn nothing(kind: &str, what: &str, region: Option<&Region>, known: &mut Vec<String>) -> OrderError {
    let of = region.map_or_else(|| what.to_owned(), |region| format!("{what}/{region}"));
    known.dedup();
    let known = match known.len() {
        0 => format!("no {kind} is set"),
        _ => format!("set: {}", names(known.iter().map(String::as_str))),
    };
    OrderError::NothingToEnd(format!("there is no {kind} `{of}` to end; {known}"))
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let shown: Vec<&str> = all.iter().take(NAMES_MAX).copied().collect();
    match all.len() - shown.len() {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
