//! The real binary against real repositories and infrastructure.

mod canary;
mod crash;
mod flows;
mod interruptions;
mod reload;
