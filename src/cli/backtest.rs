//! `tidegate backtest`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{FAILURE, Output, context, local};
use crate::backtest::{
    Column, Curve, Demand, INTERVAL_DEFAULT, Replay, Report, Series, Subject, Terms, chart,
    document, measure, replay,
};
use crate::config::Config;
use crate::decide::Cap;
use crate::model::{
    Autoscale, Bounds, Policy, PolicyChoice, Prices, ProviderName, Region, Service, ServiceId,
    Severity, SignalName, Spec, Strategy, TargetId, TargetKind, format_duration, parse_duration,
};
use crate::spec;

/// What to replay, on what, and how to show it.
///
/// Recorded signals are replayed through the policy of a service with the controller's own decision code,
/// whether or not the policy is in force. A file has rows of `epoch_seconds,value`; a row says what was
/// measured over the step that ends at its stamp, and its value is held until the next row. Signals are
/// replayed as they were recorded (open loop): one that depends on the replicas, as a mean processor load
/// does, shows the replicas of then.
#[derive(Debug, clap::Args)]
pub(super) struct BacktestArgs {
    /// The spec: a file, a folder with `spec.yaml`, or a folder with `controller/spec.yaml`.
    #[arg(long, value_name = "PATH")]
    spec: PathBuf,
    /// The service.
    #[arg(long, value_name = "ID", value_parser = parsed::<ServiceId>)]
    service: ServiceId,
    /// The region; needed where the service has several.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Region>)]
    region: Option<Region>,
    /// A signal of the policy, or the load, and the CSV file that it was recorded in. `NAME=none` replays
    /// the policy without that signal.
    #[arg(long = "signal", value_name = "NAME=FILE", required = true)]
    signals: Vec<Recording>,
    /// The signal that is the load; needed where there are several.
    #[arg(long, value_name = "NAME", value_parser = parsed::<SignalName>)]
    load: Option<SignalName>,
    /// What one ready replica serves of the load per second.
    #[arg(long, value_name = "N", value_parser = positive)]
    capacity: f64,
    /// Time from ordering a replica until it serves.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    startup: Duration,
    /// Time from the stamp of a row until the controller can see it. The load happens at its stamp.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    signal_delay: Duration,
    /// Time over which the rows of a signal are averaged; `0s` for the newest value.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    signal_window: Duration,
    /// Time between two decisions; without it, that of the configuration, else 15s.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,
    /// Time at the beginning that the figures leave out; without it, 1h, but at most a tenth.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    skip: Option<Duration>,
    /// The old spec, to compare with: its policy is replayed too, and shown beside.
    #[arg(long, value_name = "PATH")]
    compare: Option<PathBuf>,
    /// Price of a replica-hour.
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "config")]
    price: Option<f64>,
    /// The controller's configuration: prices and interval are taken from it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the counts that the policy wanted: `epoch_seconds,wanted`, a row for each change.
    #[arg(long, value_name = "FILE")]
    replicas_out: Option<PathBuf>,
    /// Draw load and replicas into an SVG file.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// A signal and where it was recorded.
#[derive(Debug, Clone)]
struct Recording {
    name: SignalName,
    /// `None` for a signal that is to be absent.
    file: Option<PathBuf>,
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

/// A recording may have so many bytes: a year of seconds has half of it.
const RECORDING_BYTES_MAX: u64 = 1 << 30;

pub(super) fn backtest(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(context::load_config).transpose()?;
    let mut specs = Vec::new();
    for path in args.compare.iter().chain([&args.spec]) {
        let sources = local::read(path)?;
        let loaded = spec::load(&sources, None);
        let errors = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
        let Some(spec) = loaded.spec.filter(|_| !errors) else {
            context::show_findings(&loaded.diagnostics, &sources);
            eprintln!("error: the spec `{}` is not valid; nothing was replayed", path.display());
            return Ok(ExitCode::from(FAILURE));
        };
        specs.push((path, spec));
    }
    let (_, new) = specs.last().context("there is a spec")?;
    let region = region(args, service(new, args, &args.spec)?)?;
    let target = TargetId { service: args.service.clone(), region };
    let recordings = read(args)?;
    let run = Run::new(args, &target, &recordings, config.as_ref())?;
    let mut contenders = Vec::new();
    for (path, spec) in &specs {
        contenders.push(run.contender(path, spec)?);
    }
    let report = run.report(&contenders)?;
    if let Some(file) = &args.replicas_out
        && let Some(contender) = contenders.last()
    {
        write(file, &rows(&contender.replay))?;
    }
    if let Some(file) = &args.chart {
        let curves: Vec<Curve<'_>> = report
            .columns
            .iter()
            .zip(&contenders)
            .map(|(column, contender)| Curve {
                name: column.name,
                replay: &contender.replay,
                bounds: contender.bounds,
            })
            .collect();
        write(file, &chart(&target, &run.demand, &run.terms, &curves)?)?;
    }
    match args.output {
        Output::Text => print!("{}", report.text()),
        Output::Markdown => print!("{}", report.markdown()),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&document::document(&report))?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("write `{}`", file.display()))
}

/// The counts as CSV. Stamps are whole seconds where they can be.
fn rows(replay: &Replay) -> String {
    let mut out = "epoch_seconds,wanted\n".to_owned();
    for change in &replay.changes {
        let (seconds, millis) = (change.at.0.div_euclid(1000), change.at.0.rem_euclid(1000));
        let decimals = if millis == 0 { String::new() } else { format!(".{millis:03}") };
        let _ = writeln!(out, "{seconds}{decimals},{}", change.wanted);
    }
    out
}

fn service<'a>(spec: &'a Spec, args: &BacktestArgs, path: &Path) -> anyhow::Result<&'a Service> {
    spec.services.get(&args.service).with_context(|| {
        let known: Vec<&str> = spec.services.keys().map(ServiceId::as_str).collect();
        format!(
            "the spec `{}` has no service `{}`; it has {}",
            path.display(),
            args.service,
            listed(&known)
        )
    })
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn region(args: &BacktestArgs, service: &Service) -> anyhow::Result<Region> {
    let known: Vec<&str> = service.scale.regions.keys().map(Region::as_str).collect();
    match (&args.region, service.scale.regions.keys().next(), known.len()) {
        (Some(region), ..) => Ok(region.clone()),
        (None, Some(only), 1) => Ok(only.clone()),
        (None, ..) => bail!(
            "service `{}` has several regions; name one with --region: {}",
            args.service,
            listed(&known)
        ),
    }
}

/// The recordings by name; `None` for a signal that is to be absent.
type Recordings = BTreeMap<SignalName, Option<Series>>;

fn read(args: &BacktestArgs) -> anyhow::Result<Recordings> {
    let mut recordings = Recordings::new();
    for recording in &args.signals {
        let series = match &recording.file {
            None => None,
            Some(file) => {
                let name = file.display().to_string();
                let size = std::fs::metadata(file).with_context(|| format!("read `{name}`"))?.len();
                if size > RECORDING_BYTES_MAX {
                    bail!("`{name}` has {size} bytes; a recording may have {RECORDING_BYTES_MAX}");
                }
                let text = std::fs::read(file).with_context(|| format!("read `{name}`"))?;
                Some(Series::parse(&name, &text)?)
            }
        };
        if recordings.insert(recording.name.clone(), series).is_some() {
            bail!("signal `{}` is given twice; give one file for it", recording.name);
        }
    }
    Ok(recordings)
}

/// What all contenders share.
struct Run<'a> {
    args: &'a BacktestArgs,
    target: &'a TargetId,
    recordings: &'a Recordings,
    config: Option<&'a Config>,
    load: &'a SignalName,
    demand: Demand,
    terms: Terms,
}

/// One spec, replayed.
struct Contender<'a> {
    path: &'a Path,
    policy: Option<&'a Policy>,
    policy_name: Option<String>,
    bounds: Bounds,
    autoscale: Autoscale,
    price: Option<f64>,
    cap: Option<f64>,
    has_other_regions: bool,
    replay: Replay,
}

impl<'a> Run<'a> {
    fn new(
        args: &'a BacktestArgs,
        target: &'a TargetId,
        recordings: &'a Recordings,
        config: Option<&'a Config>,
    ) -> anyhow::Result<Self> {
        let mut recorded =
            recordings.iter().filter_map(|(name, series)| Some((name, series.as_ref()?)));
        let (load, series) = match &args.load {
            Some(load) => recorded.find(|(name, _)| *name == load).with_context(|| {
                format!("the load `{load}` has no recording; add --signal {load}=FILE")
            })?,
            None => match (recorded.next(), recorded.next()) {
                (Some(only), None) => only,
                (None, _) => bail!("no signal is recorded; add --signal NAME=FILE for the load"),
                _ => bail!("there are several signals; say with --load which of them is the load"),
            },
        };
        if let Some(row) = series.negative() {
            bail!("the load `{load}` is {} at {}; a load cannot be negative", row.value, row.at);
        }
        let terms = Terms {
            interval: args
                .interval
                .or(config.map(|config| config.interval))
                .unwrap_or(INTERVAL_DEFAULT),
            startup: args.startup,
            delay: args.signal_delay,
            window: args.signal_window,
            capacity: args.capacity,
            skip: args.skip,
        };
        let demand = Demand::of(series);
        let length = demand.end().since(demand.begin());
        if terms.skipped(length) >= length {
            bail!(
                "--skip {} leaves nothing of a recording of {}",
                format_duration(terms.skipped(length)),
                format_duration(length)
            );
        }
        Ok(Self { args, target, recordings, config, load, demand, terms })
    }

    /// Replays the policy of one spec.
    fn contender(&self, path: &'a Path, spec: &'a Spec) -> anyhow::Result<Contender<'a>> {
        let service = service(spec, self.args, path)?;
        let region = &self.target.region;
        let scale = service.scale.regions.get(region).with_context(|| {
            let known: Vec<&str> = service.scale.regions.keys().map(Region::as_str).collect();
            format!(
                "service `{}` has no region `{region}` in `{}`; it has {}",
                service.id,
                path.display(),
                listed(&known)
            )
        })?;
        let policy = spec.policy_of(service);
        let mut signals = Vec::new();
        for signal in policy.iter().flat_map(|policy| &policy.signals) {
            let series = self.recordings.get(&signal.name).with_context(|| {
                format!(
                    "the policy in `{}` uses the signal `{1}`; add --signal {1}=FILE, or --signal {1}=none to \
                     replay it without",
                    path.display(),
                    signal.name
                )
            })?;
            signals.push(series.as_ref());
        }
        let price = self.price(service);
        let cap = service.scale.max_hourly_cost;
        let subject = Subject {
            target: self.target,
            bounds: scale.bounds,
            policy,
            cooldown: scale.cooldown.or(service.scale.cooldown).unwrap_or(Duration::ZERO),
            cap: cap.zip(price).map(|(cap, price)| Cap { cap, price }),
        };
        let (from, to) = (self.demand.begin(), self.demand.end());
        let replay = replay(&subject, &signals, &self.terms, from, to);
        let policy_name = match &service.scale.policy {
            Some(PolicyChoice::Named(name)) => Some(name.to_string()),
            Some(PolicyChoice::Inline(_)) | None => None,
        };
        Ok(Contender {
            path,
            policy,
            policy_name,
            bounds: scale.bounds,
            autoscale: service.scale.autoscale,
            price,
            cap,
            has_other_regions: service.scale.regions.len() > 1,
            replay,
        })
    }

    fn price(&self, service: &Service) -> Option<f64> {
        let Some(config) = self.config else { return self.args.price };
        let default = match service.scale.strategy {
            Strategy::Infra => &config.defaults.infra,
            Strategy::Local => &config.defaults.local,
        };
        let provider: Option<&ProviderName> = service.provider.as_ref().or(default.as_ref());
        provider.map_or(config.prices.default, |provider| Prices::of(&config.prices, provider))
    }

    fn report(&self, contenders: &[Contender<'_>]) -> anyhow::Result<Report> {
        let names: &[&'static str] =
            if contenders.len() > 1 { &["old", "new"] } else { &["policy"] };
        let columns = contenders
            .iter()
            .zip(names)
            .map(|(contender, name)| Column {
                name,
                spec: contender.path.display().to_string(),
                policy: contender.policy_name.clone(),
                bounds: contender.bounds,
                figures: measure(&contender.replay, &self.demand, contender.bounds, &self.terms),
                price: contender.price,
            })
            .collect();
        let (from, to) = (self.demand.begin(), self.demand.end());
        let currency = self.config.map(|config| config.prices.currency.clone());
        Ok(Report {
            target: self.target.clone(),
            load: self.load.to_string(),
            from,
            to,
            skipped: self.terms.skipped(to.since(from)),
            terms: self.terms,
            currency: currency.unwrap_or_default(),
            columns,
            notes: self.notes(contenders),
        })
    }

    /// What a reader of the figures should know.
    fn notes(&self, contenders: &[Contender<'_>]) -> Vec<String> {
        let mut notes = Vec::new();
        for contender in contenders {
            let spec = contender.path.display();
            match (contender.policy, contender.autoscale) {
                (None, _) => notes.push(format!(
                    "`{spec}` has no policy for this service, so its count rests at {}",
                    contender.bounds.desired
                )),
                (Some(_), Autoscale::Metrics) => {}
                (Some(_), Autoscale::Manual | Autoscale::Disabled) => notes.push(format!(
                    "the policy in `{spec}` is not in force, because `autoscale` is not `metrics`; it was \
                     replayed as if it were"
                )),
            }
            for signal in contender.policy.map(|policy| open_loop(policy)).unwrap_or_default() {
                notes.push(format!(
                    "`{signal}` in `{spec}` depends on the replicas; it was replayed as recorded, with the \
                     replicas of then"
                ));
            }
            match (contender.cap, contender.price) {
                (Some(_), None) => notes.push(format!(
                    "the cost cap in `{spec}` was left out, because no price is known; give --price or --config"
                )),
                (Some(_), Some(_)) if contender.has_other_regions => notes.push(format!(
                    "the cost cap in `{spec}` was taken for this region alone"
                )),
                (Some(_) | None, _) => {}
            }
        }
        for (name, series) in self.recordings {
            match series {
                None => notes.push(format!("`{name}` was taken to be absent")),
                Some(series) if series.gaps().count > 0 => {
                    notes.push(gaps(name, series, self.load))
                }
                Some(_) => {}
            }
        }
        notes
    }
}

fn gaps(name: &SignalName, series: &Series, load: &SignalName) -> String {
    let gaps = series.gaps();
    let held = if name == load { "; as the load it stays at its last value there" } else { "" };
    format!(
        "`{name}` has {} {}, the longest of {}, where its rows are usually {} apart{held}",
        gaps.count,
        if gaps.count == 1 { "gap" } else { "gaps" },
        format_duration(gaps.longest),
        format_duration(series.step())
    )
}

/// The signals of a policy that its proportional rules take for a mean over the replicas.
fn open_loop(policy: &Policy) -> Vec<&SignalName> {
    let mut names: Vec<&SignalName> = policy
        .targets
        .iter()
        .filter(|target| match target.kind {
            TargetKind::Average | TargetKind::AtMost => true,
            TargetKind::PerReplica => false,
        })
        .filter_map(|target| Some(&policy.signals.get(target.signal)?.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
