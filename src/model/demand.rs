//! What deciding has learnt about one load.

use serde::{Deserialize, Serialize};

use super::Moment;

/// The memory of one proportional rule over a total. Everything in it counts in *loads*: the signal's value
/// divided by what a replica is meant for, so that its unit does not matter.
///
/// Empty is safe: nothing goes down before holding it has cost what a change costs. About 1 KiB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DemandMemory {
    /// When it was last decided by.
    pub seen: Option<Moment>,
    /// The newest readings, oldest first.
    pub samples: Vec<LoadSample>,
    /// What the newest reading was expected to become at most.
    pub most: f64,
    /// What it was expected to become at least.
    pub least: f64,
    /// By level of load: seconds below it, forgotten with time.
    pub below: Vec<f64>,
    /// By level of load: how often it was reached from below, forgotten with time.
    pub reached: Vec<f64>,
    /// Since when every reading was lower than the count needs.
    pub low_since: Option<Moment>,
    /// Replica-seconds held above the need since it was last needed.
    pub waste: f64,
    /// Replica-seconds that were used, forgotten with time.
    pub spent: f64,
    /// Replica-seconds that the load allowed, forgotten with time.
    pub allowed: f64,
    /// The typical bend of the signal as a share of the load; `None` before the first estimate.
    pub noise: Option<f64>,
    /// Share of the time between two decisions that is not visible yet when a rise is first seen; `None`
    /// before the first rise.
    pub phase: Option<f64>,
    /// Seconds of rises that headroom could have covered, forgotten with time.
    pub rises_small: f64,
    /// Seconds of rises that it could not have covered, forgotten with time.
    pub rises_large: f64,
    /// Share of the rises that headroom could have covered.
    pub coverable: f64,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoadSample {
    /// When it was measured.
    pub at: Moment,
    /// Loads.
    pub load: f64,
}
