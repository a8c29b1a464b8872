//! Requests for sessions of other nodes: passed on, so that no balancer need know where a session lives.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::directory::{Directory, Home};

/// Marks what another node has passed on already; such a request goes no further.
const PASSED_ON: HeaderName = HeaderName::from_static("x-mynah-passed-on");

/// How long another node may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// How long an unused connection to another node is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Unused connections kept to each node.
const IDLE_MAX: usize = 64;

/// Passes requests on; clones share the connections.
#[derive(Clone, Debug)]
pub struct Forwarder {
    directory: Directory,
    client: Client<HttpConnector, Body>,
}

impl Forwarder {
    /// To the nodes of a directory.
    pub fn new(directory: Directory) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { directory, client }
    }

    /// A new session id, which says whose the session is.
    pub fn session_id(&self) -> String {
        self.directory.session_id()
    }

    /// Where a request for a session belongs, if that is another node.
    pub fn elsewhere(&self, session_id: &str, request: &Request) -> Option<String> {
        if request.headers().contains_key(PASSED_ON) {
            return None;
        }
        match self.directory.home(session_id) {
            Home::Here => None,
            Home::At(address) => Some(address),
        }
    }

    /// Passes a request on and its answer back, a change to WebSocket included.
    ///
    /// # Errors
    /// [`Unreachable`]: the session is lost with its node, as far as the client is concerned.
    pub async fn pass_on(
        &self,
        mut request: Request,
        address: &str,
    ) -> Result<Response, Unreachable> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("http://{address}{path}").parse().map_err(|_bad| Unreachable)?;
        let upgrade = request.headers().contains_key(header::UPGRADE);
        let peer = upgrade.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        parts.uri = uri;
        parts.headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        parts.extensions = axum::http::Extensions::new();
        let passed = self.client.request(Request::from_parts(parts, body)).await;
        let mut answer = passed.map_err(|error| {
            tracing::debug!(%error, address, "a request could not be passed on");
            Unreachable
        })?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(peer) = peer
        {
            let node = hyper::upgrade::on(&mut answer);
            tokio::spawn(join(peer, node));
        }
        Ok(answer.map(Body::new).into_response())
    }
}

/// Another node that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node of this session cannot be reached")]
pub struct Unreachable;

/// Carries bytes both ways until one side ends.
async fn join(peer: hyper::upgrade::OnUpgrade, node: hyper::upgrade::OnUpgrade) {
    let (Ok(peer), Ok(node)) = tokio::join!(peer, node) else { return };
    let (mut peer, mut node) = (TokioIo::new(peer), TokioIo::new(node));
    if let Err(error) = tokio::io::copy_bidirectional(&mut peer, &mut node).await {
        tracing::debug!(%error, "a passed on connection ended");
    }
}
