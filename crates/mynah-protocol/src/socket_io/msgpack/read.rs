//! MessagePack tokens.

use super::super::DecodeError;

/// A scalar, or the head of a container whose elements follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    /// Extension 0 of one byte.
    Undefined,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    Float(f64),
    Text(&'a str),
    Binary(&'a [u8]),
    /// Number of elements.
    Array(usize),
    /// Number of entries.
    Map(usize),
    /// Extension 0 of eight bytes, or extension -1: milliseconds since 1970.
    Date(i64),
}

/// A cursor over one message.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, len: message.len() }
    }

    /// The error for the current position.
    pub(super) fn invalid(&self) -> DecodeError {
        DecodeError::InvalidPayload(self.len - self.rest.len())
    }

    /// Requires that nothing is left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }

    /// Steps over one value without looking into text and extensions, in linear time and without
    /// recursion.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            left = match self.head()? {
                Head::Array(length) => left.saturating_add(self.counted(length, 1)?),
                Head::Map(length) => left.saturating_add(self.counted(length, 2)? * 2),
                Head::Token(_) => left,
                Head::Text(length) | Head::Binary(length) | Head::Extension { length, .. } => {
                    self.bytes(length)?;
                    left
                }
            };
        }
        Ok(())
    }

    /// Reads one token. Every element takes a byte, so that no count exceeds the bytes left.
    pub(super) fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        match self.head()? {
            Head::Token(token) => Ok(token),
            Head::Text(length) => {
                let text = std::str::from_utf8(self.bytes(length)?);
                text.map(Token::Text).ok().ok_or(self.invalid())
            }
            Head::Binary(length) => self.bytes(length).map(Token::Binary),
            Head::Array(length) => self.counted(length, 1).map(Token::Array),
            Head::Map(length) => self.counted(length, 2).map(Token::Map),
            Head::Extension { kind, length, is_fixed } => {
                let data = self.bytes(length)?;
                extension(kind, data, is_fixed).ok_or(self.invalid())
            }
        }
    }

    fn head(&mut self) -> Result<Head<'a>, DecodeError> {
        let [first] = self.chunk()?;
        let token = match first {
            0x00..=0x7F => Token::Unsigned(u64::from(first)),
            0xE0..=0xFF => Token::Negative(i64::from(first as i8)),
            0x80..=0x8F => return Ok(Head::Map(usize::from(first & 0x0F))),
            0x90..=0x9F => return Ok(Head::Array(usize::from(first & 0x0F))),
            0xA0..=0xBF => return Ok(Head::Text(usize::from(first & 0x1F))),
            0xC0 => Token::Nil,
            0xC2 => Token::Bool(false),
            0xC3 => Token::Bool(true),
            0xC4..=0xC6 => return self.length(first - 0xC4).map(Head::Binary),
            0xC7..=0xC9 => {
                let length = self.length(first - 0xC7)?;
                let kind = i8::from_be_bytes(self.chunk()?);
                return Ok(Head::Extension { kind, length, is_fixed: false });
            }
            0xCA => Token::Float(f64::from(f32::from_be_bytes(self.chunk()?))),
            0xCB => Token::Float(f64::from_be_bytes(self.chunk()?)),
            0xCC => Token::Unsigned(u64::from(u8::from_be_bytes(self.chunk()?))),
            0xCD => Token::Unsigned(u64::from(u16::from_be_bytes(self.chunk()?))),
            0xCE => Token::Unsigned(u64::from(u32::from_be_bytes(self.chunk()?))),
            0xCF => Token::Unsigned(u64::from_be_bytes(self.chunk()?)),
            0xD0 => signed(i64::from(i8::from_be_bytes(self.chunk()?))),
            0xD1 => signed(i64::from(i16::from_be_bytes(self.chunk()?))),
            0xD2 => signed(i64::from(i32::from_be_bytes(self.chunk()?))),
            0xD3 => signed(i64::from_be_bytes(self.chunk()?)),
            0xD4..=0xD8 => {
                let kind = i8::from_be_bytes(self.chunk()?);
                let length = 1 << (first - 0xD4);
                return Ok(Head::Extension { kind, length, is_fixed: true });
            }
            0xD9..=0xDB => return self.length(first - 0xD9).map(Head::Text),
            0xDC | 0xDD => return self.length(first - 0xDC + 1).map(Head::Array),
            0xDE | 0xDF => return self.length(first - 0xDE + 1).map(Head::Map),
            0xC1 => return Err(self.invalid()),
        };
        Ok(Head::Token(token))
    }

    /// A length of 1, 2 or 4 bytes.
    fn length(&mut self, size: u8) -> Result<usize, DecodeError> {
        Ok(match size {
            0 => usize::from(u8::from_be_bytes(self.chunk()?)),
            1 => usize::from(u16::from_be_bytes(self.chunk()?)),
            _ => u32::from_be_bytes(self.chunk()?) as usize,
        })
    }

    /// `length` if that many elements of at least `size` bytes can follow.
    fn counted(&self, length: usize, size: usize) -> Result<usize, DecodeError> {
        if length <= self.rest.len() / size { Ok(length) } else { Err(self.invalid()) }
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(self.invalid())?;
        self.rest = rest;
        Ok(bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(self.invalid())?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// What the first bytes of a value say.
enum Head<'a> {
    Token(Token<'a>),
    Text(usize),
    Binary(usize),
    Array(usize),
    Map(usize),
    Extension { kind: i8, length: usize, is_fixed: bool },
}

fn signed<'a>(value: i64) -> Token<'a> {
    u64::try_from(value).map_or(Token::Negative(value), Token::Unsigned)
}

/// The extensions of notepack, and the timestamp of the MessagePack specification.
fn extension(kind: i8, data: &[u8], is_fixed: bool) -> Option<Token<'_>> {
    match (kind, is_fixed, data) {
        (0, true, [_]) => Some(Token::Undefined),
        (0, true, data) => Some(Token::Date(i64::from_be_bytes(data.try_into().ok()?))),
        (0, false, data) => Some(Token::Binary(data)),
        (-1, _, data) => timestamp(data).map(Token::Date),
        _ => None,
    }
}

/// The 4, 8 or 12 bytes of a timestamp as milliseconds, held at the ends of the range.
fn timestamp(data: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(data.try_into().ok()?)), 0),
        8 => {
            let packed = u64::from_be_bytes(data.try_into().ok()?);
            ((packed & 0x3_FFFF_FFFF) as i64, (packed >> 34) as u32)
        }
        _ => {
            let (nanos, seconds) = data.split_first_chunk()?;
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanos))
        }
    };
    let millis = seconds.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000));
    (nanos <= 999_999_999).then_some(millis)
}
