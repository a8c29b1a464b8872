//! A plain HTTP client for the doctor: one connection per request, as balancers spread connections.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mynah_integrations::dial::{Dialled, dial};
use mynah_protocol::websocket::{self, Decoder, Limits, Message, OpCode, Role, accept_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Time for an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// Most bytes of an answer that are read.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Most bytes of a message that is read.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A server's address as people name it: `https://chat.example.com`, with a path where one is in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    is_tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) took: Duration,
    /// Our own address towards the server.
    pub(super) local: IpAddr,
}

/// What an upgrade leads to.
pub(super) enum Switched {
    /// Both speak WebSocket.
    Yes(Box<Socket>),
    /// The server answered something else.
    No(Answer),
}

impl Site {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_not| format!("{text} is no url"))?;
        let is_tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(format!("{text} must begin with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{text} names no host"))?;
        if authority.as_str().contains('@') {
            return Err("the url must not hold a user name or password".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { is_tls, host, port, authority: authority.as_str().to_owned(), path })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(Method::GET, path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Result<Answer, String> {
        let content = (CONTENT_TYPE, "text/plain;charset=UTF-8");
        self.ask(Method::POST, path, &[content], body).await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: &str,
    ) -> Result<Answer, String> {
        let closing = [headers, &[(CONNECTION, "close")]].concat();
        let request = self.request(method, path, &closing, body)?;
        let begun = Instant::now();
        let Dialled { stream, local, .. } = dial(&self.host, self.port, self.is_tls).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| told(&error))?;
        let driver = tokio::spawn(connection);
        let answered = async {
            let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
            let (parts, body) = answer.into_parts();
            let body = http_body_util::Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("the answer breaks off: {error}"))?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            let (status, took) = (parts.status.as_u16(), begun.elapsed());
            Ok(Answer { status, headers: parts.headers, body, took, local: local.ip() })
        };
        let answer = timeout(ANSWER, answered).await;
        driver.abort();
        answer.map_err(|_late| format!("no answer within {} s", ANSWER.as_secs()))?
    }

    /// Asks for a WebSocket.
    pub(super) async fn switch(&self, path: &str) -> Result<Switched, String> {
        let key = "bXluYWggZG9jdG9yIGtleQ==";
        let websocket = |name| HeaderName::from_static(name);
        let headers = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (websocket("sec-websocket-version"), "13"),
            (websocket("sec-websocket-key"), key),
        ];
        let request = self.request(Method::GET, path, &headers, "")?;
        let begun = Instant::now();
        let Dialled { stream, local, .. } = dial(&self.host, self.port, self.is_tls).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| told(&error))?;
        tokio::spawn(connection.with_upgrades());
        let answer = timeout(ANSWER, sender.send_request(request)).await;
        let answer = answer
            .map_err(|_late| "no answer to the upgrade".to_owned())?
            .map_err(|error| told(&error))?;
        let took = begun.elapsed();
        if answer.status().as_u16() != 101 {
            let (parts, body) = answer.into_parts();
            let body = timeout(ANSWER, http_body_util::Limited::new(body, 65_536).collect()).await;
            let body = body.ok().and_then(Result::ok).map(Collected::to_bytes);
            let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
            let (status, headers, local) = (parts.status.as_u16(), parts.headers, local.ip());
            return Ok(Switched::No(Answer { status, headers, body, took, local }));
        }
        let accepted = answer.headers().get("sec-websocket-accept");
        if accepted.map(HeaderValue::as_bytes) != Some(accept_key(key).as_bytes()) {
            return Err(
                "101 came without the right Sec-WebSocket-Accept: something between answers \
                        in the server's place"
                    .to_owned(),
            );
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| told(&error))?;
        let limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, ..Limits::default() };
        Ok(Switched::Yes(Box::new(Socket {
            stream: TokioIo::new(upgraded),
            decoder: Decoder::new(Role::Client, limits),
            heard: std::collections::VecDeque::new(),
        })))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: &str,
    ) -> Result<Request<Full<Bytes>>, String> {
        let agent = concat!("mynah-doctor/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.path))
            .header(HOST, &self.authority)
            .header(USER_AGENT, agent);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|error| error.to_string())
    }
}

fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("the connection fails: {error}: {source}"),
        None => format!("the connection fails: {error}"),
    }
}

/// A WebSocket.
pub(super) struct Socket {
    stream: TokioIo<hyper::upgrade::Upgraded>,
    decoder: Decoder,
    heard: std::collections::VecDeque<String>,
}

impl Socket {
    pub(super) async fn send(&mut self, text: &str) -> Result<(), String> {
        let mut frame = Vec::new();
        websocket::encode_masked(OpCode::Text, text.as_bytes(), [7, 5, 3, 1], &mut frame);
        self.stream.write_all(&frame).await.map_err(|error| format!("it is cut: {error}"))
    }

    /// The next text message.
    pub(super) async fn next(&mut self, within: Duration) -> Result<String, String> {
        let late = |_late| format!("nothing comes for {} s", within.as_secs());
        timeout(within, self.read()).await.map_err(late)?
    }

    async fn read(&mut self) -> Result<String, String> {
        let mut buffer = vec![0; 16_384];
        loop {
            if let Some(text) = self.heard.pop_front() {
                return Ok(text);
            }
            let bytes = self.stream.read(&mut buffer).await;
            let bytes = bytes.map_err(|error| format!("it is cut: {error}"))?;
            let input = buffer.get_mut(..bytes).unwrap_or_default();
            if input.is_empty() {
                return Err("it is closed".to_owned());
            }
            let (heard, mut closed) = (&mut self.heard, false);
            let fed = self.decoder.feed(input, &mut |message| match message {
                Message::Text(text) => {
                    heard.push_back(text);
                }
                Message::Close { .. } => closed = true,
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
            });
            fed.map_err(|error| format!("what comes is no WebSocket: {error}"))?;
            if closed && self.heard.is_empty() {
                return Err("the other side ends it".to_owned());
            }
        }
    }
}
