//! Strict packet decoder with reassembly of binary packets.

use std::borrow::Cow;

use bytes::Bytes;

use super::args::Spans;
use super::{ACK_ID_MAX, Args, EventName, MAIN_NAMESPACE, Namespace, Packet};
use super::{is_reserved_event, placeholder};
use crate::json::{JsonError, Scanner};

/// What one packet may make the decoder and its callers work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most attachments of one packet.
    pub attachments_max: u32,
    /// Most arguments, the event name not counted.
    pub args_max: u32,
    /// Deepest nesting, the array of arguments being level 1; at most 128.
    pub depth_max: u32,
    /// Most object keys in all arguments together.
    pub keys_max: u32,
    /// Most bytes in the attachments of one packet together; of a MessagePack packet also in the
    /// JSON text of its arguments. Text packets are limited by the transport.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    /// 10 attachments (as socket.io-parser), 64 arguments, depth 64, 10,000 keys, 1,000,000
    /// bytes.
    fn default() -> Self {
        Self {
            attachments_max: 10,
            args_max: 64,
            depth_max: 64,
            keys_max: 10_000,
            message_bytes_max: 1_000_000,
        }
    }
}

/// Why a packet is refused; the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// An empty message, or a first character that is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// A binary packet without a count of at least 1 and a dash.
    #[error("invalid attachment count")]
    AttachmentCount,
    /// More than [`Limits::attachments_max`].
    #[error("too many attachments")]
    TooManyAttachments,
    /// More bytes than [`Limits::message_bytes_max`].
    #[error("attachments too big")]
    AttachmentsTooBig,
    /// A text packet while attachments are outstanding.
    #[error("text packet while attachments are outstanding")]
    AttachmentMissing,
    /// Binary data that no packet announced.
    #[error("binary data without a packet")]
    AttachmentUnexpected,
    /// A placeholder that refers to no attachment, or text with an unpaired surrogate or a number
    /// out of range in a packet with attachments.
    #[error("invalid attachment placeholder")]
    InvalidPlaceholder,
    /// An id above [`ACK_ID_MAX`], on a packet that has none, or missing in an acknowledgement.
    #[error("invalid acknowledgement id")]
    AckId,
    /// No payload, or one where none belongs.
    #[error("payload missing or unexpected")]
    Payload,
    /// The payload is not JSON, or not MessagePack, of the kind the packet needs, from that byte
    /// offset on.
    #[error("invalid payload at byte {0}")]
    InvalidPayload(usize),
    /// Nested deeper than [`Limits::depth_max`].
    #[error("payload nested too deep")]
    TooDeep,
    /// More keys than [`Limits::keys_max`].
    #[error("payload has too many keys")]
    TooManyKeys,
    /// More arguments than [`Limits::args_max`].
    #[error("too many arguments")]
    TooManyArgs,
    /// No event name, or one that is neither a string nor a number.
    #[error("invalid event name")]
    EventName,
    /// A name of [`is_reserved_event`].
    #[error("reserved event name")]
    ReservedEvent,
    /// A MessagePack packet whose namespace is missing or no name with a leading slash and without
    /// a comma.
    #[error("invalid namespace")]
    Namespace,
    /// A MessagePack packet whose arguments as JSON exceed [`Limits::message_bytes_max`].
    #[error("payload too big")]
    PayloadTooBig,
}

/// Decoder of one connection, for all its namespaces. Owns heap memory only while attachments
/// are outstanding.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    packet: Packet,
    missing: u32,
    bytes_left: usize,
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pending: None }
    }

    /// Decodes the text of an Engine.IO message; `None` if attachments must follow.
    ///
    /// # Errors
    /// Any violation of protocol or limits. The decoder then forgets outstanding attachments.
    pub fn text(&mut self, text: &str) -> Result<Option<Packet>, DecodeError> {
        if self.pending.take().is_some() {
            return Err(DecodeError::AttachmentMissing);
        }
        let (packet, missing) = parse(text, &self.limits)?;
        if missing == 0 {
            return Ok(Some(packet));
        }
        let bytes_left = self.limits.message_bytes_max;
        self.pending = Some(Box::new(Pending { packet, missing, bytes_left }));
        Ok(None)
    }

    /// Takes a binary Engine.IO message, the next attachment; `None` if more must follow.
    ///
    /// # Errors
    /// If none is outstanding or all together are too big. The decoder then forgets what it had.
    pub fn binary(&mut self, data: Bytes) -> Result<Option<Packet>, DecodeError> {
        let mut pending = self.pending.take().ok_or(DecodeError::AttachmentUnexpected)?;
        pending.bytes_left =
            pending.bytes_left.checked_sub(data.len()).ok_or(DecodeError::AttachmentsTooBig)?;
        pending.missing -= 1;
        if let Packet::Event { attachments, .. } | Packet::Ack { attachments, .. } =
            &mut pending.packet
        {
            attachments.push(data);
        }
        if pending.missing == 0 {
            return Ok(Some(pending.packet));
        }
        self.pending = Some(pending);
        Ok(None)
    }

    /// True while attachments are outstanding.
    pub fn is_mid_packet(&self) -> bool {
        self.pending.is_some()
    }
}

/// The parts of a packet in front of its payload.
struct Head<'a> {
    nsp: Namespace,
    id: Option<u64>,
    attachments: u32,
    payload: &'a str,
    payload_at: usize,
}

pub(super) fn parse(text: &str, limits: &Limits) -> Result<(Packet, u32), DecodeError> {
    let (&kind, _) = text.as_bytes().split_first().ok_or(DecodeError::UnknownType)?;
    if !matches!(kind, b'0'..=b'6') {
        return Err(DecodeError::UnknownType);
    }
    let is_binary = matches!(kind, b'5' | b'6');
    let head = parse_head(text, is_binary, limits)?;
    let attachments = head.attachments;
    let packet = match kind {
        b'0' => parse_connect(head, limits)?,
        b'1' => parse_disconnect(head)?,
        b'2' | b'5' => parse_event(head, limits)?,
        b'3' | b'6' => parse_ack(head, limits)?,
        _ => parse_connect_error(head, limits)?,
    };
    Ok((packet, attachments))
}

fn parse_head<'a>(
    text: &'a str,
    is_binary: bool,
    limits: &Limits,
) -> Result<Head<'a>, DecodeError> {
    let mut rest = text.get(1..).unwrap_or_default();
    let mut attachments = 0;
    if is_binary {
        let digits = rest.bytes().take(11).take_while(u8::is_ascii_digit).count();
        let (count, after) = rest.split_at(digits);
        rest = match after.as_bytes().first() {
            Some(b'-') => after.get(1..).unwrap_or_default(),
            Some(b'0'..=b'9') => return Err(DecodeError::TooManyAttachments),
            _ => return Err(DecodeError::AttachmentCount),
        };
        let count: u64 = count.parse().ok().ok_or(DecodeError::AttachmentCount)?;
        if count == 0 {
            return Err(DecodeError::AttachmentCount);
        }
        attachments = u32::try_from(count)
            .ok()
            .filter(|count| *count <= limits.attachments_max)
            .ok_or(DecodeError::TooManyAttachments)?;
    }

    let mut nsp = Cow::Borrowed(MAIN_NAMESPACE);
    if rest.starts_with('/') {
        // Without a comma the name reaches to the end: `41/chat`.
        let (name, after) = rest.split_once(',').unwrap_or((rest, ""));
        if name != MAIN_NAMESPACE {
            nsp = Cow::Owned(name.to_owned());
        }
        rest = after;
    }

    let digits = rest.bytes().take(17).take_while(u8::is_ascii_digit).count();
    let (id, payload) = rest.split_at(digits);
    let id = match id {
        "" => None,
        id => {
            let id: u64 = id.parse().ok().ok_or(DecodeError::AckId)?;
            Some(id).filter(|id| *id <= ACK_ID_MAX).ok_or(DecodeError::AckId).map(Some)?
        }
    };
    Ok(Head { nsp, id, attachments, payload, payload_at: text.len() - payload.len() })
}

fn parse_connect(head: Head<'_>, limits: &Limits) -> Result<Packet, DecodeError> {
    if head.id.is_some() {
        return Err(DecodeError::AckId);
    }
    let auth = match head.payload {
        "" => None,
        payload if payload.starts_with('{') => {
            check_value(&head, limits)?;
            Some(payload.into())
        }
        _ => return Err(DecodeError::InvalidPayload(head.payload_at)),
    };
    Ok(Packet::Connect { nsp: head.nsp, auth })
}

fn parse_disconnect(head: Head<'_>) -> Result<Packet, DecodeError> {
    if head.id.is_some() {
        return Err(DecodeError::AckId);
    }
    if !head.payload.is_empty() {
        return Err(DecodeError::Payload);
    }
    Ok(Packet::Disconnect { nsp: head.nsp })
}

fn parse_connect_error(head: Head<'_>, limits: &Limits) -> Result<Packet, DecodeError> {
    if head.id.is_some() {
        return Err(DecodeError::AckId);
    }
    match head.payload.as_bytes().first() {
        Some(b'{' | b'"') => check_value(&head, limits)?,
        Some(_) => return Err(DecodeError::InvalidPayload(head.payload_at)),
        None => return Err(DecodeError::Payload),
    }
    Ok(Packet::ConnectError { nsp: head.nsp, data: head.payload.into() })
}

fn parse_event(head: Head<'_>, limits: &Limits) -> Result<Packet, DecodeError> {
    let (name, args) = parse_array(&head, true, limits)?;
    let event = name.ok_or(DecodeError::EventName)?;
    Ok(Packet::Event {
        nsp: head.nsp,
        id: head.id,
        event,
        args,
        attachments: Vec::with_capacity(head.attachments as usize),
    })
}

fn parse_ack(head: Head<'_>, limits: &Limits) -> Result<Packet, DecodeError> {
    let id = head.id.ok_or(DecodeError::AckId)?;
    let (_, args) = parse_array(&head, false, limits)?;
    let attachments = Vec::with_capacity(head.attachments as usize);
    Ok(Packet::Ack { nsp: head.nsp, id, args, attachments })
}

/// Checks a payload that is one JSON value.
fn check_value(head: &Head<'_>, limits: &Limits) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(head.payload, limits.depth_max, limits.keys_max);
    let result = scanner.value().and_then(|()| scanner.end());
    result.map_err(|error| head.json_error(error))
}

/// Reads an array of arguments, with an event name in front if `named`.
fn parse_array(
    head: &Head<'_>,
    named: bool,
    limits: &Limits,
) -> Result<(Option<EventName>, Args), DecodeError> {
    match head.payload.as_bytes().first() {
        Some(b'[') => {}
        Some(_) => return Err(DecodeError::InvalidPayload(head.payload_at)),
        None => return Err(DecodeError::Payload),
    }
    let mut scanner = Scanner::new(head.payload, limits.depth_max, limits.keys_max);
    let mut name = None;
    let mut spans = Spans::default();
    let mut left = limits.args_max;

    scanner.enter().map_err(|error| head.json_error(error))?;
    scanner.skip_whitespace();
    if !scanner.eat(b']') {
        loop {
            let start = scanner.at();
            scanner.value().map_err(|error| head.json_error(error))?;
            let span = start..scanner.at();
            if named && name.is_none() {
                name = Some(parse_name(head.payload.get(span).unwrap_or_default())?);
            } else {
                left = left.checked_sub(1).ok_or(DecodeError::TooManyArgs)?;
                spans.push(span);
            }
            scanner.skip_whitespace();
            if scanner.eat(b']') {
                break;
            }
            if !scanner.eat(b',') {
                return Err(head.json_error(scanner.syntax()));
            }
            scanner.skip_whitespace();
        }
    }
    scanner.end().map_err(|error| head.json_error(error))?;
    if head.attachments > 0 && !placeholder::are_valid(head.payload, head.attachments) {
        return Err(DecodeError::InvalidPlaceholder);
    }
    Ok((name, spans.cut(head.payload)))
}

fn parse_name(json: &str) -> Result<EventName, DecodeError> {
    match json.as_bytes().first() {
        Some(b'"') => {}
        Some(b'-' | b'0'..=b'9') => return Ok(EventName::Number(json.into())),
        _ => return Err(DecodeError::EventName),
    }
    let name: Cow<'_, str> = if json.contains('\\') {
        Cow::Owned(serde_json::from_str(json).ok().ok_or(DecodeError::EventName)?)
    } else {
        Cow::Borrowed(json.trim_matches('"'))
    };
    if is_reserved_event(&name) {
        return Err(DecodeError::ReservedEvent);
    }
    Ok(EventName::Text(name.into()))
}

impl Head<'_> {
    fn json_error(&self, error: JsonError) -> DecodeError {
        match error {
            JsonError::Syntax(at) => DecodeError::InvalidPayload(self.payload_at + at),
            JsonError::TooDeep => DecodeError::TooDeep,
            JsonError::TooManyKeys => DecodeError::TooManyKeys,
        }
    }
}
