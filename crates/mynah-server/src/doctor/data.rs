//! The data folder and the SQLite database in it.

use std::path::Path;
use std::time::Instant;

use mynah_store::sqlite::{self, BackupError, Examined};

use super::report::{Report, span};
use crate::backup_command::size;
use crate::config::Config;

const FOLDER: &str = "data folder";
const STORE: &str = "store";
/// Less free space than this is told.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Less than this is wrong.
const FREE_BYTES_LAST: u64 = 64 << 20;
/// A write-ahead log this large is not folded in time.
const WAL_BYTES_MAX: u64 = 512 << 20;

pub(super) fn folder(config: &Config, report: &mut Report) {
    let path = &config.server.data_dir;
    let shown = path.display();
    if !path.is_dir() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if parent.is_none_or(Path::is_dir) {
            report.note(FOLDER, format!("{shown} is not there yet; the first start makes it"), "");
        } else {
            let advice = "Make it, or name another with MYNAH_DATA_DIR.";
            report.wrong(FOLDER, format!("{shown} is not there, nor the folder it is in"), advice);
        }
        return;
    }
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        let advice =
            "The server's user must own it: chown it, or name another with MYNAH_DATA_DIR.";
        report.wrong(FOLDER, format!("{shown} cannot be written to: {error}"), advice);
        return;
    }
    match rustix::fs::statvfs(path) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let text = format!("{shown} can be written to; {} are free", size(free));
            let advice = "On a full disk reads go on and writes are refused. Make room.";
            if free < FREE_BYTES_LAST {
                report.wrong(FOLDER, text, advice);
            } else if free < FREE_BYTES_MIN {
                report.note(FOLDER, text, advice);
            } else {
                report.ok(FOLDER, text);
            }
        }
        Err(error) => {
            report.note(FOLDER, format!("{shown}: its free space cannot be told: {error}"), "");
        }
    }
}

pub(super) async fn sqlite(config: &Config, report: &mut Report) {
    let path = config.server.data_dir.clone();
    report.progress("reading the database from end to end");
    let begun = Instant::now();
    let examined = tokio::task::spawn_blocking(move || sqlite::examine(&path)).await;
    match examined {
        Ok(Ok(found)) => told(&found, &span(begun.elapsed()), report),
        Ok(Err(BackupError::Missing { path })) => {
            report.note(
                STORE,
                format!("there is no {} yet; the first start makes it", path.display()),
                "",
            );
        }
        Ok(Err(error)) => report.wrong(STORE, error.to_string(), ""),
        Err(error) => report.wrong(STORE, format!("the check broke off: {error}"), ""),
    }
}

fn told(found: &Examined, took: &str, report: &mut Report) {
    let Examined { schema, schema_newest, head_pos, .. } = found;
    let user = if found.is_in_use { "a server has it open" } else { "no server has it open" };
    let bytes = size(found.bytes);
    match &found.findings {
        Some(findings) => report.wrong(
            STORE,
            format!("SQLite, {bytes}, is damaged: {findings}"),
            "Stop the server, keep a copy of the data folder, and restore the last backup (mynah restore).",
        ),
        None => report.ok(
            STORE,
            format!("SQLite, {bytes}, sound (read in {took}), log up to position {head_pos}; {user}"),
        ),
    }
    if schema < schema_newest {
        report.note(
            STORE,
            format!("its schema is of version {schema}; this binary brings it to {schema_newest} at its next start"),
            "Make a backup before: an older binary does not open it afterwards.",
        );
    }
    if found.wal_bytes > WAL_BYTES_MAX {
        report.note(
            STORE,
            format!("its write-ahead log has {}", size(found.wal_bytes)),
            "Something keeps reading an old state of it, such as a backup that hangs or another program that has \
             the file open.",
        );
    }
}
