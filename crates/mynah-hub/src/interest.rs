//! Who outside wants to know which topics have subscribers here.

use async_trait::async_trait;

use crate::Topic;

/// Is told by every shard of the topics that sessions of it subscribe to: a topic that is heard in several
/// shards is gained and lost once in each.
#[async_trait]
pub trait Interest: Send + Sync + 'static {
    /// A topic has its first subscriber in a shard. Called on the shard's task: must not block.
    fn gained(&self, topic: &Topic);

    /// A topic has no subscriber in a shard any more. Called on the shard's task: must not block.
    fn lost(&self, topic: &Topic);

    /// Waits until whatever is published to these topics anywhere from now on comes here; `false` if that cannot be
    /// had within a bounded time. Topics that were not gained are passed over.
    async fn settled(&self, topics: &[Topic]) -> bool;
}
