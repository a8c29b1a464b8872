//! Random histories, told to the store and to the model.

use std::fmt::Debug;

use mynah_domain::event::{CatchUp, Event, LogPage};
use mynah_domain::message::{Anchor, Draft, MoveReadCursor, NewMessage, Position};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::recovery::{OpenRoom, Place};
use mynah_domain::room::{MembershipChange as Change, Role, RoomKind, RoomPatch, Visibility};
use mynah_domain::{ConnectionId, MessageId, RoomId, Timestamp};

use super::{Subject, reading};
use crate::{MemoryStore, Recorder};

/// A small generator of foreseeable numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
}

const STEPS: u64 = 400;
const PEOPLE: usize = 5;
const ROOMS: u64 = 4;

/// Everything that one step needs, the same for both stores.
struct Step {
    n: u64,
    /// Messages tried before this step.
    sent: u64,
    kind: u64,
    actor: Actor,
    other: Actor,
    room: RoomId,
    message: MessageId,
    role: Role,
    number: u64,
    at: Timestamp,
}

impl Step {
    fn roll(dice: &mut Dice, people: &[Actor], (n, sent): (u64, u64)) -> Self {
        // Removals are rare, or nobody would be left to do anything.
        let kind = match dice.below(28) {
            1 | 4 | 5 if !n.is_multiple_of(3) => 0,
            kind => kind,
        };
        Self {
            n,
            sent,
            kind,
            actor: dice.one_of(people),
            other: dice.one_of(people),
            room: RoomId::trusted(format!("r{}", dice.below(ROOMS))),
            message: MessageId::trusted(format!("m{}", dice.below(sent + 1))),
            role: dice.one_of(&[Role::Readonly, Role::Member, Role::Moderator, Role::Admin]),
            number: dice.below(30),
            at: Timestamp(1_000_000 + (n / 2).cast_signed()),
        }
    }

    fn sends(&self) -> bool {
        matches!(self.kind, 14..=19)
    }

    fn guard(&self, operation: Operation) -> Guard {
        Guard::new(&self.actor, operation)
    }

    fn change(&self) -> (Operation, Change) {
        let user = self.other.user.clone();
        match self.kind {
            0 => (Operation::JoinRoom, Change::Join),
            1 => (Operation::LeaveRoom, Change::Leave),
            2 => (Operation::InviteMember, Change::Invite { user }),
            3 => (Operation::ChangeRole, Change::Add { user, role: self.role }),
            4 => (Operation::KickMember, Change::Kick { user }),
            5 => (Operation::BanMember, Change::Ban { user }),
            _ => (Operation::ChangeRole, Change::SetRole { user, role: self.role }),
        }
    }

    fn position(&self) -> Position {
        match self.n % 3 {
            0 => Position::Seq(self.number),
            1 => Position::Number(self.number),
            _ => Position::Message(self.message.clone()),
        }
    }

    fn new_message(&self) -> NewMessage {
        let client_id = (self.n.is_multiple_of(4)).then(|| format!("c{}", self.number));
        let reply_to = (self.n.is_multiple_of(7)).then(|| self.message.clone());
        let content = format!("text {}", self.n);
        let draft = Draft { content, client_id, reply_to, ..Draft::default() };
        let id = MessageId::trusted(format!("m{}", self.sent));
        NewMessage { id, room: self.room.clone(), draft, at: self.at }
    }

    async fn act(&self, s: &Subject) -> String {
        match self.kind {
            0..=6 => {
                let (operation, change) = self.change();
                let guard = self.guard(operation);
                told(s.rooms.change_membership(guard, &self.room, change, self.at).await)
            }
            7 => {
                let patch = RoomPatch {
                    topic: Some(format!("topic {}", self.number % 2)),
                    ..RoomPatch::default()
                };
                let guard = self.guard(Operation::UpdateRoom);
                told(s.rooms.update_room(guard, &self.room, patch, self.at).await)
            }
            8 if self.n > 250 && self.n.is_multiple_of(5) => {
                let guard = self.guard(Operation::DeleteRoom);
                told(s.rooms.delete_room(guard, &self.room, self.at).await)
            }
            8 | 9 => {
                let guard = self.guard(Operation::DeleteMessage);
                told(s.messages.delete_message(guard, &self.message, self.at).await)
            }
            10 | 11 => {
                let guard = self.guard(Operation::EditMessage);
                let text = format!("edit {}", self.number % 3);
                told(s.messages.edit_message(guard, &self.message, text, self.at).await)
            }
            12 | 13 => {
                let to = (!self.n.is_multiple_of(5)).then(|| self.position());
                let wish = MoveReadCursor { room: self.room.clone(), to, at: self.at };
                let guard = self.guard(Operation::MoveReadCursor);
                told(s.messages.move_read_cursor(guard, wish).await)
            }
            14..=19 => {
                let guard = self.guard(Operation::SendMessage);
                told(s.messages.append_message(guard, self.new_message()).await)
            }
            20 | 21 => {
                let (connection, place) = (self.connection(), Place { pos: self.n, nth: 1 });
                let (room, after_seq) = (self.room.clone(), self.number);
                let open = OpenRoom { room, after_seq, shown: place };
                told(s.open.open_room(&connection, &self.actor, open, self.at).await)
            }
            _ => self.look(s).await,
        }
    }

    fn connection(&self) -> ConnectionId {
        ConnectionId::trusted(format!("c{}", self.number % 3))
    }

    async fn look(&self, s: &Subject) -> String {
        let limit = u32::try_from(self.number % 7 + 1).expect("small");
        let guard = reading(&self.actor);
        match self.kind {
            22 => {
                let anchor = match self.number % 3 {
                    0 => Anchor::Before(self.position()),
                    1 => Anchor::After(self.position()),
                    _ => Anchor::Around(self.position()),
                };
                told(s.messages.history(guard, &self.room, anchor, limit).await)
            }
            23 => told(s.messages.readers(guard, &self.message).await),
            24 => {
                let after = s.place(self.number * 3);
                told(s.counted(s.journal.events_for(&self.actor, after, limit).await))
            }
            25 => {
                let other = RoomId::trusted(format!("r{}", self.n % ROOMS));
                let rooms = [self.room.clone(), other];
                let after = s.place(self.number * 3);
                told(s.counted(s.journal.events_of(&self.actor, &rooms, after, limit).await))
            }
            26 if self.n.is_multiple_of(9) => {
                let before = Timestamp(self.at.0 - 20);
                told(s.open.forget_open_rooms(before).await)
            }
            26 => told(s.open.keep_open_rooms(&[self.connection()], self.at).await),
            _ => told(s.rooms.rooms_of(&self.actor, 0, limit).await),
        }
    }
}

/// Stores may leave places in the log free, so places are compared by how many events lie before.
impl Subject {
    /// `pos` of the nth event heard, or one as far beyond the last.
    fn place(&self, nth: u64) -> u64 {
        let heard = self.heard.events();
        let known = usize::try_from(nth).expect("small").min(heard.len());
        let pos = known.checked_sub(1).map_or(0, |last| heard[last].pos);
        pos + nth - known as u64
    }

    fn nth(&self, pos: u64) -> u64 {
        self.heard.events().iter().filter(|e| e.pos <= pos).count() as u64
    }

    fn numbered(&self, events: Vec<Event>) -> Vec<Event> {
        events.into_iter().map(|e| Event { pos: self.nth(e.pos), ..e }).collect()
    }

    fn counted<E>(&self, page: Result<LogPage, E>) -> Result<LogPage, E> {
        page.map(|page| {
            let (events, next) = (self.numbered(page.events), self.nth(page.next));
            LogPage { events, next, ..page }
        })
    }

    fn caught_up<E>(&self, page: Result<CatchUp, E>) -> Result<CatchUp, E> {
        page.map(|page| CatchUp { events: self.numbered(page.events), ..page })
    }
}

fn told(outcome: impl Debug) -> String {
    format!("{outcome:#?}")
}

/// Everything the actors can see in the end.
async fn everything(s: &Subject, people: &[Actor]) -> Vec<String> {
    let mut seen = Vec::new();
    for actor in people {
        seen.push(told(s.rooms.rooms_of(actor, 0, 100).await));
        seen.push(told(s.rooms.public_rooms(actor, 0, 100).await));
        seen.push(told(s.rooms.joined_rooms(actor).await));
        seen.push(told(s.caught_up(s.journal.inbox_events(actor, 0, 1_000).await)));
        seen.push(told(s.counted(s.journal.events_for(actor, 0, 1_000).await)));
        for n in 0..3 {
            let connection = ConnectionId::trusted(format!("c{n}"));
            seen.push(told(s.open.open_rooms(&connection, actor).await));
        }
        for n in 0..ROOMS {
            let room = RoomId::trusted(format!("r{n}"));
            let guard = reading(actor);
            seen.push(told(s.rooms.room(actor, &room).await));
            seen.push(told(s.rooms.members(guard.clone(), &room, 0, 100).await));
            let all = s.journal.room_events(guard.clone(), &room, 0, 1_000).await;
            seen.push(told(s.caught_up(all)));
            let latest = s.messages.history(guard, &room, Anchor::Latest, 100).await;
            for message in latest.iter().flat_map(|page| &page.items) {
                seen.push(told(s.messages.revisions(reading(actor), &message.id).await));
                seen.push(told(s.messages.readers(reading(actor), &message.id).await));
            }
            seen.push(told(latest));
        }
    }
    seen
}

async fn furnish(s: &Subject) -> Vec<Actor> {
    let people: [Actor; PEOPLE] = s.users().await;
    for n in 0..ROOMS {
        let owner = &people[n as usize];
        let kind = if n % 2 == 0 { RoomKind::Channel } else { RoomKind::Group };
        let visibility = if n % 2 == 0 { Visibility::Public } else { Visibility::Private };
        let id = format!("r{n}");
        let others: Vec<_> = people.iter().filter(|p| p.user != owner.user).skip(1).collect();
        s.try_room((owner, &others), kind, visibility, &id).await.expect("room");
    }
    people.into()
}

/// One random history; see [`compare`].
pub async fn random_histories_match_the_model(s: Subject) {
    compare(s, 7).await;
}

/// Some hundred steps made from a seed: each gives the same answer, and in the end all see the same.
pub async fn compare(s: Subject, seed: u64) {
    let heard = Recorder::new();
    let model = Subject::new(MemoryStore::new(heard.clone()), heard, ());
    let people = furnish(&s).await;
    furnish(&model).await;
    let mut dice = Dice(seed | 1);
    let mut sent = 0;
    for n in 0..STEPS {
        let step = Step::roll(&mut dice, &people, (n, sent));
        sent += u64::from(step.sends());
        let (got, expected) = (step.act(&s).await, step.act(&model).await);
        assert_eq!(got, expected, "seed {seed}, step {n}, kind {}", step.kind);
    }
    let (got, expected) = (everything(&s, &people).await, everything(&model, &people).await);
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got, expected, "seed {seed}, in the end");
    }
    let heard = s.numbered(s.heard.events());
    assert_eq!(heard, model.heard.events(), "seed {seed}");
    let kinds: std::collections::HashSet<_> = heard.iter().map(|e| e.fact.name()).collect();
    assert!(heard.len() > 100 && kinds.len() > 8, "seed {seed} tells too little: {kinds:?}");
}
