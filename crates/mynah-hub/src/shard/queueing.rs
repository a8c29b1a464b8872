//! Putting a frame on a session's queue, and what happens when it does not fit.

use super::{Amount, Class, CloseReason, Output, Phase, Queued, Session, Shard, Socket};

impl<S: Socket> Session<S> {
    /// Whether one more frame keeps to the bounds. A frame always fits in an empty queue.
    fn fits(&self, more: Amount, limits: &crate::Limits) -> bool {
        self.waiting.frames == 0
            || (self.waiting.frames < limits.queue_frames_max as u32
                && (self.waiting.bytes as usize + more.bytes as usize) <= limits.queue_bytes_max)
    }

    pub(super) fn speaks(&self, frame: &crate::Frame) -> bool {
        match self.socket {
            Some(_) => !frame.stream().is_empty(),
            None => !frame.packet().is_empty(),
        }
    }
}

impl<S: Socket> Shard<S> {
    /// Queues a frame for an open session, or applies the overflow policy.
    pub(super) fn enqueue(&mut self, slot: u32, queued: Queued) {
        let more = Amount::of(&queued.frame);
        let Some(session) = self.session(slot) else { return };
        if session.phase == Phase::Closing || !session.speaks(&queued.frame) {
            return;
        }
        if let Class::Ephemeral { key } = queued.class
            && session.ephemeral > 0
        {
            self.drop_ephemeral(slot, Some(key));
        }
        if !self.make_room(slot, more, queued.class) {
            return;
        }
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        self.unflushed += 1;
        session.ephemeral += u32::from(queued.class != Class::Durable);
        session.waiting.add(more);
        self.frames.push(&mut session.queue, queued);
        // A blocked socket is flushed when it reports itself writable.
        if !session.dirty && session.output == Output::Open {
            session.dirty = true;
            self.dirty.push_back(slot);
        }
    }

    /// Makes `more` fit: by writing, by dropping ephemeral frames, else by closing the session.
    /// `false` if the frame must not be queued.
    pub(super) fn make_room(&mut self, slot: u32, more: Amount, class: Class) -> bool {
        if self.has_room(slot, more) {
            return true;
        }
        self.flush_session(slot);
        if self.has_room(slot, more) {
            return true;
        }
        if self.session(slot).is_none_or(|session| session.phase == Phase::Closing) {
            return false;
        }
        if class != Class::Durable {
            self.stats.dropped_ephemeral += 1;
            return false;
        }
        self.drop_ephemeral(slot, None);
        self.drop_kept_ephemeral(slot);
        if self.has_room(slot, more) {
            return true;
        }
        self.end(slot, CloseReason::SlowConsumer);
        false
    }

    fn has_room(&mut self, slot: u32, more: Amount) -> bool {
        self.slots.get(slot as usize).and_then(|place| place.session.as_ref()).is_some_and(
            |session| session.phase != Phase::Closing && session.fits(more, &self.limits),
        )
    }

    /// Drops waiting ephemeral frames, those with this key or all, but not one half written.
    fn drop_ephemeral(&mut self, slot: u32, key: Option<u64>) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let removed =
            self.frames.remove_where(
                &mut session.queue,
                session.written > 0,
                |queued| match queued.class {
                    Class::Durable => false,
                    Class::Ephemeral { key: of } => key.is_none_or(|key| key == of),
                },
            );
        session.ephemeral -= removed.frames;
        session.waiting.take(removed);
        self.stats.dropped_ephemeral += u64::from(removed.frames);
    }
}
