//! What Pusher clients hear of rooms: messages, typing, receipts, and who is there.

use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::{Anchor, Position, ReadCursor};
use mynah_domain::permission::Actor;
use mynah_domain::presence::PresenceStatus;
use mynah_domain::room::{Profile, Role};
use mynah_domain::{MessageId, RoomId, TenantId};
use mynah_hub::{Class, SessionId};

use super::threads::{Threads, pair_of};
use crate::relay::Relay;
use crate::vocabulary::field::{Presence, Subject};

/// Messages that one receipt names at most: the newest of those covered.
const COVERED_MAX: usize = 500;

/// A key under which newer state replaces older state in a queue.
fn fingerprint(parts: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Relay for Threads {
    async fn event(&self, event: &Event) {
        match (&event.stream, &event.fact) {
            (Stream::Room(room), fact) => {
                self.say(room, event).await;
                if let Fact::MemberLeft { user, .. } = fact {
                    self.part(room, Some(user)).await;
                }
                if let Fact::RoomDeleted { .. } = fact {
                    self.part(room, None).await;
                }
            }
            (Stream::User(user), Fact::RoomAdded { room, peer: Some(peer), .. }) => {
                self.bind(&event.tenant, pair_of(user, &peer.id), &room.id);
            }
            (Stream::User(_), _) => {}
        }
    }

    async fn typing(
        &self,
        except: Option<SessionId>,
        room: &RoomId,
        who: &Profile,
        is_typing: bool,
    ) {
        let key = fingerprint(&("typing", room, &who.id));
        for link in self.of_room(room) {
            let subject = Subject::Typing(room, who, is_typing);
            let Some(frame) = self.frame(&link, "typing", subject, (Some(&who.id), &[])) else {
                continue;
            };
            self.publish(&link, (None, Class::Ephemeral { key }), except, frame).await;
        }
    }

    async fn read_moved(&self, cursor: &ReadCursor) {
        let links = self.of_room(&cursor.room);
        let Some(tenant) = links.first().map(|link| link.app.tenant.clone()) else { return };
        let covered = self.covered(tenant, cursor).await;
        // Each names what was read since the one before: none may take another's place.
        for link in links {
            let frame = self.frame(&link, "receipt.read", Subject::Read(cursor), (None, &covered));
            let Some(frame) = frame else { continue };
            self.publish(&link, (None, Class::Durable), None, frame).await;
        }
    }

    async fn presence(&self, actor: &Actor, presence: &Presence) {
        let is_here = presence.status == PresenceStatus::Online;
        self.show(&actor.tenant, &actor.user, is_here).await;
    }
}

impl Threads {
    /// The messages of others that a cursor newly covers, oldest first.
    async fn covered(&self, tenant: TenantId, cursor: &ReadCursor) -> Vec<MessageId> {
        let reader = Actor { tenant, user: cursor.user.clone(), role: Role::Member };
        let mut covered = Vec::new();
        let mut anchor = Anchor::Before(Position::Seq(cursor.seq.saturating_add(1)));
        while covered.len() < COVERED_MAX {
            let page = self.0.parts.chat.history(&reader, &cursor.room, anchor, Some(100)).await;
            let Ok(page) = page else { break };
            let mut oldest = None;
            for message in page.items {
                oldest = Some(message.seq);
                if message.seq > cursor.from_seq && message.sender.id != cursor.user {
                    covered.push(message.id);
                }
            }
            match oldest {
                Some(seq) if seq > cursor.from_seq && page.has_older => {
                    anchor = Anchor::Before(Position::Seq(seq));
                }
                _ => break,
            }
        }
        covered.truncate(COVERED_MAX);
        covered.reverse();
        covered
    }
}
