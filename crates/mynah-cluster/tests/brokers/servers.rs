//! Real servers on free ports in temporary folders, and a proxy that can fall silent.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Everything that is waited for comes within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) fn free_port() -> u16 {
    mynah_testkit::programs::free_port().unwrap()
}

type MakeCommand = Box<dyn Fn(u16, &Path) -> Command + Send>;

/// A process that is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    child: Option<Child>,
    command: MakeCommand,
    ready: &'static str,
}

impl Server {
    async fn start(
        ready: &'static str,
        command: impl Fn(u16, &Path) -> Command + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = Box::new(command);
        let mut server = Self { port: free_port(), folder, child: None, command, ready };
        server.start_again().await;
        server
    }

    /// Starts it on its port; it has forgotten everything.
    pub(crate) async fn start_again(&mut self) {
        let mut command = (self.command)(self.port, self.folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true).current_dir(self.folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let ready = self.ready;
        let started = async {
            tokio::select! {
                () = said(out, ready) => {}
                () = said(err, ready) => {}
            }
        };
        timeout(PATIENCE, started).await.expect("the server starts");
        self.child = Some(child);
    }

    pub(crate) async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }
}

/// Reads lines until one holds `text`; the rest is read and forgotten.
async fn said(stream: impl AsyncRead + Unpin + Send + 'static, text: &str) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.unwrap_or_default() {
        if line.contains(text) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return;
        }
    }
    // The other stream may say it.
    std::future::pending::<()>().await;
}

pub(crate) async fn redis(options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    Server::start("eady to accept connections", move |port, folder| {
        let mut command = Command::new("redis-server");
        let port = port.to_string();
        if !options.iter().any(|option| option == "--tls-port") {
            command.args(["--port", &port]);
        }
        command
            .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir"])
            .arg(folder);
        for option in &options {
            command.arg(option.replace("PORT", &port));
        }
        command
    })
    .await
}

/// A Redis that watches over masters, as its configuration says.
pub(crate) async fn sentinel(configuration: &str) -> Server {
    let configuration = configuration.to_owned();
    Server::start("Sentinel ID is", move |port, folder| {
        let file = folder.join("sentinel.conf");
        let all = format!("port {port}\nbind 127.0.0.1\n{configuration}\n");
        std::fs::write(&file, all).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel");
        command
    })
    .await
}

pub(crate) async fn nats(options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    Server::start("Server is ready", move |port, _folder| {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]).args(&options);
        command
    })
    .await
}

/// Forwards connections to a port, until it swallows everything without closing anything.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    is_silent: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_silent, silence) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve(near, target, silence.clone()));
            }
        });
        Self { port, is_silent }
    }

    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.is_silent.send_replace(is_silent);
    }
}

async fn serve(near: TcpStream, target: u16, silence: watch::Receiver<bool>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::join!(forward(near_in, far_out, silence.clone()), forward(far_in, near_out, silence));
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut silence: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if silence.wait_for(|is_silent| !is_silent).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}
