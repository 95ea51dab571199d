//! `tidegate burst`.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::asking::{self, AskArgs};
use crate::model::{Count, DurationError, Region, ServiceId, parse_duration};
use crate::record::overrides::{Order, Wish};

const EXAMPLES: &str = "\
Examples:
  tidegate burst web --replicas 12 --reason 'TV spot at eight'
  tidegate burst web --region fra -n 4 --for 45m --at 2026-11-28T20:00:00Z -m 'TV spot'
  tidegate burst --end web

A burst is a floor: load, schedules and other bursts may still move the count higher, and `max` and
`maxHourlyCost` still cap it. It ends by itself, after `burstTTL` at the latest.";

/// What burst to begin or end.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BurstArgs {
    /// The service.
    #[arg(
        value_parser = asking::service_id,
        required_unless_present = "end",
        conflicts_with = "end",
        requires_all = ["replicas", "reason"]
    )]
    service: Option<ServiceId>,
    /// In this region only; else in all of the service's.
    #[arg(long, value_parser = asking::region)]
    region: Option<Region>,
    /// The least replicas in each region while it lasts.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    /// How long it lasts, as in `30m`. As long as `burstTTL` allows unless given.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// When it begins, within 30 days, as in `2026-11-28T20:00:00Z`; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = asking::time)]
    at: Option<Timestamp>,
    /// Why, in one line. It stands in status and history.
    #[arg(long, short = 'm', value_name = "TEXT")]
    reason: Option<String>,
    /// End the burst with this id, or all of this service, before their time.
    #[arg(long, value_name = "ID|SERVICE", conflicts_with_all = ["replicas", "lasting", "at", "reason"])]
    end: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn duration(text: &str) -> Result<Duration, DurationError> {
    parse_duration(text)
}

pub(super) fn burst(args: BurstArgs) -> anyhow::Result<ExitCode> {
    let author = args.ask.author();
    let order = match (args.end, args.service) {
        (Some(what), _) => Order::EndBurst { what, region: args.region, author },
        (None, Some(service)) => Order::Burst {
            wish: Wish {
                id: asking::new_id('b'),
                service,
                region: args.region,
                from: args.at.map(Into::into),
                lasting: args.lasting,
                reason: args.reason.unwrap_or_default(),
                author,
            },
            replicas: Count(args.replicas.unwrap_or_default()),
        },
        (None, None) => anyhow::bail!("name a service, or what to end with --end"),
    };
    let is_begin = order.needs_spec();
    args.ask.settle(&order, |settled| match &settled.effect.bursts[..] {
        [burst] if is_begin && settled.commit.is_some() => {
            format!("To end it before: tidegate burst --end {}\n", burst.id)
        }
        _ => String::new(),
    })
}
