//! Telling a caller that has much to send, such as a long history, when there is room for more.

use super::{Limits, Session, SessionId, Shard, Socket};
use crate::DrainedReply;

impl<S: Socket> Session<S> {
    /// Whether less than half of the bounds is used, or only what is kept back waits: that cannot
    /// leave before the caller is done.
    fn is_drained(&self, limits: &Limits) -> bool {
        self.queue.is_empty()
            || ((self.waiting.bytes as usize) < limits.queue_bytes_max / 2
                && (self.waiting.frames as usize) < limits.queue_frames_max / 2)
    }
}

impl<S: Socket> Shard<S> {
    /// Answers once the session's queue is below half of its bounds, at once if it is. Several may
    /// wait; all are answered together. If the session is over or ends first, `reply` is dropped.
    pub fn when_drained(&mut self, id: SessionId, reply: DrainedReply) {
        if self.open(id).is_none() {
            return;
        }
        let replies = self.paced.entry(id.slot).or_default();
        // Whoever gave up has made room for who asks now.
        replies.retain(|reply| !reply.is_closed());
        replies.push(reply);
        self.tell_drained(id.slot);
    }

    /// Answers those who wait for room, if there is room.
    pub(super) fn tell_drained(&mut self, slot: u32) {
        // Nearly always.
        if self.paced.is_empty() {
            return;
        }
        let session = self.slots.get(slot as usize).and_then(|place| place.session.as_ref());
        if session.is_some_and(|session| session.is_drained(&self.limits)) {
            for reply in self.paced.remove(&slot).unwrap_or_default() {
                // Whoever gave up meanwhile needs no room.
                reply.send(()).ok();
            }
        }
    }

    /// Tells those who wait for room that there will be none.
    pub(super) fn drop_paced(&mut self, slot: u32) {
        self.paced.remove(&slot);
    }
}
