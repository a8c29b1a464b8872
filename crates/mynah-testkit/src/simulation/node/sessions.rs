//! Connections of clients: held until they have read what they missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mynah_hub::{Class, CloseReason, Frame, Link, NewSession, Pulse};

use super::super::clients::Wire;
use super::super::faults::Sabotage;
use super::super::store::Stored;
use super::super::wire::line;
use super::super::world::{Event, Question, World, topic_of};
use super::{DIALECT, Ends, Process, Session};

impl Process {
    pub(super) fn connect(
        &mut self,
        world: &mut World,
        (listener, connection): (usize, u64),
        wire: Wire,
        since: Vec<(usize, u64)>,
    ) {
        if wire.0.lock().is_shut {
            return;
        }
        wire.0.lock().is_accepted = true;
        let link = Link::Stream { socket: wire.clone(), compact: false };
        let events = Arc::<Ends>::clone(&self.ends);
        let new = NewSession { dialect: DIALECT, link, events, pulse: Pulse::default() };
        let Ok(id) = self.shard.attach(new) else { return };
        self.shard.hold(id, DIALECT);
        let user = world.listeners[listener].number;
        let here = self.users.entry(user).or_insert((0, world.now));
        here.0 += 1;
        if here.0 == 1 {
            self.people.came(user);
        }
        let mut waits_for = BTreeSet::new();
        for &(room, _) in &since {
            self.shard.subscribe(id, DIALECT, &topic_of(room));
            self.interest[room] += 1;
            if self.interest[room] == 1 {
                self.unsettled.insert(room);
                self.follower.want(world.now, &topic_of(room));
            }
            if self.unsettled.contains(&room) && world.run.sabotage != Sabotage::NoSettling {
                waits_for.insert(room);
            }
        }
        let session = Session { id, listener, connection, wire, since, waits_for, tries: 0 };
        let is_ready = session.waits_for.is_empty();
        // Listeners count their connections apart from each other.
        let key = key(listener, connection);
        self.sessions.insert(key, session);
        if is_ready {
            self.ask_history(world, key);
        }
    }

    pub(super) fn ask_history(&mut self, world: &mut World, key: u64) {
        let Some(session) = self.sessions.get(&key) else { return };
        let after = session.since.clone();
        world.ask(self.node, Question::History { connection: key, after });
    }

    pub(super) fn history(
        &mut self,
        world: &mut World,
        key: u64,
        rooms: Option<Vec<(usize, Vec<Stored>)>>,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let id = session.id;
        let Some(rooms) = rooms else {
            session.tries += 1;
            if session.tries < 5 {
                return self.ask_history(world, key);
            }
            return self.shard.detach(id, CloseReason::Named("the store does not answer"));
        };
        let since: BTreeMap<usize, u64> = session.since.iter().copied().collect();
        let mut after = Vec::new();
        for (room, events) in rooms {
            let head = events.last().map(|stored| stored.seq);
            after.push((topic_of(room), head.or(since.get(&room).copied()).unwrap_or(0)));
            for some in events.chunks(64) {
                for stored in some {
                    self.shard.send(id, Frame::stream_only(line(stored, None)), Class::Durable);
                }
                while self.shard.flush(64) {}
            }
        }
        self.shard.resume(id, DIALECT, &after);
    }

    pub(super) fn settled(&mut self, world: &mut World, room: usize) {
        self.unsettled.remove(&room);
        let mut ready = Vec::new();
        for (key, session) in &mut self.sessions {
            if session.waits_for.remove(&room) && session.waits_for.is_empty() {
                ready.push(*key);
            }
        }
        for key in ready {
            self.ask_history(world, key);
        }
    }

    pub(super) fn end_sessions(&mut self, world: &mut World) {
        let ended = std::mem::take(&mut *self.ends.0.lock());
        for id in ended {
            let Some(key) = self.sessions.iter().find(|(_, it)| it.id == id).map(|(key, _)| *key)
            else {
                continue;
            };
            let Some(session) = self.sessions.remove(&key) else { continue };
            let user = world.listeners[session.listener].number;
            if let Some(here) = self.users.get_mut(&user) {
                here.0 -= 1;
                if here.0 == 0 {
                    self.users.remove(&user);
                    self.people.went(&user);
                }
            }
            for &(room, _) in &session.since {
                self.interest[room] -= 1;
                if self.interest[room] == 0 {
                    self.unsettled.remove(&room);
                    self.follower.unwant(world.now, &topic_of(room));
                }
            }
            self.ending.push(session);
        }
    }
}

pub(super) fn key(listener: usize, connection: u64) -> u64 {
    (listener as u64) << 32 | connection
}

pub(super) fn tell_client(world: &mut World, session: &Session) {
    let is_due = {
        let mut cable = session.wire.0.lock();
        let has_news = !cable.out.is_empty() || cable.is_shut;
        has_news && !std::mem::replace(&mut cable.is_told, has_news)
    };
    if is_due {
        let (listener, connection) = (session.listener, session.connection);
        let ms = world.dice.between(1, 8);
        world.after(ms, Event::Read { listener, connection });
    }
}
