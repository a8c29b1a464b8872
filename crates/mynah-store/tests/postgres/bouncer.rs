//! A PgBouncer in transaction mode.

use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mynah_testkit::programs::free_port;

use super::server::Server;

const NOBODY: u32 = 65_534;

/// A running bouncer; stopped when dropped.
pub(crate) struct Bouncer {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    pub(crate) fn start(program: &Path, server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let port = free_port().expect("a free port");
        let to = server.port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={to} user=mynah\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("written");
        let is_root = std::fs::metadata(folder.path()).expect("metadata").uid() == 0;
        let mut command = Command::new(program);
        if is_root {
            for path in [folder.path(), &file] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        command.arg(&file).current_dir("/").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { child, port, _folder: folder }
    }

    /// Address of a database, by way of the bouncer.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://mynah@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
