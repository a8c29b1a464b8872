//! A PostgreSQL and a MariaDB of their own, in temporary folders on free ports.
//!
//! Neither runs as root, so under root they run as nobody.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const USER: &str = "soketi";
/// With what a URL must escape.
pub(crate) const PASSWORD: &str = "p@ss/word";
const PASSWORD_IN_URL: &str = "p%40ss%2Fword";
const NOBODY: u32 = 65_534;

/// A running database.
pub(crate) struct Database {
    pub(crate) url: String,
    /// Who has signed its certificate.
    pub(crate) authority: PathBuf,
    _running: Running,
    _folder: tempfile::TempDir,
}

enum Running {
    Postgres { pg_ctl: PathBuf, data: PathBuf, is_root: bool },
    MariaDb(Child),
}

impl Drop for Running {
    fn drop(&mut self) {
        match self {
            Self::Postgres { pg_ctl, data, is_root } => {
                let mut stop = as_nobody(pg_ctl, *is_root);
                stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(data);
                drop(stop.status());
            }
            Self::MariaDb(child) => {
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}

/// Writes an authority's certificate, and one for `localhost` with its key, signed by it.
fn certificates(folder: &Path, is_root: bool) -> PathBuf {
    let (own, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut authority = CertificateParams::new([]).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&own).expect("signed");
    let issuer = Issuer::new(authority, own);
    let names = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = names.signed_by(&key, &issuer).expect("signed");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        let owner = is_root.then_some(NOBODY);
        chown(&path, owner, owner).expect("given away");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("kept to itself");
        path
    };
    write("server.pem", certificate.pem());
    write("server.key", key.serialize_pem());
    write("authority.pem", root.pem())
}

/// A folder that the database may write to, and whether we are root.
fn folder() -> (tempfile::TempDir, bool) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let is_root = std::fs::metadata(folder.path()).expect("metadata").uid() == 0;
    if is_root {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
    }
    (folder, is_root)
}

fn as_nobody(program: &Path, is_root: bool) -> Command {
    let mut command = Command::new(program);
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn free_port() -> u16 {
    mynah_testkit::programs::free_port().expect("a free port")
}

fn done(command: &mut Command) {
    let output = command.output().expect("run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A program where Debian keeps it.
fn program(name: &str, package: &str) -> PathBuf {
    let which = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
    let found = which.ok().filter(|which| which.status.success());
    if let Some(path) = found.and_then(|which| String::from_utf8(which.stdout).ok()) {
        return path.trim().into();
    }
    let mut folders: Vec<PathBuf> = vec!["/usr/sbin".into(), "/usr/local/sbin".into()];
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

/// PostgreSQL that has run `sql`.
pub(crate) fn postgres(sql: &str) -> Database {
    let (folder, is_root) = folder();
    let (data, secret) = (folder.path().join("data"), folder.path().join("password"));
    std::fs::write(&secret, PASSWORD).expect("written");
    let tool = |name| program(name, "postgresql");
    let mut make = as_nobody(&tool("initdb"), is_root);
    make.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "-U", USER]);
    done(make.arg("--pwfile").arg(&secret).arg("-D").arg(&data));
    let (port, pg_ctl) = (free_port(), tool("pg_ctl"));
    let authority = certificates(folder.path(), is_root);
    let own = folder.path().display();
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
         -c ssl=on -c ssl_cert_file={own}/server.pem -c ssl_key_file={own}/server.key"
    );
    let mut start = as_nobody(&pg_ctl, is_root);
    start.args(["start", "-s", "-w", "-o", &options, "-D"]).arg(&data);
    done(start.arg("-l").arg(folder.path().join("log")));
    let running = Running::Postgres { pg_ctl, data, is_root };
    let url = format!("postgres://{USER}:{PASSWORD_IN_URL}@localhost:{port}/postgres");
    let mut fill = as_nobody(&tool("psql"), is_root);
    done(fill.args(["-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(&url));
    Database { url, authority, _running: running, _folder: folder }
}

/// MariaDB that has run `sql`, a statement in each line, in the database `main`.
pub(crate) fn maria_db(sql: &str) -> Database {
    let (folder, is_root) = folder();
    let data = folder.path().join("data");
    let tool = |name| program(name, "mariadb-server");
    let mut make = as_nobody(&tool("mariadb-install-db"), is_root);
    make.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
    done(make.arg(format!("--datadir={}", data.display())));
    let first = folder.path().join("first.sql");
    let begin = format!(
        "CREATE DATABASE main;\nCREATE USER {USER} IDENTIFIED BY '{PASSWORD}';\n\
         GRANT SELECT ON main.* TO {USER};\nUSE main;\n{sql}\n"
    );
    std::fs::write(&first, begin).expect("written");
    let port = free_port();
    let mut start = as_nobody(&tool("mariadbd"), is_root);
    start.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
    start.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
    let authority = certificates(folder.path(), is_root);
    start.arg(format!("--ssl-cert={}", folder.path().join("server.pem").display()));
    start.arg(format!("--ssl-key={}", folder.path().join("server.key").display()));
    start.arg(format!("--socket={}", folder.path().join("s").display()));
    start.arg(format!("--pid-file={}", folder.path().join("pid").display()));
    start.arg(format!("--init-file={}", first.display())).stderr(Stdio::piped());
    let mut child = start.spawn().expect("started");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let running = Running::MariaDb(child);
    let mut said = String::new();
    while !said.contains("ready for connections") {
        assert_ne!(log.read_line(&mut said).expect("read"), 0, "{said}");
    }
    // It goes on writing there.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let url = format!("mysql://{USER}:{PASSWORD_IN_URL}@localhost:{port}/main");
    Database { url, authority, _running: running, _folder: folder }
}
