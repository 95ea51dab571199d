//! The spec repository and the status branch, against real git servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its output is shown only then"
)]

mod hostile;
mod mirror;
mod transport;
mod writer;
