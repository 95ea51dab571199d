//! The test-suite: one binary, one module per stage or theme.

mod git;
mod providers;
mod schemas;
mod spec;
mod support;
