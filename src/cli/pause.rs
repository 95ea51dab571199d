//! `tidegate pause`.

use std::process::ExitCode;
use std::time::Duration;

use super::asking::{self, AskArgs};
use super::burst::duration;
use crate::model::{Region, ServiceId};
use crate::record::overrides::{Order, Wish};

const EXAMPLES: &str = "\
Examples:
  tidegate pause web --reason 'database migration'
  tidegate pause web --region fra --for 2h --reason 'network work in Frankfurt'

While it lasts nothing changes the count. It ends by itself, after 24 hours unless said otherwise and
after 30 days at the latest; `tidegate resume` ends it before.";

/// What to pause.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PauseArgs {
    /// The service.
    #[arg(value_parser = asking::service_id)]
    service: ServiceId,
    /// In this region only; else in all of the service's.
    #[arg(long, value_parser = asking::region)]
    region: Option<Region>,
    /// How long it lasts, as in `2h`; 24 hours unless given.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Why, in one line. It stands in status and history.
    #[arg(long, short = 'm', value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn pause(args: PauseArgs) -> anyhow::Result<ExitCode> {
    let order = Order::Pause(Wish {
        id: asking::new_id('p'),
        service: args.service.clone(),
        region: args.region.clone(),
        from: None,
        lasting: args.lasting,
        reason: args.reason,
        author: args.ask.author(),
    });
    let region = args.region.map_or_else(String::new, |region| format!(" --region {region}"));
    args.ask.settle(&order, |settled| {
        if settled.commit.is_none() {
            return String::new();
        }
        format!("To end it before: tidegate resume {}{region}\n", args.service)
    })
}
