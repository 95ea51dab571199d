//! Rolling up and deleting, a little at a time.
//!
//! Each run does a bounded piece of work in short transactions, each of which may be cut by a kill: a rolled-up
//! hour replaces what it was made from in the same transaction. The clock is the newest time that was recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::Retention;
use super::block::{
    Columns, GROUP_SERIES, RawPoint, WIDE_SERIES, put_points, put_raw, read_points, read_raw,
};
use super::error::Inner;
use super::rollup::{buckets, floor, of_raw, short};
use super::sample::{Point, Resolution};
use super::schema::Level;
use super::session::{Session, insert_block, place};
use crate::model::Moment;

/// How long after its end an hour is rolled up: sources that stamp late have answered by then. Later still is
/// allowed, and costs a second roll-up.
const LATE: Duration = Duration::from_secs(5 * 60);
/// Hours of a wide group that are rolled up in a run, some tens of milliseconds each. The largest fleet has 30
/// groups: at a run every 15 seconds it is done in four minutes.
const ROLL_UPS_MAX: i64 = 2;
/// Groups in a wide group.
const PARTS: i64 = WIDE_SERIES / GROUP_SERIES;
/// Blocks that are deleted in a run: ten times what the largest fleet makes.
const DELETED_BLOCKS_MAX: i64 = 256;
/// Blocks that are deleted in a run because of the size: more than the largest fleet makes, and few enough that
/// a small one does not lose all it has at once.
const CUT_BLOCKS_MAX: i64 = 8;
/// Events that are deleted in a run.
const DELETED_EVENTS_MAX: i64 = 1_000;
/// Free pages that are given back to the file system in a run, four mebibytes.
const FREED_PAGES_MAX: i64 = 1_024;
/// Free pages that stay in the file, for the next blocks: giving back what is needed again is work for nothing.
const FREE_PAGES_KEPT: i64 = 4_096;

/// The hours of this length make a block of hours.
pub(super) const DAY_MS: i64 = 24 * 3_600_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Whether something was deleted before its time, because the file is at its size limit.
    pub(super) is_cut: bool,
}

/// One run.
pub(super) async fn run(
    session: &mut Session,
    now: Moment,
    retention: &Retention,
) -> Result<Kept, Inner> {
    let connection = &mut session.connection;
    let hour_ms = Resolution::Hour.step_ms();
    // The last hour that is over.
    let due = floor(now.before(LATE), hour_ms).0 - hour_ms;
    let found = sqlx::query(
        "SELECT DISTINCT start, grp FROM block WHERE level = ? AND start <= ? \
         ORDER BY start, grp LIMIT ?",
    )
    .bind(Level::Fresh.number())
    .bind(due)
    .bind(ROLL_UPS_MAX)
    .fetch_all(&mut *connection)
    .await?;
    for row in found {
        roll_up(connection, row.try_get(1)?, Moment(row.try_get(0)?)).await?;
    }
    for (level, kept, step) in [
        (Level::Raw, retention.raw, hour_ms),
        (Level::Minutes, retention.minutes, hour_ms),
        (Level::Hours, retention.hours, DAY_MS),
    ] {
        let before = floor(now.before(kept), step);
        delete_blocks(connection, level, before, DELETED_BLOCKS_MAX).await?;
    }
    sqlx::query("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < ? LIMIT ?)")
        .bind(now.before(retention.events).0)
        .bind(DELETED_EVENTS_MAX)
        .execute(&mut *connection)
        .await?;
    let is_cut = keep_size(connection, now, retention).await?;
    forget_series(session).await?;
    Ok(Kept { is_cut })
}

/// The raw readings of an hour of one series, in order of time, each stamp once.
pub(super) async fn read_hour(
    connection: &mut SqliteConnection,
    id: i64,
    hour: Moment,
) -> Result<Vec<RawPoint>, Inner> {
    let mut points = Vec::new();
    // What was rolled up before comes first, then what came later.
    for (level, series) in [(Level::Raw, GROUP_SERIES), (Level::Fresh, WIDE_SERIES)] {
        let (group, slot) = place(id, series);
        let found = read_level(connection, level, group, hour, Some(slot)).await?;
        points.extend(found.into_values().flatten());
    }
    settle(&mut points);
    Ok(points)
}

/// Readings in the order they came, to the order of time; of those with one stamp, the last that came.
fn settle(points: &mut Vec<RawPoint>) {
    points.sort_by_key(|point| point.at);
    points.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            *kept = *later;
        }
        same
    });
}

/// The readings of the blocks of one level, in the order they came.
async fn read_level(
    connection: &mut SqliteConnection,
    level: Level,
    group: i64,
    hour: Moment,
    only: Option<u16>,
) -> Result<Columns<RawPoint>, Inner> {
    let mut rows =
        sqlx::query("SELECT body FROM block WHERE level = ? AND grp = ? AND start = ? ORDER BY id")
            .bind(level.number())
            .bind(group)
            .bind(hour.0)
            .fetch(connection);
    let mut columns = Columns::new();
    while let Some(row) = rows.try_next().await? {
        read_raw(row.try_get(0)?, hour, only, &mut columns)?;
    }
    Ok(columns)
}

/// Replaces the fresh blocks of an hour of a wide group by blocks of its parts.
async fn roll_up(connection: &mut SqliteConnection, wide: i64, hour: Moment) -> Result<(), Inner> {
    let mut step = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut parts: BTreeMap<i64, Columns<RawPoint>> = BTreeMap::new();
    for (slot, points) in read_level(&mut step, Level::Fresh, wide, hour, None).await? {
        let (part, slot) = place(i64::from(slot), GROUP_SERIES);
        parts.entry(wide * PARTS + part).or_default().insert(slot, points);
    }
    for (group, fresh) in parts {
        roll_up_part(&mut step, group, hour, fresh).await?;
    }
    delete_at(&mut step, Level::Fresh, wide, hour).await?;
    step.commit().await?;
    Ok(())
}

/// Makes one raw block of an hour, its minutes, and its place among the day's hours.
async fn roll_up_part(
    step: &mut SqliteConnection,
    group: i64,
    hour: Moment,
    fresh: Columns<RawPoint>,
) -> Result<(), Inner> {
    let mut raw = read_level(step, Level::Raw, group, hour, None).await?;
    for (slot, points) in fresh {
        raw.entry(slot).or_default().extend(points);
    }
    let day = floor(hour, DAY_MS);
    let mut hours = read_hours(step, group, day).await?;
    let mut minutes: Columns<Point> = Columns::new();
    for (slot, points) in &mut raw {
        settle(points);
        let exact = of_raw(points, Resolution::Minute);
        let of_day = hours.entry(*slot).or_default();
        of_day.retain(|point| point.at != hour);
        of_day.extend(buckets(exact.iter().copied(), Resolution::Hour).into_iter().map(short));
        of_day.sort_by_key(|point| point.at);
        minutes.insert(*slot, exact.into_iter().map(short).collect());
    }
    minutes.retain(|_, points| !points.is_empty());
    hours.retain(|_, points| !points.is_empty());
    delete_at(step, Level::Raw, group, hour).await?;
    insert_block(step, Level::Raw, group, hour, &put_raw(&raw, hour)).await?;
    if !minutes.is_empty() {
        let body = put_points(&minutes, hour, Resolution::Minute);
        delete_at(step, Level::Minutes, group, hour).await?;
        insert_block(step, Level::Minutes, group, hour, &body).await?;
    }
    if !hours.is_empty() {
        let body = put_points(&hours, day, Resolution::Hour);
        delete_at(step, Level::Hours, group, day).await?;
        insert_block(step, Level::Hours, group, day, &body).await?;
    }
    Ok(())
}

async fn delete_at(
    connection: &mut SqliteConnection,
    level: Level,
    group: i64,
    start: Moment,
) -> Result<(), Inner> {
    sqlx::query("DELETE FROM block WHERE level = ? AND grp = ? AND start = ?")
        .bind(level.number())
        .bind(group)
        .bind(start.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn read_hours(
    connection: &mut SqliteConnection,
    group: i64,
    day: Moment,
) -> Result<Columns<Point>, Inner> {
    let bodies: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM block WHERE level = ? AND grp = ? AND start = ?")
            .bind(Level::Hours.number())
            .bind(group)
            .bind(day.0)
            .fetch_all(connection)
            .await?;
    let mut columns = Columns::new();
    for body in bodies {
        read_points(&body, day, Resolution::Hour, None, &mut columns)?;
    }
    Ok(columns)
}

async fn delete_blocks(
    connection: &mut SqliteConnection,
    level: Level,
    before: Moment,
    blocks_max: i64,
) -> Result<(), Inner> {
    sqlx::query(
        "DELETE FROM block WHERE id IN \
         (SELECT id FROM block WHERE level = ? AND start < ? ORDER BY start LIMIT ?)",
    )
    .bind(level.number())
    .bind(before.0)
    .bind(blocks_max)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the oldest when the file is too large, and gives free pages back. Whether it was.
///
/// Of the three resolutions it takes the one whose oldest block has had the largest share of its time, so that
/// all of them end up with the same share.
async fn keep_size(
    connection: &mut SqliteConnection,
    now: Moment,
    retention: &Retention,
) -> Result<bool, Inner> {
    let mut number = async |sql: &'static str| -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await
    };
    let pages = number("PRAGMA page_count").await?;
    let free = number("PRAGMA freelist_count").await?;
    let page_bytes = number("PRAGMA page_size").await?;
    let used = u64::try_from((pages - free) * page_bytes).unwrap_or(0);
    let is_over = used > retention.bytes_max;
    if is_over {
        let mut oldest: Option<(f64, Level)> = None;
        for (level, kept) in [
            (Level::Raw, retention.raw),
            (Level::Minutes, retention.minutes),
            (Level::Hours, retention.hours),
        ] {
            let start: Option<i64> =
                sqlx::query_scalar("SELECT min(start) FROM block WHERE level = ?")
                    .bind(level.number())
                    .fetch_one(&mut *connection)
                    .await?;
            let Some(start) = start else { continue };
            let share = now.since(Moment(start)).as_secs_f64() / kept.as_secs_f64();
            if oldest.is_none_or(|(most, _)| share > most) {
                oldest = Some((share, level));
            }
        }
        if let Some((_, level)) = oldest {
            delete_blocks(connection, level, Moment(i64::MAX), CUT_BLOCKS_MAX).await?;
        }
    }
    let spare = (free - FREE_PAGES_KEPT).min(FREED_PAGES_MAX);
    if spare > 0 {
        let sql = format!("PRAGMA incremental_vacuum({spare})");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(is_over)
}

/// Looks at one group, the next one at the next run, and forgets its series when nothing is recorded of them.
async fn forget_series(session: &mut Session) -> Result<(), Inner> {
    let groups = session.groups();
    // The last group may still get its first block.
    if groups < 2 {
        return Ok(());
    }
    let group = session.group % (groups - 1);
    session.group = group + 1;
    let is_used: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM block WHERE level = 0 AND grp = ?1) OR EXISTS \
         (SELECT 1 FROM block WHERE level IN (1, 2, 3) AND grp BETWEEN ?1 * ?2 AND ?1 * ?2 + ?2 - 1)",
    )
    .bind(group)
    .bind(PARTS)
    .fetch_one(&mut session.connection)
    .await?;
    if is_used == 0 {
        session.forget_group(group).await?;
    }
    Ok(())
}
