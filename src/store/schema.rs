//! The tables, their version, and opening a file that may be anything.
//!
//! What cannot be used is moved aside, never deleted and never repaired: the database is a cache. A database
//! of another program is left alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::{Inner, StoreError};

/// `TDGT`, in the file's header: tells our databases from those of others.
const APPLICATION_ID: i64 = 0x5444_4754;

/// Each entry brings a database from its index to the next version.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    region TEXT NOT NULL,
    signal TEXT NOT NULL,
    UNIQUE (service, region, signal)
) STRICT;
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    level INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    start INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX block_of ON block (level, grp, start);
CREATE INDEX block_age ON block (level, start, grp);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);
CREATE INDEX event_of ON event (service, region, at);
CREATE TABLE state (
    service TEXT NOT NULL,
    region TEXT NOT NULL,
    saved_at INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (service, region)
) STRICT;
CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"];

/// The version of the tables.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// What a row of `block` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Readings of one batch, of a wide group; many for an hour. `start` is the hour.
    Fresh = 0,
    /// Readings of an hour that is over.
    Raw = 1,
    /// Minutes of an hour.
    Minutes = 2,
    /// Hours of a day.
    Hours = 3,
}

impl Level {
    pub(super) fn number(self) -> i64 {
        self as i64
    }
}

/// How long a statement waits for another process's lock: a backup or a look with `sqlite3` takes less.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// Bytes to which the write-ahead log is cut after a check-point: four of the usual ones (1,000 pages each).
const LOG_BYTES_MAX: &str = "16777216";

/// A lock and a connection of the one who writes.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: SqliteConnection,
    pub(super) identity: Identity,
    /// Whether there was no usable database before.
    pub(super) is_new: bool,
    /// Held as long as the connection.
    pub(super) lock: File,
}

/// Which file a connection has: another one by the same name is another database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file that is there now, if any.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let found = std::fs::metadata(file).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// Opens the database for writing. A damaged one, and one of a newer version, is moved aside first.
pub(super) async fn open(file: &Path) -> Result<Opened, StoreError> {
    let folder = |source| StoreError::Folder { file: file.to_path_buf(), source };
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(folder)?;
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside(file, "-lock"))
        .map_err(folder)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse { file: file.to_path_buf() });
        }
        Err(TryLockError::Error(error)) => return Err(folder(error)),
    }
    // A zero-length file is what a full disk leaves behind, and an empty database to SQLite.
    let is_new = std::fs::metadata(file).map_or(true, |found| found.len() == 0);
    let (connection, is_new) = match connect(file).await {
        Ok(connection) => (connection, is_new),
        Err(error) => {
            let ending = match &error {
                StoreError::Damaged { .. } => "damaged".to_owned(),
                StoreError::Newer { found, .. } => format!("v{found}"),
                _ => return Err(error),
            };
            set_aside(file, &ending, &error.to_string()).map_err(folder)?;
            (connect(file).await?, true)
        }
    };
    let gone = || folder(std::io::ErrorKind::NotFound.into());
    let identity = Identity::of(file).ok_or_else(gone)?;
    Ok(Opened { connection, identity, is_new, lock })
}

/// Opens the database for reading.
pub(super) async fn open_to_read(file: &Path) -> Result<(SqliteConnection, Identity), StoreError> {
    let missing = || StoreError::Missing { file: file.to_path_buf() };
    let identity = Identity::of(file).ok_or_else(missing)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .busy_timeout(BUSY_WAIT)
        .disable_statement_logging();
    let fail = |error: sqlx::Error| Inner::from(error).at(file);
    let mut connection = options.connect().await.map_err(fail)?;
    match version(&mut connection, file).await? {
        0 => Err(missing()),
        VERSION => Ok((connection, identity)),
        found => Err(StoreError::Older { file: file.to_path_buf(), found }),
    }
}

async fn connect(file: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(BUSY_WAIT)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // A power failure may cost the last seconds, never the database.
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", LOG_BYTES_MAX)
        .disable_statement_logging();
    let fail = |error: sqlx::Error| Inner::from(error).at(file);
    // Looked at before anything is written into it.
    if std::fs::metadata(file).is_ok_and(|found| found.len() > 0) {
        let looking = SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(BUSY_WAIT)
            .disable_statement_logging();
        let mut connection = looking.connect().await.map_err(fail)?;
        version(&mut connection, file).await?;
        connection.close().await.map_err(fail)?;
    }
    let mut connection = options.connect().await.map_err(fail)?;
    let found = version(&mut connection, file).await?;
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let mut step = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
        sqlx::raw_sql(*sql).execute(&mut *step).await.map_err(fail)?;
        let marks = format!(
            "PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID};",
            index + 1
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *step).await.map_err(fail)?;
        step.commit().await.map_err(fail)?;
    }
    Ok(connection)
}

/// The version of a database of ours, 0 of an empty one.
async fn version(connection: &mut SqliteConnection, file: &Path) -> Result<i64, StoreError> {
    let mut number = async |sql: &'static str| -> Result<i64, StoreError> {
        let number = sqlx::query_scalar(sql).fetch_one(&mut *connection).await;
        number.map_err(|error| Inner::from(error).at(file))
    };
    let found = number("PRAGMA user_version").await?;
    let application = number("PRAGMA application_id").await?;
    let tables = number("SELECT count(*) FROM sqlite_schema").await?;
    let file = file.to_path_buf();
    if application != APPLICATION_ID && (tables > 0 || application != 0 || found != 0) {
        Err(StoreError::Foreign { file })
    } else if found > VERSION {
        Err(StoreError::Newer { file, found, known: VERSION })
    } else {
        Ok(found)
    }
}

/// Renames the database and its log. Whatever was moved there before is replaced, so that a disk that damages
/// files does not fill as well.
pub(super) fn set_aside(file: &Path, ending: &str, why: &str) -> std::io::Result<()> {
    let aside = beside(file, &format!(".{ending}"));
    // Without the main file, a log left behind would be taken for the next one's.
    for part in ["-wal", "-shm"] {
        match std::fs::rename(beside(file, part), beside(&aside, part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    std::fs::rename(file, &aside)?;
    tracing::warn!(
        store = %file.display(),
        aside = %aside.display(),
        error = why,
        "the store cannot be used: it was moved aside and a new one begun",
    );
    Ok(())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
