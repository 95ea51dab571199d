//! What the count rests at when nothing votes: the spec's `desired`.

use crate::model::{Autoscale, DecisionInputs, Reason, Stage, TraceLine};

/// `manual` and `disabled` services rest at `desired` by definition; a `metrics` service converges to it
/// while no vote is in force.
pub(super) fn rest(inputs: &DecisionInputs) -> TraceLine {
    let desired = inputs.bounds.desired;
    let sentence = match inputs.autoscale {
        Autoscale::Manual => format!("the spec asks for {desired}"),
        Autoscale::Disabled => format!("the spec asks for {desired} and autoscaling is disabled"),
        Autoscale::Metrics => {
            format!("no vote is in force, so the count rests at desired {desired}")
        }
    };
    TraceLine {
        stage: Stage::Rest,
        before: desired,
        after: desired,
        reason: Reason::AtDesired,
        sentence,
    }
}
