//! Which rooms connections have opened.
//!
//! The date lies with the connection, not with each room: keeping a connection writes one row.

use async_trait::async_trait;
use mynah_domain::permission::Actor;
use mynah_domain::ports::{OpenRoomStore, StoreError};
use mynah_domain::recovery::{OPEN_ROOMS_MAX, OpenRoom, Place};
use mynah_domain::{ConnectionId, RoomId, Timestamp};
use rusqlite::Connection;

use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{SqliteStore, rows, sql};

/// Rows that one write changes at most; forgetting goes beyond by the rooms of one connection.
const STEP_ROWS: usize = 1_000;

type Outcome<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl OpenRoomStore for SqliteStore {
    async fn open_room(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
        room: OpenRoom,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (connection, viewer) = (connection.clone(), viewer.clone());
        let write = move |tx: &mut Tx<'_>| open(tx, (&connection, &viewer), &room, at);
        self.writes.call(write).await
    }

    async fn open_rooms(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
    ) -> Result<Vec<OpenRoom>, StoreError> {
        let (connection, viewer) = (connection.clone(), viewer.clone());
        self.reads.call(move |conn| opened(conn, &connection, &viewer)).await
    }

    async fn keep_open_rooms(
        &self,
        connections: &[ConnectionId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for step in connections.chunks(STEP_ROWS) {
            let step = step.to_vec();
            self.writes.call(move |tx: &mut Tx<'_>| keep(tx.conn, &step, at)).await?;
        }
        Ok(())
    }

    async fn forget_open_rooms(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let step = self.writes.call(move |tx: &mut Tx<'_>| forget(tx.conn, before)).await?;
            forgotten += step.open_rooms as u64;
            if step.all {
                return Ok(forgotten);
            }
        }
    }
}

fn open(
    tx: &mut Tx<'_>,
    (connection, viewer): (&ConnectionId, &Actor),
    open: &OpenRoom,
    at: Timestamp,
) -> Outcome<()> {
    let Some(user) = tx.user(&viewer.tenant, &viewer.user)? else { return Ok(()) };
    let Some(room) = tx.room_id(&open.room)? else { return Ok(()) };
    let seen = (connection.as_str(), user.row, at.0);
    let row = rows::first(tx.conn, sql::CONNECTION_SEEN, seen, |r| r.get::<_, i64>(0))?;
    let row = row.ok_or_else(|| inconsistent("connections", connection))?;
    let place = (open.shown.pos.cast_signed(), open.shown.nth);
    let values = (row, room, open.after_seq.cast_signed(), place.0, place.1);
    rows::execute(tx.conn, sql::OPEN_ROOM_REPLACE, values)?;
    rows::execute(tx.conn, sql::OPEN_ROOMS_BOUND, (row, OPEN_ROOMS_MAX as i64))?;
    Ok(())
}

fn opened(conn: &Connection, connection: &ConnectionId, viewer: &Actor) -> Outcome<Vec<OpenRoom>> {
    let Some(user) = rows::user_by_id(conn, &viewer.tenant, &viewer.user)? else {
        return Ok(Vec::new());
    };
    let found = rows::all(conn, sql::OPEN_ROOMS, (connection.as_str(), user.row), |row| {
        Ok(OpenRoom {
            room: RoomId::trusted(row.get::<_, String>(0)?),
            after_seq: rows::count(row, 1)?,
            shown: Place { pos: rows::count(row, 2)?, nth: row.get(3)? },
        })
    })?;
    Ok(found)
}

fn keep(conn: &Connection, connections: &[ConnectionId], at: Timestamp) -> Outcome<()> {
    for connection in connections {
        rows::execute(conn, sql::CONNECTION_KEEP, (connection.as_str(), at.0))?;
    }
    Ok(())
}

/// What one step of forgetting did.
struct Forgotten {
    open_rooms: usize,
    /// Nothing is left to forget.
    all: bool,
}

fn forget(conn: &Connection, before: Timestamp) -> Outcome<Forgotten> {
    let params = (before.0, STEP_ROWS as i64);
    let gone = rows::all(conn, sql::CONNECTIONS_UNSEEN, params, |row| row.get::<_, i64>(0))?;
    let (mut open_rooms, mut changed) = (0, 0);
    for connection in &gone {
        if changed >= STEP_ROWS {
            return Ok(Forgotten { open_rooms, all: false });
        }
        let rooms = rows::execute(conn, sql::OPEN_ROOMS_FORGET, [connection])?;
        rows::execute(conn, sql::CONNECTION_FORGET, [connection])?;
        open_rooms += rooms;
        changed += rooms + 1;
    }
    Ok(Forgotten { open_rooms, all: gone.len() < STEP_ROWS })
}
