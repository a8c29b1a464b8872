//! The journal, read.
//!
//! The whole log is read up to its settled head: the last place of a transaction that is older than every
//! one still running. What lies there will not change; what lies above waits for the next reader. The log
//! of one stream is read to its end, as its places follow each other without gaps.

use async_trait::async_trait;
use mynah_domain::RoomId;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{CatchUp, LogPage};
use mynah_domain::permission::{Actor, Guard};
use mynah_domain::ports::{JournalStore, StoreError};
use mynah_domain::recovery::LogEpoch;

use crate::facts as streams;

use super::db::Db;
use super::facts;
use super::params::{Param, count};
use super::pool::reading;
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::Tx;
use super::{PostgresStore, lists, rows, sql};

#[async_trait]
impl JournalStore for PostgresStore {
    async fn room_events(
        &self,
        guard: Guard,
        room: &RoomId,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, ChatError> {
        reading!(self.reads, db => async {
            let room = lists::enter(db, &guard, room).await?;
            let stream = (streams::room_stream(room.row), room.room.last_seq);
            Ok::<_, Trouble<ChatError>>(catch_up(db, stream, after_seq, limit).await?)
        })
    }

    async fn inbox_events(
        &self,
        viewer: &Actor,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        reading!(self.reads, db => async {
            let user = rows::user_by_id(db, &viewer.tenant, &viewer.user).await?;
            let (row, head) = user.map_or((0, 0), |user| (user.row, user.inbox_seq));
            let stream = (streams::inbox_stream(row), head);
            Ok::<_, Trouble<StoreError>>(catch_up(db, stream, after_seq, limit).await?)
        })
    }

    async fn events_for(
        &self,
        viewer: &Actor,
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        reading!(self.reads, db => log_page(db, viewer, None, (after_pos, limit)))
    }

    async fn events_of(
        &self,
        viewer: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        reading!(self.reads, db => log_page(db, viewer, Some(rooms), (after_pos, limit)))
    }

    async fn head_pos(&self) -> Result<u64, StoreError> {
        reading!(self.reads, db => async { Ok::<_, Trouble<StoreError>>(head_pos(db).await?) })
    }

    async fn log_epoch(&self) -> Result<LogEpoch, StoreError> {
        reading!(self.reads, db => async {
            let found = db.first(sql::journal::LOG_EPOCH, &[], |row| row.try_get::<_, i64>(0)).await?;
            let epoch = found.ok_or_else(|| inconsistent("logs", &1))?;
            Ok::<_, Trouble<StoreError>>(LogEpoch(epoch.cast_unsigned()))
        })
    }

    async fn probe(&self) -> Result<(), StoreError> {
        if self.fence.is_lost() {
            return Err(StoreError::Fenced);
        }
        let write = async |tx: &mut Tx<'_>| {
            tx.db.run(sql::nodes::PROBE_WRITE, &[]).await?;
            Ok::<_, Trouble<StoreError>>(())
        };
        self.writes.call_quietly(write).await?;
        reading!(self.reads, db => async {
            let found = db.rows(sql::nodes::PROBE_READ, &[]).await?;
            let found = found.first().map(|_| ()).ok_or_else(|| inconsistent("probes", &1))?;
            Ok::<_, Trouble<StoreError>>(found)
        })
    }
}

/// The settled head of the whole log.
pub(super) async fn head_pos(db: &Db) -> Result<u64, Failure> {
    let head = db.first(sql::journal::LOG_HEAD, &[], |row| rows::count(row, 0)).await?;
    Ok(head.unwrap_or(0))
}

/// A stream's id and its newest `seq`.
pub(super) type Head = (i64, u64);

pub(super) async fn catch_up(
    db: &Db,
    (stream, head_seq): Head,
    after_seq: u64,
    limit: u32,
) -> Result<CatchUp, Failure> {
    if after_seq > head_seq {
        return Ok(CatchUp { events: Vec::new(), head_seq, gap: true });
    }
    let (after, most) = (count(after_seq), i64::from(limit));
    let params: [&dyn Param; 3] = [&stream, &after, &most];
    let found = db.all(sql::journal::EVENTS_AFTER_SEQ, &params, facts::event_row).await?;
    let events = facts::replay(db, &found).await?;
    let first = events.first().map_or(head_seq + 1, |event| event.seq);
    let gap = (first != after_seq + 1 && limit > 0) || events.len() < found.len();
    Ok(CatchUp { events, head_seq, gap })
}

/// A page of the viewer's inbox and rooms; of `rooms` only, if they are named.
async fn log_page(
    db: &Db,
    viewer: &Actor,
    rooms: Option<&[RoomId]>,
    (after_pos, limit): (u64, u32),
) -> Result<LogPage, Trouble<StoreError>> {
    let head = head_pos(db).await?;
    let quiet = |gap| LogPage { events: Vec::new(), next: head, gap, more: false };
    if after_pos > head {
        return Ok(quiet(true));
    }
    let Some(user) = rows::user_by_id(db, &viewer.tenant, &viewer.user).await? else {
        return Ok(quiet(false));
    };
    let (after, up_to, wanted) = (count(after_pos), count(head), i64::from(limit) + 1);
    let names: Vec<&str>;
    let mut params: Vec<&dyn Param> = vec![&user.row, &after, &up_to, &wanted];
    let statement = match rooms {
        None => sql::journal::EVENTS_FOR,
        Some(rooms) => {
            names = rooms.iter().map(RoomId::as_str).collect();
            params.push(&names);
            sql::journal::EVENTS_OF
        }
    };
    let mut found = db.all(statement, &params, facts::event_row).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let events = facts::replay(db, &found).await?;
    let last = found.last().map_or(after_pos, |row| row.pos);
    let next = if more { last } else { head };
    Ok(LogPage { events, next, gap: false, more })
}
