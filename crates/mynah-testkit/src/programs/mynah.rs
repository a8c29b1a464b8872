//! Mynah.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::process::{Process, ask, free_port, local, log_tail};
use super::watcher::Watcher;
use super::{ProgramError, Result};

/// How to start a node.
#[derive(Clone, Debug)]
pub struct MynahSetup {
    /// The program.
    pub binary: PathBuf,
    /// All of its environment, but for ports and data folder; `{port}` in a value stands for the port of clients.
    pub environment: Vec<(String, String)>,
}

/// A node.
pub struct Mynah {
    setup: MynahSetup,
    folder: PathBuf,
    port: u16,
    admin_port: u16,
    process: Process,
}

impl Mynah {
    /// Starts one with an empty data folder and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready within a minute.
    pub fn start(setup: MynahSetup) -> Result<Self> {
        let mut node = Self::launch(setup)?;
        node.wait_ready()?;
        Ok(node)
    }

    /// Starts one and does not wait.
    ///
    /// # Errors
    /// There is no such program.
    pub fn launch(setup: MynahSetup) -> Result<Self> {
        let folder = Watcher::get()?.new_folder("mynah")?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let process = spawn(&setup, &folder, (port, admin_port))?;
        Ok(Self { setup, folder, port, admin_port, process })
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// It ends, or is not ready within a minute.
    pub fn wait_ready(&mut self) -> Result<()> {
        let port = self.port;
        let question =
            format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", local(port));
        self.process.wait_ready(|| {
            let answer = ask(port, question.as_bytes());
            answer.is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
        })
    }

    /// Where clients are served, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where metrics are served, at 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Its process; another after each start.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
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

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// It cannot be asked whether it runs.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits for its end; `None` if it still runs after `limit`.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        self.process.wait(limit)
    }

    /// Starts it again, after killing it if it runs, with the same ports and data; does not wait until it is ready.
    ///
    /// # Errors
    /// The program is gone.
    pub fn relaunch(&mut self) -> Result<()> {
        self.kill()?;
        self.process = spawn(&self.setup, &self.folder, (self.port, self.admin_port))?;
        Ok(())
    }

    /// [`Mynah::relaunch`], and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready within a minute.
    pub fn restart(&mut self) -> Result<()> {
        self.relaunch()?;
        self.wait_ready()
    }

    /// Runs another command of the program on its data, such as `["backup", "--to", "file"]`; what it printed.
    ///
    /// # Errors
    /// The command fails; the text is what it said.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let mut command = command(&self.setup, &self.folder, (self.port, self.admin_port));
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(ProgramError::at("mynah"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = text(&output.stderr) + &text(&output.stdout);
        Err(ProgramError::new(format!("mynah {}: {said}", arguments.join(" "))))
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.folder.join("log"))
    }

    /// All of its log, of all starts.
    pub fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Mynah {
    fn drop(&mut self) {
        drop(self.kill());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn command(setup: &MynahSetup, folder: &Path, (port, admin_port): (u16, u16)) -> Command {
    let mut command = Command::new(&setup.binary);
    command.current_dir(folder).env_clear();
    let filled = |value: &str| value.replace("{port}", &port.to_string());
    command.envs(setup.environment.iter().map(|(name, value)| (name, filled(value))));
    command.env("PORT", port.to_string()).env("MYNAH_ADMIN__PORT", admin_port.to_string());
    command.env("MYNAH_DATA_DIR", folder.join("data"));
    command
}

fn spawn(setup: &MynahSetup, folder: &Path, ports: (u16, u16)) -> Result<Process> {
    let mut command = command(setup, folder, ports);
    command.arg("serve");
    Process::start("mynah", command, &folder.join("log"), Signal::KILL)
}
