//! A server that answers as it is told, and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a connection does with the `n`th request it gets (from 0).
pub(crate) type Answers = fn(n: usize) -> Reply;

/// One reply.
pub(crate) enum Reply {
    /// These bytes.
    Say(&'static str),
    /// These bytes, then the connection ends.
    Last(&'static str),
    /// These bytes, then letters without end.
    Endless(&'static str),
    /// Nothing, ever.
    Silence,
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A listening server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: parking_lot::Mutex<Vec<String>>,
}

impl Server {
    pub(crate) async fn start(answers: Answers) -> Self {
        Self::at("127.0.0.1:0", answers).await.expect("a free port")
    }

    pub(crate) async fn at(address: &str, answers: Answers) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Seen>::default());
        let mut tasks = JoinSet::new();
        let counted = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, Arc::clone(&counted), answers));
            }
        });
        Ok(Self { address, seen, _tasks: tasks })
    }

    pub(crate) async fn with_tls(config: rustls::ServerConfig, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, seen) = (listener.local_addr().expect("bound"), Arc::<Seen>::default());
        let mut tasks = JoinSet::new();
        let counted = Arc::clone(&seen);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve_tls(acceptor.clone(), stream, Arc::clone(&counted), answers));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Requests read so far, whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

async fn serve_tls(
    acceptor: tokio_rustls::TlsAcceptor,
    stream: tokio::net::TcpStream,
    seen: Arc<Seen>,
    answers: Answers,
) {
    if let Ok(stream) = acceptor.accept(stream).await {
        serve(stream, seen, answers).await;
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>, answers: Answers) {
    for n in 0.. {
        let Some(request) = read_request(&mut stream).await else { return };
        seen.requests.lock().push(request);
        let (text, then) = match answers(n) {
            Reply::Say(text) => (text, true),
            Reply::Last(text) => (text, false),
            Reply::Endless(text) => {
                let mut gone = stream.write_all(text.as_bytes()).await.is_err();
                while !gone {
                    gone = stream.write_all(&[b'x'; 8_192]).await.is_err();
                }
                return;
            }
            Reply::Silence => std::future::pending().await,
        };
        if stream.write_all(text.as_bytes()).await.is_err() || !then {
            return;
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
