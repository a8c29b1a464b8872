//! Streams, for those who deliver them.

use async_trait::async_trait;
use mynah_domain::TenantId;
use mynah_domain::event::{CatchUp, Stream};
use mynah_domain::ports::{FeedStore, StoreError};
use tokio_postgres::Row;

use crate::facts as streams;

use super::db::Db;
use super::journal::{self, Head};
use super::pool::reading;
use super::trouble::{Failure, Trouble};
use super::tx::Tx;
use super::{PostgresStore, rows, sql};

#[async_trait]
impl FeedStore for PostgresStore {
    async fn stream_events(
        &self,
        tenant: &TenantId,
        stream: &Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        reading!(self.reads, db => async {
            let head = head(db, tenant, stream).await?;
            Ok::<_, Trouble<StoreError>>(journal::catch_up(db, head, after_seq, limit).await?)
        })
    }

    async fn settled_pos(&self) -> Result<u64, StoreError> {
        // Where the writes are run, so that all before it were told of.
        let read =
            async |tx: &mut Tx<'_>| Ok::<_, Trouble<StoreError>>(journal::head_pos(tx.db).await?);
        self.writes.call_quietly(read).await
    }

    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError> {
        reading!(self.reads, db => heads(db, streams))
    }
}

async fn head(db: &Db, tenant: &TenantId, stream: &Stream) -> Result<Head, Failure> {
    Ok(match stream {
        Stream::Room(room) => {
            rows::room_by_id(db, room).await?.map_or((streams::room_stream(0), 0), |room| {
                (streams::room_stream(room.row), room.room.last_seq)
            })
        }
        Stream::User(user) => rows::user_by_id(db, tenant, user)
            .await?
            .map_or((streams::inbox_stream(0), 0), |user| {
                (streams::inbox_stream(user.row), user.inbox_seq)
            }),
    })
}

async fn heads(db: &Db, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, Trouble<StoreError>> {
    let (mut rooms, mut room_places) = (Vec::new(), Vec::new());
    let (mut tenants, mut users, mut user_places) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, stream), place) in streams.iter().zip(0_usize..) {
        match stream {
            Stream::Room(room) => {
                rooms.push(room.as_str());
                room_places.push(place);
            }
            Stream::User(user) => {
                tenants.push(tenant.as_str());
                users.push(user.as_str());
                user_places.push(place);
            }
        }
    }
    let read = |row: &Row| Ok((row.try_get::<_, i64>(0)?, rows::count(row, 1)?));
    let (of_rooms, of_users) = tokio::try_join!(
        Box::pin(async { db.all(sql::rooms::ROOM_HEADS, &[&rooms], read).await }),
        Box::pin(async { db.all(sql::accounts::INBOX_HEADS, &[&tenants, &users], read).await }),
    )?;
    let mut heads = vec![0; streams.len()];
    for (found, places) in [(of_rooms, room_places), (of_users, user_places)] {
        for (nth, seq) in found {
            let place = places.get((nth - 1) as usize).and_then(|place| heads.get_mut(*place));
            if let Some(head) = place {
                *head = seq;
            }
        }
    }
    Ok(heads)
}
