//! The hidden `tidegate worker`: what the demo scales.

use std::process::ExitCode;
use std::time::Duration;

use crate::model::parse_duration;
use crate::providers::process::worker::{Options, run};

/// How to serve, and how to fail.
#[derive(Debug, clap::Args)]
pub(super) struct WorkerArgs {
    /// The port on the loopback address.
    #[arg(long, env = "PORT")]
    port: u16,
    /// End after this time.
    #[arg(long, value_parser = parse_duration)]
    fail_after: Option<Duration>,
    /// The exit code to end with then.
    #[arg(long, default_value_t = 1)]
    exit_code: u8,
    /// Answer the health check with 503.
    #[arg(long)]
    unhealthy: bool,
}

pub(super) fn worker(args: &WorkerArgs) -> ExitCode {
    let options = Options {
        fail_after: args.fail_after,
        exit_code: args.exit_code,
        unhealthy: args.unhealthy,
    };
    run(args.port, options)
}
