//! The program in a folder of its own, with nothing of this machine's environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use mynah_protocol::pusher::signature;
use serde_json::Value;

/// An installation.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("temporary folder"), environment: Vec::new() }
    }

    pub(crate) fn with(mut self, environment: &[(&str, &str)]) -> Self {
        let pairs = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        self.environment.extend(pairs);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
        command.current_dir(self.folder.path()).env_clear().args(args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn say(&self, args: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(args).output().expect("run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { ok: status.success(), out: text(stdout), err: text(stderr) }
    }

    /// Output of a command that must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert!(said.ok, "{args:?}: {said:?}");
        said.out
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut with_json = args.to_vec();
        with_json.push("--json");
        serde_json::from_str(&self.run(&with_json)).expect("JSON")
    }

    /// What a command that must fail says.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert!(!said.ok && said.out.is_empty(), "{args:?}: {said:?}");
        said.err
    }

    /// Starts the server on ports of its own and waits until it is ready.
    pub(crate) fn serve(&self) -> Server {
        let mut command = self.command(&["serve"]);
        command.env("PORT", "0").env("MYNAH_ADMIN__PORT", "0");
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("read");
        assert!(line.contains("Mynah is ready"), "{line}");
        let port = line.split_once("localhost:").map(|(_, rest)| rest.split(' ').next());
        let port = port.flatten().and_then(|port| port.parse().ok()).expect("a port");
        Server { child, port }
    }

    /// Everything in the data folder.
    pub(crate) fn stored(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.path("data")).expect("data folder");
        let paths = files.map(|file| file.expect("entry").path());
        paths.flat_map(|path: PathBuf| read(&path)).collect()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("read")
}

/// A server that ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Status of a reading call, signed as Pusher's libraries do.
    pub(crate) fn asked(&self, app: &str, key: &str, secret: &str) -> u16 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let path = format!("/apps/{app}/channels");
        let query = format!("auth_key={key}&auth_timestamp={now}&auth_version=1.0");
        let signed = signature::of_request(secret, &format!("GET\n{path}\n{query}"));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let request = format!(
            "GET {path}?{query}&auth_signature={signed} HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.expect("a status")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
