//! Use cases around rooms: what every door calls, one call per handler.

use std::sync::Arc;

use crate::event::{CatchUp, LogPage};
use crate::id::InvalidId;
use crate::message::{
    Anchor, Appended, CLIENT_ID_BYTES_MAX, CONTENT_BYTES_HARD_MAX, CONTENT_MAX_DEFAULT, Draft,
    History, KIND_BYTES_MAX, METADATA_BYTES_MAX, Message, MoveReadCursor, NewMessage, Position,
    ReadBy, ReadCursor, Revision,
};
use crate::page::{Page, page_limit};
use crate::permission::{Access, Actor, Denied, Guard, Operation, authorise};
use crate::ports::{Clock, IdSource, JournalStore, MessageStore, RoomStore, StoreError};
use crate::recovery::LogEpoch;
use crate::room::{
    INITIAL_MEMBERS_MAX, Member, MembershipChange, MembershipChanged, NewRoom, ROOM_NAME_MAX,
    ROOM_TOPIC_MAX, Role, Room, RoomCreated, RoomKind, RoomListItem, RoomPatch, RoomView,
    Visibility,
};
use crate::text::{InvalidText, at_most, required};
use crate::{MessageId, RoomId, UserId};

/// Events given by one catch-up call at most; beyond, the client asks again or reads the lists.
pub const CATCH_UP_MAX: u32 = 1_000;

/// Why a chat use case was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// A text breaks a rule.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// An id has a form that no id has.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The authorisation table says no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such message, or not in a room the actor can see.
    #[error("message not found")]
    MissingMessage,
    /// No such user.
    #[error("user not found: {0}")]
    MissingUser(UserId),
    /// More members at once than allowed.
    #[error("at most {max} members can be added at once")]
    TooManyMembers {
        /// How many are allowed.
        max: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Limits that an installation may set.
#[derive(Debug, Clone, Copy)]
pub struct ChatLimits {
    /// Longest message text, in characters; never above [`CONTENT_BYTES_HARD_MAX`].
    pub content_chars_max: usize,
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self { content_chars_max: CONTENT_MAX_DEFAULT }
    }
}

/// The stores and sources that the chat use cases stand on.
#[derive(Clone)]
pub struct ChatPorts {
    /// Rooms and memberships.
    pub rooms: Arc<dyn RoomStore>,
    /// Messages and cursors.
    pub messages: Arc<dyn MessageStore>,
    /// The journal.
    pub journal: Arc<dyn JournalStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
}

/// What somebody wants a new room to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomWish {
    /// Group or channel (a direct room has its own use case).
    pub kind: RoomKind,
    /// `None`: public for a channel, private for a group.
    pub visibility: Option<Visibility>,
    /// Its name.
    pub name: String,
    /// Its topic.
    pub topic: Option<String>,
    /// Who else is in from the start.
    pub members: Vec<UserId>,
}

/// The chat use cases.
#[derive(Clone)]
pub struct Chat {
    ports: ChatPorts,
    limits: ChatLimits,
}

impl Chat {
    /// Puts the use cases on their ports.
    pub fn new(ports: ChatPorts, limits: ChatLimits) -> Self {
        Self { ports, limits }
    }

    /// Makes a group or channel; the actor owns it.
    ///
    /// # Errors
    /// [`ChatError::Text`], [`ChatError::TooManyMembers`], [`ChatError::MissingUser`],
    /// [`ChatError::Denied`] for a direct kind, [`ChatError::Store`].
    pub async fn create_room(
        &self,
        actor: &Actor,
        wish: RoomWish,
    ) -> Result<RoomCreated, ChatError> {
        if wish.kind == RoomKind::Direct {
            return Err(Denied::DirectRoom.into());
        }
        required("name", &wish.name, ROOM_NAME_MAX)?;
        at_most("topic", wish.topic.as_deref().unwrap_or(""), ROOM_TOPIC_MAX)?;
        if wish.members.len() > INITIAL_MEMBERS_MAX {
            return Err(ChatError::TooManyMembers { max: INITIAL_MEMBERS_MAX });
        }
        let at = self.ports.clock.now();
        let default = match wish.kind {
            RoomKind::Channel => Visibility::Public,
            RoomKind::Group | RoomKind::Direct => Visibility::Private,
        };
        let new = NewRoom {
            id: RoomId::trusted(self.ports.ids.id(at)),
            tenant: actor.tenant.clone(),
            kind: wish.kind,
            visibility: wish.visibility.unwrap_or(default),
            name: Some(wish.name.trim().to_owned()),
            topic: wish.topic,
            created_by: actor.user.clone(),
            members: distinct_others(wish.members, &actor.user),
            at,
        };
        self.ports.rooms.create_room(new).await
    }

    /// The direct room of the actor and another user, made at the first call.
    ///
    /// # Errors
    /// [`ChatError::MissingUser`], also for the actor's own id; [`ChatError::Store`].
    pub async fn open_direct(&self, actor: &Actor, peer: UserId) -> Result<RoomCreated, ChatError> {
        if peer == actor.user {
            return Err(ChatError::MissingUser(peer));
        }
        let at = self.ports.clock.now();
        let new = NewRoom {
            id: RoomId::trusted(self.ports.ids.id(at)),
            tenant: actor.tenant.clone(),
            kind: RoomKind::Direct,
            visibility: Visibility::Private,
            name: None,
            topic: None,
            created_by: actor.user.clone(),
            members: vec![peer],
            at,
        };
        self.ports.rooms.create_room(new).await
    }

    /// The direct room of the actor and another user, if it was made before.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn direct_room(
        &self,
        actor: &Actor,
        peer: &UserId,
    ) -> Result<Option<RoomView>, ChatError> {
        let Some(view) = self.ports.rooms.direct_room(actor, peer).await? else { return Ok(None) };
        self.judge(actor, Operation::ViewRoom, &view)?;
        Ok(Some(view))
    }

    /// A room as the actor may see it.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn room(&self, actor: &Actor, room: &RoomId) -> Result<RoomView, ChatError> {
        let view = self.ports.rooms.room(actor, room).await?.ok_or(Denied::Hidden)?;
        self.judge(actor, Operation::ViewRoom, &view)?;
        Ok(view)
    }

    /// Asks the table about an operation that changes nothing durable (typing, presence).
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn may(
        &self,
        actor: &Actor,
        operation: Operation,
        room: &RoomId,
    ) -> Result<RoomView, ChatError> {
        let view = self.ports.rooms.room(actor, room).await?.ok_or(Denied::Hidden)?;
        self.judge(actor, operation, &view)?;
        Ok(view)
    }

    #[expect(clippy::unused_self, reason = "reads as a question put to the house")]
    fn judge(&self, actor: &Actor, op: Operation, view: &RoomView) -> Result<(), Denied> {
        let membership = view.membership.as_ref();
        authorise(actor, op, &Access { room: &view.room, membership, author: None, target: None })
    }

    /// Rooms the actor has joined or is invited to, latest activity first.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn rooms_of(
        &self,
        actor: &Actor,
        offset: u64,
        limit: Option<u32>,
    ) -> Result<Page<RoomListItem>, ChatError> {
        Ok(self.ports.rooms.rooms_of(actor, offset, page_limit(limit)).await?)
    }

    /// Public rooms of the tenant, latest activity first.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn public_rooms(
        &self,
        actor: &Actor,
        offset: u64,
        limit: Option<u32>,
    ) -> Result<Page<RoomListItem>, ChatError> {
        Ok(self.ports.rooms.public_rooms(actor, offset, page_limit(limit)).await?)
    }

    /// All rooms the actor has joined.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn joined_rooms(&self, actor: &Actor) -> Result<Vec<Arc<Room>>, ChatError> {
        Ok(self.ports.rooms.joined_rooms(actor).await?)
    }

    /// Changes name, topic or visibility.
    ///
    /// # Errors
    /// [`ChatError::Text`], [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn update_room(
        &self,
        actor: &Actor,
        room: &RoomId,
        patch: RoomPatch,
    ) -> Result<Room, ChatError> {
        if let Some(name) = &patch.name {
            required("name", name, ROOM_NAME_MAX)?;
        }
        at_most("topic", patch.topic.as_deref().unwrap_or(""), ROOM_TOPIC_MAX)?;
        let guard = Guard::new(actor, Operation::UpdateRoom);
        self.ports.rooms.update_room(guard, room, patch, self.ports.clock.now()).await
    }

    /// Deletes a room.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn delete_room(&self, actor: &Actor, room: &RoomId) -> Result<(), ChatError> {
        let guard = Guard::new(actor, Operation::DeleteRoom);
        self.ports.rooms.delete_room(guard, room, self.ports.clock.now()).await
    }

    /// Changes somebody's standing in a room.
    ///
    /// # Errors
    /// [`ChatError::Denied`] (nobody gives a rank above the own), [`ChatError::MissingUser`],
    /// [`ChatError::Store`].
    pub async fn change_membership(
        &self,
        actor: &Actor,
        room: &RoomId,
        change: MembershipChange,
    ) -> Result<MembershipChanged, ChatError> {
        let operation = match &change {
            MembershipChange::Join => Operation::JoinRoom,
            MembershipChange::Leave => Operation::LeaveRoom,
            MembershipChange::Invite { .. } => Operation::InviteMember,
            MembershipChange::Add { role, .. } => {
                if *role > Role::Member {
                    Operation::ChangeRole
                } else {
                    Operation::InviteMember
                }
            }
            MembershipChange::Kick { .. } => Operation::KickMember,
            MembershipChange::Ban { .. } => Operation::BanMember,
            MembershipChange::SetRole { .. } => Operation::ChangeRole,
        };
        if let MembershipChange::Add { role, .. } | MembershipChange::SetRole { role, .. } = &change
            && *role >= Role::Owner
        {
            return Err(Denied::Role.into());
        }
        let guard = Guard::new(actor, operation);
        self.ports.rooms.change_membership(guard, room, change, self.ports.clock.now()).await
    }

    /// Members of a room, by time of joining.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn members(
        &self,
        actor: &Actor,
        room: &RoomId,
        offset: u64,
        limit: Option<u32>,
    ) -> Result<Page<Member>, ChatError> {
        let guard = Guard::new(actor, Operation::ReadHistory);
        self.ports.rooms.members(guard, room, offset, page_limit(limit)).await
    }

    /// Stores a message; returns after the commit. A repeat of the client id returns the first result.
    ///
    /// # Errors
    /// [`ChatError::Text`], [`ChatError::Denied`], [`ChatError::MissingMessage`] (reply target),
    /// [`ChatError::Store`].
    pub async fn send_message(
        &self,
        actor: &Actor,
        room: RoomId,
        draft: Draft,
    ) -> Result<Appended, ChatError> {
        self.check_draft(&draft)?;
        let at = self.ports.clock.now();
        let id = MessageId::trusted(self.ports.ids.id(at));
        let guard = Guard::new(actor, Operation::SendMessage);
        self.ports.messages.append_message(guard, NewMessage { id, room, draft, at }).await
    }

    fn check_draft(&self, draft: &Draft) -> Result<(), ChatError> {
        self.check_content(&draft.content)?;
        if let Some(kind) = &draft.kind {
            required("kind", kind, KIND_BYTES_MAX)?;
        }
        if let Some(id) = &draft.client_id {
            required("clientId", id, CLIENT_ID_BYTES_MAX)?;
        }
        at_most("metadata", draft.metadata.as_deref().unwrap_or(""), METADATA_BYTES_MAX)?;
        Ok(())
    }

    fn check_content(&self, content: &str) -> Result<(), ChatError> {
        required("content", content, self.limits.content_chars_max)?;
        if content.len() > CONTENT_BYTES_HARD_MAX {
            let length = content.chars().count();
            return Err(InvalidText::TooLong {
                field: "content",
                length,
                max: CONTENT_BYTES_HARD_MAX / 4,
            }
            .into());
        }
        Ok(())
    }

    /// Changes the text of an own message.
    ///
    /// # Errors
    /// [`ChatError::Text`], [`ChatError::Denied`], [`ChatError::MissingMessage`],
    /// [`ChatError::Store`].
    pub async fn edit_message(
        &self,
        actor: &Actor,
        message: &MessageId,
        content: String,
    ) -> Result<Message, ChatError> {
        self.check_content(&content)?;
        let guard = Guard::new(actor, Operation::EditMessage);
        self.ports.messages.edit_message(guard, message, content, self.ports.clock.now()).await
    }

    /// Removes a message.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    pub async fn delete_message(
        &self,
        actor: &Actor,
        message: &MessageId,
    ) -> Result<Message, ChatError> {
        let guard = Guard::new(actor, Operation::DeleteMessage);
        self.ports.messages.delete_message(guard, message, self.ports.clock.now()).await
    }

    /// One message.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    pub async fn message(&self, actor: &Actor, id: &MessageId) -> Result<Message, ChatError> {
        self.ports.messages.message(Guard::new(actor, Operation::ReadHistory), id).await
    }

    /// A message's texts, original first.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    pub async fn revisions(
        &self,
        actor: &Actor,
        id: &MessageId,
    ) -> Result<Vec<Revision>, ChatError> {
        self.ports.messages.revisions(Guard::new(actor, Operation::ReadHistory), id).await
    }

    /// One page of a room's messages.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (unknown anchor), [`ChatError::Store`].
    pub async fn history(
        &self,
        actor: &Actor,
        room: &RoomId,
        anchor: Anchor,
        limit: Option<u32>,
    ) -> Result<History, ChatError> {
        let guard = Guard::new(actor, Operation::ReadHistory);
        self.ports.messages.history(guard, room, anchor, page_limit(limit)).await
    }

    /// Moves the actor's read cursor forward; `None` = to the newest message.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    pub async fn mark_read(
        &self,
        actor: &Actor,
        room: RoomId,
        to: Option<Position>,
    ) -> Result<ReadCursor, ChatError> {
        let guard = Guard::new(actor, Operation::MoveReadCursor);
        let at = self.ports.clock.now();
        self.ports.messages.move_read_cursor(guard, MoveReadCursor { room, to, at }).await
    }

    /// Who has read a message.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    pub async fn readers(&self, actor: &Actor, id: &MessageId) -> Result<Vec<ReadBy>, ChatError> {
        self.ports.messages.readers(Guard::new(actor, Operation::ReadHistory), id).await
    }

    /// What a room's member missed after `after_seq`, at most `limit` events and [`CATCH_UP_MAX`].
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    pub async fn catch_up(
        &self,
        actor: &Actor,
        room: &RoomId,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, ChatError> {
        let guard = Guard::new(actor, Operation::ReadHistory);
        let limit = limit.min(CATCH_UP_MAX);
        self.ports.journal.room_events(guard, room, after_seq, limit).await
    }

    /// What a user missed of the inbox after `after_seq`.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn catch_up_inbox(
        &self,
        actor: &Actor,
        after_seq: u64,
    ) -> Result<CatchUp, ChatError> {
        Ok(self.ports.journal.inbox_events(actor, after_seq, CATCH_UP_MAX).await?)
    }

    /// What a user missed everywhere after `pos`; 100 events if no limit is given. The limit may be one
    /// above [`CATCH_UP_MAX`], to see in one call whether more was missed than that.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn events_for(
        &self,
        actor: &Actor,
        after_pos: u64,
        limit: Option<u32>,
    ) -> Result<LogPage, ChatError> {
        let limit = limit.unwrap_or(100).clamp(1, CATCH_UP_MAX + 1);
        Ok(self.ports.journal.events_for(actor, after_pos, limit).await?)
    }

    /// What a user missed after `pos` in those of `rooms` that the user has joined, and in the inbox. The
    /// limit is bounded as in [`Chat::events_for`].
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn events_of(
        &self,
        actor: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, ChatError> {
        let limit = limit.clamp(1, CATCH_UP_MAX + 1);
        Ok(self.ports.journal.events_of(actor, rooms, after_pos, limit).await?)
    }

    /// `pos` of the newest event.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn head_pos(&self) -> Result<u64, ChatError> {
        Ok(self.ports.journal.head_pos().await?)
    }

    /// Which life of the log this is.
    ///
    /// # Errors
    /// [`ChatError::Store`].
    pub async fn log_epoch(&self) -> Result<LogEpoch, ChatError> {
        Ok(self.ports.journal.log_epoch().await?)
    }
}

fn distinct_others(members: Vec<UserId>, own: &UserId) -> Vec<UserId> {
    let mut seen = std::collections::HashSet::new();
    members.into_iter().filter(|id| id != own && seen.insert(id.clone())).collect()
}
