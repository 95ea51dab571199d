//! Replicas as processes on this host.
pub mod config;
