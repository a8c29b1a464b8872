//! The shell that cleans up when this process is gone.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::{ProgramError, Result};

/// Reads `kill PID`, `quit PID` and `gone PID`; at the end of its input ends what runs, with SIGKILL or first with
/// SIGQUIT, and removes the folder. A process that was stopped cannot obey SIGQUIT; hence CONT first.
pub(super) const SCRIPT: &str = r#"
trap '' INT TERM HUP
without() {
  for other in $2; do [ "$other" = "$1" ] || printf ' %s' "$other"; done
}
killed= asked=
while read -r what pid; do
  killed=$(without "$pid" "$killed")
  asked=$(without "$pid" "$asked")
  case $what in
    kill) killed="$killed $pid" ;;
    quit) asked="$asked $pid" ;;
  esac
done
for pid in $asked; do kill -CONT "$pid"; kill -QUIT "$pid"; done 2>/dev/null
for pid in $killed; do kill -KILL "$pid"; done 2>/dev/null
for turn in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for pid in $asked; do kill -0 "$pid" 2>/dev/null && left="$left $pid"; done
  [ -z "$left" ] && break
  sleep 0.1
done
for pid in $left; do kill -KILL "$pid"; done 2>/dev/null
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// One per process, made when the first program is started.
pub(super) struct Watcher {
    folder: PathBuf,
    pipe: Mutex<ChildStdin>,
    next: AtomicU32,
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();
static MAKING: Mutex<()> = Mutex::new(());

impl Watcher {
    pub(super) fn get() -> Result<&'static Self> {
        let making = MAKING.lock();
        if let Some(watcher) = WATCHER.get() {
            return Ok(watcher);
        }
        let made = Self::start()?;
        let watcher = WATCHER.get_or_init(|| made);
        drop(making);
        Ok(watcher)
    }

    fn start() -> Result<Self> {
        let at = ProgramError::at;
        let folder = tempfile::Builder::new().prefix("mynah-programs-").tempdir();
        // The shell removes it: values in statics are never dropped.
        let folder = folder.map_err(at("temporary folder"))?.keep();
        // PostgreSQL runs as somebody else and must get through to its own folder.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711))
            .map_err(at("temporary folder"))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "watcher"]).arg(&folder).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = shell.spawn().map_err(at("starting sh"))?;
        let pipe = child.stdin.take().ok_or_else(|| ProgramError::new("sh has no input"))?;
        Ok(Self { folder, pipe: Mutex::new(pipe), next: AtomicU32::new(0) })
    }

    /// A new folder whose name begins with `name`.
    pub(super) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{name}-{number}"));
        std::fs::create_dir(&folder).map_err(ProgramError::at("folder"))?;
        Ok(folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes that a process runs, or is gone.
    pub(super) fn note(&self, what: &str, pid: u32) {
        // If the shell is gone, nobody is left to be told.
        drop(writeln!(self.pipe.lock(), "{what} {pid}"));
    }
}
