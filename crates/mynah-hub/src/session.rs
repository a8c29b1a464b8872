//! A session as its owner sees it: identity, link, liveness and end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use crate::{Dialect, Frame, LazyFrames};

/// Names one session of one hub. A closed session's id never names a later one, because the slot's
/// generation differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Which shard owns it.
    pub shard: u16,
    /// Its place in the shard.
    pub slot: u32,
    /// How often the place was used before.
    pub generation: u32,
}

impl fmt::Display for SessionId {
    /// `shard.slot.generation`, for example `0.17.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.slot, self.generation)
    }
}

/// How a session's frames leave.
#[derive(Debug)]
pub enum Link<S> {
    /// The shard writes to the socket itself.
    Stream {
        /// Where to.
        socket: S,
        /// Whether the peer takes the compact form of [`Frame::stream`]
        /// ([`crate::HubConfig::compact`]), as agreed when its connection began.
        compact: bool,
    },
    /// Frames wait until a poll is there; the answer carries [`Frame::packet`].
    Polling,
}

/// What a shard needs to know about a session that begins.
pub struct NewSession<S> {
    /// Whose keepalive and farewell it gets. What it hears is spelled as each subscription says.
    pub dialect: Dialect,
    /// How its frames leave.
    pub link: Link<S>,
    /// Who is told of its end.
    pub events: Arc<dyn SessionEvents>,
    /// Set by the reader whenever it heard a sign of life, and tells it that the session is over.
    /// Keep a clone for the reader.
    pub pulse: Pulse,
}

/// Is told what becomes of a session. Called from the shard: must not block.
pub trait SessionEvents: Send + Sync {
    /// The session is over: it has left all topics and takes no more frames. Called exactly once.
    /// Frames that were queued before may still be on their way (see [`SessionEvents::ended`]).
    fn closed(&self, id: SessionId, reason: CloseReason);

    /// The session's place is free: the socket is shut both ways, later polls are unknown. Called
    /// once, after `closed`: for a stream when its reader reports the peer's end
    /// ([`crate::Hub::detach`]) or a write fails, for a polling session when all is fetched or
    /// given up, and at the latest [`crate::Limits::linger`] after `closed`. Until then a stream
    /// that has sent all is only shut for writing, because closing a socket with unread input
    /// resets the connection and the peer may never see the last frame.
    fn ended(&self, id: SessionId) {
        let _: SessionId = id;
    }

    /// The session is asked to leave ([`crate::Hub::ask_to_leave`]). Called at most once, before
    /// `closed`, and only of use where no reader waits for [`Pulse::poll_leaving`], as between the
    /// requests of a polling session.
    fn leaving(&self, id: SessionId) {
        let _: SessionId = id;
    }
}

/// What a session's reader and its shard tell each other without a command: three flags, and who
/// is to be woken when it is time to leave.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Signals>);

#[derive(Debug, Default)]
struct Signals {
    flags: AtomicU8,
    reader: AtomicWaker,
}

const HEARD: u8 = 1;
const OVER: u8 = 2;
const LEAVING: u8 = 4;

impl Pulse {
    /// The peer was heard.
    pub fn beat(&self) {
        self.0.flags.fetch_or(HEARD, Ordering::Relaxed);
    }

    /// Whether the session is closed; true before [`SessionEvents::closed`] is called. What the
    /// reader still reads must not be acted upon; it reads on, though, up to the end and then calls
    /// [`crate::Hub::detach`], so that the last frame is not lost to a reset (see
    /// [`SessionEvents::ended`]).
    pub fn is_over(&self) -> bool {
        self.0.flags.load(Ordering::Relaxed) & OVER != 0
    }

    /// Asks the reader to finish what it began, say goodbye and end the session. Nothing is closed
    /// for it: who asks also sees to those that do not go.
    pub fn leave(&self) {
        self.0.flags.fetch_or(LEAVING, Ordering::Relaxed);
        self.0.reader.wake();
    }

    /// Whether the session was asked to leave.
    pub fn is_leaving(&self) -> bool {
        self.0.flags.load(Ordering::Relaxed) & LEAVING != 0
    }

    /// Ready once the session is asked to leave, and ever after. Until then the task is woken for
    /// it; only the last that asked is.
    pub fn poll_leaving(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_leaving() {
            return Poll::Ready(());
        }
        self.0.reader.register(cx.waker());
        // It may have been asked just before it was registered.
        if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The session is over.
    pub(crate) fn end(&self) {
        self.0.flags.fetch_or(OVER, Ordering::Relaxed);
    }

    /// Whether the peer was heard since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.flags.fetch_and(!HEARD, Ordering::Relaxed) & HEARD != 0
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// A durable frame did not fit in its send queue.
    SlowConsumer,
    /// It did not answer a keepalive probe in time.
    PingTimeout,
    /// It sent a second poll while one was waiting.
    PollOverlap,
    /// A write failed.
    LinkFailed,
    /// It had [`crate::Limits::subscriptions_max`] subscriptions and made one more.
    TooManySubscriptions,
    /// The reader saw the peer go.
    PeerGone,
    /// The hub stopped.
    HubStopped,
    /// A reason of the caller, for example `"logout"`.
    Named(&'static str),
}

impl CloseReason {
    /// Whether nothing more can be sent over the link.
    pub(crate) fn link_is_gone(self) -> bool {
        matches!(self, Self::LinkFailed | Self::PeerGone)
    }

    /// Whether waiting frames are given up, so that only the farewell is tried.
    pub(crate) fn gives_up_queue(self) -> bool {
        matches!(self, Self::SlowConsumer | Self::PingTimeout) || self.link_is_gone()
    }
}

impl fmt::Display for CloseReason {
    /// `slow consumer`, `ping timeout`, …; a named reason is its own text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlowConsumer => "slow consumer",
            Self::PingTimeout => "ping timeout",
            Self::PollOverlap => "overlapping poll",
            Self::LinkFailed => "link failed",
            Self::TooManySubscriptions => "too many subscriptions",
            Self::PeerGone => "peer gone",
            Self::HubStopped => "hub stopped",
            Self::Named(name) => name,
        })
    }
}

/// How to end a session.
#[derive(Clone, Debug)]
pub struct Close {
    /// Told to [`SessionEvents::closed`].
    pub reason: CloseReason,
    /// Sent last, if the link still takes it.
    pub last: Option<Frame>,
}

/// How to end many sessions, whatever their dialects.
#[derive(Clone, Debug)]
pub struct CloseEach {
    /// Told to [`SessionEvents::closed`].
    pub reason: CloseReason,
    /// Sent last to each in its dialect, if its link still takes it.
    pub last: Option<Arc<LazyFrames>>,
}

impl CloseEach {
    pub(crate) fn in_dialect(&self, dialect: Dialect) -> Close {
        let last = self.last.as_ref().and_then(|frames| frames.get(dialect)).cloned();
        Close { reason: self.reason, last }
    }
}

/// What a waiting poll gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollAnswer {
    /// [`Frame::packet`] of each frame, in order; the caller joins them. Empty only if the session
    /// ended without a last frame.
    pub packets: Vec<Bytes>,
}

/// Where a poll is answered. Dropped unanswered if the session is unknown or not polling.
pub type PollReply = oneshot::Sender<PollAnswer>;

/// Told when there is room in a send queue. Dropped unanswered if the session is over.
pub type DrainedReply = oneshot::Sender<()>;
