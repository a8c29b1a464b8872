//! Every store port as plain collections behind one lock.
//!
//! Slow and obvious on purpose: a call takes the lock, judges, changes, tells the listener and lets go.
//! The log holds each fact as it was; what is read back is brought up to date where the ports say so
//! (profiles are today's, deleted text is gone).

mod accounts;
mod apps;
mod feed;
mod journal;
mod members;
mod messages;
mod nodes;
mod open_rooms;
mod outbox;
mod rooms;
mod search;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mynah_domain::account::User;
use mynah_domain::app::App;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::{Message, Revision};
use mynah_domain::permission::{Access, Actor, Denied, Guard};
use mynah_domain::ports::{Commit, CommitListener, StoreError};
use mynah_domain::recovery::LogEpoch;
use mynah_domain::room::{MemberState, Membership, Profile, Role, Room};
use mynah_domain::{MessageId, RoomId, SessionFamily, TenantId, Timestamp, UserId};
use parking_lot::Mutex;

struct Account {
    user: User,
    password_hash: Option<String>,
    inbox_seq: u64,
}

struct Session {
    family: SessionFamily,
    tenant: TenantId,
    user: UserId,
    expires_at: Timestamp,
    revoked: bool,
}

struct Token {
    session: usize,
    fingerprint: String,
    parent: Option<usize>,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
}

struct Standing {
    membership: Membership,
    marks: Vec<(u64, Timestamp)>,
}

struct Written {
    message: Message,
    texts: Vec<Revision>,
}

struct Place {
    room: Room,
    last_pos: u64,
    pair: Option<(UserId, UserId)>,
    members: Vec<Standing>,
    messages: Vec<Written>,
}

#[derive(Default)]
struct State {
    accounts: Vec<Account>,
    apps: Vec<App>,
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    places: Vec<Place>,
    connections: Vec<open_rooms::Connection>,
    outbox: outbox::Outbox,
    slots: Vec<nodes::Slot>,
    index: search::Index,
    log: Vec<Event>,
    epoch: LogEpoch,
    told: usize,
}

/// What is wrong with a store.
#[derive(Clone)]
enum Fault {
    Writes(StoreError),
    Everything(StoreError),
    SilentProbes,
}

/// All store ports in memory.
pub struct MemoryStore {
    state: Mutex<State>,
    listener: Arc<dyn CommitListener>,
    fault: Mutex<Option<Fault>>,
    calls: AtomicU64,
}

impl MemoryStore {
    /// An empty store that tells `listener` of every change.
    pub fn new(listener: Arc<dyn CommitListener>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            listener,
            fault: Mutex::default(),
            calls: AtomicU64::new(0),
        })
    }

    /// From now on every call fails.
    pub fn fail(&self, error: StoreError) {
        *self.fault.lock() = Some(Fault::Everything(error));
    }

    /// From now on every write (and probe) fails, as on a full disk.
    pub fn fail_writes(&self, error: StoreError) {
        *self.fault.lock() = Some(Fault::Writes(error));
    }

    /// From now on no probe is answered, as by a server that hangs.
    pub fn silence_probes(&self) {
        *self.fault.lock() = Some(Fault::SilentProbes);
    }

    /// From now on it does what it should.
    pub fn mend(&self) {
        *self.fault.lock() = None;
    }

    /// From now on it is another log, as after a restore. One that was made has the epoch 0.
    pub fn begin_log(&self, epoch: LogEpoch) {
        self.state.lock().epoch = epoch;
    }

    /// Gives a user a tenant-wide rank, which no use case does.
    pub fn promote(&self, user: &UserId, role: Role) {
        let mut state = self.state.lock();
        for account in state.accounts.iter_mut().filter(|account| account.user.id == *user) {
            account.user.role = role;
        }
    }

    /// Calls of any method so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn fault(&self) -> Option<Fault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.fault.lock().clone()
    }

    /// Looks at one state.
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        match self.fault() {
            Some(Fault::Everything(error)) => Err(error),
            Some(Fault::Writes(_) | Fault::SilentProbes) | None => Ok(look(&self.state.lock())),
        }
    }

    /// Runs one atomic step.
    fn write<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        if let Some(Fault::Everything(error) | Fault::Writes(error)) = self.fault() {
            return Err(error);
        }
        let mut state = self.state.lock();
        let done = work(&mut state);
        let news: Vec<Event> = state.log.iter().skip(state.told).cloned().collect();
        state.told = state.log.len();
        if !news.is_empty() {
            self.listener.committed(Commit::new(news, || {}));
        }
        Ok(done)
    }
}

/// Who did something, when.
#[derive(Clone, Copy)]
struct Deed<'a> {
    actor: &'a Actor,
    at: Timestamp,
}

impl State {
    fn account(&self, tenant: &TenantId, id: &UserId) -> Option<&Account> {
        self.accounts.iter().find(|a| a.user.tenant == *tenant && a.user.id == *id)
    }

    fn profile(&self, tenant: &TenantId, id: &UserId) -> Option<Arc<Profile>> {
        let user = &self.account(tenant, id)?.user;
        Some(Arc::new(Profile {
            id: user.id.clone(),
            username: user.username.clone(),
            name: user.name.clone(),
        }))
    }

    fn place(&self, id: &RoomId) -> Option<&Place> {
        self.places.iter().find(|p| p.room.id == *id)
    }

    fn place_mut(&mut self, id: &RoomId) -> &mut Place {
        let found = self.places.iter_mut().find(|p| p.room.id == *id);
        found.expect("the room was found before")
    }

    fn written(&self, id: &MessageId) -> Option<(&Place, &Written)> {
        self.places.iter().find_map(|place| {
            let found = place.messages.iter().find(|w| w.message.id == *id);
            found.map(|written| (place, written))
        })
    }

    /// A room that the guard lets the actor into.
    fn enter(&self, guard: &Guard, id: &RoomId) -> Result<&Place, ChatError> {
        let place = self.place(id).ok_or(Denied::Hidden)?;
        guard.check(&Access {
            room: &place.room,
            membership: place.standing(&guard.actor),
            author: None,
            target: None,
        })?;
        Ok(place)
    }

    /// A message that the guard lets the actor at.
    fn reach(
        &self,
        guard: &Guard,
        id: &MessageId,
        write: bool,
    ) -> Result<(&Place, &Written), ChatError> {
        let (place, written) = self.written(id).ok_or(ChatError::MissingMessage)?;
        let access = Access {
            room: &place.room,
            membership: place.standing(&guard.actor),
            author: write.then_some(&written.message.sender.id),
            target: None,
        };
        match guard.check(&access) {
            Ok(()) => Ok((place, written)),
            Err(Denied::Hidden) => Err(ChatError::MissingMessage),
            Err(denied) => Err(denied.into()),
        }
    }

    fn emit_in_room(&mut self, deed: Deed<'_>, id: &RoomId, fact: Fact) -> u64 {
        let pos = self.log.len() as u64 + 1;
        let place = self.place_mut(id);
        place.room.last_seq += 1;
        place.last_pos = pos;
        let seq = place.room.last_seq;
        let tenant = place.room.tenant.clone();
        let actor = Some(deed.actor.user.clone());
        let stream = Stream::Room(id.clone());
        self.log.push(Event { pos, origin: 0, stream, seq, tenant, actor, at: deed.at, fact });
        seq
    }

    fn emit_to_inbox(&mut self, deed: Deed<'_>, user: &UserId, fact: Fact) {
        let pos = self.log.len() as u64 + 1;
        let tenant = deed.actor.tenant.clone();
        let mut accounts = self.accounts.iter_mut();
        let found = accounts.find(|a| a.user.tenant == tenant && a.user.id == *user);
        let account = found.expect("the user was found before");
        account.inbox_seq += 1;
        let seq = account.inbox_seq;
        let actor = Some(deed.actor.user.clone());
        let stream = Stream::User(user.clone());
        self.log.push(Event { pos, origin: 0, stream, seq, tenant, actor, at: deed.at, fact });
    }

    /// A message with today's profile of its sender.
    fn fresh(&self, message: &Message) -> Message {
        let sender = self.profile(&message.tenant, &message.sender.id);
        Message { sender: sender.unwrap_or_else(|| message.sender.clone()), ..message.clone() }
    }
}

impl Place {
    /// The actor's membership, in any state.
    fn standing(&self, actor: &Actor) -> Option<&Membership> {
        let same = self.room.tenant == actor.tenant;
        self.standing_of(&actor.user).filter(|_| same)
    }

    fn standing_of(&self, user: &UserId) -> Option<&Membership> {
        self.members.iter().map(|s| &s.membership).find(|m| m.user == *user)
    }

    fn standing_mut(&mut self, user: &UserId) -> Option<&mut Standing> {
        self.members.iter_mut().find(|s| s.membership.user == *user)
    }

    /// Joined and invited members, by time of joining.
    fn inside(&self) -> Vec<&Membership> {
        let all = self.members.iter().map(|s| &s.membership);
        let mut inside: Vec<_> =
            all.filter(|m| matches!(m.state, MemberState::Joined | MemberState::Invited)).collect();
        inside.sort_by_key(|m| m.joined_at);
        inside
    }
}
