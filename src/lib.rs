#![doc = include_str!("ARCHITECTURE.md")]

pub mod apply;
pub mod backtest;
pub mod cli;
pub mod config;
pub mod control;
pub mod decide;
pub mod forge;
pub mod git;
pub mod model;
pub mod observe;
pub mod plan;
pub mod providers;
pub mod record;
pub mod spec;
pub mod store;
pub mod telemetry;
