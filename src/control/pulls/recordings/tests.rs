use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::model::testing::target;
use crate::model::{Measured, OnMissing, SourceAbout};
use crate::store::{Batch, Reading, Retention, Sample, Store};

/// A whole hour.
const NOW: Moment = Moment(1_800_000_000_000);

fn name(text: &str) -> SignalName {
    SignalName::try_from(text).expect("a name")
}

fn signal(text: &str, source: &str) -> Signal {
    Signal {
        name: name(text),
        source: SourceName::try_from(source).expect("a name"),
        metric: None,
        query: Some(format!("ask({text})")),
        unit: None,
        window: Duration::ZERO,
        max_age: None,
        on_missing: OnMissing::Hold,
    }
}

#[test]
fn a_mean_is_known_at_the_end_of_its_time() {
    let point =
        |at| store::Point { at: Moment(at), count: 4, min: 1.0, max: 5.0, mean: 3.0, last: 5.0 };
    for (resolution, known_at) in
        [(Resolution::Raw, 60_000), (Resolution::Minute, 120_000), (Resolution::Hour, 3_660_000)]
    {
        let series = store::Series { resolution, points: vec![point(60_000)] };
        assert_eq!(rows(&series), [Row { at: Moment(known_at), value: 3.0 }]);
    }
}

#[tokio::test]
async fn the_store_gives_the_last_day_of_what_it_has_in_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("state.db"), Retention::default()).await;
    let web = target("web", "iad");
    let hours_ago = |hours: u64| NOW.before(Duration::from_secs(hours * 3_600));
    let samples = (1..40).rev().map(|hours| Sample {
        target: web.clone(),
        signal: name("rps"),
        at: hours_ago(hours),
        reading: Reading::Value(f64::from(u32::try_from(hours).expect("few"))),
    });
    store.record(NOW, Batch { samples: samples.collect(), ..Batch::default() });
    store.flush().await.expect("written");
    let targets = [
        (web.clone(), vec![signal("rps", "prom"), signal("none", "prom")]),
        (target("web", "fra"), vec![signal("rps", "prom")]),
    ];
    let found = recorded(&store.reader(), &targets, Moment(0), NOW).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), [&web]);
    let recordings = found.get(&web).expect("recordings");
    assert_eq!(recordings.keys().collect::<Vec<_>>(), [&name("rps")]);
    let values = recordings.values().flat_map(|series| series.rows().iter().map(|row| row.value));
    let expected: Vec<f64> = (1..=24).rev().map(f64::from).collect();
    assert_eq!(values.collect::<Vec<_>>(), expected);
    store.close().await;
    // Without a database there is nothing, and no failure.
    let nowhere = Reader::new(&folder.path().join("none.db"));
    assert_eq!(recorded(&nowhere, &targets, Moment(0), NOW).await, BTreeMap::new());
}

/// Values every quarter of an hour; counts how often it is asked.
#[derive(Debug)]
struct Past {
    about: SourceAbout,
    asked: AtomicUsize,
    hangs: bool,
}

#[async_trait]
impl MetricSource for Past {
    fn about(&self) -> &SourceAbout {
        &self.about
    }

    async fn sample(&self, _: &str, _: Moment) -> Measured {
        Measured::Absent
    }

    async fn range(&self, _: &str, span: Span) -> Result<Vec<(Moment, f64)>, SourceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let at = |step: u64| span.from.after(Duration::from_secs(step * 900));
        Ok((1..=96).map(|step| (at(step), if step == 9 { f64::NAN } else { 1.0 })).collect())
    }

    async fn check(&self, _: Moment) -> Result<String, SourceError> {
        Ok(String::new())
    }
}

fn source(hangs: bool) -> (Arc<Past>, Sources) {
    let about =
        SourceAbout { kind: "past".into(), needs_query: true, metrics: None, has_default: false };
    let past = Arc::new(Past { about, asked: AtomicUsize::new(0), hangs });
    let dynamic: Arc<dyn MetricSource> = past.clone();
    (past, BTreeMap::from([(SourceName::try_from("prom").expect("a name"), dynamic)]))
}

fn lengths(found: &BTreeMap<TargetId, Recordings>) -> Vec<(String, usize)> {
    let each = |(target, recordings): (&TargetId, &Recordings)| {
        recordings
            .iter()
            .map(|(name, series)| (format!("{target} {name}"), series.rows().len()))
            .collect::<Vec<_>>()
    };
    found.iter().flat_map(each).collect()
}

#[tokio::test]
async fn a_source_is_asked_once_for_what_the_store_lacks() {
    let (past, sources) = source(false);
    let both = vec![signal("rps", "prom"), signal("queue", "prom"), signal("cpu", "provider")];
    let targets = [(target("web", "fra"), both.clone()), (target("web", "iad"), both)];
    let day = |text: &str| {
        let row = |step: u64| Row { at: NOW.after(Duration::from_secs(step * 60)), value: 1.0 };
        Series::of(text, (0..90).map(row).collect()).expect("rows")
    };
    let known = Recordings::from([(name("rps"), day("rps"))]);
    let mut found = BTreeMap::from([(target("web", "iad"), known)]);
    let before = found.clone();
    asked(&sources, &targets, &mut found, NOW, Duration::from_secs(15), false).await;
    assert_eq!((&found, past.asked.load(Ordering::Relaxed)), (&before, 0));
    asked(&sources, &targets, &mut found, NOW, Duration::from_secs(15), true).await;
    // What was recorded for long enough stays; of 96 answers, one is no number.
    let expected =
        [("web/fra queue", 95), ("web/fra rps", 95), ("web/iad queue", 95), ("web/iad rps", 90)];
    assert_eq!(lengths(&found), expected.map(|(what, rows)| (what.to_owned(), rows)));
    assert_eq!(past.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let (past, sources) = source(true);
    let targets = [(target("web", "iad"), vec![signal("rps", "prom"), signal("queue", "prom")])];
    let mut found = BTreeMap::new();
    asked(&sources, &targets, &mut found, NOW, Duration::from_secs(15), true).await;
    assert_eq!((found, past.asked.load(Ordering::Relaxed)), (BTreeMap::new(), 1));
}
