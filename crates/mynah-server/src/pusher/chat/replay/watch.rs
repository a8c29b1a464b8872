//! One socket, and what is proven to have arrived at it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mynah_domain::permission::Actor;
use mynah_domain::{AppId, UserId};
use mynah_hub::{Frame, Hub, SessionId};
use mynah_protocol::websocket::{self, OpCode};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::pusher::chat::threads::{Lease, Link};

/// How long a question may stay open before the next one.
const PROOF_PATIENCE: Duration = Duration::from_secs(5);
/// How long an older socket of a user has to show that it is alive.
const GRACE: Duration = Duration::from_secs(1);
/// Questions that may be open at once.
const PINGS_MAX: usize = 8;

/// A user in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seat {
    pub(super) app: AppId,
    pub(super) channel: Arc<str>,
    pub(super) user: UserId,
}

/// A subscription whose socket is watched.
pub(super) struct Held {
    pub(super) seat: Seat,
    pub(super) link: Arc<Link>,
    /// Nothing before this place was promised.
    pub(super) since: u64,
    /// Its place was given to another socket.
    pub(super) is_taken: bool,
}

/// A subscription that waits for what it missed.
pub(super) struct Waiting {
    pub(super) lease: Arc<Lease>,
    pub(super) actor: Actor,
    pub(super) seat: Seat,
}

/// Numbers of questions: each is asked of one socket only.
static QUESTIONS: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
pub(super) struct Pings {
    pub(super) last: u64,
    pub(super) sent: VecDeque<Ping>,
}

pub(super) struct Ping {
    pub(super) number: u64,
    pub(super) pos: u64,
    pub(super) at: Instant,
}

/// What is going on between holding a socket's channels back and resuming them.
#[derive(Default)]
pub(super) struct Gate {
    /// Held, not yet subscribed.
    pub(super) entering: usize,
    pub(super) waiting: Vec<Waiting>,
    pub(super) is_running: bool,
}

/// One socket.
pub(super) struct Watch {
    pub(super) id: SessionId,
    pub(super) hub: Hub,
    pub(super) held: Mutex<Vec<Held>>,
    pub(super) proven: AtomicU64,
    /// Whether it has ever answered: who never does cannot be told from the dead.
    pub(super) answers: AtomicBool,
    pub(super) pings: Mutex<Pings>,
    pub(super) answered: watch::Sender<u64>,
    pub(super) gate: tokio::sync::Mutex<Gate>,
}

impl Watch {
    /// Asks the peer whether it has got everything up to now; gives the question's number.
    pub(super) async fn ping(&self) -> Option<u64> {
        let number = {
            let mut pings = self.pings.lock();
            if pings.sent.len() >= PINGS_MAX {
                return None;
            }
            pings.last = QUESTIONS.fetch_add(1, Ordering::Relaxed) + 1;
            pings.last
        };
        let mut bytes = Vec::with_capacity(16);
        websocket::encode(OpCode::Ping, &number.to_be_bytes(), &mut bytes);
        let frame = Frame::new(bytes.into(), bytes::Bytes::new());
        // The answer may come before this is noted: the lock is not held while the hub is asked.
        let pos = self.hub.send_mark(self.id, frame).await?;
        let mut pings = self.pings.lock();
        pings.sent.push_back(Ping { number, pos, at: Instant::now() });
        drop(pings);
        if *self.answered.borrow() >= number {
            self.pong(number);
        }
        Some(number)
    }

    pub(super) fn pong(&self, number: u64) {
        self.answers.store(true, Ordering::Release);
        self.answered.send_if_modified(|last| {
            let is_newer = number > *last;
            *last = number.max(*last);
            is_newer
        });
        let mut pings = self.pings.lock();
        while let Some(ping) = pings.sent.front().filter(|ping| ping.number <= number) {
            self.proven.fetch_max(ping.pos, Ordering::AcqRel);
            pings.sent.pop_front();
        }
    }

    /// Whether the peer answers now.
    pub(super) async fn is_alive(&self) -> bool {
        if !self.answers.load(Ordering::Acquire) {
            return true;
        }
        let mut answered = self.answered.subscribe();
        let Some(number) = self.ping().await else { return false };
        let answer = answered.wait_for(|last| *last >= number);
        tokio::time::timeout(GRACE, answer).await.is_ok_and(|answer| answer.is_ok())
    }

    pub(super) fn needs_proof(&self) -> bool {
        let proven = self.proven.load(Ordering::Acquire);
        let is_asked = {
            let pings = self.pings.lock();
            pings.sent.back().is_some_and(|ping| ping.at.elapsed() < PROOF_PATIENCE)
        };
        !is_asked && self.held.lock().iter().any(|held| held.link.last_pos() > proven)
    }

    /// A subscription has got another's place, and keeps it until it has confirmed what it missed: it may
    /// be lost as well.
    pub(super) fn go_on_from(&self, seat: &Seat, place: u64) {
        for held in self.held.lock().iter_mut().filter(|held| held.seat == *seat) {
            held.since = held.since.min(place);
        }
    }

    /// Up to which place a subscription is proven to have got everything.
    pub(super) fn place(&self, held: &Held) -> u64 {
        self.proven.load(Ordering::Acquire).max(held.since)
    }
}
