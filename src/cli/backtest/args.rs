//! The options of `tidegate backtest`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::super::Output;
use crate::model::{Region, ServiceId, SignalName, parse_duration};

/// What to replay, on what, and how to show it.
#[derive(Debug, clap::Args)]
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
    #[arg(long = "signal", value_name = "NAME=FILE", required = true)]
    pub(super) signals: Vec<Recording>,
    /// The signal that is the load; needed where there are several.
    #[arg(long, value_name = "NAME", value_parser = parsed::<SignalName>)]
    pub(super) load: Option<SignalName>,
    /// What one ready replica serves of the load per second.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) capacity: f64,
    /// Time from ordering a replica until it serves.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) startup: Duration,
    /// Time from the stamp of a row until the controller can see it. The load happens at its stamp.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub(super) signal_delay: Duration,
    /// Time over which the rows of a signal are averaged; `0s` for the newest value.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(super) signal_window: Duration,
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

/// Decisions closer together than this are no controller's, and a recording would take ages.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if interval < INTERVAL_MIN { Err("write 1s or more".to_owned()) } else { Ok(interval) }
}
