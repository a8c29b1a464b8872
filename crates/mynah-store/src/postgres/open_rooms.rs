//! Which rooms connections have opened.
//!
//! The date lies with the connection, not with each room: keeping a connection writes one row.

use async_trait::async_trait;
use mynah_domain::permission::Actor;
use mynah_domain::ports::{OpenRoomStore, StoreError};
use mynah_domain::recovery::{OPEN_ROOMS_MAX, OpenRoom, Place};
use mynah_domain::{ConnectionId, RoomId, Timestamp};
use tokio_postgres::Row;

use super::db::Db;
use super::params::Param;
use super::pool::reading;
use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{PostgresStore, rows, sql};

/// Rows that one write changes at most; forgetting goes beyond by the rooms of one connection.
const STEP_ROWS: usize = 1_000;

type Outcome<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl OpenRoomStore for PostgresStore {
    async fn open_room(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
        room: OpenRoom,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (connection, viewer) = (connection.clone(), viewer.clone());
        let write = async move |tx: &mut Tx<'_>| open(tx, (&connection, &viewer), &room, at).await;
        self.writes.call_quietly(write).await
    }

    async fn open_rooms(
        &self,
        connection: &ConnectionId,
        viewer: &Actor,
    ) -> Result<Vec<OpenRoom>, StoreError> {
        reading!(self.reads, db => opened(db, connection, viewer))
    }

    async fn keep_open_rooms(
        &self,
        connections: &[ConnectionId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for step in connections.chunks(STEP_ROWS) {
            let step = step.to_vec();
            let write = async move |tx: &mut Tx<'_>| keep(tx.db, &step, at).await;
            self.writes.call_quietly(write).await?;
        }
        Ok(())
    }

    async fn forget_open_rooms(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let write = async move |tx: &mut Tx<'_>| forget(tx.db, before).await;
            let step = self.writes.call_quietly(write).await?;
            forgotten += step.open_rooms as u64;
            if step.all {
                return Ok(forgotten);
            }
        }
    }
}

async fn open(
    tx: &mut Tx<'_>,
    (connection, viewer): (&ConnectionId, &Actor),
    open: &OpenRoom,
    at: Timestamp,
) -> Outcome<()> {
    let Some(user) = tx.user(&viewer.tenant, &viewer.user).await? else { return Ok(()) };
    let Some(room) = tx.see_room(&open.room).await? else { return Ok(()) };
    let name = connection.as_str();
    let seen: [&dyn Param; 3] = [&name, &user.row, &at.0];
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let row = tx.db.first(sql::rooms::CONNECTION_SEEN, &seen, id).await?;
    let row = row.ok_or_else(|| inconsistent("connections", connection))?;
    let (after, pos, nth) =
        (open.after_seq.cast_signed(), open.shown.pos.cast_signed(), i64::from(open.shown.nth));
    let values: [&dyn Param; 5] = [&row, &room, &after, &pos, &nth];
    tx.db.run(sql::rooms::OPEN_ROOM_REPLACE, &values).await?;
    tx.db.run(sql::rooms::OPEN_ROOMS_BOUND, &[&row, &(OPEN_ROOMS_MAX as i64)]).await?;
    Ok(())
}

async fn opened(db: &Db, connection: &ConnectionId, viewer: &Actor) -> Outcome<Vec<OpenRoom>> {
    let Some(user) = rows::user_by_id(db, &viewer.tenant, &viewer.user).await? else {
        return Ok(Vec::new());
    };
    let read = |row: &Row| {
        let (pos, nth) = (rows::count(row, 2)?, row.try_get::<_, i64>(3)? as u32);
        Ok(OpenRoom {
            room: RoomId::trusted(row.try_get::<_, String>(0)?),
            after_seq: rows::count(row, 1)?,
            shown: Place { pos, nth },
        })
    };
    Ok(db.all(sql::rooms::OPEN_ROOMS, &[&connection.as_str(), &user.row], read).await?)
}

async fn keep(db: &Db, connections: &[ConnectionId], at: Timestamp) -> Outcome<()> {
    let names: Vec<&str> = connections.iter().map(ConnectionId::as_str).collect();
    db.run(sql::rooms::CONNECTIONS_KEEP, &[&names, &at.0]).await?;
    Ok(())
}

/// What one step of forgetting did.
struct Forgotten {
    open_rooms: usize,
    /// Nothing is left to forget.
    all: bool,
}

async fn forget(db: &Db, before: Timestamp) -> Outcome<Forgotten> {
    let most = STEP_ROWS as i64;
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let gone = db.all(sql::rooms::CONNECTIONS_UNSEEN, &[&before.0, &most], id).await?;
    let (mut open_rooms, mut changed) = (0, 0);
    for connection in &gone {
        if changed >= STEP_ROWS {
            return Ok(Forgotten { open_rooms, all: false });
        }
        let rooms = db.run(sql::rooms::OPEN_ROOMS_FORGET, &[connection]).await?;
        db.run(sql::rooms::CONNECTION_FORGET, &[connection]).await?;
        open_rooms += rooms;
        changed += rooms + 1;
    }
    Ok(Forgotten { open_rooms, all: gone.len() < STEP_ROWS })
}
