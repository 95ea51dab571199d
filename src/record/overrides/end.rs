//! Bursts and pauses that end before their time. The spec has no say in it: what is gone from there must end too.

use super::words::{AUTHOR_CHARS_MAX, message, names, one_line, place};
use super::{Effect, OrderError, OverrideSet, Which};
use crate::model::{Burst, Moment, Pause, Region, ServiceId};

pub(super) fn end_bursts(
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

pub(super) fn resume(
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
