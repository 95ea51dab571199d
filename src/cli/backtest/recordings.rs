//! The signals that a replay is made of: from files, from a metric source, from the controller's own store.
//!
//! A file comes before the others, so that one signal of many can be replaced; a source before the store, because
//! it knows every sample and not only those that the controller took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::args::BacktestArgs;
use crate::apply::{Clock as _, SystemClock};
use crate::backtest::{INTERVAL_DEFAULT, QuestionError, Row, Series, questions};
use crate::cli::context::SystemSecrets;
use crate::config::{Config, SecretRef, secrets};
use crate::control::pulls::recordings::{self, past, rows};
use crate::model::{Policy, SignalName, SourceName, TargetId, format_duration};
use crate::observe::signals::{self, MetricSource, ResolveSecret, Span};
use crate::plan::render::harmless;
use crate::store::{Reader, Resolution};

/// A recording may have so many bytes: a year of seconds has half of it.
const RECORDING_BYTES_MAX: u64 = 1 << 30;

/// The recordings by name; `None` for a signal that is to be absent.
pub(super) type Recordings = BTreeMap<SignalName, Option<Series>>;

/// The recordings, and what a reader should know of them.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) recordings: Recordings,
    pub(super) notes: Vec<String>,
}

/// Reads the files, then asks for what they do not have.
pub(super) async fn gather(
    args: &BacktestArgs,
    config: Option<&Config>,
    target: &TargetId,
    policies: &[&Policy],
) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered { recordings: from_files(args)?, notes: Vec::new() };
    let (Some(last), Some(config)) = (args.last, config) else { return Ok(gathered) };
    let step = args.step.or(args.interval).unwrap_or(config.interval).max(Duration::from_millis(1));
    let span = span(args, last, step)?;
    if let Some(source) = &args.prometheus {
        from_source(&mut gathered, source, config, policies, span).await?;
    }
    if args.recorded {
        from_store(&mut gathered, config, target, policies, span).await?;
    }
    Ok(gathered)
}

/// The past that is meant.
fn span(args: &BacktestArgs, last: Duration, step: Duration) -> anyhow::Result<Span> {
    let until = args.until.unwrap_or_else(|| SystemClock.now());
    if last < step * 2 {
        bail!(
            "--last {} has no two steps of {}; name a longer time or a shorter --step",
            format_duration(last),
            format_duration(step)
        );
    }
    Ok(recordings::span(until.into(), last, step))
}

fn from_files(args: &BacktestArgs) -> anyhow::Result<Recordings> {
    let mut recordings = Recordings::new();
    for recording in &args.signals {
        let series = recording.file.as_deref().map(from_file).transpose()?;
        if recordings.insert(recording.name.clone(), series).is_some() {
            bail!("signal `{}` is given twice; give one file for it", recording.name);
        }
    }
    Ok(recordings)
}

fn from_file(file: &Path) -> anyhow::Result<Series> {
    let name = file.display().to_string();
    let size = std::fs::metadata(file).with_context(|| format!("read `{name}`"))?.len();
    if size > RECORDING_BYTES_MAX {
        bail!("`{name}` has {size} bytes; a recording may have {RECORDING_BYTES_MAX}");
    }
    let text = std::fs::read(file).with_context(|| format!("read `{name}`"))?;
    Ok(Series::parse(&name, &text)?)
}

/// Asks a metric source for the past of every signal that the policies read from it.
async fn from_source(
    gathered: &mut Gathered,
    name: &SourceName,
    config: &Config,
    policies: &[&Policy],
    span: Span,
) -> anyhow::Result<()> {
    let source = source(name, config)?;
    let asked = questions(policies.iter().copied(), name)?;
    if asked.is_empty() {
        let read: BTreeSet<&str> =
            policies.iter().flat_map(|p| &p.signals).map(|s| s.source.as_str()).collect();
        bail!("no signal here is read from `{name}`; {}", known(&read, "the policy reads"));
    }
    for (signal, question) in asked {
        if gathered.recordings.contains_key(&signal) {
            continue;
        }
        let answer = past(source.as_ref(), &question, span).await;
        let rows =
            answer.with_context(|| format!("ask `{name}` for the past of signal `{signal}`"))?;
        if rows.len() < 2 {
            bail!(
                "`{name}` has {} of signal `{signal}` from {} to {}; check its query, `{}`, or name another \
                 time with --last and --until",
                amount(rows.len()),
                span.from,
                span.to,
                harmless(&question)
            );
        }
        late(&mut gathered.notes, &signal, &rows, span);
        gathered.recordings.insert(signal.clone(), Some(Series::of(signal.as_str(), rows)?));
    }
    Ok(())
}

/// One source of the configuration; the others, and their secrets, are left alone.
fn source(name: &SourceName, config: &Config) -> anyhow::Result<Arc<dyn MetricSource>> {
    let found = config.metrics.get(name).with_context(|| {
        let names: BTreeSet<&str> = config.metrics.keys().map(SourceName::as_str).collect();
        format!("the configuration has no metric source `{name}`; {}", known(&names, "it has"))
    })?;
    let resolve: ResolveSecret = Arc::new(|text| {
        let reference = SecretRef::parse(text).map_err(|error| error.to_string())?;
        secrets::resolve(&reference, &SystemSecrets)
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
    });
    let one = BTreeMap::from([(name.clone(), found.clone())]);
    let made = signals::build(&one, &resolve)
        .map_err(|(name, message)| anyhow::anyhow!("metric source `{name}`: {message}"))?;
    made.into_values().next().with_context(|| format!("make the metric source `{name}`"))
}

/// Reads what the controller recorded under the names of the policies' signals.
async fn from_store(
    gathered: &mut Gathered,
    config: &Config,
    target: &TargetId,
    policies: &[&Policy],
    span: Span,
) -> anyhow::Result<()> {
    one_meaning(policies)?;
    let file = config.store_file();
    let reader = Reader::new(&file);
    let names: BTreeSet<&SignalName> =
        policies.iter().flat_map(|policy| &policy.signals).map(|signal| &signal.name).collect();
    for signal in names {
        if gathered.recordings.contains_key(signal) {
            continue;
        }
        let series = reader.series(target, signal, span.from, span.to).await?;
        let rows = rows(&series);
        if rows.len() < 2 {
            bail!(
                "the store `{}` has {} of signal `{signal}` of {target} from {} to {}; a controller records \
                 them while `autoscale` is `metrics`: name another time with --last and --until, or give \
                 --signal {signal}=FILE or --signal {signal}=none",
                file.display(),
                amount(rows.len()),
                span.from,
                span.to
            );
        }
        let coarse = match series.resolution {
            Resolution::Raw => None,
            Resolution::Minute => Some("minute"),
            Resolution::Hour => Some("hour"),
        };
        if let Some(coarse) = coarse {
            gathered.notes.push(format!(
                "of `{signal}`, the store has means by the {coarse} only so far back; a shorter --last shows \
                 every value"
            ));
        }
        late(&mut gathered.notes, signal, &rows, span);
        gathered.recordings.insert(signal.clone(), Some(Series::of(signal.as_str(), rows)?));
    }
    Ok(())
}

/// A name in the store stands for one question; two policies that mean different things by it cannot both be
/// replayed from there.
fn one_meaning(policies: &[&Policy]) -> Result<(), QuestionError> {
    let sources: BTreeSet<&SourceName> =
        policies.iter().flat_map(|policy| &policy.signals).map(|signal| &signal.source).collect();
    let mut seen: BTreeMap<SignalName, (&SourceName, String)> = BTreeMap::new();
    for source in sources {
        for (signal, question) in questions(policies.iter().copied(), source)? {
            if let Some((other, asked)) = seen.get(&signal) {
                return Err(QuestionError {
                    signal,
                    one: format!("{other}: {asked}"),
                    other: format!("{source}: {question}"),
                });
            }
            seen.insert(signal, (source, question));
        }
    }
    Ok(())
}

/// Notes a recording that begins well after what was asked for.
fn late(notes: &mut Vec<String>, signal: &SignalName, rows: &[Row], span: Span) {
    let Some(first) = rows.first() else { return };
    let missing = first.at.since(span.from);
    // One interval, or one coarse row, is how long a first value may take.
    if missing > (span.step * 2).max(INTERVAL_DEFAULT * 4)
        && missing > span.to.since(span.from) / 20
    {
        notes.push(format!(
            "`{signal}` has no value before {}, {} after the time that was asked for begins",
            first.at,
            format_duration(Duration::from_secs(missing.as_secs()))
        ));
    }
}

fn amount(values: usize) -> &'static str {
    if values == 0 { "no value" } else { "one value only" }
}

fn known(names: &BTreeSet<&str>, verb: &str) -> String {
    if names.is_empty() {
        return format!("{verb} none");
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{verb} {}", names.join(", "))
}
