//! What is asked of rooms.

use async_trait::async_trait;

use super::StoreError;
use crate::chat::ChatError;
use crate::page::Page;
use crate::permission::{Actor, Guard};
use crate::recovery::OpenRoom;
use crate::room::{
    Member, MembershipChange, MembershipChanged, NewRoom, Room, RoomCreated, RoomListItem,
    RoomPatch, RoomView,
};
use crate::{ConnectionId, RoomId, Timestamp, UserId};

/// Rooms and memberships.
#[async_trait]
pub trait RoomStore: Send + Sync {
    /// Makes a room with its first members and their events (`room.created`, `member.joined` of each in
    /// the room's stream; `room.added` in the inbox of each member but the creator; of all members for
    /// a direct room). A direct room of the same unordered pair is returned instead of made again.
    ///
    /// # Errors
    /// [`ChatError::MissingUser`] when a member does not exist; [`ChatError::Store`].
    async fn create_room(&self, room: NewRoom) -> Result<RoomCreated, ChatError>;

    /// Changes name, topic or visibility; emits `room.updated`.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    async fn update_room(
        &self,
        guard: Guard,
        room: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError>;

    /// Deletes a room: it vanishes from every list; emits `room.deleted` as the last event of its stream
    /// and `room.removed` in each joined or invited member's inbox.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    async fn delete_room(
        &self,
        guard: Guard,
        room: &RoomId,
        at: Timestamp,
    ) -> Result<(), ChatError>;

    /// A room and the viewer's standing, deleted rooms included; nothing is judged here.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn room(&self, viewer: &Actor, room: &RoomId) -> Result<Option<RoomView>, StoreError>;

    /// The direct room of the viewer and another user, if there is one; it is not made.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn direct_room(
        &self,
        viewer: &Actor,
        peer: &UserId,
    ) -> Result<Option<RoomView>, StoreError>;

    /// The rooms a user has joined or is invited to, latest activity first; `offset` as in [`Page`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rooms_of(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError>;

    /// Public rooms of the tenant, latest activity first, with the viewer's standing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn public_rooms(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError>;

    /// All rooms a user has joined (not deleted), for subscriptions at connect.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn joined_rooms(&self, viewer: &Actor) -> Result<Vec<std::sync::Arc<Room>>, StoreError>;

    /// Changes somebody's standing and emits the event (`member.joined`, `member.left`,
    /// `member.invited`, `member.role_changed`) and the inbox event of the user concerned
    /// (`room.added` for join and add, `room.removed`, `room.invited`). `member_count` follows.
    ///
    /// # Errors
    /// [`ChatError::Denied`] (a private room may be joined only when invited),
    /// [`ChatError::MissingUser`], [`ChatError::Store`].
    async fn change_membership(
        &self,
        guard: Guard,
        room: &RoomId,
        change: MembershipChange,
        at: Timestamp,
    ) -> Result<MembershipChanged, ChatError>;

    /// Joined and invited members, by time of joining; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    async fn members(
        &self,
        guard: Guard,
        room: &RoomId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Member>, ChatError>;
}

/// Which rooms connections have opened, for connections that hear only those.
///
/// State, not events: nobody is told. A connection id means something only together with its viewer.
#[async_trait]
pub trait OpenRoomStore: Send + Sync {
    /// Keeps that a connection has opened a room, and that it was seen at `at`. Opening a room again
    /// replaces what was kept of it and makes it the one opened last. Beyond
    /// [`OPEN_ROOMS_MAX`](crate::recovery::OPEN_ROOMS_MAX) the one opened longest ago is forgotten. Of a
    /// room or viewer that does not exist nothing is kept; whether the viewer is inside is asked when
    /// reading.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_room(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
        open: OpenRoom,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// What this viewer opened on this connection, opened longest ago first; only rooms that the viewer
    /// is joined in now and that are not deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_rooms(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
    ) -> Result<Vec<OpenRoom>, StoreError>;

    /// These are still connected: they were seen at `at` (never earlier than before). Those that have
    /// opened nothing are passed over. Long lists are written in several steps.
    ///
    /// # Errors
    /// [`StoreError`]; some of them may be dated then.
    async fn keep_open_rooms(
        &self,
        connections: &[ConnectionId],
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets what was opened by connections that were last seen (opening a room, or kept) before
    /// `before`, and says how many open rooms that were. Works in several bounded steps, so that other
    /// writes go on in between.
    ///
    /// # Errors
    /// [`StoreError`]; some may be forgotten then.
    async fn forget_open_rooms(&self, before: Timestamp) -> Result<u64, StoreError>;
}
