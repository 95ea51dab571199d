//! What people set beside the spec, for a time: bursts and pauses.

use serde::{Deserialize, Serialize};

use super::{Count, Moment, Region, ServiceId, TargetId};

/// A temporary floor with a reason, an author and a time to live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Burst {
    /// Unique.
    pub id: String,
    /// The service.
    pub service: ServiceId,
    /// The region; every region of the service without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The least replicas while it lasts; bounds and cost cap still hold.
    pub replicas: Count,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub author: String,
    /// When it begins.
    pub from: Moment,
    /// When it ends: the first instant at which it is gone.
    pub until: Moment,
}

/// A hold on a target's count: nothing changes it while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pause {
    /// Unique.
    pub id: String,
    /// The service.
    pub service: ServiceId,
    /// The region; every region of the service without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub author: String,
    /// When it begins.
    pub from: Moment,
    /// When it ends: the first instant at which it is gone.
    pub until: Moment,
}

macro_rules! for_a_time {
    ($name:ident) => {
        impl $name {
            /// Whether it is in force at `now`.
            #[must_use]
            pub fn is_in_force(&self, now: Moment) -> bool {
                self.from <= now && now < self.until
            }

            /// Whether it is about this target.
            #[must_use]
            pub fn is_about(&self, target: &TargetId) -> bool {
                self.service == target.service
                    && self.region.as_ref().is_none_or(|region| *region == target.region)
            }
        }
    };
}
for_a_time!(Burst);
for_a_time!(Pause);
