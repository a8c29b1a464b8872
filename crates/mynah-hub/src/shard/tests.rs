//! The shard against fake sockets and a clock moved by hand.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    Class, Close, CloseEach, CloseReason, Dialect, DialectRules, Farewell, Frame, HubStats,
    Keepalive, LazyFrames, Limits, Link, NewSession, PollAnswer, Probing, Publication, Pulse,
    SessionEvents, SessionId, Shard, Socket, Topic,
};

mod backpressure;
mod bounds;
mod compact;
mod holding;
mod keepalive;
mod leaving;
mod ordering;
mod pacing;
mod polling;
mod upheaval;

/// Takes `room` bytes, then blocks until it gets more.
#[derive(Clone)]
struct FakeSocket(Arc<Mutex<FakeState>>);

struct FakeState {
    room: usize,
    broken: bool,
    out: Vec<u8>,
    /// Buffers in each write that was taken.
    writes: Vec<usize>,
    waker: Option<Waker>,
    shutdowns: Vec<Shutdown>,
}

impl FakeSocket {
    fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(FakeState {
            room,
            broken: false,
            out: Vec::new(),
            writes: Vec::new(),
            waker: None,
            shutdowns: Vec::new(),
        })))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().out.clone()).unwrap()
    }

    fn writes(&self) -> Vec<usize> {
        self.0.lock().writes.clone()
    }

    fn give_room(&self, room: usize) {
        let waker = {
            let mut state = self.0.lock();
            state.room = room;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn shutdowns(&self) -> Vec<Shutdown> {
        self.0.lock().shutdowns.clone()
    }
}

impl Socket for FakeSocket {
    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.lock();
        assert_eq!(state.shutdowns, [], "nothing is written to a socket that was shut");
        if state.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = state.out.len();
        for buffer in buffers {
            let taken = buffer.len().min(state.room);
            state.out.extend_from_slice(&buffer[..taken]);
            state.room -= taken;
        }
        state.writes.push(buffers.len());
        Ok(state.out.len() - before)
    }

    fn writable(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        if state.room == 0 {
            state.waker = Some(waker.clone());
        }
        state.room > 0
    }

    fn shutdown(&self, how: Shutdown) {
        let mut state = self.0.lock();
        assert!(!state.shutdowns.contains(&how), "shut twice");
        state.shutdowns.push(how);
    }
}

#[derive(Default)]
struct Ends(Mutex<Vec<(SessionId, Option<CloseReason>)>>);

impl SessionEvents for Ends {
    fn closed(&self, id: SessionId, reason: CloseReason) {
        self.0.lock().push((id, Some(reason)));
    }

    fn ended(&self, id: SessionId) {
        self.0.lock().push((id, None));
    }
}

/// Nothing but the writing side: the reader can read on.
const HALF: [Shutdown; 1] = [Shutdown::Write];
/// First the writing side, both once the peer's end is known or the time is up.
const WHOLE: [Shutdown; 2] = [Shutdown::Write, Shutdown::Both];

/// A shard and what it told about its sessions.
struct House {
    shard: Shard<FakeSocket>,
    ends: Arc<Ends>,
}

impl House {
    fn new(limits: Limits, rules: DialectRules) -> Self {
        Self {
            shard: Shard::new(0, limits, [rules].into(), None, Arc::default()),
            ends: Arc::default(),
        }
    }

    fn plain() -> Self {
        Self::new(Limits::default(), DialectRules::default())
    }

    fn attach(&mut self, link: Link<FakeSocket>, pulse: Pulse) -> SessionId {
        let events = Arc::<Ends>::clone(&self.ends);
        let new = NewSession { dialect: Dialect(0), link, events, pulse };
        self.shard.attach(new).ok().expect("the shard has room")
    }

    fn stream(&mut self, room: usize) -> (SessionId, FakeSocket) {
        let socket = FakeSocket::new(room);
        (self.attach(stream(&socket), Pulse::default()), socket)
    }

    fn polling(&mut self) -> SessionId {
        self.attach(Link::Polling, Pulse::default())
    }

    fn subscribed(&mut self, room: usize, topic: &str) -> (SessionId, FakeSocket) {
        let (id, socket) = self.stream(room);
        self.shard.subscribe(id, Dialect(0), &Topic::new(topic));
        (id, socket)
    }

    /// Subscribed and held.
    fn held(&mut self, room: usize, topic: &str) -> (SessionId, FakeSocket) {
        let (id, socket) = self.subscribed(room, topic);
        assert!(self.shard.hold(id, Dialect(0)).is_some());
        (id, socket)
    }

    fn resume(&mut self, id: SessionId, after: &[(&str, u64)]) {
        let after: Vec<_> = after.iter().map(|(topic, seq)| (Topic::new(*topic), *seq)).collect();
        self.shard.resume(id, Dialect(0), &after);
    }

    fn send(&mut self, id: SessionId, text: &str) {
        self.shard.send(id, frame(text), Class::Durable);
    }

    fn publish(&mut self, topic: &str, seq: Option<u64>, text: &str) {
        self.shard.publish(&publication(topic, seq, Class::Durable, text));
    }

    fn state(&mut self, topic: &str, key: u64, text: &str) {
        self.shard.publish(&publication(topic, None, Class::Ephemeral { key }, text));
    }

    fn flush(&mut self) {
        self.shard.take_writable();
        while self.shard.flush(2) {}
    }

    fn poll(&mut self, id: SessionId) -> oneshot::Receiver<PollAnswer> {
        let (reply, answer) = oneshot::channel();
        self.shard.poll(id, reply);
        self.flush();
        answer
    }

    fn drained(&mut self, id: SessionId) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        self.shard.when_drained(id, reply);
        answer
    }

    fn close(&mut self, id: SessionId, last: Option<Frame>) {
        self.shard.close(id, Close { reason: CloseReason::Named("logout"), last });
    }

    fn ends(&self) -> Vec<(SessionId, Option<CloseReason>)> {
        self.ends.0.lock().clone()
    }

    fn stats(&self) -> HubStats {
        self.shard.stats()
    }
}

fn stream(socket: &FakeSocket) -> Link<FakeSocket> {
    Link::Stream { socket: socket.clone(), compact: false }
}

/// Stream `<text>`, packet `text`.
fn frame(text: &str) -> Frame {
    Frame::new(format!("<{text}>").into(), text.to_owned().into())
}

fn publication(topic: &str, seq: Option<u64>, class: Class, text: &str) -> Publication {
    let frame = frame(text);
    Publication {
        topic: Topic::new(topic),
        seq,
        pos: None,
        class,
        except: None,
        frames: LazyFrames::new(move |_| Some(frame.clone())),
    }
}

fn packets(answer: &mut oneshot::Receiver<PollAnswer>) -> Vec<Bytes> {
    answer.try_recv().expect("the poll was answered").packets
}

fn closed(id: SessionId, reason: CloseReason) -> Vec<(SessionId, Option<CloseReason>)> {
    vec![(id, Some(reason))]
}

fn ended(id: SessionId, reason: CloseReason) -> Vec<(SessionId, Option<CloseReason>)> {
    vec![(id, Some(reason)), (id, None)]
}
