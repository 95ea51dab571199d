//! What always holds of decisions, whatever policy, measurements, clock and memory they are made from.

mod guards;
mod invariants;
mod worlds;
