//! What connections have open.

use async_trait::async_trait;
use mynah_domain::permission::Actor;
use mynah_domain::ports::{OpenRoomStore, StoreError};
use mynah_domain::recovery::{OPEN_ROOMS_MAX, OpenRoom};
use mynah_domain::{ConnectionId, TenantId, Timestamp, UserId};

use super::{MemoryStore, State};

pub(super) struct Connection {
    id: ConnectionId,
    tenant: TenantId,
    user: UserId,
    seen_at: Timestamp,
    /// Opened longest ago first.
    open: Vec<OpenRoom>,
}

#[async_trait]
impl OpenRoomStore for MemoryStore {
    async fn open_room(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
        open: OpenRoom,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|state| state.open_room(connection, viewer, open, at))
    }

    async fn open_rooms(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
    ) -> Result<Vec<OpenRoom>, StoreError> {
        self.read(|state| {
            let joined = |open: &&OpenRoom| {
                state.place(&open.room).is_some_and(|place| place.joined_by(viewer))
            };
            let found = state.connections.iter().find(|c| c.is(connection, viewer));
            found.map_or(Vec::new(), |c| c.open.iter().filter(joined).cloned().collect())
        })
    }

    async fn keep_open_rooms(
        &self,
        connections: &[ConnectionId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|state| {
            for found in state.connections.iter_mut().filter(|c| connections.contains(&c.id)) {
                found.seen_at = found.seen_at.max(at);
            }
        })
    }

    async fn forget_open_rooms(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|state| {
            let gone = state.connections.extract_if(.., |c| c.seen_at < before);
            gone.map(|c| c.open.len() as u64).sum()
        })
    }
}

impl Connection {
    fn is(&self, id: &ConnectionId, viewer: &Actor) -> bool {
        self.id == *id && self.tenant == viewer.tenant && self.user == viewer.user
    }
}

impl State {
    fn open_room(&mut self, id: &ConnectionId, viewer: &Actor, open: OpenRoom, at: Timestamp) {
        let known = self.account(&viewer.tenant, &viewer.user).is_some();
        if !known || self.place(&open.room).is_none() {
            return;
        }
        let number = self.connections.iter().position(|c| c.is(id, viewer)).unwrap_or_else(|| {
            self.connections.push(Connection {
                id: id.clone(),
                tenant: viewer.tenant.clone(),
                user: viewer.user.clone(),
                seen_at: at,
                open: Vec::new(),
            });
            self.connections.len() - 1
        });
        let connection = &mut self.connections[number];
        connection.seen_at = connection.seen_at.max(at);
        connection.open.retain(|earlier| earlier.room != open.room);
        connection.open.push(open);
        let surplus = connection.open.len().saturating_sub(OPEN_ROOMS_MAX);
        connection.open.drain(..surplus);
    }
}
