//! A PostgreSQL of one's own, in a temporary folder on a free port.
//!
//! It does not run as root, so under root it runs as nobody.

use mynah_testkit::programs::free_port;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mynah_domain::ports::CommitListener;
use mynah_store::postgres::{PostgresOptions, PostgresStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;
use tokio_postgres::{Client, NoTls};

const NOBODY: u32 = 65_534;

/// A running server; stopped when dropped.
pub(crate) struct Server {
    bin: PathBuf,
    folder: tempfile::TempDir,
    is_root: bool,
    port: u16,
    databases: AtomicUsize,
}

impl Server {
    /// Makes and starts a server.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With further options of `postgres`.
    pub(crate) fn start_with(options: &str) -> Self {
        let server = Self::furnished();
        let port = server.port;
        let mut make = server.command("initdb");
        make.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "-U", "mynah"]);
        done(make.arg("-D").arg(server.data()));
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n\
             fsync = off\nfull_page_writes = off\nautovacuum = off\nmax_connections = 200\n\
             deadlock_timeout = '100ms'\n{options}\n"
        );
        let file = server.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, before + &settings).expect("written");
        server.run();
        server
    }

    /// A server that follows this one.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::furnished();
        let mut copy = self.command("pg_basebackup");
        copy.args(["-U", "mynah", "-h", "127.0.0.1", "--no-sync", "-X", "stream", "-c", "fast"]);
        copy.args(["-R", "-p", &self.port.to_string(), "-D"]).arg(standby.data());
        done(&mut copy);
        let file = standby.data().join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&file).expect("read");
        let settings = format!("port = {}\nwal_receiver_status_interval = 1\n", standby.port);
        std::fs::write(&file, before + &settings).expect("written");
        standby.run();
        standby
    }

    /// A folder and a port.
    fn furnished() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let is_root = std::fs::metadata(folder.path()).expect("metadata").uid() == 0;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        let port = free_port().expect("a free port");
        Self { bin: programs(), folder, is_root, port, databases: AtomicUsize::new(0) }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) fn run(&self) {
        let mut start = self.command("pg_ctl");
        start.args(["start", "-s", "-w", "-D"]).arg(self.data());
        let log = self.folder.path().join("log");
        let output = start.arg("-l").arg(&log).output().expect("run");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(output.status.success(), "{}", said());
    }

    /// Ends all its processes as `kill -9` does.
    pub(crate) fn kill(&self) {
        // It starts no other while it stands still.
        if let Some(master) = self.signal("-STOP").first() {
            while parent(master).is_some_and(|(state, _)| !["T", "Z", "X"].contains(&&*state)) {
                std::thread::yield_now();
            }
        }
        let all = self.signal("-KILL");
        let file = self.data().join("postmaster.pid");
        // What nobody has waited for is as good as gone.
        let lives = |pid: &String| parent(pid).is_some_and(|(state, _)| state != "Z");
        while all.iter().any(lives) {
            std::thread::yield_now();
        }
        std::fs::remove_file(file).expect("removed");
    }

    /// Sends all its processes a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) -> Vec<String> {
        let file = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(file).expect("it runs");
        let master = text.lines().next().expect("a number").to_owned();
        let running = std::fs::read_dir("/proc").expect("read").flatten();
        let names = running.filter_map(|entry| entry.file_name().into_string().ok());
        let own = |pid: &String| parent(pid).is_some_and(|(_, parent)| parent == master);
        let mut all = vec![master.clone()];
        all.extend(names.filter(own));
        // Some end by themselves meanwhile.
        drop(Command::new("kill").arg(signal).args(&all).stderr(Stdio::null()).status());
        all
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://mynah@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection of one's own.
    pub(crate) async fn client(&self, database: &str) -> Client {
        connect(&self.url(database)).await
    }

    /// A fresh database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("case_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let text = format!("CREATE DATABASE {name}");
        self.client("postgres").await.batch_execute(&text).await.expect("made");
        name
    }

    /// Options for a database; patient, as the machine may be busy with other tests.
    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        PostgresOptions {
            url: self.url(database),
            pool_max: 4,
            statement_timeout: Duration::from_mins(1),
            ..PostgresOptions::default()
        }
    }

    /// A store on a database.
    pub(crate) async fn open(
        &self,
        database: &str,
        listener: Arc<dyn CommitListener>,
    ) -> Arc<PostgresStore> {
        PostgresStore::open(self.options(database), listener).await.expect("opened")
    }

    /// A store on a fresh database, under test.
    pub(crate) async fn subject(&self) -> Subject {
        let heard = Recorder::new();
        let store = self.open(&self.database().await, heard.clone()).await;
        Subject::new(store, heard, ())
    }
}

/// A connection that lives as long as the test.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.data());
        drop(stop.stderr(Stdio::null()).status());
    }
}

/// State and parent of a process.
fn parent(pid: &str) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after_name = stat.rsplit(')').next()?.split_whitespace();
    Some((after_name.next()?.to_owned(), after_name.next()?.to_owned()))
}

/// The folder of the newest PostgreSQL where Debian keeps it.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").is_file());
    found.sort();
    found.pop().expect("PostgreSQL is missing: apt-get install postgresql")
}

/// A program on the path, or in one of the folders for the superuser.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn done(command: &mut Command) {
    let output = command.output().expect("run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
