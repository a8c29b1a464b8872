//! What links need of other nodes: the room's stream, and where two have not talked yet their inboxes, which
//! tell that they begin to.

use std::sync::Arc;

use mynah_domain::RoomId;
use mynah_domain::event::{Event, Stream};
use mynah_hub::Topic;

use super::threads::{Kind, Link, Threads};
use crate::cluster::streams;
use crate::topics;

/// Events of a room that has just come to be: more were not said in the time that this takes.
const FIRST_EVENTS_MAX: u32 = 500;
/// Events that wait until those are said; further ones are found by the next replay.
const PENDING_MAX: usize = 500;

impl Link {
    fn needs(&self) -> Vec<Topic> {
        match (self.room(), &self.kind) {
            (Some(room), _) => vec![topics::room(&room)],
            (None, Kind::Pair((one, other))) => {
                let inbox = |user: &mynah_domain::UserId| {
                    streams::channel(&self.app.tenant, &Stream::User(user.clone()))
                };
                vec![inbox(one), inbox(other)]
            }
            (None, Kind::Room | Kind::Online) => Vec::new(),
        }
    }

    /// Whether an event must wait; it is said later then.
    pub(super) fn is_put_off(&self, event: &Event) -> bool {
        let mut pending = self.pending.lock();
        let Some(waiting) = pending.as_mut() else { return false };
        if waiting.len() < PENDING_MAX {
            waiting.push(event.clone());
        }
        true
    }

    /// What has waited; `None` when nothing has: from now on nothing does.
    fn take_pending(&self) -> Option<Vec<Event>> {
        let mut pending = self.pending.lock();
        let waiting = pending.take().filter(|waiting| !waiting.is_empty())?;
        *pending = Some(Vec::new());
        Some(waiting)
    }
}

impl Threads {
    /// Other nodes are heard for a link as it is now. Under the lock of the links.
    pub(super) fn want(&self, link: &Link) {
        let Some(company) = self.0.parts.channels.company() else { return };
        let needs = link.needs();
        let mut wanted = link.wanted.lock();
        if *wanted == needs {
            return;
        }
        for topic in &needs {
            company.interests().want(topic.clone());
        }
        for topic in &*wanted {
            company.interests().unwant(topic);
        }
        *wanted = needs;
    }

    /// They need not be any more.
    pub(super) fn unwant(&self, link: &Link) {
        let Some(company) = self.0.parts.channels.company() else { return };
        let wanted = std::mem::take(&mut *link.wanted.lock());
        for topic in &wanted {
            company.interests().unwant(topic);
        }
    }

    /// Waits until what other nodes say for a link comes here.
    pub(super) async fn heard(&self, link: &Link) {
        let Some(company) = self.0.parts.channels.company() else { return };
        let wanted = link.wanted.lock().clone();
        company.interests().heard(&wanted).await;
    }

    /// Two have begun to talk, perhaps on another node: what they said before the room is heard here comes
    /// from the log. Under the lock of the links.
    pub(super) fn begin(&self, link: &Arc<Link>, room: &RoomId) {
        if self.0.parts.channels.company().is_none() {
            return;
        }
        *link.pending.lock() = Some(Vec::new());
        self.want(link);
        let (threads, link, room) = (self.clone(), Arc::clone(link), room.clone());
        tokio::spawn(async move { threads.say_from_begin(&link, &room).await });
    }

    async fn say_from_begin(&self, link: &Link, room: &RoomId) {
        self.heard(link).await;
        let mut said = 0;
        if let Some(company) = self.0.parts.channels.company() {
            let stream = Stream::Room(room.clone());
            let (tenant, limit) = (&link.app.tenant, FIRST_EVENTS_MAX);
            match company.feed().stream_events(tenant, &stream, 0, limit).await {
                Ok(read) => self.say_after(link, &mut said, read.events).await,
                Err(error) => tracing::warn!(%error, "the begin of a conversation was not read"),
            }
        }
        while let Some(waiting) = link.take_pending() {
            self.say_after(link, &mut said, waiting).await;
        }
    }

    /// Says the room's events that come after those that were said.
    async fn say_after(&self, link: &Link, said: &mut u64, events: Vec<Event>) {
        for event in events {
            if event.seq > *said {
                *said = event.seq;
                self.say_in(link, &event).await;
            }
        }
    }
}
