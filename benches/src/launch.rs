//! Starting and stopping servers: Mynah itself, the raw floor, and (in `programs`) what several nodes need.
//!
//! A server is started through this very program (`pinned`), which pins itself, asks the kernel to be killed when
//! the generator dies, and only then becomes the server: no exit path leaves one behind.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Gid, Signal, Uid, set_parent_process_death_signal};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use crate::http::Http;
use crate::machine;
use crate::token;

const START_TIMEOUT: Duration = Duration::from_secs(15);
/// The user and the group without rights.
pub(crate) const NOBODY: u32 = 65_534;

/// Becomes `program`, pinned to cores and bound to the life of the process that started it.
pub(crate) fn become_pinned(cores: &[usize], as_nobody: bool, program: &[String]) -> Result<()> {
    let (name, arguments) = program.split_first().context("no program given")?;
    machine::pin(cores)?;
    machine::own_scheduling_group();
    if as_nobody {
        // There is one thread yet, so this is the whole process.
        set_thread_groups(&[])?;
        set_thread_gid(Gid::from_raw(NOBODY))?;
        set_thread_uid(Uid::from_raw(NOBODY))?;
    }
    // With SIGQUIT PostgreSQL stops at once and takes its other processes with it.
    let farewell = if as_nobody { Signal::QUIT } else { Signal::KILL };
    set_parent_process_death_signal(Some(farewell))?;
    let error = Command::new(name).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {name}"))
}

/// How to start Mynah.
#[derive(Clone)]
pub(crate) struct MynahSetup {
    pub(crate) binary: PathBuf,
    pub(crate) secret: String,
    pub(crate) extra_env: Vec<(String, String)>,
}

impl MynahSetup {
    /// The same with another variable in the environment.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut setup = self.clone();
        setup.extra_env.push((name.to_owned(), value.to_owned()));
        setup
    }

    pub(crate) fn token(&self, user: &str, age_s: u64) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        token::sign(&self.secret, user, now.saturating_sub(age_s))
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where Mynah tells its metrics.
    admin: Option<SocketAddr>,
    /// Sent before it is killed.
    farewell: Option<Signal>,
    /// From starting the process to the first answer that it is ready.
    pub(crate) start_time: Duration,
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A command that runs the program given as its arguments through [`become_pinned`].
pub(crate) fn pinned(cores: &[usize], as_nobody: bool) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("pinned");
    for core in cores {
        command.args(["--core", &core.to_string()]);
    }
    if as_nobody {
        command.arg("--as-nobody");
    }
    command.arg("--");
    Ok(command)
}

/// A server to be started.
pub(crate) struct Program<'a> {
    /// The program and its arguments.
    pub(crate) words: &'a [&'a str],
    pub(crate) env: &'a [(String, String)],
    pub(crate) cores: &'a [usize],
    pub(crate) as_nobody: bool,
    pub(crate) log: &'a Path,
}

impl Program<'_> {
    fn spawn(&self) -> Result<Child> {
        let output = File::create(self.log)?;
        pinned(self.cores, self.as_nobody)?
            .args(self.words)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the server")
    }
}

impl Server {
    /// Starts `mynah serve` on `data` and waits until `/readyz` answers 200.
    pub(crate) fn mynah(setup: &MynahSetup, data: &Path) -> Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut env = vec![
            ("PORT".to_owned(), address.port().to_string()),
            ("MYNAH_DATA_DIR".to_owned(), data.display().to_string()),
            ("JWT_SECRET".to_owned(), setup.secret.clone()),
            ("MYNAH_AUTH__PROVISION_UNKNOWN_USERS".to_owned(), "true".to_owned()),
            ("MYNAH_LIMITS__RATE".to_owned(), "off".to_owned()),
            ("MYNAH_ADMIN__PORT".to_owned(), admin.port().to_string()),
            ("MYNAH_SERVER__DRAIN_S".to_owned(), "1".to_owned()),
            ("RUST_LOG".to_owned(), "warn".to_owned()),
        ];
        env.extend(setup.extra_env.iter().cloned());
        let log = data.with_extension("log");
        let binary = setup.binary.display().to_string();
        let words = [&*binary, "serve"];
        let cores = [machine::SERVER_CORE];
        let program =
            Program { words: &words, env: &env, cores: &cores, as_nobody: false, log: &log };
        let mut server = Self::start(&program, address, |address| {
            Http::connect(address).is_ok_and(|mut http| http.is_ready())
        })?;
        server.admin = Some(admin);
        Ok(server)
    }

    /// Starts the floor server: one `write` of one frame of `frame_bytes` per receiver.
    pub(crate) fn floor(frame_bytes: usize, work: &Path) -> Result<Self> {
        let address = free_address()?;
        let this = std::env::current_exe()?.display().to_string();
        let (port, size) = (address.port().to_string(), frame_bytes.to_string());
        let log = work.join("floor.log");
        let words = [&*this, "floor-server", "--port", &port, "--frame-bytes", &size];
        let cores = [machine::SERVER_CORE];
        let program =
            Program { words: &words, env: &[], cores: &cores, as_nobody: false, log: &log };
        Self::start(&program, address, |address| TcpStream::connect(address).is_ok())
    }

    /// Starts a server that will listen at `address` and waits until it is ready.
    pub(crate) fn start(
        program: &Program<'_>,
        address: SocketAddr,
        is_ready: impl Fn(SocketAddr) -> bool,
    ) -> Result<Self> {
        let started = Instant::now();
        let child = program.spawn()?;
        let farewell = program.as_nobody.then_some(Signal::QUIT);
        let mut server = Self { child, address, admin: None, farewell, start_time: Duration::ZERO };
        loop {
            if is_ready(address) {
                server.start_time = started.elapsed();
                return Ok(server);
            }
            let ended = server.child.try_wait()?;
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                let said = std::fs::read_to_string(program.log).unwrap_or_default();
                let state =
                    ended.map_or("not ready in time".to_owned(), |status| status.to_string());
                let name = program.words.first().copied().unwrap_or_default();
                bail!("{name} did not start ({state}); it said:\n{said}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Waits until a metric of Mynah has a value.
    pub(crate) fn wait_for_metric(&self, name: &str, value: u64) -> Result<()> {
        let admin = self.admin.context("no metrics are told here")?;
        let (line, asked) = (format!("\n{name} {value}\n"), Instant::now());
        while asked.elapsed() < START_TIMEOUT {
            let answer = Http::connect(admin)?.request("GET", "/metrics", "", "")?;
            if answer.body.contains(&line) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{name} did not become {value}")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server in good order (SIGTERM), or kills it after five seconds.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end(Signal::TERM)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            rustix::process::kill_process(pid, signal)?;
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("note: a server did not end within 5 s of a signal and was killed");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(farewell) = self.farewell {
            drop(self.end(farewell));
        }
        // Both fail only if the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
