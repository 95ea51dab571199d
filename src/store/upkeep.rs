//! Rolling up and deleting, a little at a time.
//!
//! Each run does a bounded piece of work in short transactions, each of which may be cut by a kill: a rolled-up
//! hour replaces what it was made from in the same transaction. The clock is the newest time that was recorded.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::Retention;
use super::block::{Columns, RawPoint, put_points, put_raw, read_points, read_raw};
use super::error::Inner;
use super::rollup::{buckets, floor, of_raw, short};
use super::sample::{Point, Resolution};
use super::schema::Level;
use super::session::{Session, insert_block};
use crate::model::Moment;

/// How long after its end an hour is rolled up: sources that stamp late have answered by then. Later still is
/// allowed, and costs a second roll-up.
const LATE: Duration = Duration::from_secs(5 * 60);
/// Hours of one group that are rolled up in a run, a few milliseconds each. The largest fleet has 470 groups:
/// at a run every 15 seconds it is done in eight minutes.
const ROLL_UPS_MAX: i64 = 16;
/// Blocks that are deleted in a run: ten times what the largest fleet makes.
const DELETED_BLOCKS_MAX: i64 = 256;
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
        delete_blocks(connection, level, floor(now.before(kept), step)).await?;
    }
    sqlx::query("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < ? LIMIT ?)")
        .bind(now.before(retention.events).0)
        .bind(DELETED_EVENTS_MAX)
        .execute(&mut *connection)
        .await?;
    let is_cut = keep_size(connection, retention.bytes_max).await?;
    forget_series(session).await?;
    Ok(Kept { is_cut })
}

/// The raw readings of an hour, in order of time, each stamp once.
pub(super) async fn read_hour(
    connection: &mut SqliteConnection,
    group: i64,
    hour: Moment,
    only: Option<u8>,
) -> Result<Columns<RawPoint>, Inner> {
    let mut columns = Columns::new();
    // What was rolled up before comes first, then what came later, in the order it came.
    for level in [Level::Raw, Level::Fresh] {
        let bodies: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT body FROM block WHERE level = ? AND grp = ? AND start = ? ORDER BY id",
        )
        .bind(level.number())
        .bind(group)
        .bind(hour.0)
        .fetch_all(&mut *connection)
        .await?;
        for body in bodies {
            read_raw(&body, hour, only, &mut columns)?;
        }
    }
    for points in columns.values_mut() {
        points.sort_by_key(|point| point.at);
        points.dedup_by(|later, kept| {
            let same = later.at == kept.at;
            if same {
                *kept = *later;
            }
            same
        });
    }
    Ok(columns)
}

/// Replaces the fresh blocks of an hour by one raw block, its minutes, and its place among the day's hours.
async fn roll_up(connection: &mut SqliteConnection, group: i64, hour: Moment) -> Result<(), Inner> {
    let mut step = connection.begin_with("BEGIN IMMEDIATE").await?;
    let raw = read_hour(&mut step, group, hour, None).await?;
    let mut minutes: Columns<Point> = Columns::new();
    let day = floor(hour, DAY_MS);
    let mut hours = read_hours(&mut step, group, day).await?;
    for (slot, points) in &raw {
        let exact = of_raw(points, Resolution::Minute);
        let of_day = hours.entry(*slot).or_default();
        of_day.retain(|point| point.at != hour);
        of_day.extend(buckets(exact.iter().copied(), Resolution::Hour).into_iter().map(short));
        of_day.sort_by_key(|point| point.at);
        minutes.insert(*slot, exact.into_iter().map(short).collect());
    }
    minutes.retain(|_, points| !points.is_empty());
    hours.retain(|_, points| !points.is_empty());
    for (level, start) in
        [(Level::Fresh, hour), (Level::Raw, hour), (Level::Minutes, hour), (Level::Hours, day)]
    {
        sqlx::query("DELETE FROM block WHERE level = ? AND grp = ? AND start = ?")
            .bind(level.number())
            .bind(group)
            .bind(start.0)
            .execute(&mut *step)
            .await?;
    }
    insert_block(&mut step, Level::Raw, group, hour, &put_raw(&raw, hour)).await?;
    if !minutes.is_empty() {
        let body = put_points(&minutes, hour, Resolution::Minute);
        insert_block(&mut step, Level::Minutes, group, hour, &body).await?;
    }
    if !hours.is_empty() {
        let body = put_points(&hours, day, Resolution::Hour);
        insert_block(&mut step, Level::Hours, group, day, &body).await?;
    }
    step.commit().await?;
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
) -> Result<(), Inner> {
    sqlx::query(
        "DELETE FROM block WHERE id IN \
         (SELECT id FROM block WHERE level = ? AND start < ? ORDER BY start LIMIT ?)",
    )
    .bind(level.number())
    .bind(before.0)
    .bind(DELETED_BLOCKS_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the oldest of the finest when the file is too large, and gives free pages back. Whether it was.
async fn keep_size(connection: &mut SqliteConnection, bytes_max: u64) -> Result<bool, Inner> {
    let mut number = async |sql: &'static str| -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await
    };
    let pages = number("PRAGMA page_count").await?;
    let free = number("PRAGMA freelist_count").await?;
    let page_bytes = number("PRAGMA page_size").await?;
    let used = u64::try_from((pages - free) * page_bytes).unwrap_or(0);
    let is_over = used > bytes_max;
    if is_over {
        for level in [Level::Raw, Level::Minutes, Level::Hours] {
            let deleted = sqlx::query(
                "DELETE FROM block WHERE id IN \
                 (SELECT id FROM block WHERE level = ? ORDER BY start LIMIT ?)",
            )
            .bind(level.number())
            .bind(DELETED_BLOCKS_MAX)
            .execute(&mut *connection)
            .await?;
            if deleted.rows_affected() > 0 {
                break;
            }
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
        "SELECT EXISTS (SELECT 1 FROM block WHERE level IN (0, 1, 2, 3) AND grp = ?)",
    )
    .bind(group)
    .fetch_one(&mut session.connection)
    .await?;
    if is_used == 0 {
        session.forget_group(group).await?;
    }
    Ok(())
}
