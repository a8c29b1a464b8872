//! The end of a session: told once, given a moment to send what is left and to a stream's peer to
//! end its side, then freed.

use std::net::Shutdown;
use std::sync::atomic::Ordering;

use super::{
    Amount, Class, Close, CloseEach, CloseReason, Output, Phase, Place, Queued, SessionId, Shard,
    Socket,
};

impl<S: Socket> Shard<S> {
    /// Ends a session. What was queued and then `last` still leaves if the link takes it within
    /// [`crate::Limits::linger`]; a slow consumer's queue is given up, `last` is tried. A stream's
    /// writing side is shut after that, the session is freed by [`Shard::detach`] or at the
    /// deadline.
    pub fn close(&mut self, id: SessionId, close: Close) {
        if self.open(id).is_some() {
            self.end_with(id.slot, close.reason, close.last);
        }
    }

    /// Ends and frees a session whose reader saw the end or an error; one that was closed before
    /// keeps its reason. Nothing more is sent.
    pub fn detach(&mut self, id: SessionId, reason: CloseReason) {
        if self.known(id).is_some() {
            self.drop_queue(id.slot);
            self.end_with(id.slot, reason, None);
            self.finish(id.slot);
        }
    }

    /// Ends up to `sessions_max` sessions that are open and says how many it were, so that a caller
    /// can spread the end of all over some time.
    pub fn close_some(&mut self, sessions_max: usize, close: &CloseEach) -> usize {
        let mut ended = 0;
        for slot in 0..self.slots.len() as u32 {
            if ended == sessions_max {
                break;
            }
            if self.session(slot).is_some_and(|session| session.phase != Phase::Closing) {
                self.close_in_dialect(slot, close);
                ended += 1;
            }
        }
        ended
    }

    /// Asks up to `sessions_max` sessions that were not asked yet to leave, and says how many it
    /// were. Their owners end them.
    pub fn ask_to_leave(&mut self, sessions_max: usize) -> usize {
        let mut asked = 0;
        for _ in 0..self.slots.len() {
            if asked == sessions_max {
                break;
            }
            let slot = if (self.ask_from as usize) < self.slots.len() { self.ask_from } else { 0 };
            self.ask_from = slot + 1;
            let id = self.id_of(slot);
            let Some(session) = self.session(slot) else { continue };
            if session.phase != Phase::Closing && !session.pulse.is_leaving() {
                session.pulse.leave();
                session.events.leaving(id);
                asked += 1;
            }
        }
        asked
    }

    pub(super) fn close_in_dialect(&mut self, slot: u32, close: &CloseEach) {
        if let Some(dialect) = self.session(slot).map(|session| session.dialect) {
            let Close { reason, last } = close.in_dialect(dialect);
            self.end_with(slot, reason, last);
        }
    }

    /// Ends every session for the hub's own reason, with each dialect's farewell.
    pub fn end_all(&mut self, reason: CloseReason) {
        for slot in 0..self.slots.len() as u32 {
            self.end(slot, reason);
        }
    }

    /// Ends a session for the hub's own reason, with the dialect's farewell.
    pub(super) fn end(&mut self, slot: u32, reason: CloseReason) {
        let Some(dialect) = self.session(slot).map(|session| session.dialect) else { return };
        let last = self
            .rules
            .get(usize::from(dialect.0))
            .and_then(|rules| rules.farewell.as_ref())
            .and_then(|farewell| farewell.frame(reason));
        self.end_with(slot, reason, last);
    }

    pub(super) fn end_with(&mut self, slot: u32, reason: CloseReason, last: Option<crate::Frame>) {
        let id = self.id_of(slot);
        let Some(session) = self.session(slot) else { return };
        if session.phase == Phase::Closing {
            if reason.link_is_gone() {
                self.finish(slot);
            }
            return;
        }
        session.phase = Phase::Closing;
        session.pulse.end();
        let events = std::sync::Arc::clone(&session.events);
        self.drop_kept(slot);
        self.leave_all(slot);
        self.drop_paced(slot);
        if reason.gives_up_queue() {
            self.drop_queue(slot);
        }
        if let Some(frame) = last {
            self.push_last(slot, frame);
        }
        self.stats.count_close(reason);
        events.closed(id, reason);
        if reason.link_is_gone() {
            self.finish(slot);
            return;
        }
        self.flush_session(slot);
        let polling_in_vain = self
            .session(slot)
            .is_some_and(|session| reason.gives_up_queue() && session.socket.is_none());
        if polling_in_vain {
            self.finish(slot);
        } else {
            self.linger(slot);
        }
    }

    /// Gives a session until the linger deadline to send what is left and to see its peer's end.
    fn linger(&mut self, slot: u32) {
        let deadline = self.now + self.limits.linger.as_millis() as u64;
        let generation = self.id_of(slot).generation;
        let Some(session) = self.session(slot) else { return };
        if let Some(key) = session.timer.take() {
            self.wheel.cancel(key);
        }
        let key = self.wheel.insert(deadline, Place { slot, generation });
        if let Some(session) = self.session(slot) {
            session.timer = Some(key);
        }
    }

    /// Everything is sent: a stream waits for its peer's end, a polling session is done.
    pub(super) fn sent_all(&mut self, slot: u32) {
        let Some(session) = self.session(slot) else { return };
        match &session.socket {
            Some(socket) => {
                socket.shutdown(Shutdown::Write);
                session.output = Output::Shut;
            }
            None => self.finish(slot),
        }
    }

    /// Shuts the link, answers a parked poll and frees the slot.
    pub(super) fn finish(&mut self, slot: u32) {
        let id = self.id_of(slot);
        self.drop_queue_whole(slot);
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let Some(session) = place.session.take() else { return };
        place.generation = place.generation.wrapping_add(1);
        self.vacant.push(slot);
        self.live -= 1;
        self.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = session.timer {
            self.wheel.cancel(key);
        }
        if let Some(socket) = &session.socket {
            socket.shutdown(Shutdown::Both);
        }
        if let Some(reply) = session.parked {
            // Its asker may have gone; then nobody misses the empty answer.
            drop(reply.send(crate::PollAnswer::default()));
        }
        session.events.ended(id);
    }

    fn push_last(&mut self, slot: u32, frame: crate::Frame) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        session.waiting.add(Amount::of(&frame));
        self.frames.push(&mut session.queue, Queued::direct(frame, Class::Durable));
    }

    /// Drops what waits, except a frame whose first part has left.
    fn drop_queue(&mut self, slot: u32) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let dropped = self.frames.clear(&mut session.queue, session.written > 0);
        session.waiting.take(dropped);
        session.ephemeral = self
            .frames
            .front(session.queue)
            .map_or(0, |front| u32::from(front.class != Class::Durable));
    }

    fn drop_queue_whole(&mut self, slot: u32) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let dropped = self.frames.clear(&mut session.queue, false);
        session.waiting.take(dropped);
        session.written = 0;
    }
}
