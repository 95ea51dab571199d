//! Writing one batch into an open database, in one transaction.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::block::{Columns, RawPoint, WIDE_SERIES, put_raw};
use super::error::{Inner, StoreError};
use super::queue::Waiting;
use super::rollup::floor;
use super::sample::{Reading, Resolution, Sample};
use super::schema::{Identity, Level, Opened, open};
use crate::model::{Moment, Region, ServiceId, SignalName, TargetId};

/// What names a series.
type Key = (TargetId, SignalName);

/// What is known of a series without asking the database.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: i64,
    /// Stamp of the newest recorded value, so that one that is asked for more often than it changes is
    /// recorded once.
    newest: Option<Moment>,
}

/// An open database, with what the writer remembers of it. Thrown away after any failure, so that what is
/// remembered is never more than what is written.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: SqliteConnection,
    pub(super) identity: Identity,
    pub(super) is_new: bool,
    /// The group that upkeep looks at next.
    pub(super) group: i64,
    series: HashMap<Key, Known>,
    next_id: i64,
    opened: Option<std::fs::File>,
}

/// What one batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Readings that are recorded now.
    pub(super) samples: u64,
    /// Readings that were recorded before.
    pub(super) repeated: u64,
    /// Readings from before what is kept, or from the future.
    pub(super) untimely: u64,
}

/// How far in the future a stamp may lie: a source's clock may be wrong by this much.
const AHEAD_MAX_MS: i64 = 3_600_000;

impl Session {
    pub(super) async fn open(file: &Path) -> Result<Self, StoreError> {
        let Opened { connection, identity, is_new, lock } = open(file).await?;
        let mut session = Self {
            connection,
            identity,
            is_new,
            group: 0,
            series: HashMap::new(),
            next_id: 0,
            opened: Some(lock),
        };
        session.load_series().await.map_err(|error| error.at(file))?;
        Ok(session)
    }

    async fn load_series(&mut self) -> Result<(), Inner> {
        let rows = sqlx::query("SELECT id, service, region, signal FROM series")
            .fetch_all(&mut self.connection)
            .await?;
        for row in rows {
            let id: i64 = row.try_get(0)?;
            self.next_id = self.next_id.max(id + 1);
            if let Some(target) = target(row.try_get(1)?, row.try_get(2)?)
                && let Ok(signal) = SignalName::try_from(row.try_get::<&str, _>(3)?)
            {
                self.series.insert((target, signal), Known { id, newest: None });
            }
        }
        Ok(())
    }

    /// Writes everything or nothing. After a failure the session must not be used again.
    pub(super) async fn write(
        &mut self,
        waiting: &Waiting,
        raw_kept_ms: i64,
    ) -> Result<Written, Inner> {
        let mut step = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut written = Written::default();
        let mut hours: BTreeMap<(i64, Moment), Columns<RawPoint>> = BTreeMap::new();
        for sample in &waiting.samples {
            let now = waiting.now.unwrap_or(sample.at);
            if sample.at.0 < now.0.saturating_sub(raw_kept_ms)
                || sample.at.0 > now.0.saturating_add(AHEAD_MAX_MS)
            {
                written.untimely += 1;
                continue;
            }
            let key = (sample.target.clone(), sample.signal.clone());
            let known = match self.series.get_mut(&key) {
                Some(known) => known,
                None => {
                    let id = self.next_id;
                    sqlx::query(
                        "INSERT INTO series (id, service, region, signal) VALUES (?, ?, ?, ?)",
                    )
                    .bind(id)
                    .bind(key.0.service.as_str())
                    .bind(key.0.region.as_str())
                    .bind(key.1.as_str())
                    .execute(&mut *step)
                    .await?;
                    self.next_id += 1;
                    self.series.entry(key).or_insert(Known { id, newest: None })
                }
            };
            let Some(reading) = new_reading(sample, known) else {
                written.repeated += 1;
                continue;
            };
            let hour = floor(sample.at, Resolution::Hour.step_ms());
            let (group, slot) = place(known.id, WIDE_SERIES);
            let columns = hours.entry((group, hour)).or_default();
            columns.entry(slot).or_default().push(RawPoint { at: sample.at, reading });
            written.samples += 1;
        }
        for ((group, hour), columns) in &hours {
            insert_block(&mut step, Level::Fresh, *group, *hour, &put_raw(columns, *hour)).await?;
        }
        write_texts(&mut step, waiting).await?;
        step.commit().await?;
        Ok(written)
    }

    /// Forgets the series of a wide group that has nothing recorded any more.
    pub(super) async fn forget_group(&mut self, group: i64) -> Result<(), Inner> {
        let first = group * WIDE_SERIES;
        let last = first + WIDE_SERIES - 1;
        sqlx::query("DELETE FROM series WHERE id BETWEEN ? AND ?")
            .bind(first)
            .bind(last)
            .execute(&mut self.connection)
            .await?;
        self.series.retain(|_, known| !(first..=last).contains(&known.id));
        Ok(())
    }

    /// How many wide groups there are, or were.
    pub(super) fn groups(&self) -> i64 {
        (self.next_id + WIDE_SERIES - 1) / WIDE_SERIES
    }

    /// Ends the connection, which moves what is in the log to the file, and lets the lock go.
    pub(super) async fn close(mut self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "the store was not closed cleanly; its log is read at the next start");
        }
        drop(self.opened.take());
    }
}

/// The reading to record, unless it is the one that was recorded last.
fn new_reading(sample: &Sample, known: &mut Known) -> Option<Reading> {
    let reading = match sample.reading {
        Reading::Value(value) if !value.is_finite() => Reading::Error,
        other => other,
    };
    if known.newest == Some(sample.at) {
        return None;
    }
    if matches!(reading, Reading::Value(_)) {
        known.newest = known.newest.max(Some(sample.at));
    }
    Some(reading)
}

async fn write_texts(step: &mut SqliteConnection, waiting: &Waiting) -> Result<(), Inner> {
    for event in &waiting.events {
        sqlx::query("INSERT INTO event (at, service, region, kind, json) VALUES (?, ?, ?, ?, ?)")
            .bind(event.at.0)
            .bind(event.target.service.as_str())
            .bind(event.target.region.as_str())
            .bind(event.kind.as_str())
            .bind(event.json.as_str())
            .execute(&mut *step)
            .await?;
    }
    for (target, state) in &waiting.states {
        let (service, region) = (target.service.as_str(), target.region.as_str());
        let query = match state {
            Some((saved_at, json)) => sqlx::query(
                "INSERT INTO state (service, region, saved_at, json) VALUES (?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET saved_at = excluded.saved_at, json = excluded.json",
            )
            .bind(service)
            .bind(region)
            .bind(saved_at.0)
            .bind(json.as_str()),
            None => sqlx::query("DELETE FROM state WHERE service = ? AND region = ?")
                .bind(service)
                .bind(region),
        };
        query.execute(&mut *step).await?;
    }
    for (key, value) in &waiting.notes {
        let query = match value {
            Some(value) => sqlx::query(
                "INSERT INTO note (key, value) VALUES (?, ?) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )
            .bind(key.as_str())
            .bind(value.as_str()),
            None => sqlx::query("DELETE FROM note WHERE key = ?").bind(key.as_str()),
        };
        query.execute(&mut *step).await?;
    }
    Ok(())
}

/// Adds a block.
pub(super) async fn insert_block(
    step: &mut SqliteConnection,
    level: Level,
    group: i64,
    start: Moment,
    body: &[u8],
) -> Result<(), Inner> {
    sqlx::query("INSERT INTO block (level, grp, start, body) VALUES (?, ?, ?, ?)")
        .bind(level.number())
        .bind(group)
        .bind(start.0)
        .bind(body)
        .execute(step)
        .await?;
    Ok(())
}

/// Group of a series among groups of this size, and its place in there.
pub(super) fn place(id: i64, group_series: i64) -> (i64, u16) {
    // The remainder is below the size of a group.
    (id.div_euclid(group_series), id.rem_euclid(group_series) as u16)
}

/// A target by the texts of a row; none where they are no identifiers any more.
pub(super) fn target(service: &str, region: &str) -> Option<TargetId> {
    let service = ServiceId::try_from(service).ok()?;
    let region = Region::try_from(region).ok()?;
    Some(TargetId { service, region })
}
