pub mod config;
pub mod model;
pub mod observe;
pub mod plan;
pub mod providers;
pub mod record;
pub mod spec;
pub mod telemetry;
