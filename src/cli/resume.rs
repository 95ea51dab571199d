//! `tidegate resume`.

use std::process::ExitCode;

use super::asking::{self, AskArgs};
use crate::model::{Region, ServiceId};
use crate::record::overrides::Order;

const EXAMPLES: &str = "\
Examples:
  tidegate resume web
  tidegate resume web --region fra";

/// What to resume.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ResumeArgs {
    /// The service.
    #[arg(value_parser = asking::service_id)]
    service: ServiceId,
    /// End the pauses of this region only, not those of the whole service.
    #[arg(long, value_parser = asking::region)]
    region: Option<Region>,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn resume(args: ResumeArgs) -> anyhow::Result<ExitCode> {
    let author = args.ask.author();
    let order = Order::Resume { service: args.service, region: args.region, author };
    args.ask.settle(&order, |_| String::new())
}
