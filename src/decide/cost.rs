//! The cost cap: the hourly cost of all regions of a service together stays under it, or every region is at
//! its minimum.
//!
//! A hard bound: it comes after cooldown and rollout, so that no wait can exceed it. What fits is shared so
//! that every region has its minimum first, then what it has already, and the rest goes, one replica at a time, to the region that
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
    /// What it has.
    pub(super) current: Count,
    /// What it wants.
    pub(super) wanted: Count,
}

/// How many replicas each region may have, in the order of the asks: its least, then what it has already, then
/// what it wants beyond that. So a wish of one region takes nothing that another one uses.
pub(super) fn share(asks: &[Ask], price: f64, cap: f64) -> Vec<Count> {
    let affordable = super::draft::floor_replicas(cap / price);
    let mut shares: Vec<Count> = asks.iter().map(|ask| ask.least.min(ask.wanted)).collect();
    let spent = shares.iter().map(|share| u64::from(share.0)).sum::<u64>();
    let mut left = u64::from(affordable.0).saturating_sub(spent);
    fill(&mut shares, &mut left, |index| asks.get(index).map(|ask| ask.current.min(ask.wanted)));
    fill(&mut shares, &mut left, |index| asks.get(index).map(|ask| ask.wanted));
    shares
}

/// Gives what is left, one by one, to the share that is the smallest part of what it may become; the first of
/// equals.
fn fill(shares: &mut [Count], left: &mut u64, most: impl Fn(usize) -> Option<Count>) {
    let up_to = |index: usize, share: Count| most(index).unwrap_or(share);
    let missing =
        |(index, share): (usize, &Count)| u64::from(up_to(index, *share).0.saturating_sub(share.0));
    let all: u64 = shares.iter().enumerate().map(missing).sum();
    if all <= *left {
        for (index, share) in shares.iter_mut().enumerate() {
            *share = (*share).max(up_to(index, *share));
        }
        *left -= all;
        return;
    }
    while *left > 0 {
        // Compared without rounding.
        let next = shares
            .iter()
            .enumerate()
            .filter(|(index, share)| **share < up_to(*index, **share))
            .min_by(|(a, x), (b, y)| {
                let (a, b) = (u64::from(up_to(*a, **x).0), u64::from(up_to(*b, **y).0));
                (u64::from(x.0) * b).cmp(&(u64::from(y.0) * a))
            })
            .map(|(index, _)| index);
        let Some(share) = next.and_then(|index| shares.get_mut(index)) else { break };
        share.0 += 1;
        *left -= 1;
    }
}
