//! Rooms and their lists.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{Departure, Fact};
use mynah_domain::page::Page;
use mynah_domain::permission::{Access, Actor, Guard, Operation, authorise};
use mynah_domain::ports::{RoomStore, StoreError};
use mynah_domain::room::{
    Member, MemberState, Membership, MembershipChange, MembershipChanged, NewRoom, Role, Room,
    RoomCreated, RoomKind, RoomListItem, RoomPatch, RoomView, Visibility,
};
use mynah_domain::{RoomId, Timestamp, UserId};

use super::{Deed, MemoryStore, Place, Standing, State};

#[async_trait]
impl RoomStore for MemoryStore {
    async fn create_room(&self, room: NewRoom) -> Result<RoomCreated, ChatError> {
        self.write(|state| state.create_room(room))?
    }

    async fn update_room(
        &self,
        guard: Guard,
        room: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError> {
        self.write(|state| state.update_room(&guard, room, patch, at))?
    }

    async fn delete_room(
        &self,
        guard: Guard,
        room: &RoomId,
        at: Timestamp,
    ) -> Result<(), ChatError> {
        self.write(|state| state.delete_room(&guard, room, at))?
    }

    async fn room(&self, viewer: &Actor, room: &RoomId) -> Result<Option<RoomView>, StoreError> {
        self.read(|state| Some(state.place(room)?.view(viewer)))
    }

    async fn direct_room(
        &self,
        viewer: &Actor,
        peer: &UserId,
    ) -> Result<Option<RoomView>, StoreError> {
        let (low, high) =
            (viewer.user.clone().min(peer.clone()), viewer.user.clone().max(peer.clone()));
        let pair = Some((low, high));
        self.read(|state| {
            let same = |p: &&Place| p.pair == pair && p.room.tenant == viewer.tenant;
            Some(state.places.iter().find(same)?.view(viewer))
        })
    }

    async fn rooms_of(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        self.read(|state| {
            let inside = |p: &&Place| p.standing(viewer).is_some_and(is_inside);
            state.listed(viewer, inside, (offset, limit))
        })
    }

    async fn public_rooms(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        self.read(|state| {
            let public = |p: &&Place| {
                p.room.tenant == viewer.tenant && p.room.visibility == Visibility::Public
            };
            state.listed(viewer, public, (offset, limit))
        })
    }

    async fn joined_rooms(&self, viewer: &Actor) -> Result<Vec<Arc<Room>>, StoreError> {
        self.read(|state| {
            let joined = state.places.iter().filter(|p| p.joined_by(viewer));
            joined.map(|p| Arc::new(p.room.clone())).collect()
        })
    }

    async fn change_membership(
        &self,
        guard: Guard,
        room: &RoomId,
        change: MembershipChange,
        at: Timestamp,
    ) -> Result<MembershipChanged, ChatError> {
        self.write(|state| state.change_membership(&guard, room, &change, at))?
    }

    async fn members(
        &self,
        guard: Guard,
        room: &RoomId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Member>, ChatError> {
        self.read(|state| {
            let place = state.enter(&guard, room)?;
            let with_profile = |m: &&Membership| {
                let profile = state.profile(&place.room.tenant, &m.user)?;
                Some(Member { membership: (*m).clone(), profile })
            };
            let all = place.inside().iter().filter_map(with_profile).collect();
            Ok(page(all, offset, limit))
        })?
    }
}

fn is_inside(m: &Membership) -> bool {
    matches!(m.state, MemberState::Joined | MemberState::Invited)
}

fn page<T>(all: Vec<T>, offset: u64, limit: u32) -> Page<T> {
    let end = offset.saturating_add(u64::from(limit));
    let next = (all.len() as u64 > end).then_some(end);
    let items = all.into_iter().skip(offset as usize).take(limit as usize).collect();
    Page { items, next }
}

impl Place {
    fn view(&self, viewer: &Actor) -> RoomView {
        RoomView { room: Arc::new(self.room.clone()), membership: self.standing(viewer).cloned() }
    }

    pub(super) fn joined_by(&self, viewer: &Actor) -> bool {
        let joined = self.standing(viewer).is_some_and(|m| m.state == MemberState::Joined);
        joined && self.room.deleted_at.is_none()
    }

    pub(super) fn peer(&self, own: &UserId) -> Option<&UserId> {
        let (a, b) = self.pair.as_ref()?;
        Some(if a == own { b } else { a })
    }

    /// The room as its next event will leave it.
    fn next(&self) -> Arc<Room> {
        Arc::new(Room { last_seq: self.room.last_seq + 1, ..self.room.clone() })
    }
}

impl State {
    fn create_room(&mut self, new: NewRoom) -> Result<RoomCreated, ChatError> {
        let people: Vec<UserId> =
            std::iter::once(&new.created_by).chain(&new.members).cloned().collect();
        if let Some(missing) = people.iter().find(|id| self.account(&new.tenant, id).is_none()) {
            return Err(ChatError::MissingUser(missing.clone()));
        }
        let creator =
            Actor { tenant: new.tenant.clone(), user: new.created_by.clone(), role: Role::Member };
        let direct = new.kind == RoomKind::Direct;
        let pair = match people.as_slice() {
            [a, b] if direct => Some((a.min(b).clone(), a.max(b).clone())),
            _ => None,
        };
        let same = |p: &&Place| pair.is_some() && p.pair == pair && p.room.tenant == new.tenant;
        if let Some(place) = self.places.iter().find(same) {
            return Ok(RoomCreated { view: place.view(&creator), existing: true });
        }
        let role_of = |n: usize| if n == 0 && !direct { Role::Owner } else { Role::Member };
        let members = people.iter().enumerate().map(|(n, user)| Standing {
            membership: Membership {
                room: new.id.clone(),
                user: user.clone(),
                state: MemberState::Joined,
                role: role_of(n),
                joined_at: new.at,
                last_read_seq: 0,
                last_read_number: 0,
                last_read_at: None,
            },
            marks: Vec::new(),
        });
        let room = Room {
            id: new.id.clone(),
            tenant: new.tenant.clone(),
            kind: new.kind,
            visibility: new.visibility,
            name: new.name,
            topic: new.topic,
            created_by: new.created_by,
            member_count: people.len() as u64,
            last_seq: 0,
            last_number: 0,
            created_at: new.at,
            updated_at: new.at,
            deleted_at: None,
        };
        let members = members.collect();
        self.places.push(Place { room, last_pos: 0, pair, members, messages: Vec::new() });
        let deed = Deed { actor: &creator, at: new.at };
        let created = Fact::RoomCreated { room: self.place_mut(&new.id).next() };
        self.emit_in_room(deed, &new.id, created);
        for (n, user) in people.iter().enumerate() {
            let member = self.profile(&new.tenant, user).expect("checked above");
            let fact = Fact::MemberJoined { room: new.id.clone(), member, role: role_of(n) };
            self.emit_in_room(deed, &new.id, fact);
        }
        for user in people.iter().skip(usize::from(!direct)) {
            let place = self.place_mut(&new.id);
            let room = Arc::new(place.room.clone());
            let peer = place.peer(user).cloned();
            let peer = peer.and_then(|peer| self.profile(&new.tenant, &peer));
            self.emit_to_inbox(deed, user, Fact::RoomAdded { room, role: Role::Member, peer });
        }
        let view = self.place_mut(&new.id).view(&creator);
        Ok(RoomCreated { view, existing: false })
    }

    fn update_room(
        &mut self,
        guard: &Guard,
        id: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError> {
        let before = self.enter(guard, id)?.room.clone();
        let after = Room {
            name: patch.name.or_else(|| before.name.clone()),
            topic: patch.topic.or_else(|| before.topic.clone()),
            visibility: patch.visibility.unwrap_or(before.visibility),
            ..before.clone()
        };
        if after == before {
            return Ok(before);
        }
        let place = self.place_mut(id);
        place.room = Room { updated_at: at, ..after };
        let fact = Fact::RoomUpdated { room: place.next() };
        self.emit_in_room(Deed { actor: &guard.actor, at }, id, fact);
        Ok(self.place_mut(id).room.clone())
    }

    fn delete_room(&mut self, guard: &Guard, id: &RoomId, at: Timestamp) -> Result<(), ChatError> {
        let inside: Vec<UserId> =
            self.enter(guard, id)?.inside().iter().map(|m| m.user.clone()).collect();
        self.place_mut(id).room.deleted_at = Some(at);
        let deed = Deed { actor: &guard.actor, at };
        self.emit_in_room(deed, id, Fact::RoomDeleted { room: id.clone() });
        for user in inside {
            let fact = Fact::RoomRemoved { room: id.clone(), departure: Departure::Deleted };
            self.emit_to_inbox(deed, &user, fact);
        }
        Ok(())
    }

    fn listed(
        &self,
        viewer: &Actor,
        wanted: impl Fn(&&Place) -> bool,
        (offset, limit): (u64, u32),
    ) -> Page<RoomListItem> {
        let alive = self.places.iter().filter(|p| p.room.deleted_at.is_none());
        let mut found: Vec<&Place> = alive.filter(wanted).collect();
        found.sort_by_key(|p| std::cmp::Reverse(p.last_pos));
        let items = found.into_iter().map(|place| self.item(viewer, place)).collect();
        page(items, offset, limit)
    }

    fn item(&self, viewer: &Actor, place: &Place) -> RoomListItem {
        let membership = place.standing(viewer).filter(|m| is_inside(m)).cloned();
        let access = Access {
            room: &place.room,
            membership: membership.as_ref(),
            author: None,
            target: None,
        };
        let readable = authorise(viewer, Operation::ReadHistory, &access).is_ok();
        let living = place.messages.iter().rev().find(|w| w.message.deleted_at.is_none());
        let peer = place.peer(&viewer.user).and_then(|id| self.profile(&viewer.tenant, id));
        RoomListItem {
            room: Arc::new(place.room.clone()),
            membership,
            last_message: living.filter(|_| readable).map(|w| self.fresh(&w.message)),
            peer,
        }
    }
}
