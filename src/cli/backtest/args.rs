//! The options of `tidegate backtest`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Output, asking};
use crate::model::{Region, ServiceId, SignalName, SourceName, parse_duration};

/// The heading of the options about recorded signals.
const PAST: &str = "Recorded signals, in place of files";

const EXAMPLES: &str = "\
Examples:
  tidegate backtest --spec . --service web --capacity 100 --signal rps=requests.csv
  tidegate backtest --spec . --service web --capacity 100 --config tidegate.yaml \\
    --prometheus prom --last 7d
  tidegate backtest --spec . --compare main --service web --capacity 100 --config tidegate.yaml \\
    --recorded --last 2d --chart web.svg";

/// What to replay, on what, and how to show it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group(clap::ArgGroup::new("past").args(["prometheus", "recorded"]).multiple(true))
)]
pub(in crate::cli) struct BacktestArgs {
    /// The spec: a file, a folder with `spec.yaml`, or a folder with `controller/spec.yaml`.
    #[arg(long, value_name = "PATH")]
    pub(super) spec: PathBuf,
    /// The service.
    #[arg(long, value_name = "ID", value_parser = parsed::<ServiceId>)]
    pub(super) service: ServiceId,
    /// The region; needed where the service has several.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Region>)]
    pub(super) region: Option<Region>,
    /// A signal of the policy, or the load, and the CSV file that it was recorded in. `NAME=none` replays
    /// the policy without that signal.
    #[arg(
        long = "signal",
        value_name = "NAME=FILE",
        required_unless_present_any = ["prometheus", "recorded"]
    )]
    pub(super) signals: Vec<Recording>,
    /// A metric source under `metrics` of the configuration, asked for the past of the signals that the policy
    /// reads from it. It must be one that keeps past values, as Prometheus does.
    #[arg(
        long,
        value_name = "SOURCE",
        requires = "config",
        requires = "last",
        help_heading = PAST,
        value_parser = parsed::<SourceName>
    )]
    pub(super) prometheus: Option<SourceName>,
    /// The controller's own store, read for the signals that it recorded of this target.
    #[arg(long, requires = "config", requires = "last", help_heading = PAST)]
    pub(super) recorded: bool,
    /// How much of the past is replayed, as in `7d`.
    #[arg(long, value_name = "TIME", help_heading = PAST, requires = "past", value_parser = parse_duration)]
    pub(super) last: Option<Duration>,
    /// The end of the past that is replayed: RFC 3339, or how long ago, as in `2d`; now, without it.
    #[arg(long, value_name = "TIME", help_heading = PAST, requires = "last", value_parser = asking::time_or_ago)]
    pub(super) until: Option<Timestamp>,
    /// Time between two values that the source is asked for; without it, the time between two decisions.
    #[arg(long, value_name = "TIME", help_heading = PAST, requires = "prometheus", value_parser = interval)]
    pub(super) step: Option<Duration>,
    /// The signal that is the load; needed where there are several.
    #[arg(long, value_name = "NAME", value_parser = parsed::<SignalName>)]
    pub(super) load: Option<SignalName>,
    /// What one ready replica serves of the load per second.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) capacity: f64,
    /// Time from ordering a replica until it serves.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) startup: Duration,
    /// Time from the stamp of a row until the controller can see it. The load happens at its stamp. Without it,
    /// 0s; with --prometheus or --recorded 15s, one scrape.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    signal_delay: Option<Duration>,
    /// Time over which the rows of a signal are averaged; `0s` for the newest value. Without it, 60s; with
    /// --prometheus or --recorded 0s, because queries have a window of their own.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    signal_window: Option<Duration>,
    /// Time between two decisions; without it, that of the configuration, else 15s.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(super) interval: Option<Duration>,
    /// Time at the beginning that the figures leave out; without it, 1h, but at most a tenth.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) skip: Option<Duration>,
    /// The old spec, to compare with: its policy is replayed too, and shown beside.
    #[arg(long, value_name = "PATH")]
    pub(super) compare: Option<PathBuf>,
    /// Price of a replica-hour.
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "config")]
    pub(super) price: Option<f64>,
    /// The controller's configuration: prices and interval are taken from it.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Write the counts that the policy wanted: `epoch_seconds,wanted`, a row for each change.
    #[arg(long, value_name = "FILE")]
    pub(super) replicas_out: Option<PathBuf>,
    /// Draw load and replicas into an SVG file.
    #[arg(long, value_name = "FILE")]
    pub(super) chart: Option<PathBuf>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// A signal and where it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) name: SignalName,
    /// `None` for a signal that is to be absent.
    pub(super) file: Option<PathBuf>,
}

impl FromStr for Recording {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) =
            text.split_once('=').ok_or("write NAME=FILE, as in `rps=requests.csv`")?;
        let name = parsed::<SignalName>(name)?;
        match file {
            "" => Err("write NAME=FILE, as in `rps=requests.csv`".to_owned()),
            "none" => Ok(Self { name, file: None }),
            file => Ok(Self { name, file: Some(file.into()) }),
        }
    }
}

fn parsed<T>(text: &str) -> Result<T, String>
where
    T: for<'a> TryFrom<&'a str>,
    for<'a> <T as TryFrom<&'a str>>::Error: std::fmt::Display,
{
    T::try_from(text).map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write a number over zero".to_owned())
}

/// Of files, a row can be seen at its stamp.
const FILE_DELAY: Duration = Duration::ZERO;
/// Files have plain rates by the second, where a controller asks for the mean of a minute.
const FILE_WINDOW: Duration = Duration::from_secs(60);
/// A metric is seen one scrape after it was measured, with the usual 15 s between two scrapes.
const SOURCE_DELAY: Duration = Duration::from_secs(15);
/// A query was answered for each instant, over the window that it names.
const SOURCE_WINDOW: Duration = Duration::ZERO;

impl BacktestArgs {
    /// Time from the stamp of a row until it can be seen.
    pub(super) fn delay(&self) -> Duration {
        let default = if self.last.is_some() { SOURCE_DELAY } else { FILE_DELAY };
        self.signal_delay.unwrap_or(default)
    }

    /// Time over which the rows of a signal are averaged.
    pub(super) fn window(&self) -> Duration {
        let default = if self.last.is_some() { SOURCE_WINDOW } else { FILE_WINDOW };
        self.signal_window.unwrap_or(default)
    }
}

/// Decisions closer together than this are no controller's, and a recording would take ages.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if interval < INTERVAL_MIN { Err("write 1s or more".to_owned()) } else { Ok(interval) }
}
