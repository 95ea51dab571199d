//! Floors of the schedules that are open: the largest counts, all are named.

use std::sync::Arc;

use super::draft::Draft;
use crate::model::{Count, Detail, Moment, Policy, Reason, Schedule, ScheduleEdge, Stage};

/// Lifts the count to the largest floor of the open schedules.
pub(super) fn lift(draft: &mut Draft<'_>, policy: &Policy) {
    if policy.schedules.is_empty() {
        return;
    }
    let now = draft.now();
    let unknown = ScheduleEdge { is_open: false, from: now, until: Moment(i64::MIN) };
    draft.state.schedules.resize(policy.schedules.len(), unknown);
    let mut floor = Count(0);
    let mut names: Vec<Arc<str>> = Vec::new();
    for (schedule, edge) in policy.schedules.iter().zip(&mut draft.state.schedules) {
        if is_open(schedule, edge, now) {
            floor = floor.max(schedule.replicas);
            names.push(schedule.name.clone());
        }
    }
    if names.is_empty() {
        draft.keep(Stage::Schedule, "no schedule is open");
        return;
    }
    let after = draft.count.max(floor);
    draft.wanted = draft.wanted.max(floor);
    let reason = (after > draft.count || floor >= draft.current).then_some(Reason::Schedule);
    let detail = Detail::Floors { floor, names: names.into() };
    draft.pass(Stage::Schedule, after, reason, detail);
}

/// Whether a schedule is open; cron is asked again only when the answer may have changed, also after a clock
/// was set back.
fn is_open(schedule: &Schedule, edge: &mut ScheduleEdge, now: Moment) -> bool {
    let is_known = edge.from <= now && now < edge.until;
    if !is_known {
        *edge = ScheduleEdge {
            is_open: schedule.windows.open_at(now).is_some(),
            from: now,
            until: schedule.windows.next_edge(now).unwrap_or(Moment(i64::MAX)),
        };
    }
    edge.is_open
}
