//! Writing what is queued: one `write` or `writev` per session and round.

use std::io::{ErrorKind, IoSlice};

use bytes::Bytes;

use super::{Class, CloseReason, NIL, Output, Phase, Shard, Socket};
use crate::PollAnswer;

/// Frames in one `writev`.
const SLICES_MAX: usize = 64;

/// What came of one write.
enum Wrote {
    /// All that was queued.
    All,
    /// Some; try again.
    Some,
    /// The socket is full.
    Blocked,
    /// The link is broken.
    Failed,
}

impl<S: Socket> Shard<S> {
    /// Flushes up to `sessions_max` sessions and says whether more wait for it.
    pub fn flush(&mut self, sessions_max: usize) -> bool {
        for _ in 0..sessions_max {
            let Some(slot) = self.dirty.pop_front() else { break };
            if let Some(session) = self.session(slot) {
                session.dirty = false;
                self.flush_session(slot);
            }
        }
        if self.dirty.is_empty() {
            self.unflushed = 0;
        }
        !self.dirty.is_empty()
    }

    /// Takes note of sockets that can be written again.
    pub fn take_writable(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        self.writable.take(&mut woken);
        for (slot, generation) in woken.drain(..) {
            let Some(place) = self.slots.get_mut(slot as usize) else { continue };
            if place.generation == generation
                && let Some(session) = place.session.as_mut()
            {
                if session.output == Output::Blocked {
                    session.output = Output::Open;
                }
                self.mark_dirty(slot);
            }
        }
        self.woken = woken;
    }

    /// Frames queued since all was flushed: a measure of the work at hand.
    pub fn unflushed_frames(&self) -> usize {
        self.unflushed
    }

    /// Sends what the link takes now; if a closing session has nothing left, its link is told so,
    /// once.
    pub(super) fn flush_session(&mut self, slot: u32) {
        let Some(session) = self.session(slot) else { return };
        match session.socket {
            None => self.answer_poll(slot),
            Some(_) => self.write_queue(slot),
        }
        self.tell_drained(slot);
        if self.session(slot).is_some_and(|session| {
            session.phase == Phase::Closing
                && session.queue.is_empty()
                && session.output != Output::Shut
        }) {
            self.sent_all(slot);
        }
    }

    fn write_queue(&mut self, slot: u32) {
        while self.session(slot).is_some_and(|s| s.output == Output::Open && !s.queue.is_empty()) {
            match self.write_once(slot) {
                Wrote::All => return,
                Wrote::Some => {}
                Wrote::Blocked => self.wait_writable(slot),
                Wrote::Failed => {
                    self.end(slot, CloseReason::LinkFailed);
                    return;
                }
            }
        }
    }

    fn write_once(&mut self, slot: u32) -> Wrote {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return Wrote::All;
        };
        let Some(socket) = &session.socket else { return Wrote::All };
        let compact = self.compact.filter(|_| session.compact);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let from = (session.written as usize, compact);
        let (used, bytes) = self.frames.gather(session.queue, from, &mut slices);
        let mut taken = 0;
        if bytes > 0 {
            self.stats.write_calls += 1;
            match socket.write(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Wrote::Failed,
                Ok(n) => taken = n.min(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Wrote::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => return Wrote::Some,
                Err(_) => return Wrote::Failed,
            }
            self.stats.bytes_written += taken as u64;
        }
        self.consume(slot, taken);
        match self.session(slot) {
            Some(session) if !session.queue.is_empty() => Wrote::Some,
            _ => Wrote::All,
        }
    }

    /// Takes `bytes` written bytes off the queue; frames with no stream spelling go with them.
    fn consume(&mut self, slot: u32, bytes: usize) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let compact = self.compact.filter(|_| session.compact);
        let mut bytes = bytes + session.written as usize;
        session.written = 0;
        while let Some(front) = self.frames.front(session.queue) {
            let len = front.frame.written(compact).len();
            if len > bytes {
                session.written = bytes as u32;
                break;
            }
            bytes -= len;
            let Some(queued) = self.frames.pop(&mut session.queue) else { break };
            session.waiting.take(super::Amount::of(&queued.frame));
            session.ephemeral -= u32::from(queued.class != Class::Durable);
            self.stats.deliveries += u64::from(len > 0);
        }
    }

    fn wait_writable(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let Some(session) = place.session.as_mut() else { return };
        let Some(socket) = &session.socket else { return };
        let waker = self.writable.waker(slot, place.generation);
        // Even if the socket has room again, it waits for its next turn: others come first.
        session.output = Output::Blocked;
        if socket.writable(&waker) {
            waker.wake();
        }
    }

    fn answer_poll(&mut self, slot: u32) {
        let poll_bytes_max = self.limits.poll_bytes_max;
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let Some(reply) = session.parked.take_if(|_| !session.queue.is_empty()) else { return };
        if reply.is_closed() {
            return;
        }
        let mut packets: Vec<Bytes> = Vec::with_capacity(session.waiting.frames as usize);
        let mut bytes = 0;
        while let Some(front) = self.frames.front(session.queue) {
            bytes += front.frame.packet().len() + 1;
            // A client that is told of its end in the same breath acts on that first.
            let is_end = session.phase == Phase::Closing && session.queue.is_single();
            if !packets.is_empty() && (bytes > poll_bytes_max || is_end) {
                break;
            }
            let Some(queued) = self.frames.pop(&mut session.queue) else { break };
            session.waiting.take(super::Amount::of(&queued.frame));
            session.ephemeral -= u32::from(queued.class != Class::Durable);
            if !queued.frame.packet().is_empty() {
                packets.push(queued.frame.packet().clone());
            }
        }
        self.stats.deliveries += packets.len() as u64;
        self.stats.polls_answered += 1;
        if reply.send(PollAnswer { packets }).is_err() {
            // The poll was given up in this very moment and the packets with it.
            self.end(slot, CloseReason::LinkFailed);
        }
    }

    /// The subscriptions of a session, removed one by one.
    pub(super) fn leave_all(&mut self, slot: u32) {
        while let Some(first) = self.session(slot).map(|s| s.topics.first).filter(|&s| s != NIL) {
            self.remove_subscription(slot, first);
        }
    }
}
