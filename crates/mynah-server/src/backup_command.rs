//! `mynah backup` and `mynah restore`: the SQLite database to a file and back.

use std::path::Path;
use std::time::{Duration, Instant};

use mynah_store::sqlite::{self, CopyStep};

use crate::config::Config;

/// Time between two lines about how far it is.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// Files of the data folder that a backup does not have.
const KEPT_SECRETS: [&str; 2] = ["jwt-secret", "encryption-key"];
/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;

/// Says how far a copy is, not too often.
pub struct Progress {
    say: fn(&str),
    said_at: Instant,
}

impl Progress {
    /// Lines go to `say`.
    pub fn new(say: fn(&str)) -> Self {
        Self { say, said_at: Instant::now() }
    }

    fn hear(&mut self, step: CopyStep) {
        match step {
            CopyStep::Copying { done, all } if self.said_at.elapsed() >= SAY_EVERY => {
                self.said_at = Instant::now();
                let percent = (done * 100).checked_div(all).unwrap_or(100);
                let (done, all) = (size(done * PAGE_BYTES), size(all * PAGE_BYTES));
                (self.say)(&format!("copying: {done} of {all} ({percent} %)"));
            }
            CopyStep::Copying { .. } => {}
            CopyStep::Checking => (self.say)("checking the copy from end to end"),
        }
    }
}

/// Whether the data is in SQLite.
///
/// # Errors
/// What to use where it is not.
pub fn check(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.store.url.is_empty(),
        "the data is in PostgreSQL (DATABASE_URL): back it up and restore it with pg_dump, pg_basebackup or what its \
         service has, and call SELECT mynah.begin_log() after a restore; see docs/operate.md"
    );
    Ok(())
}

/// Makes a backup; gives what to tell.
///
/// # Errors
/// A sentence that says why there is none.
pub fn back_up(
    data_dir: &Path,
    to: &Path,
    replace: bool,
    progress: &mut Progress,
) -> anyhow::Result<String> {
    let begun = Instant::now();
    let made = sqlite::back_up(data_dir, to, replace, &mut |step| progress.hear(step))?;
    let told = format!(
        "{} holds everything up to position {} of the log: {}, checked, in {:.1} s\n",
        to.display(),
        made.head_pos,
        size(made.bytes),
        begun.elapsed().as_secs_f64(),
    );
    let secrets: Vec<&str> =
        KEPT_SECRETS.into_iter().filter(|name| data_dir.join(name).exists()).collect();
    if secrets.is_empty() {
        return Ok(told);
    }
    Ok(format!(
        "{told}Not in it: {} of {}. Keep a copy of each elsewhere; without them sign-ins end at a restore and \
             the secrets of stored apps cannot be read.\n",
        secrets.join(" and "),
        data_dir.display(),
    ))
}

/// Puts a backup in place; gives what to tell.
///
/// # Errors
/// A sentence that says why it was not done.
pub fn restore(from: &Path, data_dir: &Path, progress: &mut Progress) -> anyhow::Result<String> {
    let done = sqlite::restore(from, data_dir, &mut |step| progress.hear(step))?;
    let told = format!(
        "{} now holds what {} had, up to position {} of the log.\nA new epoch of the log begins ({}): clients that \
         have seen more are told to read anew.\n",
        data_dir.display(),
        from.display(),
        done.head_pos,
        done.epoch,
    );
    Ok(match done.kept {
        Some(kept) => format!("{told}What was there before is kept as {}.\n", kept.display()),
        None => told,
    })
}

/// `1.4 GB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if amount < 1_000.0 {
            break;
        }
        amount /= 1_000.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}
