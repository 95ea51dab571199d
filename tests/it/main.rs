//! The test-suite: one binary, one module per stage or theme.

mod config;
mod corpus;
mod git;
mod providers;
mod schemas;
mod spec;
mod support;
mod tidy;
mod conformance;
mod docker;
mod support;
