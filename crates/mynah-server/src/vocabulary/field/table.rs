//! The names that templates may use: fields, their groups, and lists.

/// A part of what is rendered; decides which fields a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The envelope of a durable event.
    Event,
    /// A message.
    Message,
    /// A deleted message.
    Deleted,
    /// A room.
    Room,
    /// A user.
    User,
    /// A member's standing.
    Member,
    /// Just the room's id.
    RoomId,
    /// A typing notice.
    Typing,
    /// A presence notice.
    Presence,
    /// A list of them.
    Presences,
    /// A read cursor.
    Read,
    /// A room as the clients of a Pusher channel know it.
    Thread,
    /// A connection that is ready.
    Session,
    /// A connection whose credentials end soon.
    Expiry,
    /// A connection that ends.
    Ending,
    /// A page of messages.
    History,
    /// What a client missed.
    Sync,
    /// A stored send.
    Sent,
    /// A refusal.
    Error,
    /// Always there.
    Always,
}

macro_rules! fields {
    ($($variant:ident = $name:literal in $group:ident),+ $(,)?) => {
        /// One field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is documented by its name in FIELDS")]
        pub enum Field { $($variant),+ }

        /// Every field with the name vocabulary files use and its group.
        pub const FIELDS: &[(&str, Field, Group)] =
            &[$(($name, Field::$variant, Group::$group)),+];
    };
}

fields! {
    EventId = "event.id" in Event,
    EventType = "event.type" in Event,
    EventPos = "event.pos" in Event,
    EventSeq = "event.seq" in Event,
    EventAt = "event.at" in Event,
    EventActorId = "event.actor_id" in Event,
    EventTenantId = "event.tenant_id" in Event,
    EventRoomId = "event.room_id" in Event,
    MessageId = "message.id" in Message,
    MessageRoomId = "message.room_id" in Message,
    MessageSeq = "message.seq" in Message,
    MessageNumber = "message.number" in Message,
    MessageSenderId = "message.sender.id" in Message,
    MessageSenderUsername = "message.sender.username" in Message,
    MessageSenderName = "message.sender.name" in Message,
    MessageKind = "message.kind" in Message,
    MessageContent = "message.content" in Message,
    MessageMetadata = "message.metadata" in Message,
    MessageReplyToId = "message.reply_to_id" in Message,
    MessageClientId = "message.client_id" in Message,
    MessageEditCount = "message.edit_count" in Message,
    MessageIsEdited = "message.is_edited" in Message,
    MessageEditedAt = "message.edited_at" in Message,
    MessageDeletedAt = "message.deleted_at" in Message,
    MessageCreatedAt = "message.created_at" in Message,
    MessageUpdatedAt = "message.updated_at" in Message,
    DeletedId = "deleted.id" in Deleted,
    DeletedNumber = "deleted.number" in Deleted,
    DeletedSeq = "deleted.seq" in Deleted,
    RoomId = "room.id" in Room,
    RoomKind = "room.kind" in Room,
    RoomVisibility = "room.visibility" in Room,
    RoomName = "room.name" in Room,
    RoomTopic = "room.topic" in Room,
    RoomCreatedBy = "room.created_by" in Room,
    RoomMemberCount = "room.member_count" in Room,
    RoomLastSeq = "room.last_seq" in Room,
    RoomLastNumber = "room.last_number" in Room,
    RoomCreatedAt = "room.created_at" in Room,
    RoomUpdatedAt = "room.updated_at" in Room,
    UserId = "user.id" in User,
    UserUsername = "user.username" in User,
    UserName = "user.name" in User,
    MemberUserId = "member.user_id" in Member,
    MemberRole = "member.role" in Member,
    MemberReason = "member.reason" in Member,
    InRoomId = "room_id" in RoomId,
    TypingIsTyping = "typing.is_typing" in Typing,
    PresenceUserId = "presence.user_id" in Presence,
    PresenceStatus = "presence.status" in Presence,
    PresenceIsOnline = "presence.is_online" in Presence,
    PresenceLastSeen = "presence.last_seen" in Presence,
    ReadUserId = "read.user_id" in Read,
    ReadSeq = "read.seq" in Read,
    ReadNumber = "read.number" in Read,
    ReadMessageId = "read.message_id" in Read,
    ReadAt = "read.at" in Read,
    ReadMessageIds = "read.message_ids" in Thread,
    ThreadKey = "thread.key" in Thread,
    ThreadTenantId = "thread.tenant_id" in Thread,
    ThreadRecipientId = "thread.recipient_id" in Thread,
    SessionId = "session.id" in Session,
    SessionRecovered = "session.recovered" in Session,
    SessionEpoch = "session.epoch" in Session,
    SessionExpiresAt = "session.expires_at" in Expiry,
    SessionReason = "session.reason" in Ending,
    SentReplayed = "sent.replayed" in Sent,
    HistoryHasMore = "history.has_more" in History,
    HistorySeq = "history.seq" in History,
    SyncNext = "sync.next" in Sync,
    SyncGaps = "sync.gaps" in Sync,
    SyncEpoch = "sync.epoch" in Sync,
    ErrorText = "error.text" in Error,
    ErrorCode = "error.code" in Error,
    ErrorStatus = "error.status" in Error,
    ErrorMessages = "error.messages" in Error,
    ErrorMessage = "error.message" in Error,
    ErrorEvent = "error.event" in Error,
    ErrorRetryAfterMs = "error.retry_after_ms" in Error,
    ErrorData = "error.data" in Error,
    Now = "now" in Always,
}

/// A list that `$each` may walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `history.messages`: a page, oldest first.
    HistoryMessages,
    /// `session.rooms`: the rooms the connection hears.
    SessionRooms,
    /// `sync.events`: what was missed and has a spelling here.
    SyncEvents,
    /// `presence.users`: who was asked about.
    PresenceUsers,
}

impl List {
    /// Every list: name, group that must be in scope, groups of its entries.
    pub const NAMES: [(&'static str, Self, Group, &'static [Group]); 4] = [
        ("history.messages", Self::HistoryMessages, Group::History, &[Group::Message]),
        ("session.rooms", Self::SessionRooms, Group::Session, &[Group::Room]),
        ("sync.events", Self::SyncEvents, Group::Sync, &[Group::Event]),
        ("presence.users", Self::PresenceUsers, Group::Presences, &[Group::Presence]),
    ];
}
