//! The lines of the NATS client protocol, as far as core publish and subscribe need it.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_hub::Topic;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tracing::debug;

use super::address::{Address, told};
use super::sign_in::Proof;
use crate::carrier::{Incoming, Protocol, Stream, Tls, dial, read_line, secure};

/// The first line of a server is at most this long.
const INFO_BYTES_MAX: usize = 64 << 10;
/// A message is at most this long; servers allow 64 MiB.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// What a server allows if it says nothing.
const PAYLOAD_DEFAULT: usize = 1 << 20;
/// Servers cut lines of 4,096 bytes.
const SUBJECT_BYTES_MAX: usize = 3000;
/// So many servers are remembered beside those of the url.
const TOLD_MAX: usize = 32;

/// What a server says of itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Info {
    max_payload: Option<usize>,
    tls_required: bool,
    nonce: Option<String>,
    connect_urls: Vec<String>,
    /// It is about to stop.
    ldm: bool,
}

pub(super) struct Nats {
    /// The servers to try, next one first.
    servers: Vec<Address>,
    told: Vec<Address>,
    next: usize,
    /// With its dot.
    prefix: String,
    tls: Tls,
    /// Instead of what the urls say.
    proof: Option<Proof>,
    numbers: HashMap<Topic, u64>,
    topics: HashMap<u64, Topic>,
    last: u64,
    payload_max: usize,
}

impl Nats {
    pub(super) fn new(servers: Vec<Address>, prefix: &str, tls: Tls, proof: Option<Proof>) -> Self {
        let mut start = Vec::new();
        escape(prefix, &mut start);
        start.push(b'.');
        Self {
            servers,
            told: Vec::new(),
            next: 0,
            prefix: String::from_utf8_lossy(&start).into_owned(),
            tls,
            proof,
            numbers: HashMap::new(),
            topics: HashMap::new(),
            last: 0,
            payload_max: PAYLOAD_DEFAULT,
        }
    }

    async fn open_one(&mut self, address: &Address) -> Result<Stream, String> {
        let mut stream = dial(&address.place, None).await?;
        let line = read_line(&mut stream, INFO_BYTES_MAX).await?;
        let info =
            line.strip_prefix("INFO ").and_then(|json| serde_json::from_str::<Info>(json).ok());
        let info = info.ok_or_else(|| NOT_NATS.to_owned())?;
        if info.tls_required || address.is_encrypted {
            stream = secure(stream, &address.name, &self.tls).await?;
        }
        let hello = self.hello(address, &info)?;
        stream.write_all(hello.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        loop {
            let line = read_line(&mut stream, INFO_BYTES_MAX).await?;
            match line.split_ascii_whitespace().next() {
                Some("PONG") => break,
                Some("INFO" | "+OK" | "PING") => {}
                Some("-ERR") => return Err(refusal(&line)),
                _ => return Err(NOT_NATS.to_owned()),
            }
        }
        self.learn(address, &info);
        Ok(stream)
    }

    fn hello(&self, address: &Address, info: &Info) -> Result<String, String> {
        let mut connect = serde_json::json!({
            "verbose": false, "pedantic": false, "name": "mynah", "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "echo": false, "headers": false,
            "tls_required": info.tls_required || address.is_encrypted,
        });
        let mut put = |name: &str, value: &str| {
            if let Some(members) = connect.as_object_mut() {
                members.insert(name.to_owned(), value.into());
            }
        };
        match (&self.proof, &address.user, &address.password) {
            (Some(proof), _, _) => {
                for (name, value) in proof.members(info.nonce.as_deref().unwrap_or_default())? {
                    put(name, &value);
                }
            }
            (None, Some(user), Some(password)) => {
                put("user", user);
                put("pass", password);
            }
            (None, Some(token), None) => put("auth_token", token),
            (None, None, _) => {}
        }
        Ok(format!("CONNECT {connect}\r\nPING\r\n"))
    }

    fn learn(&mut self, address: &Address, info: &Info) {
        if let Some(max) = info.max_payload {
            self.payload_max = max;
        }
        let mut told = told(address, &info.connect_urls);
        told.retain(|told| self.servers.iter().all(|known| known.place != told.place));
        told.truncate(TOLD_MAX);
        if !told.is_empty() {
            self.told = told;
        }
    }

    fn hear(&self, topic: &Topic, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SUB ");
        self.subject(topic.as_str(), out);
        out.push(b' ');
        crate::digits(number, out);
        out.extend_from_slice(b"\r\n");
    }

    fn subject(&self, topic: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        escape(topic, out);
    }

    fn line(&mut self, line: &str) -> Result<Incoming, String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "PONG" => Ok(Incoming::Answer),
            "PING" => Ok(Incoming::Ping),
            "+OK" => Ok(Incoming::Nothing),
            "INFO" => {
                let info: Info = serde_json::from_str(rest).map_err(|_json| NOT_NATS.to_owned())?;
                let all = self.servers.len() + self.told.len();
                if info.ldm && all + info.connect_urls.len() > 1 {
                    return Err("the server is about to stop".to_owned());
                }
                if let Some(address) = self.servers.first().cloned() {
                    self.learn(&address, &info);
                }
                Ok(Incoming::Nothing)
            }
            "-ERR" if rest.contains("Permissions Violation for Publish") => {
                Ok(Incoming::Unpublished(refusal(line)))
            }
            "-ERR" => Err(refusal(line)),
            _ => Err(NOT_NATS.to_owned()),
        }
    }
}

const NOT_NATS: &str = "what answers there is no NATS; check host, port and tls:// in nats_url";

fn refusal(line: &str) -> String {
    let reason = line.trim_start_matches("-ERR").trim().trim_matches('\'');
    let advice = if reason.contains("Authorization") || reason.contains("Authentication") {
        "; check user, password or token in nats_url, or the nats_ setting that signs in"
    } else if reason.contains("Permissions Violation") {
        "; allow the user to publish and subscribe to `PREFIX.>`"
    } else {
        ""
    };
    format!("{reason}{advice}")
}

/// Writes what means something in a subject, and what cannot be in one, as `=` and two digits.
fn escape(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'@' | b'/' | b'#') {
            out.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[async_trait]
impl Protocol for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    async fn open(&mut self) -> Result<Vec<Stream>, String> {
        let mut all: Vec<Address> = self.servers.iter().chain(&self.told).cloned().collect();
        let turn = self.next % all.len().max(1);
        all.rotate_left(turn);
        let mut reasons = Vec::new();
        for address in &all {
            self.next = self.next.wrapping_add(1);
            match self.open_one(address).await {
                Ok(stream) => {
                    // After a loss this one is tried last.
                    return Ok(vec![stream]);
                }
                Err(reason) => {
                    let reason = format!("{}: {reason}", address.place);
                    debug!(broker = "nats", reason, "no connection to this server");
                    reasons.push(reason);
                }
            }
        }
        Err(reasons.join("; "))
    }

    fn subscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize {
        let mut lines = Vec::new();
        for channel in channels {
            if self.numbers.contains_key(&channel) {
                continue;
            }
            self.last += 1;
            self.hear(&channel, self.last, &mut lines);
            self.numbers.insert(channel.clone(), self.last);
            self.topics.insert(self.last, channel);
        }
        let Some(out) = out.filter(|_| !lines.is_empty()) else { return 0 };
        out.append(&mut lines);
        self.ping(out);
        1
    }

    fn unsubscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize {
        let mut lines = Vec::new();
        for channel in channels {
            let Some(number) = self.numbers.remove(&channel) else { continue };
            self.topics.remove(&number);
            lines.extend_from_slice(b"UNSUB ");
            crate::digits(number, &mut lines);
            lines.extend_from_slice(b"\r\n");
        }
        if let Some(out) = out {
            out.append(&mut lines);
        }
        0
    }

    fn resubscribe(&mut self, out: &mut Vec<u8>) -> usize {
        for (topic, number) in &self.numbers {
            self.hear(topic, *number, out);
        }
        self.ping(out);
        1
    }

    fn channels(&self) -> usize {
        self.numbers.len()
    }

    fn publish(&mut self, channel: &str, payload: &[u8], out: &mut Vec<u8>) -> bool {
        if payload.len() > self.payload_max || channel.len() * 3 > SUBJECT_BYTES_MAX {
            return false;
        }
        out.extend_from_slice(b"PUB ");
        self.subject(channel, out);
        out.push(b' ');
        crate::digits(payload.len() as u64, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
        true
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"PING\r\n");
    }

    fn pong(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"PONG\r\n");
    }

    fn decode(&mut self, _line: usize, input: &[u8]) -> Result<Option<(Incoming, usize)>, String> {
        let searched = input.get(..INFO_BYTES_MAX).unwrap_or(input);
        let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
            let is_endless = searched.len() < input.len();
            return if is_endless { Err(NOT_NATS.to_owned()) } else { Ok(None) };
        };
        let (line, rest) = input.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        let line = str::from_utf8(line).map_err(|_not_text| NOT_NATS.to_owned())?.trim_end();
        let Some(message) = line.strip_prefix("MSG ") else {
            return self.line(line).map(|incoming| Some((incoming, end + 1)));
        };
        let (number, length) = message_head(message).ok_or_else(|| NOT_NATS.to_owned())?;
        let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            _ => return Err(NOT_NATS.to_owned()),
        }
        // What came after the end of a subscription is nobody's.
        let incoming = self.topics.get(&number).map_or(Incoming::Nothing, |topic| {
            Incoming::Message(topic.clone(), Bytes::copy_from_slice(payload))
        });
        Ok(Some((incoming, end + 1 + length + 2)))
    }
}

/// Number of the subscription and length of `SUBJECT NUMBER [REPLY] LENGTH`.
fn message_head(head: &str) -> Option<(u64, usize)> {
    let mut words = head.split_ascii_whitespace();
    let _subject = words.next()?;
    let number = words.next()?.parse().ok()?;
    let length = words.last()?.parse().ok()?;
    (length <= PAYLOAD_BYTES_MAX).then_some((number, length))
}
