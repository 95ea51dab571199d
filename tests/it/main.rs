//! The test-suite: one binary, one module per stage or theme.

mod cli;
mod config;
mod conformance;
mod corpus;
mod docker;
mod e2e;
mod git;
mod providers;
mod random;
mod schemas;
mod spec;
mod support;
mod tidy;
