//! Polling bodies as a session's client writes and reads them.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use mynah_protocol::engine_io::{self, DecodeError, Packet};
use mynah_protocol::engine_io_v3;

use super::{Refused, Revision, compression, query};
use crate::coding::Coding;

/// How a session polls; decided by its first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PollStyle {
    /// Packets joined by a separator.
    V4,
    /// Packets with their lengths; in raw bytes if there is binary, unless the client wants base64.
    V3 { raw: bool },
    /// Answers are scripts that call `___eio[index]`, bodies are forms.
    Jsonp { index: Box<str> },
}

/// Longest index of a script callback.
const INDEX_DIGITS_MAX: usize = 16;

impl PollStyle {
    /// How a client polls that speaks `revision` and sent these `b64` and `j` parameters.
    pub(super) fn of(revision: Revision, b64: bool, j: Option<&str>) -> Self {
        match (revision, j) {
            // `j` means nothing to clients of revision 4.
            (Revision::V4, _) => Self::V4,
            (Revision::V3, None) => Self::V3 { raw: !b64 },
            (Revision::V3, Some(j)) => {
                let digits = j.chars().filter(char::is_ascii_digit).take(INDEX_DIGITS_MAX);
                Self::Jsonp { index: digits.collect() }
            }
        }
    }

    /// The answer to a GET.
    pub(super) fn answer(&self, packets: &[Bytes], coding: Option<Coding>) -> Response {
        let v3 = |raw| engine_io_v3::encode_payload(packets.iter().map(|packet| &packet[..]), raw);
        match self {
            Self::V4 => {
                let mut body = Vec::with_capacity(packets.iter().map(|p| p.len() + 1).sum());
                for packet in packets {
                    engine_io::append_packet(packet, &mut body);
                }
                answer("text/plain; charset=UTF-8", body, coding)
            }
            Self::V3 { raw } => match v3(*raw) {
                engine_io_v3::Body::Text(text) => answer("text/plain; charset=UTF-8", text, coding),
                engine_io_v3::Body::Binary(bytes) => {
                    answer("application/octet-stream", bytes, coding)
                }
            },
            Self::Jsonp { index } => match v3(false) {
                engine_io_v3::Body::Text(text) => script(index, &text, coding),
                engine_io_v3::Body::Binary(bytes) => {
                    answer("application/octet-stream", bytes, coding)
                }
            },
        }
    }

    /// What a POST brought.
    pub(super) fn posted(&self, headers: &HeaderMap, body: Bytes) -> Result<Posted, Refused> {
        let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        let is_binary = kind.starts_with(b"application/octet-stream");
        match self {
            Self::V4 if is_binary => Err(Refused("binary body")),
            Self::V4 => Ok(Posted::V4(body)),
            Self::V3 { .. } if is_binary => Ok(Posted::V3Binary(body)),
            Self::V3 { .. } => Ok(Posted::V3(body)),
            Self::Jsonp { .. } => {
                let form = std::str::from_utf8(&body).ok().ok_or(Refused("parse error"))?;
                let mut fields = query::pairs(form).take(query::PARAMETERS_MAX);
                let (_, data) =
                    fields.find(|(name, _)| name == "d").ok_or(Refused("parse error"))?;
                Ok(Posted::V3(unescape(&data).into()))
            }
        }
    }
}

/// The body of a POST.
pub(super) enum Posted {
    /// Revision 4.
    V4(Bytes),
    /// Revision 3, as text.
    V3(Bytes),
    /// Revision 3, in raw bytes.
    V3Binary(Bytes),
}

impl Posted {
    /// Bytes of the body.
    pub(super) fn len(&self) -> usize {
        let (Self::V4(body) | Self::V3(body) | Self::V3Binary(body)) = self;
        body.len()
    }

    /// Its packets, at most `max`.
    pub(super) fn packets(&self, max: usize) -> Packets<'_> {
        match self {
            Self::V4(body) => Packets::V4(engine_io::decode_payload(body, max)),
            Self::V3(body) => Packets::V3(engine_io_v3::decode_payload(body, max)),
            Self::V3Binary(body) => {
                Packets::V3Binary(engine_io_v3::decode_binary_payload(body, max))
            }
        }
    }
}

/// Iterator over the packets of a POST.
pub(super) enum Packets<'a> {
    V4(engine_io::Payload<'a>),
    V3(engine_io_v3::Payload<'a>),
    V3Binary(engine_io_v3::BinaryPayload<'a>),
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::V4(packets) => packets.next(),
            Self::V3(packets) => packets.next(),
            Self::V3Binary(packets) => packets.next(),
        }
    }
}

fn answer(kind: &'static str, body: impl Into<Bytes>, coding: Option<Coding>) -> Response {
    let mut response = compression::body(body.into(), coding);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A script that hands a text to the client's callback.
fn script(index: &str, text: &str, coding: Option<Coding>) -> Response {
    let text = serde_json::Value::from(text).to_string();
    // Both end a line in older JavaScript, even inside a string.
    let text = text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let mut response =
        answer("text/javascript; charset=UTF-8", format!("___eio[{index}]({text});"), coding);
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Undoes what clients do to line feeds, which forms do not carry unchanged: `\n` stands for a line feed
/// and `\\n` for `\n`.
fn unescape(data: &str) -> String {
    let mut text = String::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        rest = if let Some(after) = from.strip_prefix("\\\\n") {
            text.push_str("\\n");
            after
        } else if let Some(after) = from.strip_prefix("\\n") {
            text.push('\n');
            after
        } else {
            text.push('\\');
            from.get(1..).unwrap_or_default()
        };
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_carry_line_feeds_escaped() {
        for (sent, meant) in [
            ("", ""),
            ("plain", "plain"),
            (r"a\nb", "a\nb"),
            (r"a\\nb", r"a\nb"),
            (r"a\\\nb", r"a\\nb"),
            (r#"5:4"\"""#, r#"5:4"\"""#),
            (r"\", r"\"),
        ] {
            assert_eq!(unescape(sent), meant, "{sent}");
        }
    }

    #[test]
    fn the_first_request_decides_how_a_session_polls() {
        assert_eq!(PollStyle::of(Revision::V4, true, Some("1")), PollStyle::V4);
        assert_eq!(PollStyle::of(Revision::V3, true, None), PollStyle::V3 { raw: false });
        assert_eq!(PollStyle::of(Revision::V3, false, None), PollStyle::V3 { raw: true });
        let hostile = PollStyle::of(Revision::V3, true, Some("1](alert)"));
        assert_eq!(hostile, PollStyle::Jsonp { index: "1".into() });
    }
}
