//! Makes a recorded decision again and compares: an old decision follows from its recorded inputs, or it is
//! said how it does not.

use std::fmt::Write as _;
use std::time::Duration;

use crate::decide::{self, Input};
use crate::model::{Autoscale, CostShare, Count, Decision, DecisionInputs, Policy, TargetState};
use crate::record::{HistoryLine, Inputs, TraceStep, trace_of};
use crate::spec;

/// What came of making a decision again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// Byte for byte what was recorded.
    Same,
    /// Something else.
    Different {
        /// The trace as recorded, a line for each stage.
        recorded: String,
        /// The trace as it is decided now.
        now: String,
    },
    /// The line is of something that was not decided, or of a time when inputs were not recorded.
    NoInputs,
}

/// Makes the decision of a history line again.
///
/// # Errors
/// A sentence that says what of the recorded inputs cannot be read.
pub fn replay(line: &HistoryLine) -> Result<Replayed, String> {
    let Some(inputs) = line.inputs.as_ref().filter(|inputs| inputs.now.is_some()) else {
        return Ok(Replayed::NoInputs);
    };
    let decision = decide_again(line, inputs)?;
    let (recorded, now) = (told(&line.trace), told(&trace_of(&decision)));
    Ok(if recorded == now { Replayed::Same } else { Replayed::Different { recorded, now } })
}

/// The decision that follows from the recorded inputs.
///
/// # Errors
/// A sentence that says what of the recorded inputs cannot be read.
pub fn decide_again(line: &HistoryLine, inputs: &Inputs) -> Result<Decision, String> {
    let autoscale = match inputs.autoscale.as_str() {
        "manual" => Autoscale::Manual,
        "metrics" => Autoscale::Metrics,
        "disabled" => Autoscale::Disabled,
        other => return Err(format!("the recorded mode `{other}` is not known to this version")),
    };
    let policy: Option<Policy> = inputs.policy.as_ref().map(spec::typed_policy);
    let facts = DecisionInputs {
        now: inputs.now.unwrap_or_default(),
        bounds: inputs.bounds,
        autoscale,
        observed: inputs.observed.map(Count),
        ready: Count(inputs.ready),
        starting: Count(inputs.starting),
        is_rolling_out: inputs.rolling_out,
        cooldown: Duration::from_millis(inputs.cooldown_ms),
    };
    let input = Input {
        target: &line.target,
        facts,
        policy: policy.as_ref(),
        measured: &inputs.measured,
        bursts: &inputs.bursts,
        pauses: &inputs.pauses,
    };
    let mut state: TargetState = inputs.state.clone();
    let share = inputs.cost.map(|cost| CostShare { cap: cost.cap, allowed: Count(cost.allowed) });
    Ok(decide::decide(&input, &mut state, share))
}

/// A trace as text, a line for each stage: what is compared, and what a difference is shown in.
fn told(trace: &[TraceStep]) -> String {
    let mut text = String::new();
    for step in trace {
        let reason = step.reason.as_deref().unwrap_or("-");
        let TraceStep { stage, before, after, sentence, .. } = step;
        let _ = writeln!(text, "{stage} {before} -> {after} {reason}: {sentence}");
    }
    text
}
