//! Socket.IO packets as MessagePack, the format of socket.io-msgpack-parser 3.
//!
//! A packet is one binary message: a map of `type` (0–4), `nsp`, `data` and `id`. [`decode`] gives
//! the same [`Packet`] as the JSON decoder, its arguments being the JSON text that
//! `JSON.stringify` makes of the same values; [`transcode`] turns finished text packets into
//! messages, byte for byte those of the official server. Both ends use notepack.io 2.2, which
//! spells `undefined` as `d4 00 00` and a date as `d7 00` and its milliseconds.
//!
//! Source: `index.js` of socket.io-msgpack-parser 3.0, `lib/` and `browser/` of notepack.io 2.2.

mod date;
mod json;
mod read;
mod write;

use std::borrow::Cow;

use super::args::Spans;
use super::decode::parse;
use super::{
    ACK_ID_MAX, Args, DecodeError, EventName, Limits, MAIN_NAMESPACE, Namespace, Packet,
    is_reserved_event, placeholder,
};
use bytes::Bytes;
use json::JsonText;
use read::{Reader, Token};
use write::Writer;

/// Most keys of the map a packet is; the official client sends five.
const PACKET_KEYS_MAX: usize = 16;

/// What our own packets may be made of, attachments aside.
const OWN: Limits = Limits {
    attachments_max: 0,
    args_max: u32::MAX,
    depth_max: crate::json::DEPTH_MAX,
    keys_max: u32::MAX,
    message_bytes_max: usize::MAX,
};

/// Decodes one binary Engine.IO message, e.g. the map `{type: 2, nsp: "/", data: ["hello", 1]}`.
///
/// Binary values (`bin`, and `ext` 0 of more than one byte, an `ArrayBuffer` in Node) become
/// placeholders and attachments; dates and timestamps ISO 8601 strings; NaN, infinities and
/// invalid dates null; `undefined` null in arrays and no entry in objects. Integers keep all
/// their digits. Keys of the packet that are not known, such as `options`, are ignored.
///
/// # Errors
/// Any violation of the format or of a limit; [`Limits::message_bytes_max`] bounds the attachments
/// and the JSON text each. Bytes that no JSON text could stand for are refused: keys that are no
/// strings, text that is not UTF-8, other extensions.
pub fn decode(message: &[u8], limits: &Limits) -> Result<Packet, DecodeError> {
    let fields = Fields::read(message)?;
    let nsp = fields.nsp.ok_or(DecodeError::Namespace)?;
    if !nsp.starts_with('/') || nsp.contains(',') {
        return Err(DecodeError::Namespace);
    }
    let nsp: Namespace = match nsp {
        MAIN_NAMESPACE => Cow::Borrowed(MAIN_NAMESPACE),
        name => Cow::Owned(name.to_owned()),
    };
    let kind = fields.kind.ok_or(DecodeError::UnknownType)?;
    let has_no_id = || if fields.id.is_none() { Ok(()) } else { Err(DecodeError::AckId) };
    match kind {
        0 => {
            has_no_id()?;
            Ok(Packet::Connect { nsp, auth: object(fields.data, limits)? })
        }
        1 => {
            has_no_id()?;
            match fields.data {
                Some(_) => Err(DecodeError::Payload),
                None => Ok(Packet::Disconnect { nsp }),
            }
        }
        2 => {
            let list = List::read(fields.data, true, limits)?;
            let event = list.name.ok_or(DecodeError::EventName)?;
            let List { args, attachments, .. } = list;
            Ok(Packet::Event { nsp, id: fields.id, event, args, attachments })
        }
        3 => {
            let id = fields.id.ok_or(DecodeError::AckId)?;
            let List { args, attachments, .. } = List::read(fields.data, false, limits)?;
            Ok(Packet::Ack { nsp, id, args, attachments })
        }
        4 => {
            has_no_id()?;
            let data = match fields.data {
                Some(data) if matches!(data.clone().token()?, Token::Text(_)) => {
                    JsonText::of(data, limits)?
                }
                data => object(data, limits)?.ok_or(DecodeError::Payload)?,
            };
            Ok(Packet::ConnectError { nsp, data })
        }
        _ => Err(DecodeError::UnknownType),
    }
}

/// Turns a finished Engine.IO text packet, e.g. `42/chat,7["hello",1]`, into the binary message of
/// the same content; `None` if it is no Socket.IO packet, needs attachments, or is named by a number
/// out of range.
///
/// Whole numbers are written as the shortest integers, other ones as 64 bit floats, unpaired
/// surrogates as U+FFFD.
pub fn transcode(packet: &[u8]) -> Option<Vec<u8>> {
    transcode_with(packet, &[])
}

/// Like [`transcode`] for a packet with attachments, e.g. `451-["file",{"_placeholder":true,"num":0}]`;
/// `None` also if it announces another number of them.
pub fn transcode_with(packet: &[u8], attachments: &[Bytes]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(packet).ok()?.strip_prefix(crate::engine_io::MESSAGE as char)?;
    // Room is made for as many as a packet announces.
    let limits = Limits { attachments_max: attachments.len() as u32, ..OWN };
    let (packet, missing) = parse(text, &limits).ok()?;
    if missing as usize != attachments.len() {
        return None;
    }
    let mut out = Writer::new(text.len(), attachments);
    // The order of the keys is the one in which the official server sets them.
    match &packet {
        Packet::Connect { nsp, auth } => {
            out.map(if auth.is_some() { 3 } else { 2 });
            out.kind(0);
            if let Some(auth) = auth {
                out.data(auth)?;
            }
            out.nsp(nsp);
        }
        Packet::Disconnect { nsp } => {
            out.map(2);
            out.kind(1);
            out.nsp(nsp);
        }
        Packet::Event { nsp, id, event, args, .. } => {
            out.map(if id.is_some() { 4 } else { 3 });
            out.kind(2);
            out.key("data");
            out.array(1 + args.len());
            match event {
                EventName::Text(name) => out.text(name),
                EventName::Number(number) if is_finite(number) => out.json(number)?,
                EventName::Number(_) => return None,
            }
            args.iter().try_for_each(|arg| out.json(arg))?;
            if let Some(id) = id {
                out.id(*id);
            }
            out.nsp(nsp);
        }
        Packet::Ack { nsp, id, args, .. } => {
            out.map(4);
            out.id(*id);
            out.kind(3);
            out.key("data");
            out.array(args.len());
            args.iter().try_for_each(|arg| out.json(arg))?;
            out.nsp(nsp);
        }
        Packet::ConnectError { nsp, data } => {
            out.map(3);
            out.kind(4);
            out.data(data)?;
            out.nsp(nsp);
        }
    }
    Some(out.finish())
}

/// Numbers such as `1e999` are JSON, but nothing is called so in MessagePack.
fn is_finite(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The known keys of a packet; `data` stands at the value and is `None` if that is `undefined`
/// or null.
#[derive(Debug, Default)]
struct Fields<'a> {
    kind: Option<u64>,
    nsp: Option<&'a str>,
    id: Option<u64>,
    data: Option<Reader<'a>>,
}

impl<'a> Fields<'a> {
    fn read(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        let Token::Map(entries) = reader.token()? else { return Err(reader.invalid()) };
        if entries > PACKET_KEYS_MAX {
            return Err(DecodeError::TooManyKeys);
        }
        let mut fields = Self::default();
        let mut seen = [false; 4];
        for _ in 0..entries {
            let Token::Text(key) = reader.token()? else { return Err(reader.invalid()) };
            let known = ["type", "nsp", "id", "data"].iter().position(|name| *name == key);
            if let Some(seen) = known.and_then(|index| seen.get_mut(index))
                && std::mem::replace(seen, true)
            {
                return Err(reader.invalid());
            }
            fields.take(key, &mut reader)?;
        }
        reader.end()?;
        Ok(fields)
    }

    fn take(&mut self, key: &str, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        match key {
            "type" => {
                let Token::Unsigned(kind) = reader.token()? else {
                    return Err(DecodeError::UnknownType);
                };
                self.kind = Some(kind);
            }
            "nsp" => {
                let Token::Text(name) = reader.token()? else { return Err(DecodeError::Namespace) };
                self.nsp = Some(name);
            }
            "id" => {
                let token = reader.token()?;
                if let Token::Unsigned(id @ 0..=ACK_ID_MAX) = token {
                    self.id = Some(id);
                } else if token != Token::Undefined {
                    return Err(DecodeError::AckId);
                }
            }
            "data" => {
                let data = reader.clone();
                reader.skip()?;
                let is_absent = matches!(data.clone().token()?, Token::Undefined | Token::Nil);
                self.data = (!is_absent).then_some(data);
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// JSON text of a payload that is a map.
fn object(data: Option<Reader<'_>>, limits: &Limits) -> Result<Option<Box<str>>, DecodeError> {
    let Some(data) = data else { return Ok(None) };
    let Token::Map(_) = data.clone().token()? else { return Err(data.invalid()) };
    JsonText::of(data, limits).map(Some)
}

/// A payload that is an array, the arguments of an event or acknowledgement.
struct List {
    name: Option<EventName>,
    args: Args,
    attachments: Vec<Bytes>,
}

impl List {
    /// Reads it, with an event name in front if `named`.
    fn read(data: Option<Reader<'_>>, named: bool, limits: &Limits) -> Result<Self, DecodeError> {
        let mut data = data.ok_or(DecodeError::Payload)?;
        let Token::Array(length) = data.token()? else { return Err(data.invalid()) };
        if length > limits.args_max as usize + usize::from(named) {
            return Err(DecodeError::TooManyArgs);
        }
        let mut text = JsonText::new(limits);
        text.enter()?;
        let mut name = None;
        let mut spans = Spans::default();
        for index in 0..length {
            if named && index == 0 {
                name = Some(event_name(&mut data, limits)?);
                continue;
            }
            text.separate()?;
            let start = text.len();
            text.value(&mut data)?;
            spans.push(start..text.len());
        }
        let (text, attachments) = text.finish();
        // Objects that look like placeholders may stand among the values.
        if !attachments.is_empty()
            && !placeholder::are_valid(&format!("[{text}]"), attachments.len() as u32)
        {
            return Err(DecodeError::InvalidPlaceholder);
        }
        Ok(Self { name, args: spans.cut(&text), attachments })
    }
}

fn event_name(data: &mut Reader<'_>, limits: &Limits) -> Result<EventName, DecodeError> {
    let number = data.clone();
    let token = data.token()?;
    if let Token::Text(name) = token {
        if is_reserved_event(name) {
            return Err(DecodeError::ReservedEvent);
        }
        return Ok(EventName::Text(name.into()));
    }
    let is_number = matches!(token, Token::Unsigned(_) | Token::Negative(_))
        || matches!(token, Token::Float(number) if number.is_finite());
    if !is_number {
        return Err(DecodeError::EventName);
    }
    JsonText::of(number, limits).map(EventName::Number)
}
