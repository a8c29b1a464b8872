//! Rooms and memberships.

use std::sync::Arc;

use crate::message::Message;
pub use crate::profile::Profile;
use crate::{RoomId, TenantId, Timestamp, UserId};

/// Longest room name, in characters.
pub const ROOM_NAME_MAX: usize = 255;
/// Longest room topic, in characters.
pub const ROOM_TOPIC_MAX: usize = 1_000;
/// Most users that can be added while creating a room.
pub const INITIAL_MEMBERS_MAX: usize = 100;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The canonical word, as stored and as the native vocabulary spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the canonical word; `None` for any other.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// What sort of conversation a room is.
    RoomKind {
        /// Exactly two members, for ever; found by its pair.
        Direct = "direct",
        /// A closed circle: people come in by invitation unless it is public.
        Group = "group",
        /// An open place: public unless said otherwise.
        Channel = "channel",
    }
);
words!(
    /// Who can find and join a room.
    Visibility {
        /// Anybody of the tenant.
        Public = "public",
        /// Members and invited people only.
        Private = "private",
    }
);
words!(
    /// Rank in a room or tenant, lowest first, so `<` compares ranks.
    Role {
        /// May read.
        Readonly = "readonly",
        /// May read and write.
        Guest = "guest",
        /// May also invite.
        Member = "member",
        /// May also remove messages and members.
        Moderator = "moderator",
        /// May also change the room and roles.
        Admin = "admin",
        /// May also delete the room.
        Owner = "owner",
        /// A rank that nobody holds: what needs it is refused to all.
        Nobody = "nobody",
    }
);
words!(
    /// Where a user stands towards a room.
    MemberState {
        /// Asked to come in.
        Invited = "invited",
        /// In.
        Joined = "joined",
        /// Went.
        Left = "left",
        /// Was removed; may come back.
        Kicked = "kicked",
        /// Was removed and kept out.
        Banned = "banned",
    }
);

/// A conversation, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What sort.
    pub kind: RoomKind,
    /// Who can find it.
    pub visibility: Visibility,
    /// Name; `None` for direct rooms.
    pub name: Option<String>,
    /// A line about what it is for.
    pub topic: Option<String>,
    /// Who made it.
    pub created_by: UserId,
    /// Number of joined members.
    pub member_count: u64,
    /// `seq` of the last event of its stream.
    pub last_seq: u64,
    /// `number` of its last message.
    pub last_number: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When name, topic or visibility last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A user's standing in a room, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
    /// Where the user stands.
    pub state: MemberState,
    /// Rank in the room.
    pub role: Role,
    /// When the user (last) joined.
    pub joined_at: Timestamp,
    /// `seq` up to which the user has read; 0 for nothing.
    pub last_read_seq: u64,
    /// `number` of the last message the user has read; unread = `room.last_number - last_read_number`.
    pub last_read_number: u64,
    /// When the read cursor last moved.
    pub last_read_at: Option<Timestamp>,
}

/// A membership with the profile of its user, for member lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The standing.
    pub membership: Membership,
    /// Who it is.
    pub profile: Arc<Profile>,
}

/// A room as its viewer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// The room.
    pub room: Arc<Room>,
    /// The viewer's membership, in any state.
    pub membership: Option<Membership>,
}

/// One line of a user's room list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomListItem {
    /// The room.
    pub room: Arc<Room>,
    /// The viewer's membership; `None` in the list of public rooms the viewer has not joined.
    pub membership: Option<Membership>,
    /// The newest message that is not deleted away.
    pub last_message: Option<Message>,
    /// In a direct room the other member.
    pub peer: Option<Arc<Profile>>,
}

impl RoomListItem {
    /// Messages after the read cursor.
    pub fn unread(&self) -> u64 {
        self.membership
            .as_ref()
            .map_or(0, |m| self.room.last_number.saturating_sub(m.last_read_number))
    }
}

/// A room to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Id to give it (unused when a direct room of the pair exists).
    pub id: RoomId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What sort.
    pub kind: RoomKind,
    /// Who can find it.
    pub visibility: Visibility,
    /// Name; `None` for direct rooms.
    pub name: Option<String>,
    /// Topic.
    pub topic: Option<String>,
    /// Creator; becomes owner (plain member of a direct room).
    pub created_by: UserId,
    /// Further members, without the creator and without repeats.
    pub members: Vec<UserId>,
    /// Creation time.
    pub at: Timestamp,
}

/// What making a room gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomCreated {
    /// The room.
    pub view: RoomView,
    /// `true` when a direct room of the pair was already there; nothing was written then.
    pub existing: bool,
}

/// Changes to a room; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomPatch {
    /// New name.
    pub name: Option<String>,
    /// New topic.
    pub topic: Option<String>,
    /// New visibility.
    pub visibility: Option<Visibility>,
}

/// A change of somebody's standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipChange {
    /// The actor comes in (public room, or invited before). Joining again changes nothing.
    Join,
    /// The actor goes. Leaving when not joined changes nothing.
    Leave,
    /// Ask somebody in; they may join.
    Invite {
        /// Whom.
        user: UserId,
    },
    /// Put somebody in at once with a role.
    Add {
        /// Whom.
        user: UserId,
        /// With which rank, below or equal to the actor's.
        role: Role,
    },
    /// Remove somebody.
    Kick {
        /// Whom.
        user: UserId,
    },
    /// Remove somebody and keep them out.
    Ban {
        /// Whom.
        user: UserId,
    },
    /// Give somebody another rank.
    SetRole {
        /// Whom.
        user: UserId,
        /// The rank.
        role: Role,
    },
}

/// Outcome of a [`MembershipChange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipChanged {
    /// The room after the change.
    pub room: Arc<Room>,
    /// The standing concerned, after the change.
    pub membership: Membership,
    /// `false` when it was so before and nothing was written.
    pub changed: bool,
}
