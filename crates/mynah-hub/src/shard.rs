//! One shard: a plain synchronous structure that owns sessions, topics and timers. The caller
//! brings commands and the time in milliseconds, and calls [`Shard::flush`] until nothing is left.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::arena::NIL;
use crate::config::{DialectRules, Keepalive};
use crate::send_queue::{Amount, FrameList, FrameStore, Queued};
use crate::topic::{TopicList, Topics};
use crate::{
    Class, Close, CloseEach, CloseReason, Compact, Dialect, DrainedReply, Frame, HubStats,
    Interest, Limits, Link, NewSession, PollReply, Publication, Pulse, SessionEvents, SessionId,
    Socket, TimerKey, TimerWheel, Topic, WritableList,
};

mod ending;
mod flushing;
mod holding;
mod pacing;
mod queueing;
mod timing;
mod topics;

#[cfg(test)]
mod tests;

use holding::Holds;

/// A session as the shard keeps it.
struct Session<S> {
    /// `None` while it polls.
    socket: Option<S>,
    parked: Option<PollReply>,
    events: Arc<dyn SessionEvents>,
    pulse: Pulse,
    queue: FrameList,
    /// What is kept back, while something is.
    holds: Option<Box<Holds>>,
    /// What waits in `queue` and in `holds`.
    waiting: Amount,
    /// Ephemeral frames in `queue`.
    ephemeral: u32,
    /// Bytes of the front frame that the socket has taken.
    written: u32,
    topics: TopicList,
    timer: Option<TimerKey>,
    /// When the peer was last seen to have been heard, with [`crate::Probing::ByPeer`], else when it was
    /// last probed; wraps.
    heard_at: u32,
    dialect: Dialect,
    phase: Phase,
    /// On the list of sessions to flush.
    dirty: bool,
    output: Output,
    /// The peer takes compact frames.
    compact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next timer is due for a probe.
    Quiet,
    /// A probe is out; the next timer is its answer's deadline.
    Probed,
    /// Closed; until the next timer what is queued may still leave, and then the peer end its side.
    Closing,
}

/// The writing side of a session's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Open,
    /// The socket takes nothing; a waker is set.
    Blocked,
    /// All is sent and the socket's writing side shut.
    Shut,
}

struct Slot<S> {
    generation: u32,
    session: Option<Session<S>>,
}

#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    generation: u32,
}

/// The core of the hub. `S` is the kind of socket.
pub struct Shard<S> {
    number: u16,
    limits: Limits,
    rules: Arc<[DialectRules]>,
    compact: Option<Compact>,
    slots: Vec<Slot<S>>,
    vacant: Vec<u32>,
    live: usize,
    /// The sessions of all shards.
    total: Arc<AtomicUsize>,
    frames: FrameStore,
    topics: Topics,
    wheel: TimerWheel<Place>,
    dirty: VecDeque<u32>,
    unflushed: usize,
    /// Who waits for room, by slot.
    paced: HashMap<u32, Vec<DrainedReply>>,
    writable: Arc<WritableList>,
    woken: Vec<(u32, u32)>,
    fired: Vec<Place>,
    now: u64,
    /// The highest [`Publication::pos`] taken.
    last_pos: u64,
    /// The slot from which [`Shard::ask_to_leave`] goes on.
    ask_from: u32,
    interest: Option<Arc<dyn Interest>>,
    stats: HubStats,
}

impl<S: Socket> Shard<S> {
    /// An empty shard. `rules` holds what it says on its own in dialect 0, 1, …; `compact` is
    /// [`crate::HubConfig::compact`]; `total` counts the sessions of all shards that it is given to,
    /// for [`Limits::sessions_max`].
    pub fn new(
        number: u16,
        limits: Limits,
        rules: Arc<[DialectRules]>,
        compact: Option<Compact>,
        total: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            number,
            limits,
            rules,
            compact,
            slots: Vec::new(),
            vacant: Vec::new(),
            live: 0,
            total,
            frames: FrameStore::new(),
            topics: Topics::new(),
            wheel: TimerWheel::new(0),
            dirty: VecDeque::new(),
            unflushed: 0,
            paced: HashMap::new(),
            writable: Arc::new(WritableList::default()),
            woken: Vec::new(),
            fired: Vec::new(),
            now: 0,
            last_pos: 0,
            ask_from: 0,
            interest: None,
            stats: HubStats::default(),
        }
    }

    /// Tells `interest` from now on which topics are subscribed to here.
    pub fn watch_topics(&mut self, interest: Arc<dyn Interest>) {
        self.interest = Some(interest);
    }

    /// Begins a session, or gives it back if the hub is full.
    ///
    /// # Errors
    /// The session itself, if all shards together have [`Limits::sessions_max`] sessions, closing
    /// ones included.
    pub fn attach(&mut self, new: NewSession<S>) -> Result<SessionId, NewSession<S>> {
        let max = self.limits.sessions_max;
        let one_more = |total: usize| (total < max).then_some(total + 1);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err(new);
        }
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, session: None });
            (self.slots.len() - 1) as u32
        });
        let Some(place) = self.slots.get_mut(slot as usize) else { return Err(new) };
        let (socket, compact) = match new.link {
            Link::Stream { socket, compact } => (Some(socket), compact),
            Link::Polling => (None, false),
        };
        place.session = Some(Session {
            socket,
            compact,
            parked: None,
            events: new.events,
            pulse: new.pulse,
            queue: FrameList::EMPTY,
            holds: None,
            waiting: Amount::default(),
            ephemeral: 0,
            written: 0,
            topics: TopicList::EMPTY,
            timer: None,
            heard_at: self.now as u32,
            dialect: new.dialect,
            phase: Phase::Quiet,
            dirty: false,
            output: Output::Open,
        });
        let id = SessionId { shard: self.number, slot, generation: place.generation };
        self.live += 1;
        self.begin_keepalive(slot);
        Ok(id)
    }

    /// Sends a frame to one session, after everything that was queued for it before.
    pub fn send(&mut self, id: SessionId, frame: Frame, class: Class) {
        if self.open(id).is_some() {
            self.enqueue(id.slot, Queued::direct(frame, class));
        }
    }

    /// Sends a frame durable and gives the highest `pos` taken before; `None`, with nothing sent, if the
    /// session is over or holds a dialect, as what is kept would follow the frame.
    pub fn send_mark(&mut self, id: SessionId, frame: Frame) -> Option<u64> {
        let pos = self.last_pos;
        if self.open(id)?.holds.is_some() {
            return None;
        }
        self.enqueue(id.slot, Queued::direct(frame, Class::Durable));
        Some(pos)
    }

    /// Answers a poll with what is queued, or keeps it until something is. A second poll ends the
    /// session. If the session is unknown or does not poll, `reply` is dropped.
    pub fn poll(&mut self, id: SessionId, reply: PollReply) {
        let Some(session) = self.known(id) else { return };
        if session.socket.is_some() {
            return;
        }
        if session.parked.as_ref().is_some_and(|parked| !parked.is_closed()) {
            self.end(id.slot, CloseReason::PollOverlap);
            return;
        }
        session.parked = Some(reply);
        self.mark_dirty(id.slot);
    }

    /// Moves a polling session to a stream, which may take compact frames: what is queued leaves
    /// over it, in order; a parked poll is answered with `noop`'s packet. A closing session moves as
    /// well, while its last frames have not been polled: its peer may have stopped polling for this.
    ///
    /// # Errors
    /// The socket, if the session is gone or a stream already.
    pub fn upgrade(
        &mut self,
        id: SessionId,
        (socket, compact): (S, bool),
        noop: &Frame,
    ) -> Result<(), S> {
        let Some(session) = self.known(id) else { return Err(socket) };
        if session.socket.is_some() {
            return Err(socket);
        }
        if let Some(reply) = session.parked.take() {
            // The poll may have been given up meanwhile; nothing is lost with a noop.
            drop(reply.send(crate::PollAnswer { packets: vec![noop.packet().clone()] }));
        }
        (session.socket, session.compact) = (Some(socket), compact);
        self.mark_dirty(id.slot);
        Ok(())
    }

    /// The shard's counters and gauges.
    pub fn stats(&self) -> HubStats {
        HubStats {
            sessions: self.live as u64,
            topics: self.topics.len() as u64,
            subscriptions: self.topics.subscriptions() as u64,
            queued_frames: self.frames.len() as u64,
            queued_bytes: self.frames.bytes(),
            ..self.stats
        }
    }

    /// Where sockets report that they can be written again; see [`Shard::take_writable`].
    pub fn writable_list(&self) -> Arc<WritableList> {
        Arc::clone(&self.writable)
    }

    /// The session in a slot, closing ones included.
    fn session(&mut self, slot: u32) -> Option<&mut Session<S>> {
        self.slots.get_mut(slot as usize)?.session.as_mut()
    }

    fn id_of(&self, slot: u32) -> SessionId {
        let generation = self.slots.get(slot as usize).map_or(0, |place| place.generation);
        SessionId { shard: self.number, slot, generation }
    }

    /// The session an id names, closing ones included.
    fn known(&mut self, id: SessionId) -> Option<&mut Session<S>> {
        let found = self
            .slots
            .get_mut(id.slot as usize)
            .filter(|place| place.generation == id.generation)
            .and_then(|place| place.session.as_mut());
        if found.is_none() {
            self.stats.stale_commands += 1;
        }
        found
    }

    /// The session an id names, unless it is closing.
    fn open(&mut self, id: SessionId) -> Option<&mut Session<S>> {
        self.known(id).filter(|session| session.phase != Phase::Closing)
    }

    fn keepalive(&self, dialect: Dialect) -> Option<&Keepalive> {
        self.rules.get(usize::from(dialect.0))?.keepalive.as_ref()
    }

    fn mark_dirty(&mut self, slot: u32) {
        if let Some(session) = self.session(slot)
            && !session.dirty
            && session.output != Output::Shut
        {
            session.dirty = true;
            self.dirty.push_back(slot);
        }
    }
}
