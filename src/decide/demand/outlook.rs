//! Where a load is going: the rest of a step, and a trend.

use super::seconds;
use super::tune::{
    DELAY_S, DUST, INTERVAL_S, NOISE_GATE, PHASE_RATE, PHASE_UNKNOWN, SAMPLES_KEPT, SAMPLES_MAX,
    STARTUP_S, WINDOW_S,
};
use crate::model::{DemandMemory, LoadSample, Moment};

/// The load that is expected when a replica that is ordered now serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlook {
    pub(super) most: f64,
    pub(super) least: f64,
}

/// Looks ahead.
///
/// The slope beyond noise, times what is left of the window, is the rest of a step. A trend is the least slope of
/// four half windows: a step moves three of them at most.
pub(super) fn outlook(memory: &DemandMemory, now: Moment, load: f64, bend: f64) -> Outlook {
    let Some(last) = memory.samples.last().copied() else {
        return Outlook { most: load, least: load };
    };
    let gate = NOISE_GATE * bend;
    let slope = (load - last.load) / seconds(now, last.at).max(1.0);
    let (mut most, mut least) = (load, load);
    if slope > gate {
        let began = run_start(&memory.samples, gate, 1.0).unwrap_or(last.at);
        // Of the interval in which a rise was first seen it has filled a part only: by the learnt phase.
        let filled = (1.0 - memory.phase.unwrap_or(PHASE_UNKNOWN)).max(0.1);
        let lasted = seconds(now, began);
        let step = seconds(now, last.at);
        let (per_second, seen) = if began == last.at {
            ((slope - gate) / filled, lasted * filled)
        } else {
            (slope - gate, lasted - step * (1.0 - filled))
        };
        most = load + per_second * (WINDOW_S - seen).clamp(0.0, WINDOW_S);
    }
    if slope < -gate {
        let began = run_start(&memory.samples, gate, -1.0).unwrap_or(last.at);
        let rest = (WINDOW_S - seconds(now, began)).clamp(0.0, DELAY_S);
        least = (load + (slope + gate) * rest).max(0.0);
    }
    let ahead = WINDOW_S / 2.0 + DELAY_S + STARTUP_S + INTERVAL_S;
    let trend = (trend(&memory.samples, now, load) - bend).max(0.0);
    Outlook { most: most.max(load + trend * ahead), least }
}

/// The least slope of four half windows, in loads per second; zero where there are no readings for it.
fn trend(samples: &[LoadSample], now: Moment, load: f64) -> f64 {
    let half = WINDOW_S / 2.0;
    let (mut least, mut end) = (f64::MAX, load);
    for halves in 1..=4u32 {
        let back = std::time::Duration::from_secs_f64(half * f64::from(halves));
        let Some(begin) = load_at(samples, now, load, now.before(back)) else { return 0.0 };
        least = least.min((end - begin) / half);
        end = begin;
    }
    least
}

/// The median change of slope of the remembered readings, in loads per second: noise bends a line at every
/// reading, a trend never does, and a step does so twice. So steps and trends stand out against it.
pub(super) fn typical_bend(samples: &[LoadSample]) -> f64 {
    let slope = |a: &LoadSample, b: &LoadSample| (b.load - a.load) / seconds(b.at, a.at).max(1.0);
    let mut bends = [0.0; SAMPLES_MAX];
    let mut count = 0;
    for (window, bend) in samples.windows(3).zip(&mut bends) {
        if let [a, b, c] = window {
            *bend = (slope(b, c) - slope(a, b)).abs();
            count += 1;
        }
    }
    let Some(bends) = bends.get_mut(..count).filter(|bends| bends.len() >= 3) else { return 0.0 };
    let middle = bends.len() / 2;
    *bends.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// When the run of moves beyond noise in one direction began that the newest reading may continue.
fn run_start(samples: &[LoadSample], gate: f64, sign: f64) -> Option<Moment> {
    let mut began = samples.last()?.at;
    for window in samples.windows(2).rev() {
        let [before, after] = window else { break };
        let slope = (after.load - before.load) / seconds(after.at, before.at).max(1.0);
        if sign * slope <= gate {
            break;
        }
        began = before.at;
    }
    Some(began)
}

/// The load at an earlier time, on straight lines between readings.
fn load_at(samples: &[LoadSample], now: Moment, load: f64, time: Moment) -> Option<f64> {
    let index = samples.iter().rposition(|sample| sample.at <= time)?;
    let from = samples.get(index)?;
    let to = samples.get(index + 1).copied().unwrap_or(LoadSample { at: now, load });
    let share = seconds(time, from.at) / seconds(to.at, from.at).max(DUST);
    Some(from.load + (to.load - from.load) * share.clamp(0.0, 1.0))
}

/// First move / second move of a rise out of rest is the share of the interval that it had filled when it was
/// first seen.
pub(super) fn learn_phase(memory: &mut DemandMemory, load: f64, tick: f64, bend: f64) {
    let [.., a, b, c] = memory.samples.as_slice() else { return };
    let (rest, first, second) = (b.load - a.load, c.load - b.load, load - c.load);
    let least = (NOISE_GATE * bend * tick).max(STEP_LEAST * b.load);
    if rest.abs() < 0.5 * least && first > 0.1 * least && second > least {
        let phase = memory.phase.unwrap_or(PHASE_UNKNOWN);
        let seen = 1.0 - (first / second).clamp(0.0, 1.0);
        memory.phase = Some(phase + PHASE_RATE * (seen - phase));
    }
}

/// A rise by less than this share of the load tells nothing of when data appear.
const STEP_LEAST: f64 = 0.02;

/// Adds a reading, and forgets old ones.
pub(super) fn remember(memory: &mut DemandMemory, now: Moment, load: f64) {
    memory.samples.push(LoadSample { at: now, load });
    let horizon = now.before(SAMPLES_KEPT);
    let old = memory.samples.iter().take_while(|sample| sample.at < horizon).count();
    let over = memory.samples.len().saturating_sub(SAMPLES_MAX);
    memory.samples.drain(..old.max(over));
}
