//! How a database is, for a doctor: nothing is changed, also while a server has it open.

use std::path::Path;

use super::backup::{self, BackupError};
use super::connect::{self, OpenError};
use super::{migrate, rows, sql};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Version of its schema.
    pub schema: u32,
    /// The version that this binary brings it to.
    pub schema_newest: u32,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// `pos` of the newest event.
    pub head_pos: u64,
    /// Whether a server has it open.
    pub is_in_use: bool,
    /// What the quick check of its structure says; `None` when all is well.
    pub findings: Option<String>,
}

/// Looks at the database in `data` (a folder, or the file itself), and reads it from end to end.
///
/// # Errors
/// [`BackupError::Missing`] when there is none, else [`BackupError::Open`] when it cannot be used.
pub fn examine(data: &Path) -> Result<Examined, BackupError> {
    let file = backup::source_in(data)?;
    let failed = backup::engine(&file);
    let is_in_use = match connect::lock(&file) {
        Ok(_free) => false,
        Err(OpenError::InUse { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    let conn = connect::reader(&file).map_err(&failed)?;
    let schema = conn.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    let head_pos = rows::first(&conn, sql::NEWEST_EVENT, [], |row| rows::count(row, 0));
    let findings = backup::findings(&conn, "PRAGMA quick_check").map_err(&failed)?;
    let size = |file: &Path| std::fs::metadata(file).map_or(0, |found| found.len());
    Ok(Examined {
        schema: schema.map_err(&failed)?,
        schema_newest: migrate::known(),
        bytes: size(&file),
        wal_bytes: size(&backup::beside(&file, "-wal")),
        head_pos: head_pos.map_err(&failed)?.unwrap_or(0),
        is_in_use,
        findings,
    })
}
