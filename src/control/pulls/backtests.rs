//! What changed policies would have done with what was recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::compose::Merge;
use super::making::blocking;
use super::recordings::{COARSE_SPAN, TARGETS_MAX, asked, recorded};
use super::sight::Sight;
use crate::backtest::{self, Context};
use crate::control::Setup;
use crate::forge::comment::Backtest;
use crate::git::GitError;
use crate::model::{Moment, Signal, Spec, TargetId};
use crate::observe::signals::Sources;
use crate::plan::render;
use crate::store::Reader;

/// A signal is seen one scrape after it was measured, with the usual 15 s between two scrapes.
const DELAY: Duration = Duration::from_secs(15);
/// Time from wanting a replica until it serves, where no provider says one.
const START_DEFAULT: Duration = Duration::from_secs(30);

/// Where the past of signals is.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// Time between two decisions.
    pub(crate) interval: Duration,
    /// The store's file.
    pub(crate) store: PathBuf,
    /// The metric sources.
    pub(crate) sources: Sources,
}

impl Past {
    /// Where a controller's is.
    pub(crate) fn of(setup: &Setup) -> Self {
        Self {
            interval: setup.config.interval,
            store: setup.config.store_file(),
            sources: setup.sources.clone(),
        }
    }
}

/// What each changed policy would have done, beside the one before it, as far as there are recordings. Sources
/// are asked only where `may_ask` says that whoever wrote the queries may be trusted with them.
pub(crate) async fn of(
    past: &Past,
    sight: &Arc<Sight>,
    merge: &Arc<Merge>,
    may_ask: bool,
    now: Timestamp,
) -> Result<Vec<Backtest>, GitError> {
    let (Some(good), Some(after)) = (&sight.in_force, &merge.spec) else { return Ok(Vec::new()) };
    let mut targets = backtest::changed(&good.spec, after);
    let left_out = targets.len().saturating_sub(TARGETS_MAX);
    targets.truncate(TARGETS_MAX);
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<(TargetId, Vec<Signal>)> = targets
        .into_iter()
        .map(|target| {
            let signals = backtest::wanted(&good.spec, after, &target);
            (target, signals.into_iter().cloned().collect())
        })
        .collect();
    let to = Moment::from(now);
    let reader = Reader::new(&past.store);
    let mut found = recorded(&reader, &wanted, to.before(COARSE_SPAN), to).await;
    asked(&past.sources, &wanted, &mut found, to, past.interval, may_ask).await;
    let (good, sight, merge) = (good.clone(), sight.clone(), merge.clone());
    let interval = past.interval;
    blocking(move || {
        let Some(after) = &merge.spec else { return Vec::new() };
        let mut made: Vec<Backtest> = wanted
            .iter()
            .map(|(target, _)| {
                let startup = start_typical(&sight, after, target);
                let context =
                    Context { prices: &sight.catalogue.prices, interval, startup, delay: DELAY };
                let recordings = found.remove(target).unwrap_or_default();
                match backtest::compare(&good.spec, after, target, &recordings, &context) {
                    Ok(comparison) => Backtest {
                        target: target.clone(),
                        table: comparison.report.markdown(),
                        chart: Some(comparison.chart),
                        note: None,
                    },
                    Err(why) => Backtest {
                        target: target.clone(),
                        table: String::new(),
                        chart: None,
                        note: Some(why.to_string()),
                    },
                }
            })
            .collect();
        if let Some(last) = made.last_mut().filter(|_| left_out > 0) {
            let more = format!(
                "{} changed too and {} not replayed",
                render::counted(left_out, "more target", "more targets"),
                if left_out == 1 { "was" } else { "were" }
            );
            last.note =
                Some(last.note.take().map_or(more.clone(), |note| format!("{note}; {more}")));
        }
        made
    })
    .await
}

/// Time from wanting a replica until it serves, as its provider declares it.
fn start_typical(sight: &Sight, spec: &Spec, target: &TargetId) -> Duration {
    let service = spec.services.get(&target.service);
    let provider = service.and_then(|service| service.provider.as_ref());
    let about = provider.and_then(|provider| sight.catalogue.providers.get(provider));
    about.map_or(START_DEFAULT, |about| about.start_typical)
}
