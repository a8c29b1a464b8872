//! Keepalive and the deadline of a closing session: one timer per session.

use super::{Class, CloseReason, Phase, Place, Queued, Shard, Socket};
use crate::{Keepalive, Probing};

/// Steps into which [`crate::Keepalive::spread`] is divided.
const SPREAD_STEPS: u64 = 64;
/// How often a peer that probes us is looked at before its silence is too long.
const LOOKS: u64 = 16;

/// The silence that is too long for a peer that probes us.
fn silence(keepalive: &Keepalive) -> u64 {
    (keepalive.interval + keepalive.timeout).as_millis() as u64
}

impl<S: Socket> Shard<S> {
    /// Moves the shard's time, in milliseconds from any origin, and does what is due.
    pub fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.advance(self.now, |place| fired.push(place));
        for place in fired.drain(..) {
            if self.id_of(place.slot).generation == place.generation {
                self.on_timer(place.slot);
            }
        }
        self.fired = fired;
    }

    /// When [`Shard::advance`] has something to do, in the same milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wheel.next_tick()
    }

    pub(super) fn begin_keepalive(&mut self, slot: u32) {
        let Some(dialect) = self.session(slot).map(|session| session.dialect) else { return };
        let Some(keepalive) = self.keepalive(dialect) else { return };
        let spread = keepalive.spread.as_millis() as u64;
        // Neighbouring slots lie far apart: 37 is prime to the number of steps.
        let share = spread * (u64::from(slot) * 37 % SPREAD_STEPS) / SPREAD_STEPS;
        let first = match keepalive.probing {
            Probing::ByPeer => silence(keepalive) / LOOKS,
            Probing::Always | Probing::WhenQuiet => keepalive.interval.as_millis() as u64,
        };
        self.set_timer(slot, self.now + first + share);
    }

    fn set_timer(&mut self, slot: u32, deadline: u64) {
        let generation = self.id_of(slot).generation;
        let key = self.wheel.insert(deadline, Place { slot, generation });
        if let Some(session) = self.session(slot) {
            session.timer = Some(key);
        }
    }

    fn on_timer(&mut self, slot: u32) {
        let Some(session) = self.session(slot) else { return };
        session.timer = None;
        let (phase, dialect) = (session.phase, session.dialect);
        if phase == Phase::Closing {
            self.finish(slot);
            return;
        }
        let Some(keepalive) = self.keepalive(dialect) else { return };
        if keepalive.probing == Probing::ByPeer {
            let silence = silence(keepalive);
            self.look(slot, silence);
            return;
        }
        let interval = keepalive.interval.as_millis() as u64;
        let timeout = keepalive.timeout.as_millis() as u64;
        let (probing, probe) = (keepalive.probing, keepalive.probe.clone());
        let now = self.now;
        let Some(session) = self.session(slot) else { return };
        let heard = session.pulse.take();
        // Of a peer that is probed this is when that was.
        let waited = u64::from((now as u32).wrapping_sub(session.heard_at));
        let next_probe = match (phase, heard, probing) {
            (Phase::Probed, false, _) if waited >= timeout => {
                self.end(slot, CloseReason::PingTimeout);
                return;
            }
            (Phase::Probed, false, _) => {
                self.set_timer(slot, now + (timeout - waited).min(interval));
                return;
            }
            (Phase::Probed, true, Probing::Always) => interval.saturating_sub(waited),
            (Phase::Probed, true, _) | (_, true, Probing::WhenQuiet) => interval,
            _ => 0,
        };
        if next_probe > 0 {
            session.phase = Phase::Quiet;
            self.set_timer(slot, now + next_probe);
        } else {
            session.phase = Phase::Probed;
            session.heard_at = now as u32;
            self.stats.probes += 1;
            self.set_timer(slot, now + timeout.min(interval));
            self.enqueue(slot, Queued::direct(probe, Class::Durable));
        }
    }

    /// Looks whether a peer that probes us was heard. Looks may come late, its end does not: the last
    /// one is due when the silence is too long.
    fn look(&mut self, slot: u32, silence: u64) {
        let now = self.now;
        let Some(session) = self.session(slot) else { return };
        if session.pulse.take() {
            session.heard_at = now as u32;
        }
        let quiet = u64::from((now as u32).wrapping_sub(session.heard_at));
        if quiet < silence {
            let wait = (silence - quiet).min(silence / LOOKS);
            self.set_timer(slot, now + wait);
        } else {
            self.end(slot, CloseReason::PingTimeout);
        }
    }
}
