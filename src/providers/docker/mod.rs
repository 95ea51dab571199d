//! Replicas as containers on Docker hosts.
pub mod config;
