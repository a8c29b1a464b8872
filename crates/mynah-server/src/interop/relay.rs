//! What happens here, told to Node servers.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_cluster::socket_io::{Arguments, Emission, Flags, Target};
use mynah_domain::event::{Event, Stream};
use mynah_domain::message::ReadCursor;
use mynah_domain::permission::Actor;
use mynah_domain::room::Profile;
use mynah_domain::{RoomId, Timestamp};
use mynah_hub::{Frame, SessionId};
use serde_json::value::RawValue;

use super::Interop;
use crate::cluster::directory::Directory;
use crate::relay::Relay;
use crate::vocabulary::field::{Presence, Subject};

/// Several, told one after the other.
pub struct Relays(pub Vec<Arc<dyn Relay>>);

#[async_trait]
impl Relay for Relays {
    async fn event(&self, event: &Event) {
        for relay in &self.0 {
            relay.event(event).await;
        }
    }

    async fn typing(
        &self,
        except: Option<SessionId>,
        room: &RoomId,
        who: &Profile,
        is_typing: bool,
    ) {
        for relay in &self.0 {
            relay.typing(except, room, who, is_typing).await;
        }
    }

    async fn read_moved(&self, cursor: &ReadCursor) {
        for relay in &self.0 {
            relay.read_moved(cursor).await;
        }
    }

    async fn presence(&self, actor: &Actor, presence: &Presence) {
        for relay in &self.0 {
            relay.presence(actor, presence).await;
        }
    }
}

#[async_trait]
impl Relay for Interop {
    /// The node that committed an event tells it; each node hears all.
    async fn event(&self, event: &Event) {
        let own = self.0.nodes.as_ref().and_then(Directory::own).map_or(0, |own| own.slot);
        if event.origin != own {
            return;
        }
        let room = match &event.stream {
            Stream::Room(room) => self.0.names.of_room(room),
            Stream::User(user) => match self.0.names.of_user(user) {
                Some(room) => room,
                None => return,
            },
        };
        self.tell(room, Flags::default(), event.fact.name(), (Subject::Event(event), event.at));
    }

    /// Only what a session of this node has begun; each node shows it.
    async fn typing(
        &self,
        except: Option<SessionId>,
        room: &RoomId,
        who: &Profile,
        is_typing: bool,
    ) {
        if except.is_some() {
            let subject = Subject::Typing(room, who, is_typing);
            let flags = Flags { is_volatile: true, timeout_ms: None };
            self.tell(self.0.names.of_room(room), flags, "typing", (subject, Timestamp(0)));
        }
    }

    async fn read_moved(&self, _cursor: &ReadCursor) {}

    async fn presence(&self, _actor: &Actor, _presence: &Presence) {}
}

impl Interop {
    fn tell(
        &self,
        room: String,
        flags: Flags,
        fact: &str,
        (subject, at): (Subject<'_>, Timestamp),
    ) {
        let Some(bus) = self.0.bus.get() else { return };
        let target = Target::room(room);
        for (namespace, speaking) in &self.0.spoken {
            let frame = self.0.dialects.frame(speaking.dialect(), fact, (subject, None), at);
            if let Some(emission) = frame.as_ref().and_then(emission) {
                bus.emit(namespace, (&target, flags), &emission);
            }
        }
    }
}

/// Name and arguments of a packet such as `42/chat,["newMessage",{…}]`.
fn emission(frame: &Frame) -> Option<Emission> {
    let packet = std::str::from_utf8(frame.packet()).ok()?;
    let (_, json) = packet.split_at_checked(packet.find('[')?)?;
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let (name, arguments) = items.split_first()?;
    let event = serde_json::from_str(name.get()).ok()?;
    let json = arguments.iter().map(|argument| argument.get().to_owned()).collect();
    Some(Emission { event, arguments: Arguments::new(json) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn name_and_arguments_are_taken_out_of_a_packet() {
        let read = |packet: &str| emission(&frames::text(packet.as_bytes()));
        let found = read(r#"42/chat,["newMessage",{"a":[1]},null]"#).unwrap();
        assert_eq!(found.event, "newMessage");
        assert_eq!(found.arguments.json, [r#"{"a":[1]}"#, "null"]);
        assert_eq!(read("41"), None);
    }
}
