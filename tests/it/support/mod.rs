//! What several themes of tests need: real servers and faults, and repositories to serve.
//! Real servers and faults for the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

pub(crate) mod dockerd;
pub(crate) mod fault_proxy;
pub(crate) mod git_servers;
pub(crate) mod programs;
pub(crate) mod repo;
pub(crate) mod containers;
pub(crate) mod dockerd;
pub(crate) mod fault_proxy;
