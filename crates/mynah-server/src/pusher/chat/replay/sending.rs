//! Sending what a socket missed.

use std::collections::HashMap;

use mynah_domain::RoomId;
use mynah_domain::event::{Event, Stream};
use mynah_domain::permission::Actor;
use mynah_hub::{Class, Topic};

use super::Replays;
use super::watch::{Waiting, Watch};
use crate::vocabulary::field::Subject;

/// Bytes sent before it is waited for the peer to take them.
const BURST_BYTES: usize = 256 * 1024;

/// What a subscription lacks: the events of its room after a place.
struct Missed<'a> {
    waiting: &'a Waiting,
    room: RoomId,
    place: u64,
}

impl Missed<'_> {
    fn is_in(&self, event: &Event) -> bool {
        matches!(&event.stream, Stream::Room(room) if *room == self.room)
    }
}

impl Replays {
    /// Sends what each subscription missed, and says how far each channel's log was read.
    pub(super) async fn send_missed(
        &self,
        watch: &Watch,
        batch: &[Waiting],
        places: &[Option<u64>],
    ) -> Vec<(Topic, u64)> {
        let mut after = Vec::new();
        let mut missed: Vec<Missed<'_>> = Vec::new();
        for (waiting, place) in batch.iter().zip(places) {
            if let (Some(place), Some(room)) = (*place, waiting.lease.link().room()) {
                missed.push(Missed { waiting, room, place });
            }
        }
        // As a rule all are of one user.
        while let Some(actor) = missed.first().map(|first| first.waiting.actor.clone()) {
            let (of_one, others) =
                missed.into_iter().partition(|missed| missed.waiting.actor == actor);
            missed = others;
            after.extend(self.send_to(watch, &actor, of_one).await);
        }
        after
    }

    async fn send_to(
        &self,
        watch: &Watch,
        actor: &Actor,
        missed: Vec<Missed<'_>>,
    ) -> Vec<(Topic, u64)> {
        let rooms: Vec<RoomId> = missed.iter().map(|missed| missed.room.clone()).collect();
        let from = missed.iter().map(|missed| missed.place).min().unwrap_or(0);
        let most = self.0.rules.events_max;
        let chat = &self.0.threads.0.parts.chat;
        let page = match chat.events_of(actor, &rooms, from, most.saturating_add(1)).await {
            Ok(page) if !page.gap && !page.more && page.events.len() <= most as usize => page,
            Ok(_) => return self.tell_to_resync(watch, actor, &missed).await,
            Err(error) => {
                tracing::warn!(%error, "what a socket missed could not be read");
                return self.tell_to_resync(watch, actor, &missed).await;
            }
        };
        let mut heads: HashMap<Topic, u64> = HashMap::new();
        let mut burst = 0;
        for event in &page.events {
            for missed in missed.iter().filter(|missed| missed.is_in(event)) {
                let link = missed.waiting.lease.link();
                heads.insert(link.topic.clone(), event.seq);
                let subject = Subject::Event(event);
                let frame = self.0.threads.frame(link, event.fact.name(), subject, (None, &[]));
                let Some(frame) = frame.filter(|_| event.pos > missed.place) else { continue };
                burst += frame.stream().len();
                if burst > BURST_BYTES {
                    burst = 0;
                    watch.hub.drained(watch.id).await;
                }
                watch.hub.send(watch.id, frame, Class::Durable).await;
            }
        }
        heads.into_iter().collect()
    }

    /// More was missed than is told: the client reads the rooms anew.
    async fn tell_to_resync(
        &self,
        watch: &Watch,
        actor: &Actor,
        missed: &[Missed<'_>],
    ) -> Vec<(Topic, u64)> {
        let threads = &self.0.threads;
        for missed in missed {
            let Ok(view) = threads.0.parts.chat.room(actor, &missed.room).await else { continue };
            let subject = Subject::Room(&view.room);
            let link = missed.waiting.lease.link();
            if let Some(frame) = threads.frame(link, "room.resync", subject, (None, &[])) {
                watch.hub.send(watch.id, frame, Class::Durable).await;
            }
        }
        Vec::new()
    }
}
