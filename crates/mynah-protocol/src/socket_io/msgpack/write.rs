//! JSON text to MessagePack, as notepack.io 2.2 writes it.

use bytes::Bytes;

/// A message under construction.
pub(super) struct Writer<'a> {
    out: Vec<u8>,
    attachments: &'a [Bytes],
}

impl<'a> Writer<'a> {
    /// `text_len` is the length of the packet as text, which the message hardly exceeds.
    pub(super) fn new(text_len: usize, attachments: &'a [Bytes]) -> Self {
        let binary: usize = attachments.iter().map(Bytes::len).sum();
        Self { out: Vec::with_capacity(text_len + binary + 32), attachments }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn kind(&mut self, kind: u8) {
        self.key("type");
        self.out.push(kind);
    }

    pub(super) fn nsp(&mut self, nsp: &str) {
        self.key("nsp");
        self.text(nsp);
    }

    pub(super) fn id(&mut self, id: u64) {
        self.key("id");
        self.unsigned(id);
    }

    pub(super) fn data(&mut self, json: &str) -> Option<()> {
        self.key("data");
        self.json(json)
    }

    pub(super) fn key(&mut self, name: &str) {
        self.text(name);
    }

    pub(super) fn map(&mut self, length: usize) {
        put_head(&MAP, length, &mut self.out);
    }

    pub(super) fn array(&mut self, length: usize) {
        put_head(&ARRAY, length, &mut self.out);
    }

    pub(super) fn text(&mut self, text: &str) {
        put_head(&TEXT, text.len(), &mut self.out);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends one JSON value that was validated before; `None` if it was not.
    pub(super) fn json(&mut self, json: &str) -> Option<()> {
        let mut rest = json;
        self.value(&mut rest)?;
        rest.trim_ascii().is_empty().then_some(())
    }

    fn value(&mut self, rest: &mut &str) -> Option<()> {
        *rest = rest.trim_ascii_start();
        match rest.as_bytes().first()? {
            b'{' => self.object(rest),
            b'[' => self.list(rest),
            b'"' => self.string(rest),
            b'-' | b'0'..=b'9' => self.number(rest),
            _ => {
                let (word, byte) = [("null", 0xC0), ("false", 0xC2), ("true", 0xC3)]
                    .into_iter()
                    .find(|(word, _)| rest.starts_with(word))?;
                *rest = rest.get(word.len()..)?;
                self.out.push(byte);
                Some(())
            }
        }
    }

    fn list(&mut self, rest: &mut &str) -> Option<()> {
        let start = self.out.len();
        let mut length = 0;
        *rest = rest.get(1..)?.trim_ascii_start();
        while !eat(rest, ']') {
            if length > 0 && !eat(rest, ',') {
                return None;
            }
            self.value(rest)?;
            length += 1;
            *rest = rest.trim_ascii_start();
        }
        insert_head(&ARRAY, length, start, &mut self.out);
        Some(())
    }

    /// An object, or the attachment it stands for.
    fn object(&mut self, rest: &mut &str) -> Option<()> {
        let start = self.out.len();
        let mut length = 0;
        let mut is_placeholder = false;
        let mut num = None;
        *rest = rest.get(1..)?.trim_ascii_start();
        while !eat(rest, '}') {
            if length > 0 && !eat(rest, ',') {
                return None;
            }
            *rest = rest.trim_ascii_start();
            let key_at = self.out.len();
            self.string(rest)?;
            *rest = rest.trim_ascii_start();
            if !eat(rest, ':') {
                return None;
            }
            let value_at = self.out.len();
            self.value(rest)?;
            length += 1;
            if !self.attachments.is_empty() {
                let value = self.out.get(value_at..)?;
                match self.out.get(key_at..value_at)? {
                    b"\xAC_placeholder" => is_placeholder = value == [0xC3],
                    b"\xA3num" => num = small_unsigned(value),
                    _ => {}
                }
            }
            *rest = rest.trim_ascii_start();
        }
        if !is_placeholder {
            insert_head(&MAP, length, start, &mut self.out);
            return Some(());
        }
        let attachment = self.attachments.get(num?)?;
        self.out.truncate(start);
        put_head(&BINARY, attachment.len(), &mut self.out);
        self.out.extend_from_slice(attachment);
        Some(())
    }

    fn string(&mut self, rest: &mut &str) -> Option<()> {
        let body = rest.strip_prefix('"')?;
        let special = body.find(['"', '\\'])?;
        if let Some(after) = body.get(special..)?.strip_prefix('"') {
            self.text(body.get(..special)?);
            *rest = after;
            return Some(());
        }
        let mut text = String::with_capacity(special + 16);
        let mut body = body;
        loop {
            let special = body.find(['"', '\\'])?;
            text.push_str(body.get(..special)?);
            body = body.get(special..)?;
            if let Some(after) = body.strip_prefix('"') {
                self.text(&text);
                *rest = after;
                return Some(());
            }
            let (character, length) = unescape(body)?;
            text.push(character);
            body = body.get(length..)?;
        }
    }

    /// Whole numbers are integers, however they are spelled, as in JavaScript.
    fn number(&mut self, rest: &mut &str) -> Option<()> {
        let is_part = |byte: u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = rest.bytes().take_while(|byte| is_part(*byte)).count();
        let (number, after) = rest.split_at_checked(length)?;
        *rest = after;
        if let Ok(number) = number.parse::<u64>() {
            self.unsigned(number);
        } else if let Ok(number) = number.parse::<i64>() {
            self.signed(number);
        } else {
            self.float(number.parse().ok()?);
        }
        Some(())
    }

    fn float(&mut self, number: f64) {
        const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
        let is_whole = number.fract() == 0.0;
        if is_whole && (0.0..2.0 * TWO_TO_63).contains(&number) {
            self.unsigned(number as u64);
        } else if is_whole && (-TWO_TO_63..0.0).contains(&number) {
            self.signed(number as i64);
        } else {
            self.out.push(0xCB);
            self.out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn unsigned(&mut self, number: u64) {
        let bytes = number.to_be_bytes();
        let (head, size) = match number {
            0..=0x7F => (None, 1),
            0x80..=0xFF => (Some(0xCC), 1),
            0x100..=0xFFFF => (Some(0xCD), 2),
            0x1_0000..=0xFFFF_FFFF => (Some(0xCE), 4),
            _ => (Some(0xCF), 8),
        };
        self.out.extend(head);
        self.out.extend(bytes.into_iter().skip(8 - size));
    }

    fn signed(&mut self, number: i64) {
        let bytes = number.to_be_bytes();
        let (head, size) = match number {
            0.. => return self.unsigned(number.unsigned_abs()),
            -0x20..0 => (None, 1),
            -0x80..-0x20 => (Some(0xD0), 1),
            -0x8000..-0x80 => (Some(0xD1), 2),
            -0x8000_0000..-0x8000 => (Some(0xD2), 4),
            _ => (Some(0xD3), 8),
        };
        self.out.extend(head);
        self.out.extend(bytes.into_iter().skip(8 - size));
    }
}

/// How the length of a kind of value is written: in the first byte, or in 1, 2 or 4 bytes.
struct Heads {
    short: u8,
    short_max: usize,
    one: Option<u8>,
    two: u8,
    four: u8,
}

const MAP: Heads = Heads { short: 0x80, short_max: 15, one: None, two: 0xDE, four: 0xDF };
const ARRAY: Heads = Heads { short: 0x90, short_max: 15, one: None, two: 0xDC, four: 0xDD };
const TEXT: Heads = Heads { short: 0xA0, short_max: 31, one: Some(0xD9), two: 0xDA, four: 0xDB };
/// Its length is never in the first byte; `short_max` is unused where `short` is 0.
const BINARY: Heads = Heads { short: 0, short_max: 0, one: Some(0xC4), two: 0xC5, four: 0xC6 };

/// The bytes in front of a value; lengths beyond 32 bits do not occur in a packet.
fn head(heads: &Heads, length: usize) -> ([u8; 5], usize) {
    let [.., a, b, c, d] = (length as u64).to_be_bytes();
    match (length, heads.one) {
        (0..=31, _) if heads.short != 0 && length <= heads.short_max => {
            ([heads.short | d, 0, 0, 0, 0], 1)
        }
        (0..=0xFF, Some(one)) => ([one, d, 0, 0, 0], 2),
        (0..=0xFFFF, _) => ([heads.two, c, d, 0, 0], 3),
        _ => ([heads.four, a, b, c, d], 5),
    }
}

fn put_head(heads: &Heads, length: usize, out: &mut Vec<u8>) {
    let (bytes, size) = head(heads, length);
    out.extend(bytes.into_iter().take(size));
}

/// Puts the head in front of elements already written from `start` on.
fn insert_head(heads: &Heads, length: usize, start: usize, out: &mut Vec<u8>) {
    let (bytes, size) = head(heads, length);
    out.splice(start..start, bytes.into_iter().take(size));
}

fn eat(rest: &mut &str, character: char) -> bool {
    match rest.strip_prefix(character) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// The integer `value` is, if it fits two bytes; placeholders count attachments.
fn small_unsigned(value: &[u8]) -> Option<usize> {
    match *value {
        [small @ 0..=0x7F] | [0xCC, small] => Some(usize::from(small)),
        [0xCD, high, low] => Some(usize::from(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

/// The character of the escape at the start of `text`, and the length of that.
fn unescape(text: &str) -> Option<(char, usize)> {
    let character = match text.as_bytes().get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(text),
        other => char::from(*other),
    };
    Some((character, 2))
}

fn unescape_unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let first = unit(2)?;
    let second = || if text.get(6..8) == Some("\\u") { unit(8) } else { None };
    match first {
        0xD800..=0xDBFF => match second() {
            Some(second @ 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                Some((char::from_u32(code)?, 12))
            }
            _ => Some((char::REPLACEMENT_CHARACTER, 6)),
        },
        code => Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6)),
    }
}
