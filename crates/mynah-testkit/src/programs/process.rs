//! One running process with a log file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::watcher::Watcher;
use super::{ProgramError, Result};

/// Starting may take long on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Between two questions whether it is ready.
const ASK_AGAIN: Duration = Duration::from_millis(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const LOG_TAIL_BYTES: u64 = 4_000;

/// Ports that Linux gives to nobody who does not name them.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port of 127.0.0.1 on which nobody listens now, and that no other caller is given soon: it is bound only some
/// time later.
///
/// # Errors
/// No port could be had.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Processes begin far from each other.
    let first = std::process::id().wrapping_mul(61);
    for _ in 0..count {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start + u16::try_from(next).unwrap_or_default();
        if TcpListener::bind(local(port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ProgramError::new("no port is free".to_owned()))
}

pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A process that ends with this value.
pub(super) struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; its output is appended to the file `log`. `last` is the signal with which the watcher ends
    /// it: SIGKILL, or SIGQUIT for who must free something.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        last: Signal,
    ) -> Result<Self> {
        let at = ProgramError::at;
        let watcher = Watcher::get()?;
        let output = File::options().create(true).append(true).open(log).map_err(at("log"))?;
        command.stdin(Stdio::null()).stderr(output.try_clone().map_err(at("log"))?).stdout(output);
        // Keys pressed at a terminal are for this process; the watcher deals with the others.
        let child = command.process_group(0).spawn().map_err(at(name))?;
        watcher.note(if last == Signal::QUIT { "quit" } else { "kill" }, child.id());
        Ok(Self { name, log: log.to_owned(), child, ended: None })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks until it is ready.
    pub(super) fn wait_ready(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_ready() {
            if let Some(status) = self.try_wait()? {
                return Err(self.error(&format!("ended with {status}")));
            }
            if began.elapsed() > READY_LIMIT {
                return Err(self.error("is not ready in time"));
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }

    pub(super) fn error(&self, what: &str) -> ProgramError {
        ProgramError::new(format!("{} {what}; it said:\n{}", self.name, log_tail(&self.log)))
    }

    pub(super) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(ProgramError::at(self.name))?;
            if self.ended.is_some() {
                Watcher::get()?.note("gone", self.child.id());
            }
        }
        Ok(self.ended)
    }

    /// Waits for its end; `None` if it has not ended within `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let ended = self.try_wait()?;
            if ended.is_some() || began.elapsed() > limit {
                return Ok(ended);
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Sends a signal; nothing happens if it has ended.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        signal_to(self.child.id(), signal);
        Ok(())
    }

    /// SIGSTOP, and waits until it stands still.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let began = Instant::now();
        while self.try_wait()?.is_none() && !is_stopped(self.id()) {
            if began.elapsed() > READY_LIMIT {
                return Err(self.error("does not stop"));
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(READY_LIMIT)?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher tries again when this process ends.
        drop(self.kill());
    }
}

pub(super) fn signal_to(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // Fails only if it is gone.
        kill_process(pid, signal).unwrap_or_default();
    }
}

/// Whether the state of a process, field 3 of proc_pid_stat(5), is `T`.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Waits until none of these processes runs; `None` if that takes too long.
pub(super) fn wait_gone(pids: &[u32]) -> Option<()> {
    let began = Instant::now();
    while pids.iter().any(|pid| runs(*pid)) {
        if began.elapsed() > READY_LIMIT {
            return None;
        }
        std::thread::sleep(ASK_AGAIN);
    }
    Some(())
}

/// Whether there is more of a process than its exit status.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The end of a log file.
pub(super) fn log_tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(ProgramError::at("starting a tool"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(ProgramError::new(format!("{command:?}: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends `question` and returns the first bytes of the answer; `None` if there is none.
pub(super) fn ask(port: u16, question: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&local(port), ANSWER_LIMIT).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = vec![0; 4_096];
    let count = stream.read(&mut answer).ok()?;
    answer.truncate(count);
    Some(answer)
}
