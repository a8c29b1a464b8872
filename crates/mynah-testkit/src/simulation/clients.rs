//! Those who send until they are answered, and those who keep what they hear.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::Waker;

use mynah_hub::Socket;
use parking_lot::Mutex;

use super::dice::Dice;
use super::node::Input;
use super::store::Message;
use super::wire::{Line, read_line};
use super::world::{Event, NODES, Power, ROOMS, World};

pub(super) struct Sender {
    pub(super) number: u32,
    count: u32,
    attempt: u64,
    current: Option<Message>,
    pub(super) acked: Vec<Message>,
}

impl Sender {
    pub(super) fn new(number: u32) -> Self {
        Self { number, count: 0, attempt: 0, current: None, acked: Vec::new() }
    }

    pub(super) fn waits(&self) -> bool {
        self.current.is_some()
    }
}

pub(super) struct Listener {
    pub(super) number: u32,
    /// The newest `seq` of each of its rooms.
    pub(super) last: BTreeMap<usize, u64>,
    /// Counts its connections.
    connection: u64,
    socket: Option<Wire>,
    /// The piece of a line that came last.
    rest: String,
}

impl Listener {
    pub(super) fn new(number: u32, dice: &mut Dice) -> Self {
        let mut last = BTreeMap::new();
        for room in 0..ROOMS {
            if dice.chance(700) {
                last.insert(room, 0);
            }
        }
        if last.is_empty() {
            last.insert(0, 0);
        }
        Self { number, last, connection: 0, socket: None, rest: String::new() }
    }
}

/// A client's socket as its node writes to it.
#[derive(Clone, Default)]
pub(super) struct Wire(pub(super) Arc<Mutex<Cable>>);

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "what may be true of a cable at once")]
pub(super) struct Cable {
    pub(super) out: Vec<u8>,
    /// Nothing more comes.
    pub(super) is_shut: bool,
    /// The client is to read.
    pub(super) is_told: bool,
    is_stalled: bool,
    /// A node has taken the connection.
    pub(super) is_accepted: bool,
    waker: Option<Waker>,
}

impl Socket for Wire {
    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut cable = self.0.lock();
        if cable.is_shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if cable.is_stalled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = cable.out.len();
        for buffer in buffers {
            cable.out.extend_from_slice(buffer);
        }
        Ok(cable.out.len() - before)
    }

    fn writable(&self, waker: &Waker) -> bool {
        let mut cable = self.0.lock();
        if cable.is_stalled {
            cable.waker = Some(waker.clone());
        }
        !cable.is_stalled
    }

    fn shutdown(&self, _how: Shutdown) {
        self.0.lock().is_shut = true;
    }
}

impl World {
    pub(super) fn send_next(&mut self, sender: usize) {
        if self.is_calm || self.senders[sender].waits() {
            return;
        }
        let room = self.dice.pick(ROOMS);
        let it = &mut self.senders[sender];
        it.count += 1;
        it.current = Some(Message { sender: it.number, number: it.count, room });
        self.send(sender);
    }

    fn send(&mut self, sender: usize) {
        let node = self.dice.pick(NODES);
        let it = &mut self.senders[sender];
        let Some(message) = it.current else { return };
        it.attempt += 1;
        let attempt = it.attempt;
        let ms = self.dice.between(0, 5);
        self.tell(node, ms, Input::Request(message));
        let patience = self.dice.between(300, 2_000);
        self.after(patience, Event::Timeout { sender, attempt });
    }

    pub(super) fn send_timed_out(&mut self, sender: usize, attempt: u64) {
        if self.senders[sender].attempt == attempt && self.senders[sender].waits() {
            self.send(sender);
        }
    }

    pub(super) fn acked(&mut self, sender: u32, number: u32) {
        let sender = sender as usize;
        let it = &mut self.senders[sender];
        let Some(message) = it.current.filter(|message| message.number == number) else { return };
        it.acked.push(message);
        it.current = None;
        let ms = self.dice.between(5, 250);
        self.after(ms, Event::Send(sender));
    }

    pub(super) fn connect(&mut self, listener: usize) {
        let node = self.dice.pick(NODES);
        if self.nodes[node].power == Power::Off {
            self.after(100, Event::Connect(listener));
            return;
        }
        self.report.connections += 1;
        let it = &mut self.listeners[listener];
        it.connection += 1;
        it.rest.clear();
        let wire = Wire::default();
        it.socket = Some(wire.clone());
        let connection = it.connection;
        let since = it.last.iter().map(|(room, last)| (*room, *last)).collect();
        self.note(|_| format!("listener {listener} connects to node {node}"));
        let ms = self.dice.between(0, 5);
        self.tell(node, ms, Input::Connect { listener, connection, wire, since });
        self.after(4_000, Event::Patience { listener, connection });
    }

    /// A connection that no node took is given up, and now and then one over which something is due.
    pub(super) fn lose_patience(&mut self, listener: usize, connection: u64) {
        let it = &self.listeners[listener];
        if it.connection != connection {
            return;
        }
        let is_taken = it.socket.as_ref().is_some_and(|wire| wire.0.lock().is_accepted);
        let is_complete = it.last.iter().all(|(room, last)| *last == self.store.head(*room));
        // In the calm a client that hears nothing must not need to come back.
        if is_taken && (is_complete || self.is_calm || self.dice.chance(800)) {
            self.after(4_000, Event::Patience { listener, connection });
        } else {
            self.cut(listener);
        }
    }

    /// A listener's connection breaks: what was on its way is lost.
    pub(super) fn cut(&mut self, listener: usize) {
        let Some(wire) = self.listeners[listener].socket.take() else { return };
        self.note(|_| format!("listener {listener} is cut off"));
        let mut cable = wire.0.lock();
        cable.is_shut = true;
        cable.out.clear();
        drop(cable);
        self.listeners[listener].connection += 1;
        let ms = self.dice.between(10, 1_500);
        self.after(ms, Event::Connect(listener));
        for node in 0..NODES {
            self.tell(node, 1, Input::Gone { listener });
        }
    }

    pub(super) fn stall(&mut self, listener: usize) {
        if let Some(wire) = &self.listeners[listener].socket {
            wire.0.lock().is_stalled = true;
            let ms = self.dice.between(300, 5_000);
            self.note(|_| format!("listener {listener} reads nothing for {ms} ms"));
            self.after(ms, Event::GoOn(listener));
        }
    }

    pub(super) fn go_on(&mut self, listener: usize) {
        let Some(wire) = &self.listeners[listener].socket else { return };
        let waker = {
            let mut cable = wire.0.lock();
            cable.is_stalled = false;
            cable.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        for node in 0..NODES {
            self.tell(node, 0, Input::Tick);
        }
    }

    /// What has arrived is read; who finds the connection ended comes again.
    pub(super) fn read(&mut self, listener: usize, connection: u64) {
        let it = &mut self.listeners[listener];
        let Some(wire) = it.socket.clone().filter(|_| it.connection == connection) else { return };
        let (bytes, is_shut) = {
            let mut cable = wire.0.lock();
            cable.is_told = false;
            (std::mem::take(&mut cable.out), cable.is_shut)
        };
        it.rest.push_str(&String::from_utf8_lossy(&bytes));
        let text = std::mem::take(&mut it.rest);
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => self.read_line(listener, line),
                None => self.listeners[listener].rest.push_str(line),
            }
        }
        if is_shut {
            self.note(|_| format!("listener {listener} sees the end"));
            self.listeners[listener].socket = None;
            self.listeners[listener].connection += 1;
            let ms = self.dice.between(10, 800);
            self.after(ms, Event::Connect(listener));
        }
    }

    fn read_line(&mut self, listener: usize, text: &str) {
        let Some(line) = read_line(text) else {
            return self.fail(format!("listener {listener} cannot read {text:?}"));
        };
        self.report.received += 1;
        let Line { room, seq, message, place } = line;
        let known = self.listeners[listener].last.get(&room).copied();
        let Some(last) = known else {
            return self.fail(format!("listener {listener} hears room {room}"));
        };
        if seq != last + 1 {
            return self
                .fail(format!("listener {listener} hears {seq} after {last} of room {room}"));
        }
        let stored = self.store.rooms[room].get(last as usize).copied();
        if stored.is_none_or(|stored| stored.message != message) {
            return self.fail(format!("listener {listener} hears {message:?} as {seq} of {room}"));
        }
        self.listeners[listener].last.insert(room, seq);
        if let Some(place) = place {
            self.check_place(listener, &place);
        }
    }

    /// A place covers only what its session was told before.
    fn check_place(&mut self, listener: usize, place: &mynah_hub::cluster::Frontier) {
        let it = &self.listeners[listener];
        let mut missing = it
            .last
            .iter()
            .flat_map(|(room, last)| self.store.rooms[*room].iter().skip(*last as usize));
        let claimed = missing.find(|stored| {
            stored.pos <= place.of(stored.origin)
                && !self.broker.lost_silently.contains(&stored.pos)
        });
        if let Some(claimed) = claimed {
            let what = format!("listener {listener} is told {place:?} and has not got {claimed:?}");
            self.fail(what);
        }
    }
}
