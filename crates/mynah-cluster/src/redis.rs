//! Redis (also Valkey, and what else speaks RESP 2) as a broker, over publish and subscribe.
//!
//! Two connections: one that is subscribed, one that publishes. A publication goes to the channel `PREFIX:TOPIC`.

mod address;
mod resp;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, Topic};
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::carrier::{
    Carrier, Incoming, Limits, Place, Protocol, Settings, Stream, Timing, TlsError, TlsOptions,
    dial, read_line, tls_config,
};
use address::Address;
pub use address::UrlError;
use resp::Frame;

/// How to reach Redis, and how it is used.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://user:password@host:6379`, or `rediss://` for TLS. A database number in it is accepted and means
    /// nothing: channels belong to no database.
    pub url: String,
    /// Before each channel's name, with a colon: installations that share a Redis differ in it.
    pub prefix: String,
    /// For `rediss://`.
    pub tls: TlsOptions,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timing: Timing,
}

impl RedisOptions {
    /// The defaults with this url.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "mynah".to_owned(),
            tls: TlsOptions::default(),
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// Why Redis cannot be used at all. That it cannot be reached is no such reason: it is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The url.
    #[error("cluster.redis_url: {0}")]
    Url(#[from] UrlError),
    /// The certificates.
    #[error("cluster.redis_ca_file: {0}")]
    Tls(#[from] TlsError),
}

/// Begins to connect, on the current runtime, and goes on as long as the broker is used.
///
/// # Errors
///
/// If the url or the certificates cannot be used. A Redis that is not there yet is waited for.
pub fn connect(
    options: &RedisOptions,
) -> Result<(Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>), RedisError> {
    let style = Style { prefix: format!("{}:", options.prefix), ..Style::default() };
    connect_in(options, style)
}

/// How channels are named and heard.
#[derive(Debug, Default)]
pub(crate) struct Style {
    /// Before the name of each.
    pub(crate) prefix: String,
    /// Patterns that are heard beside the channels, always; what matches comes under its whole name.
    pub(crate) patterns: Vec<String>,
    /// Channels belong to shards.
    pub(crate) is_sharded: bool,
}

/// Like [`connect`], with other names; the prefix of the options is not used.
pub(crate) fn connect_in(
    options: &RedisOptions,
    style: Style,
) -> Result<(Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>), RedisError> {
    let address = Address::parse(&options.url)?;
    let tls = if address.is_encrypted { Some(tls_config(&options.tls)?) } else { None };
    let protocol = Redis {
        address,
        tls,
        style,
        heard: HashSet::new(),
        message_bytes_max: options.limits.message_bytes_max,
    };
    let settings = Settings { limits: options.limits, timing: options.timing };
    Ok(Carrier::start(Box::new(protocol), settings))
}

/// One command names at most so many channels.
const CHANNELS_PER_COMMAND: usize = 1000;
/// A refusal at the start is one line of at most this length.
const ANSWER_BYTES_MAX: usize = 4096;

impl Style {
    fn subscribe(&self) -> &'static [u8] {
        if self.is_sharded { b"SSUBSCRIBE" } else { b"SUBSCRIBE" }
    }

    fn unsubscribe(&self) -> &'static [u8] {
        if self.is_sharded { b"SUNSUBSCRIBE" } else { b"UNSUBSCRIBE" }
    }
}

struct Redis {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    style: Style,
    heard: HashSet<Topic>,
    message_bytes_max: usize,
}

impl Redis {
    async fn open_one(&self, place: &Place) -> Result<Stream, String> {
        let mut stream = dial(place, self.tls.as_ref()).await?;
        if let Some(password) = &self.address.password {
            let mut out = Vec::new();
            resp::command(if self.address.user.is_some() { 3 } else { 2 }, &mut out);
            resp::part(b"", b"AUTH", &mut out);
            if let Some(user) = &self.address.user {
                resp::part(b"", user.as_bytes(), &mut out);
            }
            resp::part(b"", password.as_bytes(), &mut out);
            ask(&mut stream, &out).await.map_err(|error| {
                format!("{error}; check user and password in cluster.redis_url")
            })?;
        }
        let mut ping = Vec::new();
        self.ping(&mut ping);
        ask(&mut stream, &ping).await.map_err(|error| {
            if error.starts_with("NOAUTH") {
                format!("{error} Put user and password into cluster.redis_url")
            } else {
                error
            }
        })?;
        Ok(stream)
    }

    fn subscription(&self, command: &[u8], channels: &[Topic], out: &mut Vec<u8>) -> usize {
        for channels in channels.chunks(CHANNELS_PER_COMMAND) {
            resp::command(1 + channels.len(), out);
            resp::part(b"", command, out);
            for channel in channels {
                resp::part(self.style.prefix.as_bytes(), channel.as_str().as_bytes(), out);
            }
        }
        channels.len()
    }

    fn item(&self, items: &[&[u8]]) -> Incoming {
        match items {
            [b"message" | b"smessage", channel, payload] => {
                let name = channel.strip_prefix(self.style.prefix.as_bytes());
                let name = name.and_then(|name| str::from_utf8(name).ok());
                // What came after the end of a subscription is nobody's.
                let Some(channel) = name.and_then(|name| self.heard.get(name)) else {
                    return Incoming::Nothing;
                };
                if payload.len() > self.message_bytes_max {
                    return Incoming::TooLong;
                }
                Incoming::Message(channel.clone(), Bytes::copy_from_slice(payload))
            }
            [b"pmessage", _, channel, payload] => {
                let Ok(channel) = str::from_utf8(channel) else { return Incoming::Nothing };
                if payload.len() > self.message_bytes_max {
                    return Incoming::TooLong;
                }
                Incoming::Message(Topic::new(channel), Bytes::copy_from_slice(payload))
            }
            [kind, ..] if is_answer(kind) => Incoming::Answer,
            _ => Incoming::Nothing,
        }
    }
}

fn is_answer(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"subscribe" | b"unsubscribe" | b"ssubscribe" | b"sunsubscribe" | b"psubscribe" | b"pong"
    )
}

/// Sends a command whose answer is one line, and waits for it.
async fn ask(stream: &mut Stream, command: &[u8]) -> Result<(), String> {
    stream.write_all(command).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let answer = read_line(stream, ANSWER_BYTES_MAX).await?;
    match answer.split_at_checked(1) {
        Some(("+", _)) => Ok(()),
        Some(("-", reason)) => Err(reason.to_owned()),
        _ => Err(NOT_REDIS.to_owned()),
    }
}

const NOT_REDIS: &str =
    "what answers there is no Redis; check host, port and rediss:// in cluster.redis_url";

#[async_trait]
impl Protocol for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn open(&mut self) -> Result<Vec<Stream>, String> {
        let place = self.address.place.clone();
        let opened = tokio::try_join!(self.open_one(&place), self.open_one(&place));
        let (subscribing, publishing) = opened.map_err(|reason| format!("{place}: {reason}"))?;
        Ok(vec![subscribing, publishing])
    }

    fn subscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize {
        let heard = &mut self.heard;
        let new: Vec<Topic> =
            channels.into_iter().filter(|channel| heard.insert(channel.clone())).collect();
        out.map_or(0, |out| self.subscription(self.style.subscribe(), &new, out))
    }

    fn unsubscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize {
        let heard = &mut self.heard;
        let old: Vec<Topic> =
            channels.into_iter().filter(|channel| heard.remove(channel)).collect();
        out.map_or(0, |out| self.subscription(self.style.unsubscribe(), &old, out))
    }

    fn resubscribe(&mut self, out: &mut Vec<u8>) -> usize {
        let channels: Vec<Topic> = self.heard.iter().cloned().collect();
        let answers = self.subscription(self.style.subscribe(), &channels, out);
        for pattern in &self.style.patterns {
            resp::command(2, out);
            resp::part(b"", b"PSUBSCRIBE", out);
            resp::part(b"", pattern.as_bytes(), out);
        }
        self.ping(out);
        answers + self.style.patterns.len() + 1
    }

    fn channels(&self) -> usize {
        self.heard.len()
    }

    fn publish(&mut self, channel: &str, payload: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(if self.style.is_sharded {
            b"*3\r\n$8\r\nSPUBLISH\r\n"
        } else {
            b"*3\r\n$7\r\nPUBLISH\r\n"
        });
        resp::part(self.style.prefix.as_bytes(), channel.as_bytes(), out);
        resp::part(b"", payload, out);
        true
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    }

    fn pong(&self, _out: &mut Vec<u8>) {}

    fn decode(&mut self, line: usize, input: &[u8]) -> Result<Option<(Incoming, usize)>, String> {
        let decoded = resp::decode(input).map_err(|resp::Garbage| NOT_REDIS.to_owned())?;
        let Some((frame, taken)) = decoded else { return Ok(None) };
        let incoming = match frame {
            Frame::List(Some(items)) => self.item(&items),
            Frame::Simple(b"PONG") => Incoming::Answer,
            Frame::Error(reason) if line == 0 => return Err(refusal(reason)),
            Frame::Error(reason) => Incoming::Unpublished(refusal(reason)),
            Frame::Simple(_) | Frame::Integer(_) | Frame::Bulk(_) | Frame::List(None) => {
                Incoming::Nothing
            }
        };
        Ok(Some((incoming, taken)))
    }
}

fn refusal(reason: &[u8]) -> String {
    let reason = String::from_utf8_lossy(reason).into_owned();
    if reason.starts_with("NOPERM") {
        format!(
            "{reason}; allow the user `&PREFIX:*`, `+subscribe`, `+unsubscribe`, `+publish` and `+ping`"
        )
    } else {
        reason
    }
}
