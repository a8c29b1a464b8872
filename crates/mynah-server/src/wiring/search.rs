//! Searching, and what keeps its index near the log.

use std::sync::Arc;

use mynah_domain::search::MessageSearch;
use tokio::sync::watch;

use super::gauges;
use crate::indexer::Indexer;
use crate::metrics::Metrics;
use crate::stores::Stores;

/// The use cases.
pub(super) fn message_search(stores: &Stores) -> MessageSearch {
    MessageSearch::new(Arc::clone(&stores.search))
}

/// Starts to index; `head` changes when something was stored.
pub(super) fn begin(metrics: &Metrics, stores: &Stores, head: watch::Receiver<u64>) -> Indexer {
    let indexer = Indexer::start(Arc::clone(&stores.search), head);
    gauges::watch_indexer(metrics, &indexer);
    indexer
}
