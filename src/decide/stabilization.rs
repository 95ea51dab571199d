//! A wish must last: down goes no lower than the largest wish of a window, up no higher than the smallest.
//!
//! After a restart the window is not full, so nothing goes down until it is.

use std::time::Duration;

use super::defaults::{UP_STABILIZATION, WISHES_MAX};
use super::draft::Draft;
use crate::model::{Count, Detail, Moment, Policy, Reason, Stage, Wish};

/// Remembers the wish, and lets it through as far as it has lasted.
pub(super) fn wait(draft: &mut Draft<'_>, policy: &Policy) {
    let (now, wish) = (draft.now(), draft.count);
    let down = draft.down_window();
    let up = policy.behavior.up.stabilization.unwrap_or(UP_STABILIZATION);
    // A vote that remembers by itself what was wanted waits no second time.
    let windowed = match draft.best {
        Some(best) if best.remembers => draft.forgetful,
        Some(_) | None => Some(wish),
    };
    let this = Wish { at: now, count: windowed.unwrap_or(Count(0)) };
    remember(&mut draft.state.wishes, this, down, |old, new| old <= new);
    remember(&mut draft.state.low_wishes, Wish { at: now, count: wish }, up, |old, new| old >= new);
    let most = draft.state.wishes.first().map_or(wish, |wish| wish.count);
    let least = draft.state.low_wishes.first().map_or(wish, |wish| wish.count);
    let current = draft.current;
    let resumed = draft.state.resumed_at.map(|at| at.after(down)).filter(|until| now < *until);
    if let Some(until) = resumed.filter(|_| wish < current) {
        let detail = Detail::Restarted { until };
        draft.pass(Stage::Stabilization, current, Some(Reason::Stabilizing), detail);
        return;
    }
    let allowed = if wish < current { most.min(current).max(wish) } else { least.max(current) };
    if allowed == wish {
        draft.keep(Stage::Stabilization, "what is wanted has lasted long enough");
    } else {
        let is_down = wish < current;
        let window = if is_down { down } else { up };
        let detail = Detail::Stabilizing { window, allowed, is_down };
        draft.pass(Stage::Stabilization, allowed, Some(Reason::Stabilizing), detail);
    }
}

/// Adds a wish to a list that holds only what can still be the extreme of the window: each entry that the
/// new one outdoes is forgotten.
fn remember(
    wishes: &mut Vec<Wish>,
    new: Wish,
    window: Duration,
    outdone: fn(crate::model::Count, crate::model::Count) -> bool,
) {
    let horizon = new.at.before(window);
    // A clock that was set back leaves wishes of the future: they would never end.
    // Without a window only the new one counts, also where two are of the same instant.
    let is_in = |wish: &Wish| wish.at >= horizon && wish.at <= new.at && !window.is_zero();
    wishes.retain(is_in);
    while wishes.last().is_some_and(|last| outdone(last.count, new.count)) {
        wishes.pop();
    }
    if wishes.len() >= WISHES_MAX {
        // Keeping the extreme for longer is the careful side.
        merge_newest(wishes, new.at);
    }
    wishes.push(new);
}

/// Makes room by letting the last entry stand until now.
fn merge_newest(wishes: &mut Vec<Wish>, now: Moment) {
    wishes.pop();
    if let Some(last) = wishes.last_mut() {
        last.at = now;
    }
}
