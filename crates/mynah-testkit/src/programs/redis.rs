//! Redis.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::process::{Process, ask, free_port, log_tail};
use super::watcher::Watcher;
use super::{Data, ProgramError, Result};

/// A Redis of its own, which writes what it is told to an append-only file.
pub struct Redis {
    folder: PathBuf,
    port: u16,
    process: Process,
}

impl Redis {
    /// Starts one without data.
    ///
    /// # Errors
    /// `redis-server` is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let (folder, port) = (Watcher::get()?.new_folder("redis")?, free_port()?);
        let process = launch(&folder, port)?;
        Ok(Self { folder, port, process })
    }

    /// Where it listens, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://…` at that port: its own, or a proxy's.
    pub fn url(&self, port: u16) -> String {
        format!("redis://127.0.0.1:{port}/")
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Stops it (SIGSTOP): it hangs, but its sockets stay open.
    ///
    /// # Errors
    /// It cannot be asked whether it runs.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It cannot be asked whether it runs.
    pub fn resume(&mut self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Starts it again on the same port and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, data: Data) -> Result<()> {
        self.kill()?;
        if data == Data::Lost {
            std::fs::remove_dir_all(&self.folder).map_err(ProgramError::at("data"))?;
            std::fs::create_dir(&self.folder).map_err(ProgramError::at("data"))?;
        }
        self.process = launch(&self.folder, self.port)?;
        Ok(())
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.folder.join("log"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.kill());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn launch(folder: &Path, port: u16) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "yes", "--dir"]).arg(folder);
    let mut process = Process::start("redis-server", command, &folder.join("log"), Signal::KILL)?;
    process.wait_ready(|| ask(port, b"PING\r\n").is_some_and(|answer| answer == b"+PONG\r\n"))?;
    Ok(process)
}
