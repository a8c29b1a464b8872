//! Accepting connections, with bounds on what an unknown peer may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use futures_util::FutureExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Time a peer gets to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Pause after a failed accept, so that running out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How near a listener is to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Connections are kept open between requests.
    Open,
    /// Each answer says that its connection ends with it, so that proxies keep none for later requests.
    Closing,
    /// No connections are taken any more, and those without a request end.
    Closed,
}

/// How long a connection without a request stays open after the listener is closed.
const GRACE: Duration = Duration::from_millis(100);

/// Serves a router until the stage is [`Stage::Closed`], then until the requests under way are answered; each
/// connection beyond `connections_max` is refused at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    mut stage: watch::Receiver<Stage>,
) {
    let places_max = connections_max.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let places = Arc::new(Semaphore::new(places_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stage.wait_for(|stage| *stage == Stage::Closed) => break,
        };
        match accepted {
            Ok(accepted) => take(accepted, &router, &places, &stage),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Those that the system has taken in our name already: closing the listener would reset them.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        take(accepted, &router, &places, &stage);
    }
    drop(listener);
    // Fails only if the semaphore is closed, which nobody does.
    drop(places.acquire_many(places_max as u32).await);
}

fn take(
    (stream, address): (TcpStream, SocketAddr),
    router: &Router,
    places: &Arc<Semaphore>,
    stage: &watch::Receiver<Stage>,
) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        tracing::warn!("too many connections; refused one");
        drop(stream);
        return;
    };
    let (router, stage) = (router.clone(), stage.clone());
    tokio::spawn(async move {
        connection(stream, address, router, stage).await;
        drop(place);
    });
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    stage: watch::Receiver<Stage>,
) {
    // Only tunes latency; a connection without it still works.
    drop(stream.set_nodelay(true));
    let stages = stage.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, stages) = (router.clone(), stages.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(ConnectInfo(address));
            let request = Request::from_parts(parts, Body::new(body));
            let answer = router.oneshot(request).await;
            let mut answer = answer.unwrap_or_else(|never| match never {});
            if *stages.borrow() != Stage::Open && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = closed(stage) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        // A request may have been sent before its sender could know: it is answered, and its connection ends.
        match tokio::time::timeout(GRACE, serving.as_mut()).await {
            Ok(ended) => ended,
            Err(_quiet) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended in error");
    }
}

async fn closed(mut stage: watch::Receiver<Stage>) {
    // An error means that nobody can say so any more: that is an end too.
    drop(stage.wait_for(|stage| *stage == Stage::Closed).await);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

    async fn serving() -> (SocketAddr, watch::Sender<Stage>, JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stage, stages) = watch::channel(Stage::Open);
        let router = Router::new().route("/", get(|| async { "here" }));
        (address, stage, tokio::spawn(serve(listener, router, 100, stages)))
    }

    /// One answer with its body, `here`.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        while !text.ends_with("here") {
            let mut bytes = [0; 1_024];
            let read = stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        text
    }

    #[tokio::test]
    async fn answers_end_their_connections_once_the_end_is_near() {
        let (address, stage, _task) = serving().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        assert!(!answer(&mut stream).await.contains("connection: close"));
        stage.send_replace(Stage::Closing);
        // Open ones and new ones are still answered, for the last time.
        let new = TcpStream::connect(address).await.unwrap();
        for mut stream in [stream, new] {
            stream.write_all(REQUEST).await.unwrap();
            assert!(answer(&mut stream).await.contains("connection: close"));
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "closed");
        }
    }

    #[tokio::test]
    async fn what_was_sent_before_the_end_is_answered() {
        let (address, stage, task) = serving().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        answer(&mut idle).await;
        // Accepted by the system, perhaps not yet by the server.
        let mut sent = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(REQUEST).await.unwrap();
            sent.push(stream);
        }
        stage.send_replace(Stage::Closed);
        idle.write_all(REQUEST).await.unwrap();
        sent.push(idle);
        for stream in &mut sent {
            answer(stream).await;
        }
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}
