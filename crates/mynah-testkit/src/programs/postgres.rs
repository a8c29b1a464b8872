//! PostgreSQL.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;

use super::process::{Process, ask, free_port, log_tail, run, signal_to, wait_gone};
use super::watcher::Watcher;
use super::{Data, ProgramError, Result};

const NOBODY: u32 = 65_534;
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Messages to begin a session as `mynah` in the database `postgres`, protocol 3.0, and to end it.
const GREETING: &[u8] = b"\0\0\0\x26\0\x03\0\0user\0mynah\0database\0postgres\0\0X\0\0\0\x04";

/// A PostgreSQL of its own, whose user `mynah` needs no password. Under root it runs as nobody.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    pub(super) process: Process,
}

impl Postgres {
    /// Starts one with empty data; `options` are such as `fsync=off`.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start(options: &[&str]) -> Result<Self> {
        let folder = Watcher::get()?.new_folder("postgres")?;
        give_away(&folder)?;
        copy_template(&folder)?;
        let port = free_port()?;
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = launch(&folder, port, &options)?;
        Ok(Self { folder, port, options, process })
    }

    /// Where it listens, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of its database, asked for at that port: its own, or a proxy's.
    pub fn url(&self, port: u16) -> String {
        self.url_of(port, "postgres")
    }

    /// [`Postgres::url`] of another of its databases.
    pub fn url_of(&self, port: u16, database: &str) -> String {
        format!("postgres://mynah@127.0.0.1:{port}/{database}")
    }

    /// Kills all its processes (SIGKILL), and waits until they are gone: what is left of one holds the data.
    ///
    /// # Errors
    /// They cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        // It starts no other while it stands still.
        self.process.pause()?;
        let children = children_of(self.process.id());
        for pid in &children {
            signal_to(*pid, Signal::KILL);
        }
        self.process.kill()?;
        wait_gone(&children).ok_or_else(|| self.process.error("leaves processes behind"))
    }

    /// Stops all its processes (SIGSTOP): it hangs, but its sockets stay open.
    ///
    /// # Errors
    /// It cannot be asked whether it runs.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()?;
        self.signal_all(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It cannot be asked whether it runs.
    pub fn resume(&mut self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    /// Starts it again on the same port and waits until it takes sessions.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, data: Data) -> Result<()> {
        self.kill()?;
        if data == Data::Lost {
            self.free_segment();
            std::fs::remove_dir_all(self.folder.join("data")).map_err(ProgramError::at("data"))?;
            copy_template(&self.folder)?;
        }
        self.process = launch(&self.folder, self.port, &self.options)?;
        Ok(())
    }

    /// Runs SQL and returns the rows, one a line, fields separated by `|`.
    ///
    /// # Errors
    /// What the database says against it.
    pub fn query(&self, sql: &str) -> Result<String> {
        self.query_in("postgres", sql)
    }

    /// [`Postgres::query`] in another of its databases.
    ///
    /// # Errors
    /// What the database says against it.
    pub fn query_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = as_nobody(&tool("psql")?);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        run(psql.arg(self.url_of(self.port, database)))
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.folder.join("log"))
    }

    /// Frees the System V segment that one that was killed has left.
    fn free_segment(&self) {
        let pid_file = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        if let Some(segment) = pid_file.ok().as_deref().and_then(segment_of) {
            drop(Command::new("ipcrm").args(["-m", &segment]).output());
        }
    }

    /// Its first process goes first, so that it starts no other.
    fn signal_all(&mut self, signal: Signal) -> Result<()> {
        let children = children_of(self.process.id());
        self.process.signal(signal)?;
        let late = children_of(self.process.id());
        for pid in children.into_iter().chain(late) {
            signal_to(pid, signal);
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT is its immediate stop, which frees what it holds of the machine; SIGKILL follows if it fails.
        drop(self.resume());
        drop(self.process.signal(Signal::QUIT));
        drop(self.process.wait(STOP_LIMIT));
        self.free_segment();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The segment as a pid file names it in line 7: key and number.
fn segment_of(pid_file: &str) -> Option<String> {
    let number = pid_file.lines().nth(6)?.split_whitespace().nth(1)?;
    Some(number.to_owned())
}

fn launch(folder: &Path, port: u16, options: &[String]) -> Result<Process> {
    let mut command = as_nobody(&tool("postgres")?);
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    command.args(options.iter().flat_map(|option| ["-c", option]));
    let mut process = Process::start("postgres", command, &folder.join("log"), Signal::QUIT)?;
    process
        .wait_ready(|| ask(port, GREETING).is_some_and(|answer| answer.first() == Some(&b'R')))?;
    Ok(process)
}

/// Copies a new cluster's files into `folder/data`; `initdb` runs once per process.
fn copy_template(folder: &Path) -> Result<()> {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    let making = MAKING.lock();
    let template = if let Some(template) = TEMPLATE.get() {
        template
    } else {
        let home = Watcher::get()?.new_folder("postgres-template")?;
        give_away(&home)?;
        let data = home.join("data");
        let mut make = as_nobody(&tool("initdb")?);
        make.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust"]);
        run(make.args(["-U", "mynah", "-D"]).arg(&data))?;
        TEMPLATE.get_or_init(|| data)
    };
    drop(making);
    run(as_nobody(Path::new("cp")).arg("-a").arg(template).arg(folder.join("data")))?;
    Ok(())
}

fn is_root() -> Result<bool> {
    let folder = std::fs::metadata(Watcher::get()?.folder()).map_err(ProgramError::at("folder"))?;
    Ok(folder.uid() == 0)
}

fn give_away(folder: &Path) -> Result<()> {
    if is_root()? {
        chown(folder, Some(NOBODY), Some(NOBODY)).map_err(ProgramError::at("folder"))?;
    }
    Ok(())
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root().unwrap_or_default() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// A tool of PostgreSQL, on the path or where Debian keeps it.
fn tool(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let debian = folders.iter().rev().map(|folder| folder.join(name)).find(|path| path.is_file());
    let found = debian.or_else(|| {
        let which = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok()?;
        let path = String::from_utf8(which.stdout).ok()?;
        which.status.success().then(|| PathBuf::from(path.trim()))
    });
    found.ok_or_else(|| ProgramError::new(format!("{name} is missing: install PostgreSQL")))
}

/// The processes that `parent` has started.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// Field 4 of proc_pid_stat(5).
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(1)?.parse().ok()
}
