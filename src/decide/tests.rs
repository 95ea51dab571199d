use proptest::prelude::*;

use super::*;
use crate::model::{Autoscale, Bounds, Reason};

fn inputs() -> impl Strategy<Value = (Bounds, Autoscale, Supply)> {
    let autoscale =
        prop_oneof![Just(Autoscale::Manual), Just(Autoscale::Metrics), Just(Autoscale::Disabled)];
    (0u32..50, 0u32..50, 0u32..50, autoscale, proptest::option::of(0u32..60)).prop_map(
        |(min, more, most, autoscale, observed)| {
            let bounds = Bounds {
                min: Count(min),
                desired: Count(min + more),
                max: Count(min + more + most),
            };
            let supply = Supply { count: observed.map(Count), ready: Count(0) };
            (bounds, autoscale, supply)
        },
    )
}

fn decided(bounds: Bounds, autoscale: Autoscale, supply: Supply) -> Decision {
    let service = crate::model::testing::service("web", autoscale, bounds);
    let scale = service.scale.regions.values().next().unwrap().clone();
    let target = crate::model::testing::target("web", "local");
    decide(&service, &scale, target, supply)
}

proptest! {
    #[test]
    fn the_count_stays_within_bounds_and_unknown_worlds_are_left_alone(
        (bounds, autoscale, supply) in inputs()
    ) {
        let decision = decided(bounds, autoscale, supply);
        match decision.effective {
            Some(count) => {
                prop_assert!(bounds.min <= count && count <= bounds.max);
                prop_assert_eq!(count, bounds.desired);
            }
            None => {
                prop_assert!(supply.count.is_none());
                prop_assert_eq!(decision.reason, Reason::MissingData);
            }
        }
        prop_assert_eq!(decision.trace.len(), 3);
        prop_assert_eq!(decided(bounds, autoscale, supply), decision);
    }
}

#[test]
fn bounds_that_contradict_each_other_do_not_panic() {
    let bounds = Bounds { min: Count(5), desired: Count(9), max: Count(2) };
    let supply = Supply { count: Some(Count(1)), ready: Count(1) };
    assert_eq!(decided(bounds, Autoscale::Manual, supply).effective, Some(Count(2)));
}
