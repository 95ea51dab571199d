//! Bursts and pauses that begin: checked against the spec, and given an end.

use std::time::Duration;

use super::words::{AUTHOR_CHARS_MAX, REASON_CHARS_MAX, message, names, one_line, place};
use super::{Effect, OrderError, OverrideSet, Wish, advice};
use crate::model::{
    Autoscale, Burst, Catalogue, Count, Moment, Pause, Region, RegionScale, Service, ServiceId,
    Spec,
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

pub(super) fn begin_burst(
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
    let warnings = advice::warnings(&burst, service, &regions, spec, catalogue, set);
    set.add_burst(burst.clone())?;
    let place = place(&burst.service, burst.region.as_ref());
    let subject = format!("{place} burst to at least {replicas}{}", span(from, until, now));
    let message = message(&subject, &burst.reason, &burst.author, "Burst", &[&burst.id]);
    Ok(Effect { subject, warnings, bursts: vec![burst], pauses: Vec::new(), message })
}

pub(super) fn begin_pause(
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

/// A service, and those of its regions that a wish is about.
type Concerned<'a> = (&'a Service, Vec<(&'a Region, &'a RegionScale)>);

fn concerned<'a>(wish: &Wish, spec: &'a Spec) -> Result<Concerned<'a>, OrderError> {
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

fn checked_texts(wish: &Wish) -> Result<[String; 2], OrderError> {
    Ok([
        one_line("reason", &wish.reason, REASON_CHARS_MAX)?,
        one_line("author", &wish.author, AUTHOR_CHARS_MAX)?,
    ])
}

fn span(from: Moment, until: Moment, now: Moment) -> String {
    if from == now { format!(" until {until}") } else { format!(" from {from} until {until}") }
}
