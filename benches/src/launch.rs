//! Starting and stopping the servers under test: Mynah itself and the raw floor.
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
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::http::Http;
use crate::machine;
use crate::token;

const START_TIMEOUT: Duration = Duration::from_secs(15);

/// Becomes `program`, pinned to a core and bound to the life of the process that started it.
pub(crate) fn become_pinned(core: usize, program: &[String]) -> Result<()> {
    let (name, arguments) = program.split_first().context("no program given")?;
    machine::pin(&[core])?;
    machine::own_scheduling_group();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let error = Command::new(name).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {name}"))
}

/// How to start Mynah.
pub(crate) struct MynahSetup {
    pub(crate) binary: PathBuf,
    pub(crate) secret: String,
    pub(crate) extra_env: Vec<(String, String)>,
}

impl MynahSetup {
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
    /// From starting the process to the first answer that it is ready.
    pub(crate) start_time: Duration,
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A command that runs the program given as its arguments through [`become_pinned`].
pub(crate) fn pinned(core: usize) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["pinned", "--core", &core.to_string(), "--"]);
    Ok(command)
}

fn spawn(program: &[&str], env: &[(String, String)], log: &Path) -> Result<Child> {
    let output = File::create(log)?;
    pinned(machine::SERVER_CORE)?
        .args(program)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot start the server")
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
        let started = Instant::now();
        let binary = setup.binary.display().to_string();
        let child = spawn(&[&binary, "serve"], &env, &log)?;
        let mut server = Self { child, address, start_time: Duration::ZERO };
        server.wait_until(started, &log, |address| {
            Http::connect(address).is_ok_and(|mut http| http.is_ready())
        })?;
        Ok(server)
    }

    /// Starts the floor server: one `write` of one frame of `frame_bytes` per receiver.
    pub(crate) fn floor(frame_bytes: usize, work: &Path) -> Result<Self> {
        let address = free_address()?;
        let this = std::env::current_exe()?.display().to_string();
        let (port, size) = (address.port().to_string(), frame_bytes.to_string());
        let log = work.join("floor.log");
        let started = Instant::now();
        let program = [&*this, "floor-server", "--port", &port, "--frame-bytes", &size];
        let child = spawn(&program, &[], &log)?;
        let mut server = Self { child, address, start_time: Duration::ZERO };
        server.wait_until(started, &log, |address| TcpStream::connect(address).is_ok())?;
        Ok(server)
    }

    fn wait_until(
        &mut self,
        started: Instant,
        log: &Path,
        ready: impl Fn(SocketAddr) -> bool,
    ) -> Result<()> {
        loop {
            if ready(self.address) {
                self.start_time = started.elapsed();
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let state =
                    ended.map_or("not ready in time".to_owned(), |status| status.to_string());
                bail!("the server did not start ({state}); it said:\n{said}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server in good order (SIGTERM), or kills it after five seconds.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("note: the server did not end within 5 s of SIGTERM and was killed");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
