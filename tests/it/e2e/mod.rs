//! The real binary against real repositories and infrastructure.

mod crash;
