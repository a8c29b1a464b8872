//! MessagePack to JSON text.

use bytes::Bytes;

use super::super::{DecodeError, Limits, encode};
use super::date;
use super::read::{Reader, Token};
use crate::json::{DEPTH_MAX, write_string};

/// JSON text under construction, with what the limits still allow.
pub(super) struct JsonText<'a> {
    limits: &'a Limits,
    text: Vec<u8>,
    attachments: Vec<Bytes>,
    attachment_bytes_left: usize,
    keys_left: u32,
    depth: u32,
}

impl<'a> JsonText<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            text: Vec::new(),
            attachments: Vec::new(),
            attachment_bytes_left: limits.message_bytes_max,
            keys_left: limits.keys_max,
            depth: 0,
        }
    }

    /// The text of a value that may not hold binary data.
    pub(super) fn of(mut value: Reader<'_>, limits: &Limits) -> Result<Box<str>, DecodeError> {
        let limits = Limits { attachments_max: 0, ..*limits };
        let mut text = JsonText::new(&limits);
        text.value(&mut value)?;
        Ok(text.finish().0.into_boxed_str())
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn finish(self) -> (String, Vec<Bytes>) {
        let text = String::from_utf8(self.text).expect("made of strings and ASCII");
        (text, self.attachments)
    }

    /// Goes one level down.
    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth >= self.limits.depth_max.min(DEPTH_MAX) {
            return Err(DecodeError::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    /// Puts a comma where one is due between the elements of the outermost list.
    pub(super) fn separate(&mut self) -> Result<(), DecodeError> {
        if self.text.is_empty() { Ok(()) } else { self.put(b",") }
    }

    /// Appends the next value; nested as deep as the limits allow, at most 128 calls.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match reader.token()? {
            Token::Nil | Token::Undefined => self.put(b"null"),
            Token::Bool(true) => self.put(b"true"),
            Token::Bool(false) => self.put(b"false"),
            Token::Unsigned(number) => self.put(number.to_string().as_bytes()),
            Token::Negative(number) => self.put(number.to_string().as_bytes()),
            Token::Float(number) => self.float(number),
            Token::Text(text) => self.string(text),
            Token::Binary(data) => self.attachment(data),
            Token::Date(millis) => match date::iso(millis) {
                Some(date) => self.string(&date),
                None => self.put(b"null"),
            },
            Token::Array(length) => self.array(length, reader),
            Token::Map(length) => self.object(length, reader),
        }
    }

    fn array(&mut self, length: usize, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.enter()?;
        self.put(b"[")?;
        for index in 0..length {
            if index > 0 {
                self.put(b",")?;
            }
            self.value(reader)?;
        }
        self.depth -= 1;
        self.put(b"]")
    }

    fn object(&mut self, length: usize, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.enter()?;
        self.put(b"{")?;
        let mut is_first = true;
        for _ in 0..length {
            self.keys_left = self.keys_left.checked_sub(1).ok_or(DecodeError::TooManyKeys)?;
            let Token::Text(key) = reader.token()? else { return Err(reader.invalid()) };
            let mut after = reader.clone();
            if after.token()? == Token::Undefined {
                *reader = after;
                continue;
            }
            if !is_first {
                self.put(b",")?;
            }
            is_first = false;
            self.string(key)?;
            self.put(b":")?;
            self.value(reader)?;
        }
        self.depth -= 1;
        self.put(b"}")
    }

    fn float(&mut self, number: f64) -> Result<(), DecodeError> {
        /// From here on not every integer is a float: 2^53.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if !number.is_finite() {
            return self.put(b"null");
        }
        if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
            return self.put((number as i64).to_string().as_bytes());
        }
        serde_json::to_writer(&mut self.text, &number).expect("a finite number has a JSON form");
        self.check_len()
    }

    fn string(&mut self, text: &str) -> Result<(), DecodeError> {
        write_string(text, &mut self.text);
        self.check_len()
    }

    fn attachment(&mut self, data: &[u8]) -> Result<(), DecodeError> {
        let num = self.attachments.len();
        if num >= self.limits.attachments_max as usize {
            return Err(DecodeError::TooManyAttachments);
        }
        self.attachment_bytes_left = self
            .attachment_bytes_left
            .checked_sub(data.len())
            .ok_or(DecodeError::AttachmentsTooBig)?;
        self.enter()?;
        self.depth -= 1;
        self.attachments.push(Bytes::copy_from_slice(data));
        self.put(encode::placeholder(num).as_bytes())
    }

    fn put(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        self.text.extend_from_slice(text);
        self.check_len()
    }

    fn check_len(&self) -> Result<(), DecodeError> {
        let is_within = self.text.len() <= self.limits.message_bytes_max;
        if is_within { Ok(()) } else { Err(DecodeError::PayloadTooBig) }
    }
}
