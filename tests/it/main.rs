//! The test-suite: one binary, one module per stage or theme.
mod config;
mod corpus;
mod schemas;
mod spec;
mod support;
