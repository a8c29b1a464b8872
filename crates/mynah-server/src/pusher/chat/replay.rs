//! What a socket missed that comes back, for clients that cannot ask: the protocol has no words for it.
//!
//! The rule. Every socket that hears a thread is pinged (a WebSocket ping, which the peer's library
//! answers by itself) within [`PROOF_EVERY`] after something was said to it; the answer proves that all
//! before the ping has arrived. When the socket goes, the place up to which that is proven is remembered
//! for the user and the channel. The next socket with which the same user subscribes to the same channel
//! is sent what came after that place, behind `subscription_succeeded` and before anything newer, in the
//! order of the log. A socket that is still open when the user subscribes again is asked first: if it
//! answers within `watch::GRACE` it is another page and nothing was missed; if not, it is lost, ends, and its
//! place goes to the new one.
//!
//! So nothing is missed, and what was confirmed never comes twice; an event that arrived in the last moment
//! before the connection was lost may. After more events than allowed, a longer absence, or a restart of
//! the node the gap cannot be filled; in the first case the client is told (`room.resync`).

mod sending;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use futures_util::future::join_all;
use moka::sync::Cache;
use mynah_domain::permission::Actor;
use mynah_hub::{Close, CloseReason, Hub, SessionId};
use parking_lot::Mutex;

use super::threads::{Lease, Link, Threads};
use crate::dialects::PUSHER;
use crate::frames;
use watch::{Held, Seat, Waiting, Watch};

/// How soon after something was said to a socket it is asked whether that arrived.
const PROOF_EVERY: Duration = Duration::from_secs(1);
/// How long a subscription may take that is waited for, before it is looked again.
const ENTERING: Duration = Duration::from_millis(1);
/// Places of lost sockets kept per user and channel.
const PLACES_MAX: usize = 8;
/// Users and channels whose places are kept.
const SEATS_MAX: u64 = 100_000;

/// What is replayed at most.
#[derive(Debug, Clone, Copy)]
pub struct ReplayRules {
    /// Events; beyond, the client is told to read anew.
    pub events_max: u32,
    /// Absence.
    pub retention: Duration,
}

#[derive(Default)]
struct Watches {
    by_session: HashMap<SessionId, Arc<Watch>>,
    by_seat: HashMap<Seat, Vec<Arc<Watch>>>,
}

/// All watched sockets, and the places of lost ones; clones share them.
#[derive(Clone)]
pub(super) struct Replays(Arc<Inner>);

struct Inner {
    threads: Threads,
    rules: ReplayRules,
    watches: Mutex<Watches>,
    places: Cache<Seat, Arc<Mutex<Vec<u64>>>>,
}

impl Replays {
    pub(super) fn start(threads: Threads, rules: ReplayRules) -> Self {
        let places = Cache::builder().max_capacity(SEATS_MAX).time_to_live(rules.retention).build();
        let inner = Inner { threads, rules, watches: Mutex::default(), places };
        let replays = Self(Arc::new(inner));
        tokio::spawn(prove(Arc::downgrade(&replays.0)));
        replays
    }

    fn watch(&self, id: SessionId, hub: &Hub) -> Arc<Watch> {
        let mut watches = self.0.watches.lock();
        let watch = watches.by_session.entry(id).or_insert_with(|| {
            Arc::new(Watch {
                id,
                hub: hub.clone(),
                held: Mutex::default(),
                proven: AtomicU64::new(0),
                answers: AtomicBool::new(false),
                pings: Mutex::default(),
                answered: tokio::sync::watch::channel(0).0,
                gate: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(watch)
    }

    /// Keeps back what the socket hears, before it subscribes; [`Replays::enter`] must follow.
    pub(super) async fn hold(&self, id: SessionId, hub: &Hub) {
        let watch = self.watch(id, hub);
        let mut gate = watch.gate.lock().await;
        gate.entering += 1;
        hub.hold(id, PUSHER).await;
    }

    /// The socket has subscribed: what it missed is sent, then what was kept back.
    pub(super) async fn enter(&self, id: SessionId, hub: &Hub, lease: &Arc<Lease>, actor: &Actor) {
        let watch = self.watch(id, hub);
        let mut gate = watch.gate.lock().await;
        gate.entering = gate.entering.saturating_sub(1);
        let link = Arc::clone(lease.link());
        let seat = Seat {
            app: link.app.id.clone(),
            channel: Arc::clone(&link.channel),
            user: actor.user.clone(),
        };
        // It is held already: this only tells since when.
        let Some(since) = hub.hold(id, PUSHER).await else {
            // It is gone already: nothing was promised to it, and nobody's place is taken.
            self.forget_idle(&watch);
            return;
        };
        {
            let mut watches = self.0.watches.lock();
            watch.held.lock().push(Held { seat: seat.clone(), link, since, is_taken: false });
            watches.by_seat.entry(seat.clone()).or_default().push(Arc::clone(&watch));
        }
        gate.waiting.push(Waiting { lease: Arc::clone(lease), actor: actor.clone(), seat });
        if !gate.is_running {
            gate.is_running = true;
            tokio::spawn(run(self.clone(), Arc::clone(&watch)));
        }
    }

    /// The peer answered a WebSocket ping.
    pub(super) fn ponged(&self, id: SessionId, payload: &[u8]) {
        let Ok(number) = payload.try_into().map(u64::from_be_bytes) else { return };
        let watch = self.0.watches.lock().by_session.get(&id).cloned();
        let Some(watch) = watch else { return };
        // A number that was never sent would prove what is yet to come.
        let is_known = number <= watch.pings.lock().last;
        if is_known {
            watch.pong(number);
        }
    }

    /// A subscription is over; `keeps_place` unless the user left the channel.
    pub(super) fn ended(&self, id: SessionId, link: &Arc<Link>, keeps_place: bool) {
        let mut watches = self.0.watches.lock();
        let Some(watch) = watches.by_session.get(&id).cloned() else { return };
        let mut held = watch.held.lock();
        let Some(at) = held.iter().position(|held| Arc::ptr_eq(&held.link, link)) else { return };
        let gone = held.swap_remove(at);
        // While what it missed is being sent, the one who does that forgets it.
        if held.is_empty() && watch.gate.try_lock().is_ok_and(|gate| !gate.is_running) {
            watches.by_session.remove(&id);
        }
        drop(held);
        if let Some(others) = watches.by_seat.get_mut(&gone.seat) {
            others.retain(|other| other.id != id);
            if others.is_empty() {
                watches.by_seat.remove(&gone.seat);
            }
        }
        drop(watches);
        if keeps_place && !gone.is_taken {
            let place = watch.place(&gone);
            let places = self.0.places.get_with(gone.seat.clone(), Arc::default);
            let mut kept = places.lock();
            if kept.len() < PLACES_MAX {
                kept.push(place);
            }
            drop(kept);
            // Anew, so that it is kept from now on.
            self.0.places.insert(gone.seat, places);
        }
    }

    /// Forgets a socket without subscriptions.
    fn forget_idle(&self, watch: &Watch) {
        let mut watches = self.0.watches.lock();
        if watch.held.lock().is_empty() {
            watches.by_session.remove(&watch.id);
        }
    }

    /// The place of a lost socket of the same seat. Of several, all go on from the earliest, as nobody knows
    /// which of them came back.
    fn take_place(&self, seat: &Seat) -> Option<u64> {
        let places = self.0.places.get(seat)?;
        let mut kept = places.lock();
        let earliest = kept.iter().copied().min()?;
        let latest = kept.iter().enumerate().max_by_key(|(_, place)| **place)?.0;
        kept.swap_remove(latest);
        let is_empty = kept.is_empty();
        drop(kept);
        if is_empty {
            self.0.places.invalidate(seat);
        }
        Some(earliest)
    }

    /// Number of the last question that a socket was asked.
    #[cfg(test)]
    pub(super) fn last_question(&self, id: SessionId) -> u64 {
        let watch = self.0.watches.lock().by_session.get(&id).cloned();
        watch.map_or(0, |watch| watch.pings.lock().sent.back().map_or(0, |ping| ping.number))
    }

    /// Whether what a socket missed is still being sent.
    #[cfg(test)]
    pub(super) fn is_busy(&self, id: SessionId) -> bool {
        let watch = self.0.watches.lock().by_session.get(&id).cloned();
        watch.is_some_and(|watch| watch.gate.try_lock().is_ok_and(|gate| gate.is_running))
    }

    fn older(&self, seat: &Seat, than: SessionId) -> Vec<Arc<Watch>> {
        let watches = self.0.watches.lock();
        let all = watches.by_seat.get(seat).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|watch| watch.id != than).cloned().collect()
    }

    /// From which place each subscription goes on; `None`: it missed nothing.
    async fn places(&self, watch: &Watch, batch: &[Waiting]) -> Vec<Option<u64>> {
        let mut older: HashMap<SessionId, Arc<Watch>> = HashMap::new();
        for waiting in batch {
            older.extend(self.older(&waiting.seat, watch.id).into_iter().map(|w| (w.id, w)));
        }
        let alive = join_all(older.values().map(|watch| watch.is_alive())).await;
        let lost: Vec<&Arc<Watch>> =
            older.values().zip(alive).filter(|(_, alive)| !alive).map(|(watch, _)| watch).collect();
        let places = batch.iter().map(|waiting| {
            let mut place = self.take_place(&waiting.seat);
            for watch in &lost {
                let mut held = watch.held.lock();
                let same = |held: &&mut Held| held.seat == waiting.seat && !held.is_taken;
                for held in held.iter_mut().filter(same) {
                    held.is_taken = true;
                    let theirs = watch.place(held);
                    place = Some(place.map_or(theirs, |place| place.min(theirs)));
                }
            }
            if let Some(place) = place {
                watch.go_on_from(&waiting.seat, place);
            }
            place
        });
        let places = places.collect();
        for watch in lost {
            let last = Some(frames::close(4201, "Pong reply not received in time"));
            let close = Close { reason: CloseReason::Named("lost, and replaced"), last };
            watch.hub.close(watch.id, close).await;
        }
        places
    }
}

/// Sends what the subscriptions of a socket missed, as they come, and resumes the socket when none is left.
async fn run(replays: Replays, watch: Arc<Watch>) {
    let mut after = Vec::new();
    loop {
        let batch = std::mem::take(&mut watch.gate.lock().await.waiting);
        if !batch.is_empty() {
            let places = replays.places(&watch, &batch).await;
            after.extend(replays.send_missed(&watch, &batch, &places).await);
            continue;
        }
        let mut gate = watch.gate.lock().await;
        if gate.waiting.is_empty() && gate.entering == 0 {
            watch.hub.resume(watch.id, PUSHER, std::mem::take(&mut after)).await;
            gate.is_running = false;
            replays.forget_idle(&watch);
            drop(gate);
            // From here on its answers count.
            watch.ping().await;
            return;
        }
        drop(gate);
        // One is between its hold and its subscription, on another task; or its task is gone, and with
        // it the session.
        if !watch.hub.drained(watch.id).await {
            watch.gate.lock().await.is_running = false;
            replays.forget_idle(&watch);
            return;
        }
        tokio::time::sleep(ENTERING).await;
    }
}

/// Asks sockets to which something was said whether it arrived.
async fn prove(replays: std::sync::Weak<Inner>) {
    let mut ticks = tokio::time::interval(PROOF_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(inner) = replays.upgrade() else { return };
        let watches: Vec<Arc<Watch>> = inner.watches.lock().by_session.values().cloned().collect();
        for watch in watches {
            if watch.needs_proof() {
                watch.ping().await;
            }
        }
    }
}
