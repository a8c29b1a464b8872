//! What a node hears of the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mynah_hub::cluster::{Beat, Envelope, Heard};
use mynah_hub::{BrokerEvent, Topic};
use tokio::time::Instant;

use super::{Node, Word};
use crate::cluster::wire::{self, Control, Kind, Told};

impl Node {
    /// Takes in what the broker brings.
    pub(super) fn broker(&mut self, event: BrokerEvent) {
        let now = self.now();
        match event {
            BrokerEvent::Message { channel, payload } => {
                for envelope in Envelope::all(payload) {
                    match envelope {
                        Ok(envelope) => self.heard(now, &channel, envelope),
                        Err(_garbage) => self.garbage(),
                    }
                }
            }
            BrokerEvent::Up => {
                tracing::info!("the broker is there: comparing what was missed with the store");
                self.follower.broker_up(now);
                self.next_beat = Instant::now();
            }
            BrokerEvent::Down => {
                tracing::warn!(
                    "the broker is lost: other nodes' messages come from the store, later"
                );
                self.follower.broker_down(now);
            }
            BrokerEvent::Missed => self.follower.missed(now),
            BrokerEvent::Unsent => self.follower.unsent(now),
        }
    }

    fn garbage(&self) {
        self.stats.garbage.fetch_add(1, Ordering::Relaxed);
    }

    fn heard(&mut self, now: u64, channel: &Topic, envelope: Envelope) {
        let Envelope { kind, slot, epoch, body } = envelope;
        match self.peers.heard(now, slot, epoch) {
            Heard::Known => {}
            Heard::New => self.came(slot),
            Heard::Returned(_) => {
                self.lost(now, slot);
                self.came(slot);
            }
            Heard::Stale => {
                self.stats.stale.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Heard::Ourselves => return,
            Heard::Usurped => {
                // The store says so too at the next renewal; until then nothing more is said.
                self.parts.voice.fall_silent();
                return;
            }
        }
        let Some(kind) = Kind::from_number(kind) else { return };
        match kind {
            Kind::Event => match wire::read_event(&body, slot) {
                Some(heard) => {
                    let event = heard.event.map(Arc::new);
                    self.follower.heard(now, slot, channel, heard.seq, heard.pos, event);
                }
                None => self.garbage(),
            },
            Kind::Beat => match Beat::decode(&body) {
                Ok(beat) => self.follower.beat_heard(now, slot, &beat),
                Err(_garbage) => self.garbage(),
            },
            Kind::Told => self.pass(Told::read(&body).map(Word::Told)),
            Kind::Control => self.pass(Control::read(&body).map(Word::Control)),
            Kind::Channel => self.pass(Some(Word::Channel(channel.clone(), body))),
            Kind::People => self.pass(Some(Word::People((slot, epoch), body))),
            Kind::Goodbye if self.peers.left(slot, epoch) => {
                self.lost(now, slot);
                self.pass(Some(Word::NodeGone(slot, epoch)));
            }
            Kind::Goodbye => {}
        }
    }

    pub(super) fn pass(&self, word: Option<Word>) {
        let Some(word) = word else { return self.garbage() };
        if self.words.try_send(word).is_err() {
            self.stats.dropped_words.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn came(&mut self, slot: u16) {
        tracing::info!(slot, "another node is there");
        // It learns at once that it is not alone.
        self.next_beat = Instant::now();
        self.count_peers();
        self.pass(Some(Word::NodeCame(slot)));
    }

    pub(super) fn lost(&mut self, now: u64, slot: u16) {
        tracing::info!(slot, "another node is gone");
        self.follower.node_gone(now, slot);
        self.count_peers();
    }

    pub(super) fn count_peers(&self) {
        let peers = self.peers.alive().count();
        self.stats.peers.store(peers as u64, Ordering::Relaxed);
        self.parts.voice.set_company(peers > 0);
    }
}
