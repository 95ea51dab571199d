//! The next windows of schedules that are new or changed: what a reviewer of a cron expression wants to see.
//!
//! Tells, and plans nothing: a window becomes a floor when it opens, in deciding.

use jiff::SignedDuration;

use super::Input;
use crate::model::{
    Autoscale, MarkedWindow, Moment, PlannedSchedule, PlannedWindow, Schedule, Service, TargetPlan,
};

/// How far ahead is looked: every day of the week once.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Windows of a schedule that are listed: a week of one a day.
const LISTED_MAX: usize = 7;
/// Windows of a schedule that are counted: one every ten minutes, which is certainly more than was meant.
const COUNTED_MAX: usize = 7 * 24 * 6;

/// The next windows of a service's schedules, unless the base has the same schedules.
pub(super) fn schedules(
    input: &Input<'_>,
    before: Option<&Service>,
    service: &Service,
) -> Vec<PlannedSchedule> {
    let in_force = |service: &Service| service.scale.autoscale != Autoscale::Disabled;
    let Some(policy) = input.spec.policy_of(service).filter(|_| in_force(service)) else {
        return Vec::new();
    };
    let base = input.base.map(|(base, _)| base).zip(before.filter(|before| in_force(before)));
    let base = base.and_then(|(base, before)| base.policy_of(before));
    if base.is_some_and(|base| base.schedules == policy.schedules) {
        return Vec::new();
    }
    let from = Moment::from(input.now);
    let until = Moment::from(input.now.saturating_add(AHEAD).unwrap_or(input.now));
    policy.schedules.iter().map(|schedule| planned(schedule, from, until)).collect()
}

fn planned(schedule: &Schedule, from: Moment, until: Moment) -> PlannedSchedule {
    let mut windows = schedule.windows.upcoming_marked(from, until, COUNTED_MAX);
    let more = windows.len().saturating_sub(LISTED_MAX);
    windows.truncate(LISTED_MAX);
    let local = |moment: Moment| {
        let zoned = moment.timestamp().to_zoned(schedule.windows.time_zone().clone());
        zoned.strftime("%a %Y-%m-%d %H:%M%:z").to_string()
    };
    let window = |marked: MarkedWindow| PlannedWindow {
        marked,
        local_from: local(marked.window.from),
        local_to: local(marked.window.to),
    };
    PlannedSchedule {
        name: schedule.name.clone(),
        floor: schedule.replicas,
        zone: schedule.windows.zone().to_owned(),
        windows: windows.into_iter().map(window).collect(),
        more,
    }
}

/// Regions of a service have the same schedules, which are told once. The targets are sorted.
pub(super) fn once_per_service(targets: &mut [TargetPlan]) {
    let mut told = None;
    for target in targets.iter_mut().filter(|target| !target.schedules.is_empty()) {
        if told.as_ref() == Some(&target.target.service) {
            target.schedules.clear();
        } else {
            told = Some(target.target.service.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;
    use serde_json::json;

    use crate::decide;
    use crate::model::testing::{bounds, commit, service};
    use crate::model::{
        Observed, Plan, Policy, PolicyChoice, Prices, Region, RegionScale, Schedule, Spec, Windows,
    };
    use crate::plan::{Input, plan, render, template_hashes};

    fn spec(schedules: &[(&str, &str, &str)]) -> Spec {
        let schedule = |(name, start, end): &(&str, &str, &str)| Schedule {
            name: (*name).into(),
            windows: Windows::parse(start, end, "Europe/Berlin").expect("a schedule"),
            replicas: crate::model::Count(4),
        };
        let policy = Policy {
            fingerprint: 0,
            document: json!({"schedules": format!("{schedules:?}")}),
            signals: Vec::new(),
            targets: Vec::new(),
            rules: Vec::new(),
            thresholds: 0,
            expression: None,
            schedules: schedules.iter().map(schedule).collect(),
            idle: None,
            behavior: crate::model::Behavior::default(),
        };
        let mut web = service("web", crate::model::Autoscale::Manual, bounds(1, 1, 10));
        let second = Region::try_from("second").expect("a region");
        let scale = RegionScale { bounds: bounds(1, 1, 10), cooldown: None, burst_ttl: None };
        web.scale.regions.insert(second, scale);
        web.scale.policy = Some(PolicyChoice::Inline(Box::new(policy)));
        Spec { services: BTreeMap::from([(web.id.clone(), web)]), ..Spec::default() }
    }

    fn planned(base: Option<&Spec>, spec: &Spec) -> Plan {
        let now: Timestamp = "2026-10-23T12:00:00Z".parse().expect("an instant");
        let observed = Observed { at: now, replicas: Vec::new(), gaps: Vec::new() };
        let (a, b) = (commit('a'), commit('b'));
        plan(&Input {
            spec,
            spec_commit: &b,
            base: base.map(|base| (base, &a)),
            templates: &template_hashes(spec),
            observed: &observed,
            decisions: &decide::testing::decided(spec, &observed),
            done: &BTreeSet::new(),
            prices: &Prices::default(),
            now,
        })
    }

    /// The week of the plan has the end of summer time.
    #[test]
    fn new_schedules_are_shown_with_their_next_windows() {
        let days = ("days", "0 8 * * 1-5", "0 18 * * 1-5");
        let spec = spec(&[
            days,
            ("nights", "30 2 * * 6,0", "45 2 * * 6,0"),
            ("hours", "0 * * * *", "30 * * * *"),
            ("new year", "0 12 31 12 *", "0 12 1 1 *"),
        ]);
        let plan = planned(None, &spec);
        insta::assert_snapshot!("windows_text", render::text(&plan, false));
        insta::assert_snapshot!("windows_markdown", render::markdown(&plan));
        let document = render::json::document(&plan);
        let shown: Vec<usize> = document.targets.iter().map(|t| t.schedules.len()).collect();
        assert_eq!(shown, [4, 0], "regions of a service have the same schedules");
        let [_, nights, ..] = document.targets[0].schedules.as_slice() else { panic!("no nights") };
        let sunday = nights.windows.iter().find(|w| w.from_shift.is_some()).expect("a shift");
        assert_eq!(sunday.from, "2026-10-25T00:30:00Z");
        assert_eq!(sunday.to, "2026-10-25T01:45:00Z");
        assert_eq!(sunday.to_shift.as_deref(), Some("repeated"));
    }

    #[test]
    fn schedules_that_did_not_change_are_not_shown() {
        let base = spec(&[("days", "0 8 * * 1-5", "0 18 * * 1-5")]);
        let mut same = base.clone();
        for service in same.services.values_mut() {
            service.scale.cooldown = Some(std::time::Duration::from_secs(60));
        }
        let plan = planned(Some(&base), &same);
        assert!(plan.targets.iter().all(|t| t.change.is_stated() && t.schedules.is_empty()));
    }
}
