//! POST requests to urls that somebody configured.
//!
//! ```text
//! url ── checked ──► name ── resolved once, every address judged ──► TCP to that address ──► TLS for the name ──► HTTP/1.1
//! ```
//!
//! Redirects are not followed: an answer with 3xx is an answer. Proxies of the environment are not used.
//! A connection whose answer was read to its end serves the next call to the same host and port.

mod connection;
mod pool;
mod target;

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::address::{Forbidden, Reach};
use crate::resolve::Resolver;
use connection::Connection;
pub(crate) use connection::{authorities, tls};
use pool::Pool;
use target::Target;

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: Arc<str>,
    /// Headers; those that the connection needs for itself (`Host`, `Content-Length` …) are passed over.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After` in seconds, if it says so in seconds.
    pub retry_after_s: Option<u64>,
}

impl Answer {
    /// Whether the request was taken.
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why no answer came back. The texts are for the app's owner and contain nothing of what the other side
/// sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The url or a header is not one that can be used.
    #[error("{0}")]
    Invalid(String),
    /// The url leads where calls may not go.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Nobody took it.
    #[error("{0}")]
    Failed(String),
}

/// Makes requests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes a request.
    ///
    /// # Errors
    /// [`PostError`].
    async fn post(&self, request: Post) -> Result<Answer, PostError>;
}

/// How a [`Client`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOptions {
    /// How far calls may go.
    pub reach: Reach,
    /// Time for a call, from the name to the answer's headers.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { reach: Reach::default(), timeout: Duration::from_secs(5) }
    }
}

/// An HTTP client that goes only where it may.
pub struct Client {
    options: ClientOptions,
    resolver: Arc<dyn Resolver>,
    /// Made when it is first needed: the authorities take some megabytes.
    tls: OnceLock<Arc<ClientConfig>>,
    pool: Pool,
}

/// What a request calls itself unless its headers say otherwise.
const AGENT: &str = concat!("mynah/", env!("CARGO_PKG_VERSION"));

/// Headers that belong to the connection.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Addresses of one name tried at most.
const ADDRESSES_MAX: usize = 3;

impl Client {
    /// A client that trusts the certificate authorities of the system, or those of Mozilla where the
    /// system has none. They are read from files at the first call.
    pub fn new(options: ClientOptions, resolver: Arc<dyn Resolver>) -> Self {
        Self { options, resolver, tls: OnceLock::new(), pool: Pool::default() }
    }

    fn tls(&self) -> &Arc<ClientConfig> {
        self.tls.get_or_init(|| tls(authorities()))
    }

    /// A client that trusts these certificate authorities and no others.
    ///
    /// # Errors
    /// One of them is no certificate.
    pub fn trusting(
        options: ClientOptions,
        resolver: Arc<dyn Resolver>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        Ok(Self { options, resolver, tls: OnceLock::from(tls(roots)), pool: Pool::default() })
    }

    async fn attempt(&self, request: Post) -> Result<Answer, PostError> {
        let target = Target::parse(&request.url)?;
        let headers = headers(&target, request.headers)?;
        let make = || {
            let mut made = Request::post(target.path_and_query.as_str());
            if let Some(fields) = made.headers_mut() {
                fields.clone_from(&headers);
            }
            let body = http_body_util::Full::new(request.body.clone());
            made.body(body).map_err(|error| PostError::Invalid(format!("the url: {error}")))
        };
        while let Some(mut kept) = self.pool.take(&target.origin) {
            // The other side may close a kept connection at any time: then it is nobody's failure.
            match kept.send(make()?).await {
                Ok(answer) => return Ok(self.done(&target, kept, answer).await),
                Err(error) => tracing::debug!(%error, "a kept connection was of no use"),
            }
        }
        let mut fresh = self.connect(&target).await?;
        let sent = fresh.send(make()?).await;
        let answer = sent.map_err(|error| PostError::Failed(told(&error)))?;
        Ok(self.done(&target, fresh, answer).await)
    }

    async fn connect(&self, target: &Target) -> Result<Connection, PostError> {
        if target.is_this_machine() {
            // Not every resolver knows these names (RFC 6761), and none may say otherwise.
            self.options.reach.check(Ipv4Addr::LOCALHOST.into())?;
        }
        let addresses = match target.address() {
            Some(address) => vec![address],
            None => self.resolver.resolve(&target.host).await.map_err(|error| {
                PostError::Failed(format!("the name {} was not found: {error}", target.host))
            })?,
        };
        // One bad address condemns the name: whoever controls it may be trying out the order.
        for address in &addresses {
            self.options.reach.check(*address)?;
        }
        let mut last = PostError::Failed(format!("the name {} has no address", target.host));
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match Connection::open(address, target, self.tls(), self.options.timeout / 2).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = PostError::Failed(error),
            }
        }
        Err(last)
    }

    async fn done(
        &self,
        target: &Target,
        mut connection: Connection,
        answer: hyper::Response<hyper::body::Incoming>,
    ) -> Answer {
        let status = answer.status().as_u16();
        let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
        let retry_after_s = answer.headers().get(RETRY_AFTER).and_then(seconds);
        if connection.is_reusable_after(answer.into_body()).await {
            self.pool.keep(target.origin.clone(), connection);
        }
        Answer { status, retry_after_s }
    }
}

#[async_trait]
impl Transport for Client {
    async fn post(&self, request: Post) -> Result<Answer, PostError> {
        let timeout = self.options.timeout;
        let attempt = tokio::time::timeout(timeout, Box::pin(self.attempt(request))).await;
        attempt.unwrap_or_else(|_| {
            Err(PostError::Failed(format!("no answer within {} ms", timeout.as_millis())))
        })
    }
}

fn headers(target: &Target, given: Vec<(String, String)>) -> Result<HeaderMap, PostError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let key = HeaderName::from_bytes(name.as_bytes());
        let key = key.map_err(|error| PostError::Invalid(format!("header {name:?}: {error}")))?;
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|error| PostError::Invalid(format!("header {name}: {error}")))?;
        headers.append(key, value);
    }
    let host = HeaderValue::from_str(&target.authority);
    let host = host.map_err(|error| PostError::Invalid(format!("the url's host: {error}")))?;
    headers.insert(HOST, host);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Ok(headers)
}

/// An error of the connection as a sentence.
fn told(error: &hyper::Error) -> String {
    let mut text = "the connection failed: ".to_owned();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut parts = Vec::new();
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.last().is_some_and(|last: &String| last.ends_with(&part)) {
            parts.push(part);
        }
        cause = error.source();
    }
    text.push_str(&parts.join(": "));
    text
}
