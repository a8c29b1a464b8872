//! The few values a hub is given. All bounds are here, with what happens at each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{CloseReason, Frame};

/// Turns a finished [`Frame::stream`] into a form that says the same in fewer bytes; `None` if there
/// is none, or it is not worth it. Called when the frame is first written to a stream that takes
/// it, and once for all of them, on the task that writes: it must be quick.
pub type Compact = fn(&[u8]) -> Option<Bytes>;

/// Values of a [`crate::Hub`].
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Shard tasks; usually the number of workers. At least 1.
    pub shards: u16,
    /// Commands waiting per shard; the caller waits at the bound.
    pub command_queue_max: usize,
    /// Bounds of the hub and its sessions.
    pub limits: Limits,
    /// What the hub says on its own in dialect 0, 1, …; a dialect without an entry is neither
    /// probed nor bidden farewell.
    pub dialects: Vec<DialectRules>,
    /// How a frame becomes smaller for streams that take it so, for example permessage-deflate.
    pub compact: Option<Compact>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            shards: 1,
            command_queue_max: 1024,
            limits: Limits::default(),
            dialects: Vec::new(),
            compact: None,
        }
    }
}

/// Bounds of a hub and its sessions.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes waiting per session, what is kept back included. At the bound ephemeral frames are
    /// dropped, then the session is closed. One frame always fits in an empty queue.
    pub queue_bytes_max: usize,
    /// Frames waiting per session, same policy.
    pub queue_frames_max: usize,
    /// Bytes in one poll answer; the rest waits for the next poll. One packet always fits.
    pub poll_bytes_max: usize,
    /// Subscriptions per session; a topic counts once per dialect. One more closes the session.
    pub subscriptions_max: usize,
    /// Sessions of all shards together, those that are closing included; one more is refused.
    pub sessions_max: usize,
    /// How long a closed session may take to send what was queued before its end and, if it is a
    /// stream, to see its peer's end. It holds its place as long.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_bytes_max: 1 << 20,
            queue_frames_max: 1000,
            poll_bytes_max: 1 << 20,
            subscriptions_max: 10_000,
            sessions_max: 1_000_000,
            linger: Duration::from_secs(2),
        }
    }
}

/// What the hub says on its own in one dialect.
#[derive(Clone, Debug, Default)]
pub struct DialectRules {
    /// How a silent peer is noticed; `None` leaves that to others.
    pub keepalive: Option<Keepalive>,
    /// The last frame of a session that the hub itself ends.
    pub farewell: Option<Farewell>,
}

/// Gives the last frame for a reason the hub closes for: [`CloseReason::SlowConsumer`],
/// [`CloseReason::PingTimeout`], [`CloseReason::PollOverlap`],
/// [`CloseReason::TooManySubscriptions`] or [`CloseReason::HubStopped`].
#[derive(Clone)]
pub struct Farewell(Arc<dyn Fn(CloseReason) -> Option<Frame> + Send + Sync>);

impl Farewell {
    /// A farewell that depends on the reason.
    pub fn new(say: impl Fn(CloseReason) -> Option<Frame> + Send + Sync + 'static) -> Self {
        Self(Arc::new(say))
    }

    pub(crate) fn frame(&self, reason: CloseReason) -> Option<Frame> {
        (self.0)(reason)
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Farewell")
    }
}

/// How a silent peer is noticed.
#[derive(Clone, Debug)]
pub struct Keepalive {
    /// Time from one probe to the next, and from the session's begin to the first.
    pub interval: Duration,
    /// How long after a probe the peer may stay silent before the session is closed.
    pub timeout: Duration,
    /// Sessions that begin together get their first probe up to this much later than `interval`,
    /// evenly spread. Zero keeps the official Engine.IO timing to the millisecond.
    pub spread: Duration,
    /// What is sent.
    pub probe: Frame,
    /// Whether a peer that was heard lately is probed too.
    pub probing: Probing,
}

/// When a probe is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probing {
    /// Every interval, whatever was heard (Engine.IO: clients wait for it).
    Always,
    /// Only after an interval in which nothing was heard (Pusher).
    WhenQuiet,
    /// Never: the peer probes us (Engine.IO revision 3). Silence of `interval + timeout` closes the
    /// session, at most a sixteenth of that later.
    ByPeer,
}
