//! Streams, for those who deliver them.

use async_trait::async_trait;
use mynah_domain::TenantId;
use mynah_domain::event::{CatchUp, Stream};
use mynah_domain::ports::{FeedStore, StoreError};

use super::{MemoryStore, State};

#[async_trait]
impl FeedStore for MemoryStore {
    async fn stream_events(
        &self,
        tenant: &TenantId,
        stream: &Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        self.read(|state| {
            let (tenant, head) = state.head(tenant, stream);
            state.catch_up(&tenant, (stream.clone(), head), after_seq, limit)
        })
    }

    async fn settled_pos(&self) -> Result<u64, StoreError> {
        self.read(|state| state.log.len() as u64)
    }

    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError> {
        self.read(|state| {
            streams.iter().map(|(tenant, stream)| state.head(tenant, stream).1).collect()
        })
    }
}

impl State {
    /// A stream's own tenant and its newest `seq`.
    fn head(&self, tenant: &TenantId, stream: &Stream) -> (TenantId, u64) {
        let none = || (tenant.clone(), 0);
        match stream {
            Stream::Room(id) => {
                self.place(id).map_or_else(none, |p| (p.room.tenant.clone(), p.room.last_seq))
            }
            Stream::User(id) => {
                self.account(tenant, id).map_or_else(none, |a| (tenant.clone(), a.inbox_seq))
            }
        }
    }
}
