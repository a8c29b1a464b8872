//! Accepting connections, with bounds on what an unknown peer may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
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

/// Serves a router until `stop` turns true, then until the requests under way are answered; each
/// connection beyond `connections_max` is refused at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places_max = connections_max.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let places = Arc::new(Semaphore::new(places_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    tokio::spawn(async move {
                        connection(stream, address, router, stop).await;
                        drop(place);
                    });
                }
                Err(_full) => {
                    tracing::warn!(connections_max, "too many connections; refused one");
                    drop(stream);
                }
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Fails only if the semaphore is closed, which nobody does.
    drop(places.acquire_many(places_max as u32).await);
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    // Only tunes latency; a connection without it still works.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(ConnectInfo(address));
            let request = Request::from_parts(parts, Body::new(body));
            Ok::<_, Infallible>(
                router.oneshot(request).await.unwrap_or_else(|never| match never {}),
            )
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
        () = stopped(stop) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        // What was asked before is answered yet.
        serving.as_mut().graceful_shutdown();
        serving.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended in error");
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can stop any more: that is an end too.
    drop(stop.wait_for(|stop| *stop).await);
}
