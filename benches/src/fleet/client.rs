//! One client: Engine.IO 4 over WebSocket, Socket.IO 5, the default namespace in the `native` vocabulary; or a Pusher
//! socket, or a back end that calls Pusher's HTTP API.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use anyhow::Result;
use memchr::memmem;
use rustix::event::epoll;
use rustix::io::{Errno, read};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, sockopt};

use super::Dial;
use super::counts::Counts;
use super::pusher::{Caller, Heard, Subscriber};
use crate::tally::Order;
use crate::wire;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Upgrading,
    Opening,
    Ready,
    Closed,
}

/// What a client speaks.
pub(crate) enum Speech {
    /// Socket.IO, with this token.
    SocketIo(String),
    /// Pusher's protocol.
    Pusher(Subscriber),
    /// Pusher's HTTP API.
    Http(Caller),
}

/// One message to be sent.
pub(crate) struct Draft<'a> {
    /// Acknowledgement id, unique in the fleet.
    pub(crate) id: u64,
    pub(crate) room_id: &'a str,
    /// Makes client ids unique among fleets.
    pub(crate) nonce: u64,
    /// How many the room has with this one.
    pub(crate) seq: u64,
    pub(crate) at_ns: u64,
}

pub(crate) struct Client {
    socket: OwnedFd,
    phase: Phase,
    speech: Speech,
    pub(crate) room: u32,
    pub(crate) receives: bool,
    /// Distinct messages of its room.
    pub(crate) received: u64,
    pub(crate) order: Order,
    dialled_ns: u64,
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Client {
    pub(crate) fn dial(dial: Dial, now_ns: u64) -> Result<Self> {
        let address = dial.address;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let upgrade = match &dial.speech {
            Speech::SocketIo(_) | Speech::Pusher(_) => format!(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
                wire::KEY
            ),
            Speech::Http(_) => String::new(),
        };
        let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n", dial.target);
        Ok(Self {
            socket,
            phase: Phase::Upgrading,
            speech: dial.speech,
            room: dial.room,
            receives: dial.receives,
            received: 0,
            order: Order::default(),
            dialled_ns: now_ns,
            partial: Vec::new(),
            unsent: request.into_bytes(),
        })
    }

    /// Registers (or changes) what the client waits for: always input, and room to write if it has unsent bytes.
    pub(crate) fn watch(&self, epoll: &OwnedFd, index: usize, is_new: bool) -> Result<()> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        let mut interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
        if self.must_flush() {
            interest |= epoll::EventFlags::OUT;
        }
        let data = epoll::EventData::new_u64(index as u64);
        if is_new {
            epoll::add(epoll, self.socket.as_fd(), data, interest)?;
        } else {
            epoll::modify(epoll, self.socket.as_fd(), data, interest)?;
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Ends all notices.
    pub(crate) fn unwatch(&self, epoll: &OwnedFd) -> Result<()> {
        Ok(epoll::delete(epoll, self.socket.as_fd())?)
    }

    pub(crate) fn must_flush(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(crate) fn flush(&mut self, counts: &mut Counts) {
        if self.unsent.is_empty() || self.phase == Phase::Closed {
            return;
        }
        match send(&self.socket, &self.unsent, SendFlags::NOSIGNAL) {
            Ok(count) if count == self.unsent.len() => self.unsent.clear(),
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOTCONN) => {}
            Err(error) => self.close(counts, "write failed", error.to_string().as_bytes()),
        }
    }

    /// Appends one message.
    pub(crate) fn compose(&mut self, draft: &Draft<'_>, scratch: &mut Vec<u8>) {
        match &mut self.speech {
            Speech::SocketIo(_) => self.compose_send(draft, scratch),
            Speech::Pusher(_) => Subscriber::compose(draft, self.room, scratch, &mut self.unsent),
            Speech::Http(caller) => caller.compose(draft, self.room, scratch, &mut self.unsent),
        }
    }

    /// Appends one `message.send`.
    fn compose_send(&mut self, draft: &Draft<'_>, scratch: &mut Vec<u8>) {
        let Draft { id, room_id, nonce, at_ns, .. } = draft;
        scratch.clear();
        // Writing to a vector cannot fail.
        drop(write!(scratch, r#"42{id}["message.send",{{"roomId":"{room_id}","content":""#));
        wire::push_text(*at_ns, self.room, scratch);
        drop(write!(scratch, r#"","clientId":"b{nonce:x}-{id:x}"}}]"#));
        wire::encode_masked(wire::TEXT, scratch, &mut self.unsent);
    }

    /// Reads until nothing is left (notices are edge-triggered) and handles every whole frame.
    pub(crate) fn receive(
        &mut self,
        index: u32,
        buffer: &mut [u8],
        counts: &mut Counts,
        started: Instant,
    ) {
        let mut full = true;
        // A read that does not fill the buffer has emptied the socket (epoll(7)).
        while full && self.phase != Phase::Closed {
            let count = match read(&self.socket, &mut *buffer) {
                Ok(0) => return self.close(counts, "closed by the server", b""),
                Ok(count) => count,
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    return self.close(counts, "read failed", error.to_string().as_bytes());
                }
            };
            full = count == buffer.len();
            let now_ns = started.elapsed().as_nanos() as u64;
            let deliveries = counts.deliveries;
            self.take(index, buffer.get(..count).unwrap_or_default(), counts, now_ns);
            counts.delivering_reads += u64::from(counts.deliveries > deliveries);
        }
    }

    fn take(&mut self, index: u32, fresh: &[u8], counts: &mut Counts, now_ns: u64) {
        if self.partial.is_empty() {
            let used = self.consume(index, fresh, counts, now_ns);
            self.partial.extend_from_slice(fresh.get(used..).unwrap_or_default());
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(fresh);
            let used = self.consume(index, &joined, counts, now_ns);
            joined.drain(..used);
            self.partial = joined;
        }
    }

    /// Handles the whole frames in `data` and returns how many bytes they took.
    fn consume(&mut self, index: u32, data: &[u8], counts: &mut Counts, now_ns: u64) -> usize {
        if let Speech::Http(_) = &self.speech {
            return self.consume_answers(index, data, counts, now_ns);
        }
        let mut used = 0;
        if self.phase == Phase::Upgrading {
            let Some(end) = memmem::find(data, b"\r\n\r\n") else { return 0 };
            if !data.starts_with(b"HTTP/1.1 101") {
                self.close(counts, "upgrade refused", data);
                return data.len();
            }
            self.phase = Phase::Opening;
            used = end + 4;
        }
        while let Some(frame) = wire::frame(data.get(used..).unwrap_or_default()) {
            used += frame.bytes;
            match frame.opcode {
                wire::TEXT if frame.fin => {
                    self.on_text(index, frame.payload, counts, now_ns);
                }
                wire::PING => wire::encode_masked(wire::PONG, frame.payload, &mut self.unsent),
                wire::PONG => {}
                wire::CLOSE => self.close(counts, "close frame", frame.payload),
                _ => self.close(counts, "unexpected frame", frame.payload),
            }
        }
        used
    }

    /// Handles the whole answers in `data` and returns how many bytes they took.
    fn consume_answers(
        &mut self,
        index: u32,
        data: &[u8],
        counts: &mut Counts,
        now_ns: u64,
    ) -> usize {
        let mut used = 0;
        loop {
            let Speech::Http(caller) = &mut self.speech else { return used };
            let is_first = self.phase == Phase::Upgrading;
            let rest = data.get(used..).unwrap_or_default();
            let Some(answer) = caller.answer(rest, is_first) else { return used };
            used += answer.bytes;
            match answer.draft {
                Some(id) => counts.note_result(
                    index,
                    id,
                    answer.is_ok.then_some(()).ok_or(answer.text),
                    now_ns,
                ),
                None if is_first && answer.is_ok => self.ready(counts, now_ns),
                None => self.close(counts, "unexpected answer", answer.text),
            }
        }
    }

    fn ready(&mut self, counts: &mut Counts, now_ns: u64) {
        self.phase = Phase::Ready;
        counts.ready += 1;
        counts.connect_latency.record(now_ns.saturating_sub(self.dialled_ns));
    }

    fn on_pusher(&mut self, text: &[u8], counts: &mut Counts, now_ns: u64) {
        let Speech::Pusher(subscriber) = &mut self.speech else { return };
        match subscriber.hear(text, &mut self.unsent) {
            Heard::Little => {}
            Heard::Ready => {
                self.order.start_after(0);
                self.ready(counts, now_ns);
            }
            Heard::Event(seq) => self.on_message(text, seq, counts, now_ns),
            Heard::Trouble => counts.trouble("unexpected event", text),
        }
    }

    fn on_text(&mut self, index: u32, text: &[u8], counts: &mut Counts, now_ns: u64) {
        if let Speech::Pusher(_) = &self.speech {
            return self.on_pusher(text, counts, now_ns);
        }
        match (text.first(), text.get(1)) {
            (Some(b'4'), Some(b'2')) => self.on_event(text, counts, now_ns),
            (Some(b'4'), Some(b'3')) => {
                counts.note_answer(index, text.get(2..).unwrap_or_default(), now_ns);
            }
            (Some(b'2'), None) => wire::encode_masked(wire::TEXT, b"3", &mut self.unsent),
            (Some(b'0'), _) => {
                let Speech::SocketIo(token) = &mut self.speech else { return };
                let token = std::mem::take(token);
                let connect = format!(r#"40{{"token":"{token}","dialect":"native"}}"#);
                wire::encode_masked(wire::TEXT, connect.as_bytes(), &mut self.unsent);
            }
            (Some(b'4'), Some(b'0')) => {}
            (Some(b'4'), Some(b'1')) => self.close(counts, "disconnected", text),
            (Some(b'4'), Some(b'4')) => self.close(counts, "connect refused", text),
            _ => counts.trouble("unexpected packet", text),
        }
    }

    fn on_event(&mut self, text: &[u8], counts: &mut Counts, now_ns: u64) {
        let event = text.get(4..).unwrap_or_default();
        if event.starts_with(b"message.created\"") {
            self.on_message(text, wire::number_after(event, b"\"seq\":"), counts, now_ns);
        } else if event.starts_with(b"member.") || event.starts_with(b"room.updated") {
            // Other durable events take numbers of the same sequence.
            if let Some(seq) = wire::number_after(event, b"\"seq\":") {
                self.order.see(seq);
            }
        } else if event.starts_with(b"connection.ready") && self.phase == Phase::Opening {
            self.ready(counts, now_ns);
            let rooms = memmem::find(event, b"\"rooms\":").and_then(|at| event.get(at..));
            if let Some(head) = rooms.and_then(|rooms| wire::number_after(rooms, b"\"seq\":")) {
                self.order.start_after(head);
            }
        } else if event.starts_with(b"error") || event.starts_with(b"session.closed") {
            counts.trouble("event", event);
        }
    }

    /// A message of the load.
    fn on_message(&mut self, text: &[u8], seq: Option<u64>, counts: &mut Counts, now_ns: u64) {
        let Some((sent_ns, room)) = wire::stamp(text) else { return };
        if self.receives {
            counts.note_delivery(sent_ns, now_ns, text.len() + 4);
        }
        let fresh = seq.is_some_and(|seq| self.order.see(seq));
        if room != self.room {
            counts.misdirected += 1;
        } else if fresh {
            self.received += 1;
            counts.received_distinct += u64::from(self.receives);
        }
    }

    fn close(&mut self, counts: &mut Counts, what: &str, text: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.unsent.clear();
        counts.closed += 1;
        counts.trouble(what, text);
    }
}
