//! A copy of a database while a server writes to it, and the way back.
//!
//! The copy is of one moment: a read transaction is open while pages are copied, so whatever is committed
//! meanwhile goes to the write-ahead log and the writer waits for nothing. A file has its name only when it is
//! whole, checked and on disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mynah_domain::recovery::LogEpoch;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connect::{self, OpenError};
use super::{SqliteOptions, migrate, rows, sql};

/// Pages copied in one step: 4 MiB.
const STEP_PAGES: i32 = 1_024;
/// A restored log goes on this far beyond what it had: nobody can have seen an event there, however long the
/// log went on after the backup (at 10,000 events a second: three years).
const POS_LEAP: u64 = 1 << 40;
/// Findings of the integrity check that are told.
const FINDINGS_MAX: usize = 5;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Pages are copied.
    Copying {
        /// So many are.
        done: u64,
        /// Of so many.
        all: u64,
    },
    /// The copy is read from end to end.
    Checking,
}

/// A backup that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size.
    pub bytes: u64,
    /// `pos` of the newest event in it.
    pub head_pos: u64,
}

/// A database that was put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// `pos` of the newest event in it.
    pub head_pos: u64,
    /// The life of the log that begins with it.
    pub epoch: LogEpoch,
    /// Where the database is now that was there before, if one was.
    pub kept: Option<PathBuf>,
}

/// Why nothing was copied. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no database to copy.
    #[error("there is no database at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there already.
    #[error("{path} exists; name another file, or say --force to replace it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The backup would take the place of what it is a copy of.
    #[error("{path} is the database itself; name another file")]
    Itself {
        /// The file.
        path: PathBuf,
    },
    /// The copy is not sound, so its source is not.
    #[error("{path} is damaged: {findings}")]
    Damaged {
        /// The source.
        path: PathBuf,
        /// What the integrity check says.
        findings: String,
    },
    /// The database cannot be used, or a server uses it.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Copies the database in `data` (a folder, or the file itself) to the file `to`, also while a server has it
/// open. Tells `heard` how far it is.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn back_up(
    data: &Path,
    to: &Path,
    replace: bool,
    heard: &mut dyn FnMut(CopyStep),
) -> Result<BackedUp, BackupError> {
    let file = source_in(data)?;
    if is_same(&file, to) {
        return Err(BackupError::Itself { path: to.to_owned() });
    }
    let taken = || BackupError::Exists { path: to.to_owned() };
    if to.is_dir() || (!replace && to.exists()) {
        return Err(taken());
    }
    let part = Part::beside(to)?;
    let head_pos = copy(&file, &part.path, heard)?;
    heard(CopyStep::Checking);
    check(&file, &part.path)?;
    if !replace && to.exists() {
        return Err(taken());
    }
    let bytes = part.take_name(to)?;
    Ok(BackedUp { bytes, head_pos })
}

/// Puts a copy of the backup `from` in the place of the database in `data`, which is kept under another name.
/// The schema is brought up to date, and a new life of the log begins, whose positions nobody has seen.
///
/// # Errors
/// [`BackupError`]; [`OpenError::InUse`] while a server has the database open, [`OpenError::NotMynah`] and
/// [`OpenError::Newer`] for files that this binary cannot use.
pub fn restore(
    from: &Path,
    data: &Path,
    heard: &mut dyn FnMut(CopyStep),
) -> Result<Restored, BackupError> {
    if from.is_dir() {
        return Err(BackupError::Missing { path: from.to_owned() });
    }
    let source = source_in(from)?;
    let file = connect::file_in(data)?;
    let lock = connect::lock(&file)?;
    let part = Part::beside(&file)?;
    let head_pos = copy(&source, &part.path, heard)?;
    heard(CopyStep::Checking);
    check(&source, &part.path)?;
    let epoch = begin_log(&part.path, head_pos)?;
    let kept = keep_aside(&file)?;
    part.take_name(&file)?;
    drop(lock);
    Ok(Restored { head_pos, epoch, kept })
}

/// The database file meant by a folder or file, if it is one of ours and not too new.
pub(super) fn source_in(path: &Path) -> Result<PathBuf, BackupError> {
    let file = if path.is_dir() { path.join(connect::FILE_NAME) } else { path.to_owned() };
    match std::fs::metadata(&file) {
        Ok(found) if found.is_file() && found.len() > 0 => {}
        Ok(_) => return Err(BackupError::Missing { path: file }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BackupError::Missing { path: file });
        }
        Err(source) => return Err(OpenError::File { path: file, source }.into()),
    }
    connect::inspect(&file)?;
    Ok(file)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

pub(super) fn engine(path: &Path) -> impl Fn(rusqlite::Error) -> BackupError {
    let path = path.to_owned();
    move |source| OpenError::Engine { path: path.clone(), source }.into()
}

fn copy(from: &Path, to: &Path, heard: &mut dyn FnMut(CopyStep)) -> Result<u64, BackupError> {
    let failed = engine(from);
    let source = connect::reader(from).map_err(&failed)?;
    // Without it the copy would begin anew with every commit of the server.
    source.execute_batch("BEGIN").map_err(&failed)?;
    let head_pos = rows::first(&source, sql::NEWEST_EVENT, [], |row| rows::count(row, 0));
    let head_pos = head_pos.map_err(&failed)?.unwrap_or(0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = engine(to);
    let mut copy = Connection::open_with_flags(to, flags).map_err(&failed)?;
    // It is worth nothing until it is whole, and synced then.
    copy.pragma_update(None, "synchronous", "OFF").map_err(&failed)?;
    let backup = Backup::new(&source, &mut copy).map_err(&failed)?;
    loop {
        let step = backup.step(STEP_PAGES).map_err(&failed)?;
        let progress = backup.progress();
        let all = u64::try_from(progress.pagecount).unwrap_or(0);
        let left = u64::try_from(progress.remaining).unwrap_or(0);
        heard(CopyStep::Copying { done: all.saturating_sub(left), all });
        match step {
            StepResult::Done => return Ok(head_pos),
            StepResult::More => {}
            StepResult::Busy | StepResult::Locked | _ => {
                let source = io::Error::other("another process holds the copy");
                return Err(OpenError::File { path: to.to_owned(), source }.into());
            }
        }
    }
}

/// Reads the copy from end to end, and makes it one file that needs no other beside it.
fn check(source: &Path, copy: &Path) -> Result<(), BackupError> {
    let failed = engine(copy);
    let conn = Connection::open(copy).map_err(&failed)?;
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(&failed)?;
    let findings = findings(&conn, "PRAGMA integrity_check").map_err(&failed)?;
    if let Some(findings) = findings {
        return Err(BackupError::Damaged { path: source.to_owned(), findings });
    }
    conn.close().map_err(|(_, error)| failed(error))
}

/// What an integrity check says; `None` when all is well.
pub(super) fn findings(conn: &Connection, check: &str) -> Result<Option<String>, rusqlite::Error> {
    let mut check = conn.prepare(check)?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    let lines: Vec<String> = lines.take(FINDINGS_MAX).collect::<Result<_, _>>()?;
    let is_well = lines.iter().all(|line| line == "ok");
    Ok((!is_well).then(|| lines.join("; ")))
}

fn begin_log(copy: &Path, head_pos: u64) -> Result<LogEpoch, BackupError> {
    let failed = engine(copy);
    let mut conn = connect::writer(copy, &SqliteOptions::default()).map_err(&failed)?;
    migrate::run(copy, &mut conn)?;
    let floor = rows::first(&conn, sql::HEAD_POS, [], |row| rows::count(row, 0));
    let floor = floor.map_err(&failed)?.unwrap_or(head_pos).saturating_add(POS_LEAP);
    rows::execute(&conn, sql::LOG_RENEW, [floor.cast_signed()]).map_err(&failed)?;
    let epoch = rows::first(&conn, sql::LOG_EPOCH, [], |row| row.get::<_, i64>(0));
    let epoch = LogEpoch(epoch.map_err(&failed)?.unwrap_or(0).cast_unsigned());
    // One file again: nothing beside it must take its new name with it.
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(&failed)?;
    conn.close().map_err(|(_, error)| failed(error))?;
    Ok(epoch)
}

/// Gives the old database a second name. It keeps the first until the new one takes it, so that there is always
/// one, unless its log cannot be folded into it: then its files move away together.
fn keep_aside(file: &Path) -> Result<Option<PathBuf>, BackupError> {
    if !file.exists() {
        return Ok(None);
    }
    let aside = (1_u32..).map(|n| beside(file, &format!(".replaced-{n}")));
    let Some(aside) = aside.take(100_000).find(|aside| !aside.exists()) else {
        return Err(BackupError::Exists { path: beside(file, ".replaced-1") });
    };
    let failed = |source| BackupError::from(OpenError::File { path: aside.clone(), source });
    let log = beside(file, "-wal");
    if fold(file).is_err() || log.exists() {
        for part in ["-wal", "-shm"] {
            let (old, new) = (beside(file, part), beside(&aside, part));
            if old.exists() {
                std::fs::rename(old, new).map_err(failed)?;
            }
        }
        std::fs::rename(file, &aside).map_err(failed)?;
    } else if std::fs::hard_link(file, &aside).is_err() {
        std::fs::rename(file, &aside).map_err(failed)?;
    }
    Ok(Some(aside))
}

/// Moves everything from the write-ahead log into the file, whereupon the log is gone.
fn fold(file: &Path) -> Result<(), rusqlite::Error> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}

pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that is being made under another name, and is gone unless it gets its own.
struct Part {
    path: PathBuf,
}

impl Part {
    fn beside(file: &Path) -> Result<Self, BackupError> {
        let path = beside(file, ".part");
        // Left by one that was killed. Two at once: the second takes the first one's file away, and the
        // first fails when it wants to give it its name.
        let failed = |source| OpenError::File { path: path.clone(), source };
        let part = Self { path: path.clone() };
        part.remove();
        let mut open = File::options();
        open.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        Ok(part)
    }

    /// Gives its size.
    fn take_name(&self, name: &Path) -> Result<u64, BackupError> {
        let named = || {
            let file = File::open(&self.path)?;
            file.sync_all()?;
            std::fs::rename(&self.path, name)?;
            let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file.metadata()?.len())
        };
        let failed = |source| OpenError::File { path: name.to_owned(), source }.into();
        named().map_err(failed)
    }

    fn remove(&self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // Mostly it is not there.
            drop(std::fs::remove_file(beside(&self.path, suffix)));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.remove();
    }
}
