//! The real binary against real repositories and infrastructure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bursts;
pub(crate) mod canary;
mod crash;
mod flows;
mod interruptions;
mod metrics;
mod overrides;
mod reload;
mod restart;
