//! The generator: many clients on one thread and one epoll.

mod client;
mod counts;
pub(crate) mod pusher;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

pub(crate) use client::{Client, Draft, Speech};
pub(crate) use counts::{Counts, Verdict};

use crate::tally::Histogram;

/// One client to be connected.
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    /// Target of its first request.
    pub(crate) target: String,
    pub(crate) speech: Speech,
    /// Index of the room that it sends to, and whose messages it must get if it `receives`. What others get is seen
    /// for its order only.
    pub(crate) room: u32,
    pub(crate) receives: bool,
}

/// What connecting a crowd took.
pub(crate) struct Connected {
    pub(crate) elapsed: Duration,
    /// From dialling to being ready for messages.
    pub(crate) latency: Histogram,
}

pub(crate) struct Fleet {
    epoll: OwnedFd,
    /// Identifier of each room on the wire.
    room_ids: Vec<String>,
    pub(crate) clients: Vec<Client>,
    pub(crate) counts: Counts,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    started: Instant,
    /// Makes client ids differ between fleets.
    nonce: u64,
    scratch: Vec<u8>,
}

impl Fleet {
    /// `acknowledged`: whether the server acknowledges (the floor does not).
    pub(crate) fn new(room_ids: Vec<String>, acknowledged: bool) -> Result<Self> {
        let nonce = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64);
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            counts: Counts::new(room_ids.len(), acknowledged),
            room_ids,
            clients: Vec::new(),
            buffer: vec![0; 262_144],
            events: Vec::with_capacity(1024),
            started: Instant::now(),
            nonce,
            scratch: Vec::new(),
        })
    }

    /// Nanoseconds since this fleet was made: the clock of all stamps.
    pub(crate) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Connects all of `dials`, `at_once` under way at a time, until each is ready.
    pub(crate) fn connect(
        &mut self,
        dials: Vec<Dial>,
        at_once: usize,
        timeout: Duration,
    ) -> Result<Connected> {
        let wanted = self.counts.ready + dials.len();
        let began = Instant::now();
        self.counts.connect_latency = Histogram::default();
        let mut waiting = dials.into_iter();
        loop {
            while self.clients.len() < self.counts.ready + at_once {
                let Some(dial) = waiting.next() else { break };
                let client = Client::dial(dial, self.now_ns())?;
                client.watch(&self.epoll, self.clients.len(), true)?;
                self.clients.push(client);
            }
            if self.counts.ready >= wanted {
                break;
            }
            let failed = self.counts.closed > 0;
            if failed || began.elapsed() > timeout {
                bail!(
                    "{} of {wanted} clients ready after {:.1} s, {} refused or closed: {}",
                    self.counts.ready,
                    began.elapsed().as_secs_f64(),
                    self.counts.closed,
                    self.counts.first_trouble.as_deref().unwrap_or("no answer")
                );
            }
            self.poll(Duration::from_millis(10))?;
        }
        let latency = std::mem::take(&mut self.counts.connect_latency);
        Ok(Connected { elapsed: began.elapsed(), latency })
    }

    /// Handles what has come in, waiting up to `wait` for something; true if there was anything.
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<bool> {
        let timeout =
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let Self { events, clients, counts, buffer, epoll, started, .. } = self;
        for event in events.iter() {
            let (data, flags) = (event.data, event.flags);
            let index = data.u64() as usize;
            let Some(client) = clients.get_mut(index) else { continue };
            if client.is_closed() {
                client.unwatch(epoll)?;
                continue;
            }
            if flags.contains(epoll::EventFlags::OUT) {
                client.flush(counts);
                client.watch(epoll, index, false)?;
            }
            if flags
                .intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
            {
                client.receive(index as u32, buffer, counts, *started);
                if client.must_flush() {
                    client.flush(counts);
                    client.watch(epoll, index, false)?;
                }
            }
        }
        Ok(!self.events.is_empty())
    }

    /// Waits until nothing has come in for `quiet`, at most `limit`.
    pub(crate) fn settle(&mut self, quiet: Duration, limit: Duration) -> Result<()> {
        let began = Instant::now();
        let mut last = Instant::now();
        while last.elapsed() < quiet && began.elapsed() < limit {
            if self.poll(Duration::from_millis(10))? {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// Sends `count` messages from one client to its room in a single write.
    pub(crate) fn publish(&mut self, sender: u32, count: u32) -> Result<()> {
        let now = self.now_ns();
        let Some(client) = self.clients.get_mut(sender as usize) else { return Ok(()) };
        let room_id = self.room_ids.get(client.room as usize).map_or("", String::as_str);
        for _ in 0..count {
            let id = self.counts.note_sent(now, client.room);
            let seq = self.counts.sent_to(client.room);
            let draft = Draft { id, room_id, nonce: self.nonce, seq, at_ns: now };
            client.compose(&draft, &mut self.scratch);
        }
        let unsent = client.must_flush();
        client.flush(&mut self.counts);
        if unsent && client.must_flush() {
            client.watch(&self.epoll, sender as usize, false)?;
        }
        Ok(())
    }

    /// Polls until everything sent is acknowledged and delivered, or `limit` has passed.
    pub(crate) fn drain(&mut self, limit: Duration) -> Result<()> {
        let began = Instant::now();
        let receivers = self.receivers_per_room();
        while began.elapsed() < limit {
            let wanted: u64 = self.counts.expected().zip(&receivers).map(|(m, r)| m * r).sum();
            let answered = !self.counts.acknowledged || self.counts.unanswered() == 0;
            if answered && self.counts.received_distinct >= wanted {
                break;
            }
            self.poll(Duration::from_millis(5))?;
        }
        // Whatever comes twice comes now.
        self.settle(Duration::from_millis(100), Duration::from_millis(500))
    }

    fn receivers_per_room(&self) -> Vec<u64> {
        let mut receivers = vec![0; self.room_ids.len()];
        for client in self.clients.iter().filter(|client| client.receives) {
            if let Some(count) = receivers.get_mut(client.room as usize) {
                *count += 1;
            }
        }
        receivers
    }

    /// Lost, doubled and reordered deliveries over the whole life of the fleet.
    pub(crate) fn verdict(&self) -> Verdict {
        let expected: Vec<u64> = self.counts.expected().collect();
        let mut verdict = Verdict { acks_lost: 0, ..Verdict::default() };
        if self.counts.acknowledged {
            verdict.acks_lost = self.counts.unanswered();
        }
        for client in &self.clients {
            verdict.doubled += client.order.doubled;
            verdict.reordered += client.order.reordered;
            if client.receives {
                let expected = expected.get(client.room as usize).copied().unwrap_or(0);
                verdict.lost +=
                    expected.saturating_sub(client.received).max(client.order.skipped());
            }
        }
        verdict
    }
}
