//! Reading back. One connection that only reads, beside the writer's, also from another process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Mutex;

use super::block::{Columns, GROUP_SERIES, RawPoint, WIDE_SERIES, read_points, read_raw};
use super::error::{Inner, StoreError};
use super::rollup::{buckets, floor, of_raw};
use super::sample::{Event, EventFilter, Point, Resolution, Series};
use super::schema::{Identity, Level, open_to_read};
use super::session::{place, target};
use super::upkeep::{DAY_MS, read_hour};
use crate::model::{Moment, SignalName, TargetId};

/// Reads a database, also while a controller of another process records into it. Cheap to clone. What is
/// recorded is seen once it is written: see [`super::Store::flush`].
#[derive(Debug, Clone)]
pub struct Reader {
    file: PathBuf,
    open: Arc<Mutex<Option<(SqliteConnection, Identity)>>>,
}

/// How the file and what is asked for meet: one question to an open database.
macro_rules! ask {
    ($reader:expr, $connection:ident => $question:expr) => {{
        let mut open = $reader.open.lock().await;
        let is_there = |identity: Identity| Identity::of(&$reader.file) == Some(identity);
        if !open.as_ref().is_some_and(|(_, identity)| is_there(*identity)) {
            *open = None;
            *open = Some(open_to_read(&$reader.file).await?);
        }
        let Some(($connection, _)) = open.as_mut() else {
            return Err(StoreError::Missing { file: $reader.file.clone() });
        };
        let result: Result<_, Inner> = $question.await;
        if result.is_err() {
            *open = None;
        }
        result.map_err(|error| error.at(&$reader.file))
    }};
}

impl Reader {
    /// A reader of this file, which is opened when it is first asked.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_path_buf(), open: Arc::default() }
    }

    /// The values of a signal from `from` to before `to`: (stamp, value), or (first instant, mean) where
    /// [`Self::series`] answers with minutes or hours. Empty where nothing was recorded.
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn samples(
        &self,
        target: &TargetId,
        signal: &SignalName,
        from: Moment,
        to: Moment,
    ) -> Result<Vec<(Moment, f64)>, StoreError> {
        let series = self.series(target, signal, from, to).await?;
        Ok(series.points.iter().map(|point| (point.at, point.mean)).collect())
    }

    /// The values of a signal from `from` to before `to`, in the finest resolution of which nothing between
    /// them was deleted. A minute or an hour that begins before `from` is not among them.
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn series(
        &self,
        target: &TargetId,
        signal: &SignalName,
        from: Moment,
        to: Moment,
    ) -> Result<Series, StoreError> {
        ask!(self, connection => find_series(connection, target, signal, from, to))
    }

    /// The newest state of every target, with when it was recorded.
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn states(&self) -> Result<BTreeMap<TargetId, (Moment, String)>, StoreError> {
        ask!(self, connection => find_states(connection))
    }

    /// The newest events that fit, the oldest of them first.
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        ask!(self, connection => find_events(connection, filter))
    }

    /// The text that was recorded under a key.
    ///
    /// # Errors
    /// [`StoreError`] when there is no database or it cannot be read.
    pub async fn note(&self, key: &str) -> Result<Option<String>, StoreError> {
        ask!(self, connection => find_note(connection, key))
    }
}

async fn find_note(connection: &mut SqliteConnection, key: &str) -> Result<Option<String>, Inner> {
    let query = sqlx::query_scalar("SELECT value FROM note WHERE key = ?").bind(key);
    Ok(query.fetch_optional(connection).await?)
}

async fn find_states(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<TargetId, (Moment, String)>, Inner> {
    let mut rows =
        sqlx::query("SELECT service, region, saved_at, json FROM state").fetch(connection);
    let mut states = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        if let Some(target) = target(row.try_get(0)?, row.try_get(1)?) {
            states.insert(target, (Moment(row.try_get(2)?), row.try_get(3)?));
        }
    }
    Ok(states)
}

async fn find_events(
    connection: &mut SqliteConnection,
    filter: &EventFilter,
) -> Result<Vec<Event>, Inner> {
    let service = filter.target.as_ref().map(|target| target.service.as_str());
    let region = filter.target.as_ref().map(|target| target.region.as_str());
    // Two texts, so that the planner takes the index of the target where one is named.
    let query = match (service, region) {
        (Some(service), Some(region)) => sqlx::query(
            "SELECT at, service, region, kind, json FROM event \
             WHERE service = ? AND region = ? AND at >= ? AND at < ? AND (?5 IS NULL OR kind = ?5) \
             ORDER BY at DESC, id DESC LIMIT ?6",
        )
        .bind(service)
        .bind(region),
        _ => sqlx::query(
            "SELECT at, service, region, kind, json FROM event \
             WHERE at >= ? AND at < ? AND (?3 IS NULL OR kind = ?3) \
             ORDER BY at DESC, id DESC LIMIT ?4",
        ),
    };
    let query = query
        .bind(filter.from.0)
        .bind(filter.to.0)
        .bind(filter.kind.as_deref())
        .bind(i64::from(filter.limit));
    let mut events = Vec::new();
    for row in query.fetch_all(connection).await? {
        if let Some(target) = target(row.try_get(1)?, row.try_get(2)?) {
            events.push(Event {
                at: Moment(row.try_get(0)?),
                target,
                kind: row.try_get(3)?,
                json: row.try_get(4)?,
            });
        }
    }
    events.reverse();
    Ok(events)
}

async fn find_series(
    connection: &mut SqliteConnection,
    target: &TargetId,
    signal: &SignalName,
    from: Moment,
    to: Moment,
) -> Result<Series, Inner> {
    let id: Option<i64> =
        sqlx::query_scalar("SELECT id FROM series WHERE service = ? AND region = ? AND signal = ?")
            .bind(target.service.as_str())
            .bind(target.region.as_str())
            .bind(signal.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let none = Series { resolution: Resolution::Raw, points: Vec::new() };
    let Some(id) = id.filter(|_| from < to) else { return Ok(none) };
    let mut found = Column { connection, id };
    // A finer resolution will do when the coarser ones know nothing from before it begins.
    let raw_from = found.earliest(&[Level::Raw, Level::Fresh]).await?.unwrap_or(Moment(i64::MAX));
    let minutes_from = found.earliest(&[Level::Minutes]).await?.unwrap_or(raw_from).min(raw_from);
    let older_hours = found.points(Level::Hours, from, to.min(minutes_from)).await?;
    if !older_hours.is_empty() {
        return found.rolled(Level::Hours, from, to).await;
    }
    let older_minutes = found.points(Level::Minutes, from, to.min(raw_from)).await?;
    if !older_minutes.is_empty() {
        return found.rolled(Level::Minutes, from, to).await;
    }
    found.raw(from, to).await
}

/// One series in an open database.
struct Column<'a> {
    connection: &'a mut SqliteConnection,
    id: i64,
}

impl Column<'_> {
    /// Group and place of the series in blocks of a level.
    fn place(&self, level: Level) -> (i64, u16) {
        place(self.id, if level == Level::Fresh { WIDE_SERIES } else { GROUP_SERIES })
    }

    /// Where the oldest block of these levels begins.
    async fn earliest(&mut self, levels: &[Level]) -> Result<Option<Moment>, Inner> {
        let mut earliest: Option<i64> = None;
        for level in levels {
            let start: Option<i64> =
                sqlx::query_scalar("SELECT min(start) FROM block WHERE level = ? AND grp = ?")
                    .bind(level.number())
                    .bind(self.place(*level).0)
                    .fetch_one(&mut *self.connection)
                    .await?;
            earliest = [earliest, start].into_iter().flatten().min();
        }
        Ok(earliest.map(Moment))
    }

    /// The blocks of a level that may hold something of this time.
    fn blocks(
        &mut self,
        level: Level,
        from: Moment,
        to: Moment,
    ) -> impl futures_util::Stream<Item = Result<sqlx::sqlite::SqliteRow, sqlx::Error>> + Send {
        let step = if level == Level::Hours { DAY_MS } else { Resolution::Hour.step_ms() };
        sqlx::query(
            "SELECT start, body FROM block WHERE level = ? AND grp = ? AND start >= ? AND start < ? \
             ORDER BY start, id",
        )
        .bind(level.number())
        .bind(self.place(level).0)
        .bind(floor(from, step).0)
        .bind(to.0)
        .fetch(&mut *self.connection)
    }

    /// Every value.
    async fn raw(&mut self, from: Moment, to: Moment) -> Result<Series, Inner> {
        // By stamp: what came later counts, and comes later here as well.
        let mut values: BTreeMap<Moment, RawPoint> = BTreeMap::new();
        for level in [Level::Raw, Level::Fresh] {
            let (_, slot) = self.place(level);
            let mut rows = std::pin::pin!(self.blocks(level, from, to));
            while let Some(row) = rows.try_next().await? {
                let mut columns = Columns::new();
                read_raw(row.try_get(1)?, Moment(row.try_get(0)?), Some(slot), &mut columns)?;
                values.extend(columns.into_values().flatten().map(|point| (point.at, point)));
            }
        }
        let points = values.range(from..to).filter_map(|(_, point)| point.point()).collect();
        Ok(Series { resolution: Resolution::Raw, points })
    }

    /// Minutes or hours as they were rolled up.
    async fn points(
        &mut self,
        level: Level,
        from: Moment,
        to: Moment,
    ) -> Result<BTreeMap<Moment, Point>, Inner> {
        if from >= to {
            return Ok(BTreeMap::new());
        }
        let (_, slot) = self.place(level);
        let mut points = Vec::new();
        let mut rows = std::pin::pin!(self.blocks(level, from, to));
        while let Some(row) = rows.try_next().await? {
            let mut columns = Columns::new();
            let start = Moment(row.try_get(0)?);
            read_points(row.try_get(1)?, start, resolution(level), Some(slot), &mut columns)?;
            points.extend(columns.into_values().flatten());
        }
        let inside = points.into_iter().filter(|point| (from..to).contains(&point.at));
        Ok(inside.map(|point| (point.at, point)).collect())
    }

    /// Minutes or hours, with those that are not rolled up yet.
    async fn rolled(&mut self, level: Level, from: Moment, to: Moment) -> Result<Series, Inner> {
        let resolution = resolution(level);
        let mut points = self.points(level, from, to).await?;
        let mut fresh = BTreeSet::new();
        {
            let mut rows = std::pin::pin!(self.blocks(Level::Fresh, from, to));
            while let Some(row) = rows.try_next().await? {
                fresh.insert(Moment(row.try_get(0)?));
            }
        }
        for hour in fresh {
            let raw = read_hour(self.connection, self.id, hour).await?;
            let minutes = of_raw(&raw, Resolution::Minute);
            let made = buckets(minutes.into_iter(), resolution);
            let inside = made.into_iter().filter(|point| (from..to).contains(&point.at));
            points.extend(inside.map(|point| (point.at, point)));
        }
        Ok(Series { resolution, points: points.into_values().collect() })
    }
}

fn resolution(level: Level) -> Resolution {
    match level {
        Level::Fresh | Level::Raw => Resolution::Raw,
        Level::Minutes => Resolution::Minute,
        Level::Hours => Resolution::Hour,
    }
}
