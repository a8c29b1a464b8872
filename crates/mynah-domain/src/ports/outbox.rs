//! The durable queue of what is to be told outside.

use async_trait::async_trait;

use super::StoreError;
use crate::outbox::{
    DeadLetters, Delivery, DeliveryId, Endpoint, Leased, NewDelivery, OutboxBounds, OutboxCount,
    Settled, Waiting,
};
use crate::{AppId, Timestamp};

/// Deliveries that wait, and dead letters.
///
/// Nothing here is an event: no listener is told.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Keeps deliveries, in order, all or none. Where an app then exceeds the bounds, those of its
    /// deliveries that wait longest become dead letters ([`DISPLACED`](crate::outbox::DISPLACED)), and
    /// its oldest dead letters are deleted. Answers how many became dead letters, by app.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        bounds: OutboxBounds,
    ) -> Result<Vec<(AppId, u64)>, StoreError>;

    /// Endpoints that something waits for, in a fixed order, after `after` in that order (`None`: from
    /// the first), at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn waiting(
        &self,
        after: Option<&Endpoint>,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError>;

    /// Hands out what is due at `now` for an endpoint, at most `limit`. What is handed out is due again
    /// at `until` if it is not settled before.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn lease(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Leased, StoreError>;

    /// Keeps what became of leased deliveries, all at once; those that are no longer there are passed
    /// over, and so are failures of what is a dead letter already.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn settle(
        &self,
        settled: Vec<Settled>,
        at: Timestamp,
        bounds: OutboxBounds,
    ) -> Result<(), StoreError>;

    /// Gives up what has waited for an endpoint since before `before`, with a reason; answers how many.
    /// Works in several bounded steps.
    ///
    /// # Errors
    /// [`StoreError`]; some may be given up then.
    async fn give_up(
        &self,
        endpoint: &Endpoint,
        before: Timestamp,
        (at, error): (Timestamp, &str),
        bounds: OutboxBounds,
    ) -> Result<u64, StoreError>;

    /// Dead letters of an app, or of all apps, by number, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Makes dead letters wait again, as if they had not been tried, due at `at`; answers how many. Works
    /// in several bounded steps.
    ///
    /// # Errors
    /// [`StoreError`]; some may wait again then.
    async fn revive(&self, which: &DeadLetters, at: Timestamp) -> Result<u64, StoreError>;

    /// Deletes dead letters; answers how many. Works in several bounded steps.
    ///
    /// # Errors
    /// [`StoreError`]; some may be gone then.
    async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError>;

    /// Deletes what is a dead letter since before `before`, and what is known of endpoints and apps
    /// without deliveries; answers how many dead letters that were. Works in several bounded steps.
    ///
    /// # Errors
    /// [`StoreError`]; some may be gone then.
    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// What each app has in the outbox; apps with nothing may be left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counts(&self) -> Result<Vec<OutboxCount>, StoreError>;
}
