//! The recordings that a comparison of policies is made of: from the store, and what that lacks from sources that
//! keep a past.
//!
//! Between the store and the metric sources on one side and [`crate::backtest`] on the other; it replays
//! nothing. Whatever cannot be had in time is left out: a comparison is worth no wait.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::backtest::{LENGTH_MIN, Row, Series};
use crate::model::{Moment, Signal, SignalName, SourceName, TargetId};
use crate::observe::signals::{MetricSource, SourceError, Sources, Span};
use crate::store::{self, Reader, Resolution};

/// Targets whose recordings are read for one change: more tables than this nobody reads in a comment.
pub const TARGETS_MAX: usize = 5;
/// How far back values by minute or hour are read: every weekday once.
pub const COARSE_SPAN: Duration = Duration::from_secs(7 * 86_400);
/// How far back every value is read, and sources are asked: every hour of a day once. A week of them would take
/// seven times as long to replay and show little more.
pub const FINE_SPAN: Duration = Duration::from_secs(86_400);
/// All reading of the store for one change.
const READ_MAX: Duration = Duration::from_secs(3);
/// All asking of sources for one change; they answer the controller's own questions meanwhile.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The recordings of one target, by signal.
pub type Recordings = BTreeMap<SignalName, Series>;

/// What the store has of these signals from `from` to before `to`, of the first [`TARGETS_MAX`] targets. Where it
/// has every value, the last [`FINE_SPAN`] of them; otherwise at most [`COARSE_SPAN`] by minute or hour. A signal
/// without two values is left out.
pub async fn recorded(
    reader: &Reader,
    targets: &[(TargetId, Vec<Signal>)],
    from: Moment,
    to: Moment,
) -> BTreeMap<TargetId, Recordings> {
    let deadline = Instant::now() + READ_MAX;
    let from = from.max(to.before(COARSE_SPAN));
    let mut found: BTreeMap<TargetId, Recordings> = BTreeMap::new();
    for (target, signals) in targets.iter().take(TARGETS_MAX) {
        for signal in signals {
            let read = timeout_at(deadline, reader.series(target, &signal.name, from, to)).await;
            let series = match read {
                Ok(Ok(series)) => series,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "recordings cannot be read for a comparison");
                    return found;
                }
                Err(_) => {
                    tracing::warn!(
                        seconds = READ_MAX.as_secs(),
                        "the store is too slow for a comparison"
                    );
                    return found;
                }
            };
            let mut rows = rows(&series);
            match series.resolution {
                Resolution::Raw => rows.retain(|row| row.at >= to.before(FINE_SPAN)),
                Resolution::Minute | Resolution::Hour => {}
            }
            if let Ok(series) = Series::of(signal.name.as_str(), rows) {
                found.entry(target.clone()).or_default().insert(signal.name.clone(), series);
            }
        }
    }
    found
}

/// Asks sources for the last [`FINE_SPAN`] before `to` of the signals of which `found` has too little for a
/// comparison, with `step` between two values. Each question is asked once, however many targets share it. A
/// query that somebody wrote whom the repository does not know is never asked: then, `may_ask` is false.
pub async fn asked(
    sources: &Sources,
    targets: &[(TargetId, Vec<Signal>)],
    found: &mut BTreeMap<TargetId, Recordings>,
    to: Moment,
    step: Duration,
    may_ask: bool,
) {
    if !may_ask {
        return;
    }
    let deadline = Instant::now() + ASK_MAX;
    let span = span(to, FINE_SPAN, step);
    let mut answers: BTreeMap<(&SourceName, &str), Option<Series>> = BTreeMap::new();
    for (target, signals) in targets.iter().take(TARGETS_MAX) {
        for signal in signals {
            let Some(source) = sources.get(&signal.source) else { continue };
            let known = found.get(target).and_then(|recordings| recordings.get(&signal.name));
            let length = known.map_or(Duration::ZERO, |series| series.end().since(series.begin()));
            if length >= LENGTH_MIN {
                continue;
            }
            let question = signal.question();
            let answer = match answers.entry((&signal.source, question)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    match timeout_at(deadline, past(source.as_ref(), question, span)).await {
                        Ok(answer) => new.insert(usable(&signal.source, answer)),
                        Err(_) => {
                            let seconds = ASK_MAX.as_secs();
                            tracing::warn!(seconds, "sources are too slow for a comparison");
                            return;
                        }
                    }
                }
            };
            if let Some(series) = answer
                && series.end().since(series.begin()) > length
            {
                let recordings = found.entry(target.clone()).or_default();
                recordings.insert(signal.name.clone(), series.clone());
            }
        }
    }
}

/// What can be replayed of an answer.
fn usable(source: &SourceName, answer: Result<Vec<Row>, SourceError>) -> Option<Series> {
    match answer {
        Ok(rows) => Series::of(source.as_str(), rows).ok(),
        Err(SourceError::NoPast(_)) => None,
        Err(error @ SourceError::Failed(_)) => {
            tracing::warn!(%source, %error, "the past of a signal cannot be asked for");
            None
        }
    }
}

/// The time of this length before `to`, on whole steps, so that the same question has the same answer a moment
/// later.
#[must_use]
pub fn span(to: Moment, length: Duration, step: Duration) -> Span {
    let step = step.max(Duration::from_millis(1));
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let to = Moment(to.0 - to.0.rem_euclid(step_ms));
    Span { from: to.before(length), to, step }
}

/// The past of a question as rows, without what is no number.
///
/// # Errors
/// [`SourceError`] when the source keeps no past values, or cannot be asked.
pub async fn past(
    source: &dyn MetricSource,
    question: &str,
    span: Span,
) -> Result<Vec<Row>, SourceError> {
    let values = source.range(question, span).await?;
    let finite = values.into_iter().filter(|(_, value)| value.is_finite());
    Ok(finite.map(|(at, value)| Row { at, value }).collect())
}

/// The points of the store as rows: a mean is known at the end of its time, where the store names the beginning.
#[must_use]
pub fn rows(series: &store::Series) -> Vec<Row> {
    let length = match series.resolution {
        Resolution::Raw => Duration::ZERO,
        Resolution::Minute => Duration::from_secs(60),
        Resolution::Hour => Duration::from_secs(3_600),
    };
    let row = |point: &store::Point| Row { at: point.at.after(length), value: point.mean };
    series.points.iter().map(row).collect()
}

#[cfg(test)]
mod tests;
