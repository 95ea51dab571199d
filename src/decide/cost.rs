//! The cost cap: the hourly cost of all regions of a service together stays under it, or every region is at
//! its minimum.
//!
//! A hard bound: it comes after cooldown and rollout, so that no wait can exceed it. What fits is shared so
//! that every region has its minimum first and the rest goes, one replica at a time, to the region that
//! has the smallest part of what it asks for.

use super::draft::Draft;
use crate::model::{CostShare, Count, Detail, Reason, Stage};

/// Cuts the count to this target's share of the cap.
pub(super) fn cap(draft: &mut Draft<'_>, share: Option<CostShare>) {
    let Some(CostShare { cap, allowed }) = share else { return };
    if draft.count <= allowed {
        draft.keep(Stage::Cost, "the cost is under the cap");
        return;
    }
    let detail = Detail::Cost { cap, allowed };
    draft.pass(Stage::Cost, allowed, Some(Reason::CostCapped), detail);
}

/// What one region asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// What it cannot go under: its minimum, or its count where that may not change.
    pub(super) least: Count,
    /// What it wants.
    pub(super) wanted: Count,
}

/// How many replicas each region may have, in the order of the asks.
pub(super) fn share(asks: &[Ask], price: f64, cap: f64) -> Vec<Count> {
    let affordable = super::draft::floor_replicas(cap / price);
    let mut shares: Vec<Count> = asks.iter().map(|ask| ask.least.min(ask.wanted)).collect();
    let spent = shares.iter().map(|share| u64::from(share.0)).sum::<u64>();
    let mut left = u64::from(affordable.0).saturating_sub(spent);
    let missing: u64 = asks
        .iter()
        .zip(&shares)
        .map(|(ask, share)| u64::from(ask.wanted.0.saturating_sub(share.0)))
        .sum();
    if missing <= left {
        return asks.iter().map(|ask| ask.wanted.max(ask.least.min(ask.wanted))).collect();
    }
    while left > 0 {
        // The smallest part of what it asks for, compared without rounding; the first of equals.
        let next = asks
            .iter()
            .zip(&shares)
            .enumerate()
            .filter(|(_, (ask, share))| **share < ask.wanted)
            .min_by(|(_, (a, x)), (_, (b, y))| {
                let (a, b) = (u64::from(a.wanted.0), u64::from(b.wanted.0));
                (u64::from(x.0) * b).cmp(&(u64::from(y.0) * a))
            })
            .map(|(index, _)| index);
        let Some(share) = next.and_then(|index| shares.get_mut(index)) else { break };
        share.0 += 1;
        left -= 1;
    }
    shares
}
