//! Who else is told what happens in rooms: clients that know a room by another name, and hear it in a
//! topic of that name.

use async_trait::async_trait;
use mynah_domain::RoomId;
use mynah_domain::event::Event;
use mynah_domain::message::ReadCursor;
use mynah_domain::permission::Actor;
use mynah_domain::room::Profile;
use mynah_hub::SessionId;

use crate::vocabulary::field::Presence;

/// Is told, in order for each room, before the room's own topic is: what a session has been queued of
/// that topic up to some [`mynah_hub::Publication::pos`], it has been queued of the relay's too.
#[async_trait]
pub trait Relay: Send + Sync + 'static {
    /// A durable event of a room or an inbox.
    async fn event(&self, event: &Event);

    /// Somebody types, or has stopped; the session it came from need not hear it.
    async fn typing(
        &self,
        except: Option<SessionId>,
        room: &RoomId,
        who: &Profile,
        is_typing: bool,
    );

    /// A read cursor moved.
    async fn read_moved(&self, cursor: &ReadCursor);

    /// A user came or went.
    async fn presence(&self, actor: &Actor, presence: &Presence);
}
