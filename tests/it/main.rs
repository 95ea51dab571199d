//! The test-suite: one binary, one module per stage or theme.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and is at the edge itself"
)]

mod cli;
mod config;
mod conformance;
mod corpus;
mod docker;
mod e2e;
mod forge;
mod git;
mod providers;
mod random;
mod scenarios;
mod schemas;
mod serve;
mod signals;
mod spec;
mod store;
mod support;
mod tidy;
