//! Finished bytes and the two things the hub must know about them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::Compact;

/// Protocol × parser × vocabulary, as a number the hub does not interpret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dialect(pub u8);

impl Dialect {
    /// How many dialects a hub can tell apart.
    pub const COUNT: usize = 256;
}

/// One message as immutable bytes, shared by all its recipients (a clone is a reference count).
///
/// `stream` is what a stream link writes as it is: one or more whole WebSocket frames.
/// `packet` is the same message for a polling answer, for example `42["hi"]`; several packets are
/// joined by the caller. Empty bytes mean "not spoken on this kind of link": nothing is sent.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Spelling>);

#[derive(Debug)]
struct Spelling {
    stream: Bytes,
    packet: Bytes,
    /// `stream` for those that take it compact; `stream` itself if that is not smaller.
    compact: OnceLock<Bytes>,
}

impl Frame {
    /// Both spellings of one message.
    pub fn new(stream: Bytes, packet: Bytes) -> Self {
        Self(Arc::new(Spelling { stream, packet, compact: OnceLock::new() }))
    }

    /// A frame for stream links only, for example a WebSocket close frame.
    pub fn stream_only(stream: Bytes) -> Self {
        Self::new(stream, Bytes::new())
    }

    /// A frame for polling links only, for example the Engine.IO `noop` packet `6`.
    pub fn packet_only(packet: Bytes) -> Self {
        Self::new(Bytes::new(), packet)
    }

    /// What a stream link writes.
    pub fn stream(&self) -> &Bytes {
        &self.0.stream
    }

    /// What a stream link writes that takes frames compact if `compact` is given. The first to ask
    /// makes it, for all. What cannot be made smaller, or panics in the attempt, stays as it is.
    pub(crate) fn written(&self, compact: Option<Compact>) -> &Bytes {
        let stream = &self.0.stream;
        let Some(make) = compact else { return stream };
        self.0.compact.get_or_init(|| {
            catch_unwind(AssertUnwindSafe(|| make(stream)))
                .unwrap_or_default()
                .filter(|made| !made.is_empty() && made.len() < stream.len())
                .unwrap_or_else(|| stream.clone())
        })
    }

    /// What a polling answer carries.
    pub fn packet(&self) -> &Bytes {
        &self.0.packet
    }

    /// Bytes this frame counts for in a send queue: the longer of its spellings. A compact form is
    /// shorter and not counted, as it is shared by all sessions that wait for it.
    pub fn len(&self) -> usize {
        self.0.stream.len().max(self.0.packet.len())
    }

    /// Whether the frame says nothing on any link.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What may happen to a frame that waits in a full send queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Never dropped: if it does not fit, the session is closed.
    Durable,
    /// May be dropped, and replaces a queued ephemeral frame with the same key (typing, presence).
    Ephemeral {
        /// What the frame is about, for example a hash of (room, user, "typing").
        key: u64,
    },
}
