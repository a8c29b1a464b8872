//! REST over one kept connection, with a limit for each answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `null` if it is not JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// The body, or an error that quotes it unless the status is 2xx.
    pub(crate) fn ok(self, what: &str) -> Result<Value> {
        if !(200..300).contains(&self.status) {
            bail!("{what}: HTTP {}: {}", self.status, self.text);
        }
        Ok(self.body)
    }
}

/// A client of one address.
pub(crate) struct Http {
    address: SocketAddr,
    token: String,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    /// Nothing is connected before the first request; an empty token is not sent.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), open: None }
    }

    /// A request and its answer within `limit`. After an error the next request makes a new connection.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<String>,
        limit: Duration,
    ) -> Result<Answer> {
        let open = self.open.take();
        let answered = timeout(limit, self.exchange(open, method, path, body)).await;
        let (open, answer) = answered.context("no answer in time")??;
        self.open = Some(open);
        Ok(answer)
    }

    async fn exchange(
        &self,
        open: Option<SendRequest<Full<Bytes>>>,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<(SendRequest<Full<Bytes>>, Answer)> {
        let mut open = match open {
            Some(open) if open.is_ready() => open,
            Some(_) | None => self.connect().await?,
        };
        let mut request =
            Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let response = open.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok((open, Answer { status, body, text }))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (open, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when `open` is dropped or the server closes; its error is also the request's.
        tokio::spawn(async move { drop(connection.await) });
        Ok(open)
    }
}
