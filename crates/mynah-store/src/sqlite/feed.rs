//! Streams, for those who deliver them.

use async_trait::async_trait;
use mynah_domain::TenantId;
use mynah_domain::event::{CatchUp, Stream};
use mynah_domain::ports::{FeedStore, StoreError};
use rusqlite::Connection;

use super::trouble::Trouble;
use super::{SqliteStore, journal, rows};
use crate::facts;

#[async_trait]
impl FeedStore for SqliteStore {
    async fn stream_events(
        &self,
        tenant: &TenantId,
        stream: &Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        let (tenant, stream) = (tenant.clone(), stream.clone());
        let read = move |conn: &Connection| {
            let head = head(conn, &tenant, &stream)?;
            journal::catch_up(conn, head, after_seq, limit)
        };
        self.reads.call(read).await
    }

    async fn settled_pos(&self) -> Result<u64, StoreError> {
        self.writes.call(|tx| journal::head_pos(tx.conn)).await
    }

    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError> {
        let streams = streams.to_vec();
        let read = move |conn: &Connection| {
            let heads = streams.iter().map(|(tenant, stream)| Ok(head(conn, tenant, stream)?.1));
            heads.collect()
        };
        self.reads.call(read).await
    }
}

fn head(
    conn: &Connection,
    tenant: &TenantId,
    stream: &Stream,
) -> Result<journal::Head, Trouble<StoreError>> {
    Ok(match stream {
        Stream::Room(room) => rows::room_by_id(conn, room)?
            .map_or((facts::room_stream(0), 0), |room| {
                (facts::room_stream(room.row), room.room.last_seq)
            }),
        Stream::User(user) => rows::user_by_id(conn, tenant, user)?
            .map_or((facts::inbox_stream(0), 0), |user| {
                (facts::inbox_stream(user.row), user.inbox_seq)
            }),
    })
}
