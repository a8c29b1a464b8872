//! Rooms full of connected clients, at Mynah or at the floor.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Context, Shape};
use crate::fleet::{Connected, Dial, Fleet, Speech};
use crate::launch::{MynahSetup, Server};
use crate::world;

/// Handshakes under way at a time.
pub(super) const AT_ONCE: usize = 128;
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
pub(super) const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Equal rooms.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    pub(super) rooms: u32,
    /// Clients of a room that receive each message.
    pub(super) members: u32,
    /// Clients of a room that send; they are members if the server sends them their own messages, else they are
    /// there besides.
    pub(super) senders: u32,
}

pub(super) struct Seat {
    pub(super) room: u32,
    pub(super) receives: bool,
    pub(super) sends: bool,
}

impl Crowd {
    pub(super) fn seats(self, echo: bool) -> Vec<Seat> {
        let extra = if echo { 0 } else { self.senders };
        let mut seats = Vec::new();
        for room in 0..self.rooms {
            for place in 0..self.members + extra {
                let sends = place < self.senders;
                seats.push(Seat { room, receives: echo || !sends, sends });
            }
        }
        seats
    }

    /// Indices of the clients that send, taking rooms in turn.
    pub(super) fn senders(self, echo: bool) -> Vec<u32> {
        let seats = self.seats(echo);
        let sends = seats.iter().enumerate().filter(|(_, seat)| seat.sends);
        sends.map(|(index, _)| index as u32).collect()
    }

    /// Makes the rooms on a server.
    pub(super) fn settle(
        self,
        server: &Server,
        setup: &MynahSetup,
        echo: bool,
    ) -> Result<Vec<String>> {
        let joins: Vec<Vec<u32>> = self.seats(echo).iter().map(|seat| vec![seat.room]).collect();
        world::build(server, setup, self.rooms as usize, &joins)
    }

    /// Connects everybody to Mynah, with tokens issued `age_s` seconds ago.
    pub(super) fn connect(
        self,
        server: &Server,
        setup: &MynahSetup,
        rooms: Vec<String>,
        (echo, age_s): (bool, u64),
    ) -> Result<(Fleet, Connected)> {
        let mut fleet = Fleet::new(rooms, true)?;
        let dials = self.seats(echo).into_iter().enumerate().map(|(index, seat)| Dial {
            address: server.address,
            target: TARGET.to_owned(),
            speech: Speech::SocketIo(setup.token(&world::user(index), age_s)),
            room: seat.room,
            receives: seat.receives,
        });
        let connected = fleet.connect(dials.collect(), AT_ONCE, CONNECT_TIMEOUT)?;
        Ok((fleet, connected))
    }

    /// Connects everybody to the floor.
    pub(super) fn connect_floor(self, server: &Server, echo: bool) -> Result<(Fleet, Connected)> {
        let rooms = (0..self.rooms).map(|room| format!("floor-{room:030}")).collect();
        let mut fleet = Fleet::new(rooms, false)?;
        let dials = self.seats(echo).into_iter().map(|seat| Dial {
            address: server.address,
            target: format!("/?room={}&receives={}", seat.room, u8::from(seat.receives)),
            speech: Speech::SocketIo("x".repeat(200)),
            room: seat.room,
            receives: seat.receives,
        });
        let connected = fleet.connect(dials.collect(), AT_ONCE, CONNECT_TIMEOUT)?;
        Ok((fleet, connected))
    }
}

/// Connects sessions that are each in several rooms; they send nothing.
pub(super) fn connect_sessions(
    server: &Server,
    setup: &MynahSetup,
    count: u32,
    age_s: u64,
) -> Result<Fleet> {
    let mut fleet = Fleet::new(vec![String::new()], true)?;
    let dials = (0..count as usize).map(|index| Dial {
        address: server.address,
        target: TARGET.to_owned(),
        speech: Speech::SocketIo(setup.token(&world::user(index), age_s)),
        room: 0,
        receives: false,
    });
    fleet.connect(dials.collect(), AT_ONCE, CONNECT_TIMEOUT)?;
    Ok(fleet)
}

/// One message in a room of two: how long its frame is and whether the sender gets it, too.
pub(super) fn probe(context: &Context) -> Result<Shape> {
    let server = Server::mynah(&context.setup, &context.data()?)?;
    let crowd = Crowd { rooms: 1, members: 2, senders: 1 };
    let rooms = crowd.settle(&server, &context.setup, true)?;
    let (mut fleet, _) = crowd.connect(&server, &context.setup, rooms, (true, 1))?;
    fleet.settle(Duration::from_millis(200), Duration::from_secs(2))?;
    fleet.publish(0, 1)?;
    fleet.drain(Duration::from_secs(2))?;
    let delivered = fleet.counts.deliveries;
    ensure!(
        fleet.counts.acked == 1 && delivered > 0,
        "the first message was not acknowledged and delivered: {} acks, {delivered} deliveries, {}",
        fleet.counts.acked,
        fleet.counts.first_trouble.as_deref().unwrap_or("no error said")
    );
    let echo = fleet.clients.first().is_some_and(|client| client.received > 0);
    Ok(Shape { frame_bytes: (fleet.counts.delivered_bytes / delivered) as usize, echo })
}
