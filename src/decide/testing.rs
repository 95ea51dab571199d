//! Decisions for the tests of the stages after this one.

use std::collections::BTreeMap;

use super::{World, decide_all};
use crate::model::{Decision, Observed, Prices, Spec};

/// What is decided without measurements, bursts, pauses or a memory.
pub(crate) fn decided(spec: &Spec, observed: &Observed) -> Vec<Decision> {
    let world = World {
        now: observed.at.into(),
        spec,
        templates: &BTreeMap::new(),
        observed,
        measured: &BTreeMap::new(),
        bursts: &[],
        pauses: &[],
        prices: &Prices::default(),
    };
    decide_all(&world, &mut BTreeMap::new())
}
