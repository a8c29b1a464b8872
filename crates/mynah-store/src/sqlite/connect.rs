//! Opening a database file: is it ours, is it young enough, and how is it set up.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::SqliteOptions;
use super::migrate;

/// `PRAGMA application_id` of a Mynah database: the letters `MYNA`.
pub(super) const APPLICATION_ID: u32 = 0x4d59_4e41;
/// How long a statement waits for a lock, in milliseconds.
pub(super) const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Name of the database file inside the data folder.
pub const FILE_NAME: &str = "mynah.sqlite3";

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has the database open.
    #[error("{path} is in use by another process; stop it first")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} is not a Mynah database; nothing was changed. Name another file or folder")]
    NotMynah {
        /// The file.
        path: PathBuf,
    },
    /// A newer release has written the database.
    #[error(
        "{path} has schema version {found}, but this binary knows versions up to {known}; nothing was \
         changed. Start the newer release again, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: u32,
        /// Newest version this binary knows.
        known: u32,
    },
    /// A server of an earlier release has the database open.
    #[error(
        "{path} has schema version {found} and a server has it open, but this binary needs version \
         {known}; nothing was changed. Stop that server, or use its own binary"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: u32,
        /// The version this binary needs.
        known: u32,
    },
    /// An applied migration is not the one this binary has.
    #[error(
        "{path}: migration {version} was applied in another wording than this binary has; nothing was \
         changed. Start the release that made the database"
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The migration.
        version: u32,
    },
    /// The engine refuses.
    #[error("cannot open {path}: {source}")]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

/// The database file for what the caller named: a folder, or a file.
pub(super) fn file_in(path: &Path) -> Result<PathBuf, OpenError> {
    let is_file = path.is_file() || path.extension().is_some_and(|e| e == "sqlite3" || e == "db");
    let folder = if is_file { path.parent() } else { Some(path) };
    if let Some(folder) = folder.filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenError::File { path: folder.to_owned(), source })?;
    }
    Ok(if is_file { path.to_owned() } else { path.join(FILE_NAME) })
}

/// Takes the lock that keeps a second process out; it is held as long as the file is open.
pub(super) fn lock(file: &Path) -> Result<File, OpenError> {
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| OpenError::File { path: path.clone(), source };
    let mut open = File::options();
    let held = open.create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::File { path, source }),
    }
}

/// Looks at the file's header without opening it as a database, so that a foreign or newer file is left
/// untouched. Offsets: <https://www.sqlite.org/fileformat2.html#the_database_header>.
pub(super) fn inspect(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    let mut header = Vec::with_capacity(100);
    file.by_ref().take(100).read_to_end(&mut header).map_err(failed)?;
    if header.is_empty() {
        return Ok(());
    }
    let not_mynah = || OpenError::NotMynah { path: path.to_owned() };
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(*header.get(at..)?.first_chunk::<4>()?))
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(not_mynah());
    }
    let (Some(found), Some(application)) = (word(60), word(68)) else { return Err(not_mynah()) };
    // A crash between creating the file and the first migration leaves an empty database.
    let empty = found == 0 && application == 0 && word(28).is_some_and(|pages| pages <= 1);
    if application != APPLICATION_ID && !empty {
        return Err(not_mynah());
    }
    migrate::check_version(path, found)
}

fn flags(read_only: bool) -> OpenFlags {
    let access = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// The writer's connection.
pub(super) fn writer(path: &Path, options: &SqliteOptions) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(path, flags(false))?;
    conn.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.pragma_update(None, "page_size", 4096)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -65_536)?;
    conn.query_row("PRAGMA journal_size_limit = 134217728", [], |_| Ok(()))?;
    conn.query_row("PRAGMA wal_autocheckpoint = 8000", [], |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(128);
    if let Some(pages) = options.pages_max {
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(conn)
}

/// A reader's connection.
pub(super) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(path, flags(true))?;
    conn.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "query_only", "ON")?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}
