//! What the house needs from outside, named by need.
//!
//! Rules for every store port:
//! * **Each method is one atomic step.** It either happened wholly and durably when it returns `Ok`, or
//!   not at all.
//! * Lookups return `Ok(None)` for what is not there.
//! * A [`Guard`] given to a method is checked against the rows inside the same transaction that changes
//!   them; a refusal writes nothing.
//! * `seq`, `number` and `pos` are allotted inside the transaction: gap-free per stream and room, and
//!   ascending in commit order for `pos`.
//! * After the commit the new events go to the [`CommitListener`] in commit order, and with them the
//!   callers' answers: whoever delivers the events lets the callers go on afterwards.

mod cluster;
mod journal;
mod outbox;
mod search;

use async_trait::async_trait;

pub use cluster::{FeedStore, NodeStore};
pub use journal::JournalStore;
pub use outbox::OutboxStore;
pub use search::SearchStore;

use crate::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use crate::app::{App, AppError};
use crate::chat::ChatError;
use crate::event::Event;
use crate::message::{
    Anchor, Appended, History, Message, MoveReadCursor, NewMessage, ReadBy, ReadCursor, Revision,
};
use crate::page::Page;
use crate::permission::{Actor, Guard};
use crate::recovery::OpenRoom;
use crate::room::{
    Member, MembershipChange, MembershipChanged, NewRoom, Room, RoomCreated, RoomListItem,
    RoomPatch, RoomView,
};
use crate::{AppId, ConnectionId, MessageId, RoomId, SessionFamily, TenantId, Timestamp, UserId};

/// A store that could not do what it was asked, for a reason that is not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room left on the disk (or in the database's quota); reads still work.
    #[error("the storage is full; nothing was written")]
    Full,
    /// More writes are waiting than the bounded queue takes; try again shortly.
    #[error("the storage is overloaded; nothing was written")]
    Overloaded,
    /// The engine failed or is stopping. The text is for the log, not for clients.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// What writes has ended by a fault and does not come back: this process must be started anew. Reads go on.
    #[error("the storage's writer has ended; this process writes no more")]
    Ended,
    /// The place of this node in the cluster is another's, and what it stores would pass for that one's. It is
    /// about to get a new one: try again shortly.
    #[error("another node has this one's place; nothing was written")]
    Fenced,
    /// A stored row contradicts the rules.
    #[error("inconsistent row in {table}: {id}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// Which row, as far as it is known.
        id: String,
    },
}

/// Accounts, credentials and sign-in sessions.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Makes an account with its credential, if it has one.
    ///
    /// # Errors
    /// [`AccountError::Taken`] naming the field when username or email exist already.
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError>;

    /// A user by id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Users whose username or name starts with `prefix` (any case), by username.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError>;

    /// Changes what a user may change of the own profile; `None` if there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError>;

    /// The password credential behind an email address or username.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn credential(
        &self,
        tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError>;

    /// Stores a new sign-in.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_session(&self, session: NewSession) -> Result<(), StoreError>;

    /// Exchanges a refresh token for the next one. A token that was exchanged before revokes its whole
    /// family, unless it is the directly preceding one and was exchanged within the grace.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError>;

    /// Ends one sign-in. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revoke_session(
        &self,
        family: &SessionFamily,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends all sign-ins of a user and returns those that were alive.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revoke_all_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError>;

    /// Which of these sign-ins are revoked or expired at `at`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ended_sessions(
        &self,
        families: &[SessionFamily],
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError>;
}

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

/// Messages, revisions and read cursors.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Stores a message: allots `seq` and `number`, moves the sender's read cursor, appends
    /// `message.created`. A repeat of (room, sender, client id) returns the first result and emits
    /// nothing, for ever. Order of calls from one task is order of `seq`: the write is queued before
    /// the first await.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (reply target not in the room),
    /// [`ChatError::Store`].
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError>;

    /// Changes a message's text, keeps the old one as revision, appends `message.updated`. The same text
    /// again changes nothing.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (also when deleted), [`ChatError::Store`].
    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError>;

    /// Removes a message's text and revisions, keeps its place, appends `message.deleted`. Deleting again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError>;

    /// One message; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError>;

    /// A message's texts, original first; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError>;

    /// One page of history, deleted messages included as tombstones; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (unknown anchor), [`ChatError::Store`].
    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError>;

    /// Moves a read cursor forward (never back) and dates the move; not an event.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError>;

    /// Who has read a message and since when; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError>;
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

/// Apps and their keys.
///
/// What stands in [`AppSecret`](crate::app::AppSecret) is kept as it is given: whoever calls sees to it
/// that it is sealed.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Makes an app; its `version` is 1 afterwards, whatever was given.
    ///
    /// # Errors
    /// [`AppError::Taken`] naming `id`, `tenant` or the first `key` that another app has;
    /// [`AppError::Invalid`]; [`AppError::Store`].
    async fn create_app(&self, app: App) -> Result<App, AppError>;

    /// Puts an app in the place of the stored one with its id, keys and webhooks included, and counts
    /// `version` up. `created_at` stays as it is stored.
    ///
    /// # Errors
    /// [`AppError::Missing`]; [`AppError::Changed`] when the stored `version` is another than the given
    /// one; [`AppError::Taken`], [`AppError::Invalid`], [`AppError::Store`].
    async fn replace_app(&self, app: App) -> Result<App, AppError>;

    /// An app by id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError>;

    /// The app that has a key, also when the key has expired or the app is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError>;

    /// The app of a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError>;

    /// All apps, made first coming first: from the beginning with 0, then with `next` of the page before.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError>;
}

/// Hears of every commit, in commit order, once.
///
/// Called on the committer's thread: hand the events over and return; blocking here delays the next
/// commit (which is the back-pressure wanted when delivery cannot keep up).
pub trait CommitListener: Send + Sync {
    /// One commit. The callers whose writes it holds are answered when it is dropped, at the latest.
    fn committed(&self, commit: Commit);
}

/// What one commit brought.
pub struct Commit {
    events: Vec<Event>,
    is_unsure: bool,
    answers: Option<Box<dyn FnOnce() + Send>>,
}

impl Commit {
    /// The events of one commit, ascending by `pos`, and what lets its callers go on.
    pub fn new(events: Vec<Event>, answers: impl FnOnce() + Send + 'static) -> Self {
        Self { events, is_unsure: false, answers: Some(Box::new(answers)) }
    }

    /// The store did not say whether a commit succeeded, and by now it has or never will: its events, if there
    /// are any, must be read.
    pub fn unsure(answers: impl FnOnce() + Send + 'static) -> Self {
        Self { events: Vec::new(), is_unsure: true, answers: Some(Box::new(answers)) }
    }

    /// Whether it is one of those.
    pub fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// The events; the callers still wait.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some(answer) = self.answers.take() {
            answer();
        }
    }
}

/// Hashes and checks passwords in a bounded pool.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password with a fresh salt (argon2id, PHC string).
    ///
    /// # Errors
    /// [`AccountError::Busy`] when the pool's queue is full.
    async fn hash(&self, password: String) -> Result<String, AccountError>;

    /// Checks a password; `None` for the hash does the same work against a dummy and answers `false`,
    /// so that unknown users cost the same time.
    ///
    /// # Errors
    /// [`AccountError::Busy`] when the pool's queue is full.
    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AccountError>;
}

/// Wall-clock time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Fresh ids and secrets.
pub trait IdSource: Send + Sync {
    /// An id for a new user, room, message or sign-in; see [`crate::id`].
    fn id(&self, now: Timestamp) -> String;

    /// A secret of 256 random bits as URL-safe text, for refresh tokens.
    fn secret(&self) -> String;

    /// A one-way fingerprint of a secret for storage (SHA-256, hex).
    fn fingerprint(&self, secret: &str) -> String;
}
