//! How much of the distance between target and full use a count may use before it steps up.
//!
//! Headroom is worth its price where it covers: rises up to its size. Where rises have been larger, or there were
//! none, a poor account runs hotter and keeps remembered levels instead; but it always leaves room for single
//! seconds of noise. A small fleet pools less, and gets no hotter for pooling.

use super::account::Account;
use super::fading;
use super::tune::{
    BAND_POOR, BAND_RICH, COVER_HIGH, COVER_LOW, FULL_USE, HEAT_COVER, HEAT_POOLED, HEAT_POOR,
    HEAT_RICH, INTERVAL_S, NOISE_HALF_S, NOISE_HEAT, RETURN_HALF_S, RISE_LEAST, RISE_PRIOR_S,
    WINDOW_S,
};
use crate::model::{DemandMemory, Moment};

/// All the headroom there is, as a share of the target.
const WHOLE: f64 = 1.0 / FULL_USE - 1.0;

/// Heat and aim: step up above `count * (1 + heat)`, to `load / (1 + aim)`.
pub(super) fn headroom(memory: &DemandMemory, account: &Account, count: f64) -> (f64, f64) {
    let noise = NOISE_HEAT * memory.noise.unwrap_or(0.0);
    let covered = ((memory.coverable - COVER_LOW) / (COVER_HIGH - COVER_LOW)).clamp(0.0, 1.0);
    let poor = HEAT_POOR + (HEAT_COVER - HEAT_POOR) * covered;
    let pooled = HEAT_POOLED * (1.0 - 1.0 / count.max(1.0).sqrt());
    let mut heat = account.between(poor, HEAT_RICH).min(WHOLE - noise).max(pooled);
    heat += (HEAT_POOR - heat).max(0.0) * account.broke;
    let band = account.between(BAND_POOR, BAND_RICH).max(1.5 * noise).min(BAND_RICH);
    (heat, heat - band)
}

/// Learns how noisy the signal is, as a share of the load.
pub(super) fn learn_noise(memory: &mut DemandMemory, tick: f64, bend: f64) {
    let Some(last) = memory.samples.last() else { return };
    if last.load > 0.0 && tick > 0.0 {
        // Of a load next to nothing any bend is all of it.
        let share = (bend * INTERVAL_S / last.load).min(1.0);
        let keep = fading(tick, NOISE_HALF_S);
        let noise = memory.noise.map_or(share, |noise| noise * keep + share * (1.0 - keep));
        memory.noise = Some(noise);
    }
}

/// Learns which rises within a window headroom could have covered.
pub(super) fn learn_rises(memory: &mut DemandMemory, now: Moment, load: f64, tick: f64) {
    let back = std::time::Duration::from_secs_f64(WINDOW_S + INTERVAL_S - 1.0);
    let then = now.before(back);
    let Some(before) = memory.samples.iter().rev().find(|sample| sample.at <= then) else { return };
    if before.load > 0.0 {
        let keep = fading(tick, RETURN_HALF_S);
        memory.rises_small *= keep;
        memory.rises_large *= keep;
        let rise = load / before.load - 1.0;
        if rise > WHOLE {
            memory.rises_large += tick;
        } else if rise > RISE_LEAST {
            memory.rises_small += tick;
        }
    }
    let all = memory.rises_small + memory.rises_large + RISE_PRIOR_S;
    memory.coverable = memory.rises_small / all;
}
