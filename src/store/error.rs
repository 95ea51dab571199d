//! What can go wrong with the database. None of it stops the controller.

use std::path::PathBuf;

use super::codec::DamagedBlock;

/// Why the store cannot be used, written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file beside the database cannot be used.
    #[error(
        "use the store `{file}`: {source}; check that its folder exists, is writable and is not full"
    )]
    Folder {
        /// The database.
        file: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// Another process records into it.
    #[error(
        "open the store `{file}`: another Tidegate records into it; stop it, or give this one a `store.url` of its own"
    )]
    InUse {
        /// The database.
        file: PathBuf,
    },
    /// The file belongs to another program.
    #[error(
        "open the store `{file}`: it is a database of another program; give `store.url` a file of its own"
    )]
    Foreign {
        /// The database.
        file: PathBuf,
    },
    /// The file was made by a newer version.
    #[error(
        "open the store `{file}`: a newer Tidegate made it (version {found}, this one knows {known}); use that version"
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// The file was made by an older version, and only a controller brings it up to date.
    #[error(
        "open the store `{file}`: an older Tidegate made it (version {found}); start the controller, which brings it up to date"
    )]
    Older {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
    },
    /// There is no database yet.
    #[error("open the store `{file}`: there is none yet; a running controller makes it")]
    Missing {
        /// The database.
        file: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "read the store `{file}`: {reason}: the file is damaged; the controller moves it aside and begins a new one"
    )]
    Damaged {
        /// The database.
        file: PathBuf,
        /// How it was noticed.
        reason: String,
    },
    /// A statement failed.
    #[error("use the store `{file}`: {reason}; it is tried again")]
    Failed {
        /// The database.
        file: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// What waited could not be written, and waits on.
    #[error("write what waits for the store `{file}`: {reason}")]
    Flush {
        /// The database.
        file: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The writer is gone, or did not answer in time; what waits may be lost.
    #[error("write what waits for the store `{file}`: the disk did not answer in time; look at it")]
    NoAnswer {
        /// The database.
        file: PathBuf,
    },
}

/// Result codes of SQLite whose file is not worth another try: `SQLITE_CORRUPT` and `SQLITE_NOTADB`
/// (<https://www.sqlite.org/rescode.html>). The low byte is the primary code.
const DAMAGED_CODES: [i32; 2] = [11, 26];

/// What happened inside, before the file's name is added.
#[derive(Debug, thiserror::Error)]
pub(super) enum Inner {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error(transparent)]
    Block(#[from] DamagedBlock),
}

impl Inner {
    /// Whether the file itself is bad.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Block(DamagedBlock) => true,
            Self::Sql(sqlx::Error::Database(error)) => error
                .code()
                .and_then(|code| code.parse::<i32>().ok())
                .is_some_and(|code| DAMAGED_CODES.contains(&(code & 0xff))),
            // A value of another type than the schema says.
            Self::Sql(sqlx::Error::ColumnDecode { .. }) => true,
            Self::Sql(_) => false,
        }
    }

    pub(super) fn at(&self, file: &std::path::Path) -> StoreError {
        let file = file.to_path_buf();
        if self.is_damage() {
            StoreError::Damaged { file, reason: self.to_string() }
        } else {
            StoreError::Failed { file, reason: self.to_string() }
        }
    }
}
