//! Telling the node what happens, over a bounded channel, without ever waiting.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use mynah_hub::{BrokerEvent, Topic};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, OwnedPermit};

use super::{Counters, Limits};

type Room = Result<OwnedPermit<BrokerEvent>, SendError<()>>;

/// The sending end of a broker's events. A message that finds no room is dropped and counted, and
/// [`BrokerEvent::Missed`] takes its place; no other event is ever lost.
pub(crate) struct Teller {
    events: mpsc::Sender<BrokerEvent>,
    counters: Arc<Counters>,
    bytes_max: usize,
    /// What must be told and found no room. Messages never wait here.
    backlog: VecDeque<BrokerEvent>,
    room: Option<Pin<Box<dyn Future<Output = Room> + Send>>>,
    /// Sizes of what is in the channel, oldest first.
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Teller {
    pub(crate) fn new(
        limits: Limits,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<BrokerEvent>) {
        let (events, receiver) = mpsc::channel(limits.inbox_messages_max);
        let teller = Self {
            events,
            counters,
            bytes_max: limits.inbox_bytes_max,
            backlog: VecDeque::new(),
            room: None,
            sizes: VecDeque::new(),
            bytes: 0,
        };
        (teller, receiver)
    }

    /// Passes a message on, or drops and counts it.
    pub(crate) fn message(&mut self, channel: Topic, payload: Bytes) {
        let size = payload.len();
        self.forget_taken();
        let fits = self.backlog.is_empty() && self.bytes + size <= self.bytes_max;
        if fits && let Ok(room) = self.events.try_reserve() {
            // Counted first: who has read it finds it counted.
            self.counters.received.fetch_add(1, Ordering::Relaxed);
            self.counters.received_bytes.fetch_add(size as u64, Ordering::Relaxed);
            room.send(BrokerEvent::Message { channel, payload });
            self.sizes.push_back(size);
            self.bytes += size;
            return;
        }
        self.missed();
    }

    /// A message of somebody else's was dropped.
    pub(crate) fn missed(&mut self) {
        self.counters.missed.fetch_add(1, Ordering::Relaxed);
        if self.backlog.back() != Some(&BrokerEvent::Missed) {
            self.tell(BrokerEvent::Missed);
        }
    }

    /// Tells something that must not be lost.
    pub(crate) fn tell(&mut self, event: BrokerEvent) {
        if self.backlog.is_empty() {
            match self.events.try_send(event) {
                Ok(()) => self.sizes.push_back(0),
                Err(refused) => self.backlog.push_back(refused.into_inner()),
            }
            return;
        }
        // A node that reads nothing while the connection comes and goes needs to know only the last of it.
        let repeated = event == BrokerEvent::Up || event == BrokerEvent::Unsent;
        if repeated && let Some(at) = self.backlog.iter().position(|waiting| *waiting == event) {
            self.backlog.remove(at);
        }
        self.backlog.push_back(event);
        if self.backlog.len() > BACKLOG_MAX {
            self.shorten();
        }
    }

    /// What waits becomes: something was missed, then the state of now.
    fn shorten(&mut self) {
        let is_state = |event: &&BrokerEvent| matches!(event, BrokerEvent::Up | BrokerEvent::Down);
        let state = self.backlog.iter().rev().find(is_state).cloned();
        self.backlog.clear();
        self.backlog.push_back(BrokerEvent::Unsent);
        if let Some(state) = state {
            self.backlog.push_back(BrokerEvent::Down);
            self.backlog.extend((state == BrokerEvent::Up).then_some(state));
        }
        self.backlog.push_back(BrokerEvent::Missed);
    }

    /// Sends what waits as far as there is room, and asks to be woken for the rest.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        while !self.backlog.is_empty() {
            let events = &self.events;
            let room = self.room.get_or_insert_with(|| events.clone().reserve_owned().boxed());
            let Poll::Ready(room) = room.as_mut().poll(context) else { return };
            self.room = None;
            let (Ok(room), Some(event)) = (room, self.backlog.pop_front()) else { return };
            room.send(event);
            self.sizes.push_back(0);
        }
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    fn forget_taken(&mut self) {
        let waiting = self.events.max_capacity() - self.events.capacity();
        while self.sizes.len() > waiting {
            self.bytes -= self.sizes.pop_front().unwrap_or_default();
        }
    }
}

/// More changes than this while nobody reads are told shortened.
const BACKLOG_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(messages: usize, bytes: usize) -> Limits {
        Limits { inbox_messages_max: messages, inbox_bytes_max: bytes, ..Limits::default() }
    }

    fn message(size: usize) -> BrokerEvent {
        BrokerEvent::Message { channel: Topic::new("r:1"), payload: vec![7; size].into() }
    }

    async fn drained(
        teller: &mut Teller,
        events: &mut mpsc::Receiver<BrokerEvent>,
    ) -> Vec<BrokerEvent> {
        let mut out = Vec::new();
        std::future::poll_fn(|context| {
            loop {
                teller.poll(context);
                match events.poll_recv(context) {
                    Poll::Ready(Some(event)) => out.push(event),
                    Poll::Ready(None) | Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
        out
    }

    #[tokio::test]
    async fn what_finds_no_room_is_missed_once_and_nothing_else_is_lost() {
        let (mut teller, mut events) = Teller::new(limits(2, 1000), Arc::default());
        for _ in 0..5 {
            teller.message(Topic::new("r:1"), vec![7; 10].into());
        }
        teller.tell(BrokerEvent::Down);
        teller.tell(BrokerEvent::Up);
        teller.message(Topic::new("r:1"), vec![7; 10].into());
        let heard = drained(&mut teller, &mut events).await;
        let [first, second, rest @ ..] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!([first, second], [&message(10), &message(10)]);
        assert_eq!(
            rest,
            [BrokerEvent::Missed, BrokerEvent::Down, BrokerEvent::Up, BrokerEvent::Missed]
        );
        assert_eq!(teller.counters.missed.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_free_again_once_taken() {
        let (mut teller, mut events) = Teller::new(limits(100, 25), Arc::default());
        for _ in 0..3 {
            teller.message(Topic::new("r:1"), vec![7; 10].into());
        }
        assert_eq!(
            drained(&mut teller, &mut events).await,
            [message(10), message(10), BrokerEvent::Missed]
        );
        teller.message(Topic::new("r:1"), vec![7; 25].into());
        assert_eq!(drained(&mut teller, &mut events).await, [message(25)]);
    }

    #[tokio::test]
    async fn a_node_that_reads_nothing_is_told_the_last_state() {
        let (mut teller, mut events) = Teller::new(limits(1, 25), Arc::default());
        teller.tell(BrokerEvent::Down);
        for _ in 0..1000 {
            teller.tell(BrokerEvent::Down);
            teller.tell(BrokerEvent::Missed);
            teller.tell(BrokerEvent::Up);
        }
        assert!(teller.backlog.len() <= BACKLOG_MAX);
        let told = drained(&mut teller, &mut events).await;
        let states =
            told.iter().filter(|event| matches!(event, BrokerEvent::Up | BrokerEvent::Down));
        assert_eq!(states.last(), Some(&BrokerEvent::Up));
        assert!(told.contains(&BrokerEvent::Missed));
    }
}
