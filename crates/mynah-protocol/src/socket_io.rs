//! Socket.IO packets, protocol revision 5, as JSON and as [`msgpack`].
//!
//! [`Decoder`] reads the payloads of Engine.IO messages (without the Engine.IO `4`); the
//! encoders append whole Engine.IO message packets (with it). Arguments stay raw JSON on both
//! ways. Source: `docs/socket.io-protocol/v5-current.md` of the Socket.IO repository.

mod args;
mod decode;
mod encode;
pub mod msgpack;
mod placeholder;

pub use args::Args;
pub use decode::{DecodeError, Decoder, Limits};
pub use encode::{
    BinaryHead, ack, binary_ack, binary_event, connect, connect_error, connect_request, disconnect,
    error_v4, event, event_prefix, placeholder,
};

use std::borrow::Cow;

use bytes::Bytes;

/// Name of a namespace with its leading slash; `/` is the main one and needs no allocation.
pub type Namespace = Cow<'static, str>;

/// The namespace every connection without a name joins.
pub const MAIN_NAMESPACE: &str = "/";

/// Largest acknowledgement id, the last integer a JavaScript number counts to: 2^53.
pub const ACK_ID_MAX: u64 = 1 << 53;

/// One decoded packet; binary packets arrive as [`Packet::Event`] and [`Packet::Ack`] with their
/// attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0/chat,{"token":"…"}`; answer with [`connect`] or [`connect_error`].
    Connect {
        /// Namespace to join.
        nsp: Namespace,
        /// A JSON object (client: auth payload; server: `{"sid":…}`), if any.
        auth: Option<Box<str>>,
    },
    /// `1/chat,`
    Disconnect {
        /// Namespace to leave.
        nsp: Namespace,
    },
    /// `2/chat,7["name",1,{}]`
    Event {
        /// Namespace it belongs to.
        nsp: Namespace,
        /// Id to answer with [`ack`], at most [`ACK_ID_MAX`].
        id: Option<u64>,
        /// First element of the array.
        event: EventName,
        /// The other elements.
        args: Args,
        /// Binary data; `{"_placeholder":true,"num":i}` in `args` stands for number i.
        attachments: Vec<Bytes>,
    },
    /// `3/chat,7[1,{}]`
    Ack {
        /// Namespace it belongs to.
        nsp: Namespace,
        /// Id of the answered event.
        id: u64,
        /// The elements of the array.
        args: Args,
        /// Binary data, as in events.
        attachments: Vec<Bytes>,
    },
    /// `4/chat,{"message":"…"}`; only clients receive it, a server closes the connection.
    ConnectError {
        /// Namespace that was refused.
        nsp: Namespace,
        /// A JSON object, or a string from servers of older revisions.
        data: Box<str>,
    },
}

impl Packet {
    /// The namespace the packet belongs to.
    pub fn nsp(&self) -> &str {
        match self {
            Self::Connect { nsp, .. }
            | Self::Disconnect { nsp }
            | Self::Event { nsp, .. }
            | Self::Ack { nsp, .. }
            | Self::ConnectError { nsp, .. } => nsp,
        }
    }
}

/// Name of an event; the official parser allows numbers too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventName {
    /// `"message"`, escapes resolved; never a reserved name.
    Text(Box<str>),
    /// `7`, as written.
    Number(Box<str>),
}

impl EventName {
    /// The name, or the digits of a number.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// Names with a meaning inside the official libraries; as event names they are an error.
/// Source: `RESERVED_EVENTS` of socket.io-parser.
pub fn is_reserved_event(name: &str) -> bool {
    matches!(
        name,
        "connect"
            | "connect_error"
            | "disconnect"
            | "disconnecting"
            | "newListener"
            | "removeListener"
    )
}
