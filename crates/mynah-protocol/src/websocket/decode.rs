//! Strict incremental frame decoder.

use bytes::Bytes;

use super::frame::{Frame, HEADER_BYTES_MAX, control_message, parse_header};
use super::{OpCode, Role, apply_mask, deflate};

/// What one peer may make the decoder hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes, all fragments together. Compared with the declared length
    /// before any payload is kept.
    pub message_bytes_max: usize,
    /// Most frames one message may come in, empty ones included.
    pub fragments_max: u32,
}

impl Default for Limits {
    /// 1,000,000 bytes (the Socket.IO default) in at most 16,384 fragments.
    fn default() -> Self {
        Self { message_bytes_max: 1_000_000, fragments_max: 16_384 }
    }
}

/// One complete message or control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text message, already validated as UTF-8.
    Text(String),
    /// Binary message.
    Binary(Bytes),
    /// Ping; answer with a pong of the same payload (at most 125 bytes).
    Ping(Bytes),
    /// Pong, asked for or not.
    Pong(Bytes),
    /// Start or end of the closing handshake. Whatever follows is ignored.
    Close {
        /// Status code, `None` if the frame was empty.
        code: Option<u16>,
        /// Reason, at most 123 bytes.
        reason: String,
    },
}

/// Why a peer's bytes are refused; the connection has to be failed with [`Self::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A reserved bit is set that no negotiated extension gives a meaning there.
    #[error("reserved bits set")]
    ReservedBits,
    /// Opcode 3–7 or 11–15.
    #[error("unknown opcode {0:#x}")]
    UnknownOpCode(u8),
    /// A client frame without masking key.
    #[error("frame is not masked")]
    MaskMissing,
    /// A server frame with masking key.
    #[error("frame is masked")]
    MaskUnexpected,
    /// The length is not in its shortest form, or its top bit is set.
    #[error("invalid frame length encoding")]
    LengthEncoding,
    /// A control frame without FIN.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    #[error("control frame too long")]
    ControlTooLong,
    /// A continuation frame without a message to continue.
    #[error("continuation without a message")]
    ContinuationUnexpected,
    /// A new text or binary frame inside a fragmented message.
    #[error("message interrupted by another")]
    MessageInterrupted,
    /// A close frame of one byte or with a status code that must not be sent.
    #[error("invalid close frame")]
    CloseInvalid,
    /// Text or close reason that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// The message would exceed [`Limits::message_bytes_max`].
    #[error("message too big")]
    MessageTooBig,
    /// The message exceeds [`Limits::fragments_max`].
    #[error("too many fragments")]
    TooManyFragments,
    /// A compressed message that is no deflate stream.
    #[error("invalid compressed data")]
    InvalidDeflate,
}

impl DecodeError {
    /// Status code for the close frame: 1002, 1007 or 1009 (RFC 6455 section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::MessageTooBig | Self::TooManyFragments => 1009,
            Self::ReservedBits
            | Self::UnknownOpCode(_)
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::LengthEncoding
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationUnexpected
            | Self::MessageInterrupted
            | Self::CloseInvalid => 1002,
        }
    }
}

/// Incremental decoder of one connection.
///
/// Between messages it owns no heap memory. A frame that lies whole in one input is delivered
/// from there; only frames split over several inputs, and fragmented messages, are buffered.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    role: Role,
    deflate: bool,
    state: State,
    partial: Option<Box<Partial>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Failed(DecodeError),
}

/// What is kept while a frame or message is incomplete.
#[derive(Debug, Default)]
struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    frame: Option<Frame>,
    received: u64,
    control: Vec<u8>,
    message: Option<Assembly>,
}

impl Partial {
    fn is_idle(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }
}

/// A data message of which a part has arrived.
#[derive(Debug)]
struct Assembly {
    is_text: bool,
    compressed: bool,
    bytes: Vec<u8>,
    validated: usize,
    fragments: u32,
}

impl Assembly {
    fn append(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.bytes.extend_from_slice(chunk);
        if !self.is_text || self.compressed {
            return Ok(());
        }
        let fresh = self.bytes.get(self.validated..).unwrap_or_default();
        match std::str::from_utf8(fresh) {
            Ok(_) => self.validated = self.bytes.len(),
            Err(error) if error.error_len().is_some() => return Err(DecodeError::InvalidUtf8),
            Err(error) => self.validated += error.valid_up_to(),
        }
        Ok(())
    }

    fn finish(self, message_bytes_max: usize) -> Result<Message, DecodeError> {
        if self.compressed {
            return inflated(self.is_text, &self.bytes, message_bytes_max);
        }
        message(self.is_text, self.bytes)
    }
}

fn message(is_text: bool, bytes: Vec<u8>) -> Result<Message, DecodeError> {
    if !is_text {
        return Ok(Message::Binary(bytes.into()));
    }
    String::from_utf8(bytes).map(Message::Text).ok().ok_or(DecodeError::InvalidUtf8)
}

fn inflated(is_text: bool, payload: &[u8], bytes_max: usize) -> Result<Message, DecodeError> {
    message(is_text, deflate::inflate(payload, bytes_max)?)
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self { limits, role, deflate: false, state: State::Open, partial: None }
    }

    /// Takes compressed messages too; for connections on which that was negotiated. They are
    /// inflated when they are complete, never beyond [`Limits::message_bytes_max`].
    pub fn with_deflate(self) -> Self {
        Self { deflate: true, ..self }
    }

    /// Decodes `input`, unmasking it in place, and calls `on_message` for each complete message
    /// in order. Any split of the same bytes over several calls gives the same messages.
    /// After a close frame further input is ignored.
    ///
    /// # Errors
    /// The first violation of RFC 6455 or of a limit, as soon as a byte shows it; messages
    /// completed before it have been delivered. Every later call returns the same error.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        on_message: &mut dyn FnMut(Message),
    ) -> Result<(), DecodeError> {
        let mut rest = input;
        while !rest.is_empty() {
            match self.state {
                State::Open => {}
                State::Closed => return Ok(()),
                State::Failed(error) => return Err(error),
            }
            match self.step(rest, on_message) {
                Ok(used) => rest = rest.get_mut(used..).unwrap_or_default(),
                Err(error) => {
                    self.partial = None;
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// True while part of a frame or message is buffered.
    pub fn is_mid_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Consumes at most one frame; returns the number of bytes used, at least 1.
    fn step(
        &mut self,
        input: &mut [u8],
        on_message: &mut dyn FnMut(Message),
    ) -> Result<usize, DecodeError> {
        let available = input.len();
        let Some((frame, used)) = self.next_frame(input)? else { return Ok(available) };
        let received = self.partial.as_ref().map_or(0, |partial| partial.received);
        let whole = self.partial.as_ref().is_none_or(|partial| partial.frame.is_none());
        let body = input.get_mut(used..).unwrap_or_default();
        let wanted = usize::try_from(frame.payload_len - received).unwrap_or(usize::MAX);
        let (chunk, _) = body.split_at_mut(wanted.min(body.len()));
        apply_mask(chunk, frame.mask, received);

        let message = if chunk.len() == wanted {
            let message = self.complete_frame(frame, chunk, whole)?;
            self.partial.take_if(|partial| partial.is_idle());
            message
        } else {
            self.keep(frame, chunk)?;
            None
        };
        if let Some(message) = message {
            if matches!(message, Message::Close { .. }) {
                self.partial = None;
                self.state = State::Closed;
            }
            on_message(message);
        }
        Ok(used + chunk.len())
    }

    /// The frame being read and the header bytes taken from `input`; `None` while its header is
    /// incomplete, in which case all of `input` is kept.
    fn next_frame(&mut self, input: &[u8]) -> Result<Option<(Frame, usize)>, DecodeError> {
        let Some(partial) = self.partial.as_mut().filter(|p| p.frame.is_some() || p.header_len > 0)
        else {
            let parsed = parse_header(input, self.role, self.deflate)?;
            if let Some((frame, _)) = parsed {
                self.admit(frame)?;
            } else {
                let partial = self.partial.get_or_insert_default();
                for (slot, byte) in partial.header.iter_mut().zip(input) {
                    *slot = *byte;
                }
                partial.header_len = input.len();
            }
            return Ok(parsed);
        };
        if let Some(frame) = partial.frame {
            return Ok(Some((frame, 0)));
        }
        for (index, byte) in input.iter().enumerate() {
            if let Some(slot) = partial.header.get_mut(partial.header_len) {
                *slot = *byte;
            }
            partial.header_len += 1;
            let known = partial.header.get(..partial.header_len).unwrap_or_default();
            if let Some((frame, _)) = parse_header(known, self.role, self.deflate)? {
                partial.header_len = 0;
                self.admit(frame)?;
                return Ok(Some((frame, index + 1)));
            }
        }
        Ok(None)
    }

    /// Checks a frame against the message it belongs to and the limits, before its payload.
    fn admit(&mut self, frame: Frame) -> Result<(), DecodeError> {
        if frame.opcode.is_control() {
            return Ok(());
        }
        let message = self.partial.as_mut().and_then(|partial| partial.message.as_mut());
        let mut held = 0;
        let mut compressed = frame.compressed;
        match (frame.opcode == OpCode::Continuation, message) {
            (true, None) => return Err(DecodeError::ContinuationUnexpected),
            (false, Some(_)) => return Err(DecodeError::MessageInterrupted),
            (false, None) => {}
            (true, Some(message)) => {
                message.fragments += 1;
                if message.fragments > self.limits.fragments_max {
                    return Err(DecodeError::TooManyFragments);
                }
                held = message.bytes.len() as u64;
                compressed = message.compressed;
            }
        }
        let bytes_max = match self.limits.message_bytes_max {
            bytes_max if compressed => deflate::compressed_bytes_max(bytes_max),
            bytes_max => bytes_max,
        };
        if held.saturating_add(frame.payload_len) > bytes_max as u64 {
            return Err(DecodeError::MessageTooBig);
        }
        Ok(())
    }

    /// Takes the last bytes of a frame; `whole` if none of it was kept before.
    fn complete_frame(
        &mut self,
        frame: Frame,
        chunk: &[u8],
        whole: bool,
    ) -> Result<Option<Message>, DecodeError> {
        match (frame.opcode, frame.fin) {
            (OpCode::Close | OpCode::Ping | OpCode::Pong, _) if whole => {
                return control_message(frame.opcode, chunk).map(Some);
            }
            (OpCode::Text | OpCode::Binary, true) if whole && frame.compressed => {
                let is_text = frame.opcode == OpCode::Text;
                return inflated(is_text, chunk, self.limits.message_bytes_max).map(Some);
            }
            (OpCode::Text, true) if whole => {
                let text = std::str::from_utf8(chunk).ok().ok_or(DecodeError::InvalidUtf8)?;
                return Ok(Some(Message::Text(text.to_owned())));
            }
            (OpCode::Binary, true) if whole => {
                return Ok(Some(Message::Binary(Bytes::copy_from_slice(chunk))));
            }
            _ => {}
        }
        self.keep(frame, chunk)?;
        let Some(partial) = self.partial.as_mut() else { return Ok(None) };
        partial.frame = None;
        partial.received = 0;
        if frame.opcode.is_control() {
            let payload = std::mem::take(&mut partial.control);
            return control_message(frame.opcode, &payload).map(Some);
        }
        if !frame.fin {
            return Ok(None);
        }
        let bytes_max = self.limits.message_bytes_max;
        partial.message.take().map(|message| message.finish(bytes_max)).transpose()
    }

    /// Buffers a part of a frame.
    fn keep(&mut self, frame: Frame, chunk: &[u8]) -> Result<(), DecodeError> {
        let partial = self.partial.get_or_insert_default();
        partial.frame = Some(frame);
        partial.received += chunk.len() as u64;
        if frame.opcode.is_control() {
            partial.control.extend_from_slice(chunk);
            return Ok(());
        }
        let message = partial.message.get_or_insert_with(|| Assembly {
            is_text: frame.opcode == OpCode::Text,
            compressed: frame.compressed,
            bytes: Vec::new(),
            validated: 0,
            fragments: 1,
        });
        message.append(chunk)
    }
}
