//! What nodes share: PostgreSQL and a broker, each started anew with nothing stored; and Node's Socket.IO servers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::launch::{NOBODY, Program, Server, free_address, pinned};
use crate::machine::{BOTH_CORES, SERVER_CORE};

/// How PostgreSQL runs here, for the reports.
pub(crate) const POSTGRES_TERMS: &str = "PostgreSQL: a fresh one with fsync and synchronous_commit on and all else as it comes, on the same disk, on both cores, its processes taken together";

/// Messages to begin a session as `mynah` in the database `postgres`, protocol 3.0, and to end it.
const GREETING: &[u8] = b"\0\0\0\x26\0\x03\0\0user\0mynah\0database\0postgres\0\0X\0\0\0\x04";

static STARTED: AtomicU64 = AtomicU64::new(0);

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A new folder inside `work`, which its owner must be able to reach.
fn new_folder(work: &Path, name: &str) -> Result<PathBuf> {
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = work.canonicalize()?.join(format!("{name}-{number}"));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

/// A tool of PostgreSQL, where Debian keeps it or on the path.
fn postgres_tool(name: &str) -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.pop().map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

/// The first bytes of the answer to `question`; `None` if there is none.
fn ask(address: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = vec![0; 1_024];
    let count = stream.read(&mut answer).ok()?;
    answer.truncate(count);
    Some(answer)
}

/// Starts a PostgreSQL without data; what it stores is on the disk of `work`. Under root it runs as nobody.
pub(crate) fn postgres(work: &Path) -> Result<Server> {
    let folder = new_folder(work, "postgres")?;
    if is_root() {
        std::fs::set_permissions(work, std::fs::Permissions::from_mode(0o711))?;
        chown(&folder, Some(NOBODY), Some(NOBODY))?;
    }
    let data = folder.join("data").display().to_string();
    let made = pinned(&BOTH_CORES, is_root())?
        .arg(postgres_tool("initdb"))
        .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "-U", "mynah", "-D"])
        .arg(&data)
        .env("LC_ALL", "C")
        .current_dir("/")
        .output()?;
    if !made.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
    }
    let address = free_address()?;
    let (program, port) = (postgres_tool("postgres"), address.port().to_string());
    let mut words = vec![&*program, "-D", &data, "-p", &port];
    for option in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on"] {
        words.extend(["-c", option]);
    }
    words.extend(["-c", "synchronous_commit=on"]);
    let log = work.join("postgres.log");
    let env = [("LC_ALL".to_owned(), "C".to_owned())];
    let program =
        Program { words: &words, env: &env, cores: &BOTH_CORES, as_nobody: is_root(), log: &log };
    Server::start(&program, address, |address| {
        ask(address, GREETING).is_some_and(|answer| answer.first() == Some(&b'R'))
    })
}

/// Where Mynah finds the database of a [`postgres`].
pub(crate) fn database_url(postgres: &Server) -> String {
    format!("postgres://mynah@{}/postgres", postgres.address)
}

/// Starts a Redis that stores nothing.
pub(crate) fn redis(work: &Path) -> Result<Server> {
    let address = free_address()?;
    let (port, folder) = (address.port().to_string(), work.display().to_string());
    let words = ["redis-server", "--port", &port, "--bind", "127.0.0.1", "--save", ""];
    let words = [&words[..], &["--appendonly", "no", "--dir", &folder]].concat();
    let log = work.join("redis.log");
    let program =
        Program { words: &words, env: &[], cores: &BOTH_CORES, as_nobody: false, log: &log };
    Server::start(&program, address, |address| {
        ask(address, b"PING\r\n").is_some_and(|answer| answer == b"+PONG\r\n")
    })
}

/// Starts a NATS server.
pub(crate) fn nats(work: &Path) -> Result<Server> {
    let address = free_address()?;
    let port = address.port().to_string();
    let words = ["nats-server", "--addr", "127.0.0.1", "--port", &port];
    let log = work.join("nats.log");
    let program =
        Program { words: &words, env: &[], cores: &BOTH_CORES, as_nobody: false, log: &log };
    Server::start(&program, address, |address| {
        ask(address, b"").is_some_and(|answer| answer.starts_with(b"INFO "))
    })
}

/// Starts one of Node's Socket.IO servers with the Redis adapter; its frames are `frame_bytes` long.
pub(crate) fn node(work: &Path, redis: &Server, frame_bytes: usize) -> Result<Server> {
    let script = Path::new("node").join("server.mjs");
    let homes = [Path::new(env!("CARGO_MANIFEST_DIR")), Path::new("benches")];
    let mut scripts = homes.iter().map(|home| home.join(&script));
    let script =
        scripts.find(|path| path.exists()).context("benches/node/server.mjs is missing")?;
    let address = free_address()?;
    let (script, port) = (script.display().to_string(), address.port().to_string());
    let (url, size) = (format!("redis://{}", redis.address), frame_bytes.to_string());
    let words = ["node", &*script, &port, &url, &size];
    let log = work.join(format!("node-{port}.log"));
    let env = [("NODE_ENV".to_owned(), "production".to_owned())];
    let program =
        Program { words: &words, env: &env, cores: &[SERVER_CORE], as_nobody: false, log: &log };
    Server::start(&program, address, |address| TcpStream::connect(address).is_ok())
}
