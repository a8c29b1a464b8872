//! The log.

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{CatchUp, Event, LogPage, Stream};
use mynah_domain::permission::{Actor, Guard};
use mynah_domain::ports::{JournalStore, StoreError};
use mynah_domain::recovery::LogEpoch;
use mynah_domain::{RoomId, TenantId};

use super::{Fault, MemoryStore, State};

#[async_trait]
impl JournalStore for MemoryStore {
    async fn room_events(
        &self,
        guard: Guard,
        room: &RoomId,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, ChatError> {
        self.read(|state| {
            let place = state.enter(&guard, room)?;
            let stream = (Stream::Room(room.clone()), place.room.last_seq);
            Ok(state.catch_up(&guard.actor.tenant, stream, after_seq, limit))
        })?
    }

    async fn inbox_events(
        &self,
        viewer: &Actor,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        self.read(|state| {
            let head = state.account(&viewer.tenant, &viewer.user).map_or(0, |a| a.inbox_seq);
            let stream = (Stream::User(viewer.user.clone()), head);
            state.catch_up(&viewer.tenant, stream, after_seq, limit)
        })
    }

    async fn events_for(
        &self,
        viewer: &Actor,
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        self.read(|state| state.log_page((after_pos, limit), |e| state.sees(viewer, e)))
    }

    async fn events_of(
        &self,
        viewer: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let wanted = |event: &Event| match &event.stream {
            Stream::Room(room) => rooms.contains(room),
            Stream::User(_) => true,
        };
        self.read(|state| {
            state.log_page((after_pos, limit), |e| wanted(e) && state.sees(viewer, e))
        })
    }

    async fn head_pos(&self) -> Result<u64, StoreError> {
        self.read(|state| state.log.len() as u64)
    }

    async fn log_epoch(&self) -> Result<LogEpoch, StoreError> {
        self.read(|state| state.epoch)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let probed = self.write(|_| ());
        let is_silent = matches!(*self.fault.lock(), Some(Fault::SilentProbes));
        if is_silent { std::future::pending().await } else { probed }
    }
}

impl State {
    pub(super) fn catch_up(
        &self,
        tenant: &TenantId,
        (stream, head_seq): (Stream, u64),
        after_seq: u64,
        limit: u32,
    ) -> CatchUp {
        let missed = self.stream(&stream, tenant).filter(|e| e.seq > after_seq);
        let events = missed.take(limit as usize).map(|e| self.replayed(e)).collect();
        CatchUp { events, head_seq, gap: after_seq > head_seq }
    }

    fn sees(&self, viewer: &Actor, event: &Event) -> bool {
        event.tenant == viewer.tenant
            && match &event.stream {
                Stream::Room(id) => self.place(id).is_some_and(|p| p.joined_by(viewer)),
                Stream::User(id) => *id == viewer.user,
            }
    }

    fn log_page(&self, (after, limit): (u64, u32), sees: impl Fn(&Event) -> bool) -> LogPage {
        let (head, limit) = (self.log.len() as u64, limit as usize);
        let news = self.log.iter().filter(|e| e.pos > after && sees(e));
        let mut events: Vec<Event> = news.take(limit + 1).map(|e| self.replayed(e)).collect();
        let more = events.len() > limit;
        events.truncate(limit);
        let next = if more { events.last().map_or(after, |e| e.pos) } else { head };
        LogPage { events, next, gap: after > head, more }
    }
}
