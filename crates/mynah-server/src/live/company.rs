//! What live state has to do with the other nodes.

use std::collections::HashSet;
use std::sync::Arc;

use mynah_domain::permission::Actor;
use mynah_domain::presence::PresenceStatus;
use mynah_domain::room::Role;
use mynah_domain::{RoomId, TenantId, UserId};

use super::{Announcement, DOUBTFUL_MAX, Doubtful, Live, Person};
use crate::cluster::people::{Crowd, News, Who};
use crate::cluster::voice::Voice;
use crate::cluster::wire::Told;
use crate::topics;

fn who((tenant, user): &Person) -> Who {
    Who::User(tenant.clone(), user.clone())
}

impl Live {
    /// Tells the other nodes too from now on, and knows who is there.
    pub fn connect(&self, voice: Voice, crowd: Crowd) {
        drop(self.0.voice.set(voice));
        drop(self.0.crowd.set(crowd));
    }

    /// Tells the nodes that hear a room.
    pub(super) fn tell(&self, room: &RoomId, told: impl FnOnce() -> Told) {
        if let Some(voice) = self.0.voice.get() {
            voice.tell(&topics::room(room), &told());
        }
    }

    /// Whether a user is on another node.
    pub(super) fn is_elsewhere(&self, person: &Person) -> bool {
        self.0.crowd.get().is_some_and(|crowd| crowd.is_elsewhere(&who(person)))
    }

    /// A user has come to this node; `true` if this node is to tell. Under the lock of the leases.
    pub(super) fn came_here(&self, person: Person) -> bool {
        let (tenant, user) = person;
        self.0.crowd.get().is_none_or(|crowd| crowd.came(Who::User(tenant, user)))
    }

    /// A user has gone from this node; `true` if this node is to tell. Under the lock of the leases.
    pub(super) fn went_here(&self, person: &Person) -> bool {
        let Some(crowd) = self.0.crowd.get() else { return true };
        crowd.went(&who(person), self.0.last_seen.get(person))
    }

    /// Those who are here and, as far as there is room for them, those on other nodes.
    pub(super) fn with_others(
        &self,
        tenant: &TenantId,
        mut here: Vec<UserId>,
        users_max: usize,
    ) -> Vec<UserId> {
        let Some(crowd) = self.0.crowd.get() else { return here };
        let known: HashSet<UserId> = here.iter().cloned().collect();
        let others = crowd.users_elsewhere(tenant, users_max).into_iter();
        let others = others.filter(|user| !known.contains(user));
        here.extend(others.take(users_max.saturating_sub(known.len())));
        here
    }

    /// Another node told a room of a coming or going. It is shown when it is so here too: another node may
    /// have the user meanwhile, or this one may not know yet that a node is dead.
    pub(super) async fn presence_told(&self, told: Doubtful) {
        let status = self.presence(&told.tenant, &told.presence.user).status;
        if status == told.presence.status {
            self.show_presence(&told.room, &Arc::new(told.presence)).await;
            return;
        }
        let mut state = self.0.state.lock();
        if state.doubtful.len() < DOUBTFUL_MAX {
            state.doubtful.push_back(told);
        }
    }

    /// Shows what has become true, and forgets what has not in time.
    pub(super) async fn look_at_doubtful(&self, now: u64) {
        let told = std::mem::take(&mut self.0.state.lock().doubtful);
        for told in told.into_iter().filter(|told| told.until > now) {
            self.presence_told(told).await;
        }
    }

    /// A user came or went elsewhere.
    pub async fn learned(&self, (tenant, user): Person, news: &News) {
        let person = (tenant, user);
        let status = if news.is_there { PresenceStatus::Online } else { PresenceStatus::Offline };
        if !news.is_there {
            let last_seen = news.last_seen.unwrap_or_else(|| self.0.clock.now());
            self.0.last_seen.insert(person.clone(), last_seen);
        }
        let (tenant, user) = person;
        let actor = Actor { tenant, user, role: Role::Member };
        let announcement = Announcement::new(actor, status);
        let announcement = Announcement { is_others: !news.is_ours, ..announcement };
        // Fails only when the process ends.
        drop(self.0.announcements.send(announcement).await);
    }
}
