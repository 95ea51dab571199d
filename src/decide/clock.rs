//! A clock that was set back: what is remembered of the future is taken to have happened just now.
//!
//! Else every timer would wait for that future to come: an hour back would be an hour without rules, without
//! the way to zero and without a step down. And windows, limits and cooldowns begin anew: what was wanted a
//! moment ago is not forgotten because the clock went wrong.

use super::draft::Draft;
use crate::model::Moment;

/// Brings what the memory has of the future to the present.
pub(super) fn set_back(draft: &mut Draft<'_>) {
    let now = draft.now();
    let state = &mut *draft.state;
    let present = |at: &mut Moment| *at = (*at).min(now);
    let alone = [&mut state.resumed_at, &mut state.idle_since, &mut state.last_change];
    alone.into_iter().flatten().for_each(present);
    state.timers.iter_mut().flatten().for_each(present);
    let wishes = state.wishes.iter_mut().chain(&mut state.low_wishes);
    wishes.for_each(|wish| present(&mut wish.at));
    state.steps.iter_mut().for_each(|step| present(&mut step.at));
    for fired in state.rules.iter_mut().flatten() {
        present(&mut fired.at);
        present(&mut fired.since);
    }
    for signal in &mut state.signals {
        present(&mut signal.at);
        signal.zero_since.iter_mut().for_each(present);
    }
    for step in &mut state.reliefs {
        step.ready_at.iter_mut().for_each(present);
        let latest = now.after(super::defaults::RELIEF_BLOCK);
        step.blocked_until.iter_mut().for_each(|until| *until = (*until).min(latest));
    }
    // The newest of the future is what was ready last.
    let future = state.ready.iter().filter(|wish| wish.at > now).count();
    if future > 0 {
        let kept = state.ready.len() - future;
        state.ready.drain(kept..state.ready.len() - 1);
        state.ready.iter_mut().for_each(|wish| present(&mut wish.at));
    }
}
