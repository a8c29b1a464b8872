//! Redis (also Valkey, and what else speaks RESP 2) as a broker, over publish and subscribe.
//!
//! Two connections: one that is subscribed, one that publishes. A publication goes to the channel `PREFIX:TOPIC`.
//!
//! Behind sentinels both go to the master, and a third to a sentinel, which tells at once when another takes over. In a
//! cluster the channels are `{PREFIX}:TOPIC`, and sharded: the braces put all into one slot, so that one node carries
//! them without telling all others, and in the order in which they were published; which node is asked for anew when it
//! changes. What a cluster adds is that it goes on when that node is lost.

mod address;
mod open;
mod resp;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, Topic};
use tokio::sync::mpsc;

use crate::carrier::{
    Carrier, Incoming, Limits, Protocol, Settings, Stream, Timing, TlsError, TlsOptions, tls,
};
pub use address::UrlError;
use address::{Address, Kind};
use open::{NOT_REDIS, Opener};
use resp::Frame;

/// How to reach Redis, and how it is used.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://user:password@host:6379`, or `rediss://` for TLS. A database number in it is accepted and means
    /// nothing: channels belong to no database.
    ///
    /// `redis-sentinel://host:26379,host:26379?master=name`: user and password are those of the master; those of the
    /// sentinels are `sentinel_user=` and `sentinel_password=`. `redis-cluster://host:6379,host:6379`: some nodes.
    /// Both also begin with `rediss-`.
    pub url: String,
    /// The name of the master, if the url of sentinels has none.
    pub sentinel_master: Option<String>,
    /// Before each channel's name, with a colon: installations that share a Redis differ in it.
    pub prefix: String,
    /// For `rediss://`; elsewhere it has no effect.
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
            sentinel_master: None,
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
    #[error("redis_url: {0}")]
    Url(#[from] UrlError),
    /// The certificates.
    #[error(transparent)]
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
    // In a cluster the braces keep all channels in one slot: one node carries them, in order.
    let address = Address::parse(&options.url, options.sentinel_master.as_deref())?;
    let (prefix, is_sharded) = match address.kind {
        Kind::Cluster => (format!("{{{}}}:", options.prefix), true),
        Kind::Single | Kind::Sentinel { .. } => (format!("{}:", options.prefix), false),
    };
    connect_in(options, Style { prefix, patterns: Vec::new(), is_sharded })
}

/// Whether the options can be used, files included; nothing is connected.
///
/// # Errors
///
/// As those of [`connect`].
pub fn check(options: &RedisOptions) -> Result<(), RedisError> {
    let address = Address::parse(&options.url, options.sentinel_master.as_deref())?;
    if address.is_encrypted {
        tls(&options.tls)?;
    }
    Ok(())
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
    let address = Address::parse(&options.url, options.sentinel_master.as_deref())?;
    let tls = if address.is_encrypted { Some(tls(&options.tls)?) } else { None };
    let channel = format!("{}?", style.prefix);
    let protocol = Redis {
        opener: Opener::new(address, tls, channel),
        style,
        unsubscribing: 0,
        lines: 0,
        heard: HashSet::new(),
        message_bytes_max: options.limits.message_bytes_max,
    };
    let settings = Settings { limits: options.limits, timing: options.timing };
    Ok(Carrier::start(Box::new(protocol), settings))
}

/// One command names at most so many channels.
const CHANNELS_PER_COMMAND: usize = 1000;

impl Style {
    fn subscribe(&self) -> &'static [u8] {
        if self.is_sharded { b"SSUBSCRIBE" } else { b"SUBSCRIBE" }
    }

    fn unsubscribe(&self) -> &'static [u8] {
        if self.is_sharded { b"SUNSUBSCRIBE" } else { b"UNSUBSCRIBE" }
    }
}

struct Redis {
    opener: Opener,
    style: Style,
    /// So many answers to the ends of subscriptions are to come.
    unsubscribing: usize,
    /// Connections of the session.
    lines: usize,
    heard: HashSet<Topic>,
    message_bytes_max: usize,
}

impl Redis {
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

    fn item(&mut self, line: usize, items: &[&[u8]]) -> Result<Incoming, String> {
        if line == 1 && line + 1 < self.lines {
            return self.opener.told(items);
        }
        Ok(match items {
            [b"message" | b"smessage", channel, payload] => {
                let name = channel.strip_prefix(self.style.prefix.as_bytes());
                let name = name.and_then(|name| str::from_utf8(name).ok());
                // What came after the end of a subscription is nobody's.
                let Some(channel) = name.and_then(|name| self.heard.get(name)) else {
                    return Ok(Incoming::Nothing);
                };
                if payload.len() > self.message_bytes_max {
                    return Ok(Incoming::TooLong);
                }
                Incoming::Message(channel.clone(), Bytes::copy_from_slice(payload))
            }
            [b"pmessage", _, channel, payload] => {
                let Ok(channel) = str::from_utf8(channel) else { return Ok(Incoming::Nothing) };
                if payload.len() > self.message_bytes_max {
                    return Ok(Incoming::TooLong);
                }
                Incoming::Message(Topic::new(channel), Bytes::copy_from_slice(payload))
            }
            [b"sunsubscribe", ..] => {
                // A cluster ends what it moves elsewhere, unasked.
                let left = self.unsubscribing.checked_sub(1);
                self.unsubscribing = left.ok_or_else(|| MOVED.to_owned())?;
                Incoming::Answer
            }
            [kind, ..] if is_answer(kind) => Incoming::Answer,
            _ => Incoming::Nothing,
        })
    }
}

fn is_answer(kind: &[u8]) -> bool {
    matches!(kind, b"subscribe" | b"unsubscribe" | b"ssubscribe" | b"psubscribe" | b"pong")
}

#[async_trait]
impl Protocol for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn open(&mut self) -> Result<Vec<Stream>, String> {
        self.unsubscribing = 0;
        let streams = self.opener.open().await?;
        self.lines = streams.len();
        Ok(streams)
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
        let answers = out.map_or(0, |out| self.subscription(self.style.unsubscribe(), &old, out));
        self.unsubscribing += answers;
        answers
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
            Frame::List(Some(items)) => self.item(line, &items)?,
            Frame::Simple(b"PONG") => Incoming::Answer,
            Frame::Error(reason) if line + 1 < self.lines || is_elsewhere(reason) => {
                return Err(refusal(reason));
            }
            Frame::Error(reason) => Incoming::Unpublished(refusal(reason)),
            Frame::Simple(_) | Frame::Integer(_) | Frame::Bulk(_) | Frame::List(None) => {
                Incoming::Nothing
            }
        };
        Ok(Some((incoming, taken)))
    }
}

const MOVED: &str = "the cluster moved our channels to another node";

/// Whether this server will take nothing more, but another may.
fn is_elsewhere(reason: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"MOVED ", b"CLUSTERDOWN", b"MASTERDOWN", b"READONLY"];
    words.iter().any(|word| reason.starts_with(word))
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
