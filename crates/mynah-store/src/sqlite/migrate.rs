//! Numbered migrations, each one transaction.

use std::path::Path;

use rusqlite::Connection;

use super::connect::{APPLICATION_ID, OpenError};
use super::{rows, sql};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Migration n is the nth entry. Applied ones are never changed: their checksum is stored.
const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_init", sql: include_str!("../../migrations/sqlite/0001_init.sql") },
    Migration {
        name: "0002_open_rooms",
        sql: include_str!("../../migrations/sqlite/0002_open_rooms.sql"),
    },
    Migration { name: "0003_apps", sql: include_str!("../../migrations/sqlite/0003_apps.sql") },
    Migration { name: "0004_outbox", sql: include_str!("../../migrations/sqlite/0004_outbox.sql") },
    Migration { name: "0005_nodes", sql: include_str!("../../migrations/sqlite/0005_nodes.sql") },
    Migration { name: "0006_log", sql: include_str!("../../migrations/sqlite/0006_log.sql") },
    Migration { name: "0007_search", sql: include_str!("../../migrations/sqlite/0007_search.sql") },
];

/// Newest schema version this binary knows.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// FNV-1a of the text, line endings aside: it has to notice an edit, not an attacker.
fn checksum(text: &str) -> String {
    let bytes = text.bytes().filter(|b| *b != b'\r');
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Refuses a schema that this binary does not know.
pub(super) fn check_version(path: &Path, found: u32) -> Result<(), OpenError> {
    let known = known();
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Refuses a schema that is not the newest, without changing it.
pub(super) fn check_current(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let engine = |source| OpenError::Engine { path: path.to_owned(), source };
    let found = conn.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    let (found, known) = (found.map_err(engine)?, known());
    check_version(path, found)?;
    if found < known {
        return Err(OpenError::Older { path: path.to_owned(), found, known });
    }
    check_applied(path, conn, found)
}

/// Brings the schema to the newest version.
pub(super) fn run(path: &Path, conn: &mut Connection) -> Result<(), OpenError> {
    let engine = |source| OpenError::Engine { path: path.to_owned(), source };
    let version = conn.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    let version = version.map_err(engine)?;
    check_version(path, version)?;
    check_applied(path, conn, version)?;
    let mut migrated = false;
    for (migration, number) in MIGRATIONS.iter().zip(1_u32..).skip(version as usize) {
        apply(conn, migration, number).map_err(engine)?;
        tracing::info!(version = number, name = migration.name, "schema migrated");
        migrated = true;
    }
    if migrated {
        // The version must stand in the file itself, where an older binary looks for it.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(engine)?;
    }
    Ok(())
}

fn check_applied(path: &Path, conn: &Connection, version: u32) -> Result<(), OpenError> {
    for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
        let stored = rows::first(conn, sql::MIGRATION, [number], |row| row.get::<_, String>(0))
            .map_err(|source| OpenError::Engine { path: path.to_owned(), source })?;
        if stored.as_deref() != Some(checksum(migration.sql).as_str()) {
            return Err(OpenError::Altered { path: path.to_owned(), version: number });
        }
    }
    Ok(())
}

fn apply(conn: &mut Connection, migration: &Migration, number: u32) -> Result<(), rusqlite::Error> {
    let tx = conn.transaction()?;
    tx.execute_batch(migration.sql)?;
    tx.execute(sql::MIGRATION_INSERT, (number, migration.name, checksum(migration.sql)))?;
    tx.pragma_update(None, "user_version", number)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::super::{SqliteOptions, connect};
    use super::*;

    #[test]
    fn a_database_of_every_earlier_version_is_brought_up_to_date() {
        for version in 0..known() {
            let dir = tempfile::tempdir().expect("temporary folder");
            let path = dir.path().join(connect::FILE_NAME);
            let mut conn = connect::writer(&path, &SqliteOptions::default()).expect("opened");
            for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
                apply(&mut conn, migration, number).expect("applied");
            }
            run(&path, &mut conn).expect("migrated");
            let found = conn.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
            assert_eq!(found.expect("read"), known());
            for (name, text) in sql::ALL {
                let prepared = conn.prepare(text);
                assert!(prepared.is_ok(), "{name} after version {version}: {prepared:?}");
            }
            run(&path, &mut conn).expect("nothing is left to do");
        }
    }
}
