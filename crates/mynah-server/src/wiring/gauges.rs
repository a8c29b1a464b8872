//! What operators read off the parts.

use mynah_hub::{Hub, HubStats};
use mynah_store::postgres::PostgresStats;
use mynah_store::sqlite::StoreStats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::node::NodeStats;
use crate::cluster::voice::Voice;
use crate::engine_io::Traffic;
use crate::indexer::Indexer;
use crate::interop::Interop;
use crate::live::Live;
use crate::metrics::{Metrics, Sample, SampleKind};
use crate::pusher::{Channels, Traffic as PusherTraffic};
use crate::stores::{EngineStats, Stores};

fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample { name, help, kind: SampleKind::Gauge, value }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample { name, help, kind: SampleKind::Counter, value }
}

/// What every installation has.
pub(super) fn watch(
    metrics: &Metrics,
    (hub, stores, live): (&Hub, &Stores, &Live),
    interop: Option<&Interop>,
) {
    if let Some(interop) = interop {
        watch_interop(metrics, interop);
    }
    watch_hub(metrics, hub);
    watch_store(metrics, stores);
    watch_live(metrics, live);
}

fn watch_hub(metrics: &Metrics, hub: &Hub) {
    let hub = hub.clone();
    metrics.add_source(move || {
        let stats = hub.stats();
        let mut samples = closes(&stats);
        samples.extend([
            gauge("sessions", "Open connections", stats.sessions),
            gauge("topics", "Topics with subscribers", stats.topics),
            gauge("subscriptions", "Subscriptions", stats.subscriptions),
            gauge("queued_frames", "Frames waiting for slow connections", stats.queued_frames),
            gauge("queued_bytes", "Bytes waiting for slow connections", stats.queued_bytes),
            gauge(
                "kept_frames",
                "Frames kept back while a connection catches up",
                stats.kept_frames,
            ),
            gauge("kept_bytes", "Bytes kept back while a connection catches up", stats.kept_bytes),
            counter("publications", "Publications fanned out", stats.publications),
            counter("deliveries", "Frames written to connections", stats.deliveries),
            counter("write_calls", "Write system calls", stats.write_calls),
            counter(
                "dropped_ephemeral",
                "Typing and presence frames dropped for slow connections",
                stats.dropped_ephemeral,
            ),
        ]);
        samples
    });
}

/// Why connections ended.
fn closes(stats: &HubStats) -> Vec<Sample> {
    vec![
        counter("closed_slow", "Connections closed as too slow", stats.closed_slow),
        counter(
            "closed_ping_timeout",
            "Connections closed because pings were not answered",
            stats.closed_ping_timeout,
        ),
        counter(
            "closed_poll_overlap",
            "Connections closed because they polled twice at once",
            stats.closed_poll_overlap,
        ),
        counter(
            "closed_link_failed",
            "Connections that ended because a write failed",
            stats.closed_link_failed,
        ),
        counter(
            "closed_too_many_subscriptions",
            "Connections closed because they entered too many rooms",
            stats.closed_too_many_subscriptions,
        ),
        counter("closed_peer_gone", "Connections that their peer ended", stats.closed_peer_gone),
        counter(
            "closed_hub_stopped",
            "Connections closed because the process ended",
            stats.closed_hub_stopped,
        ),
        counter(
            "closed_named",
            "Connections closed for other reasons, such as a sign-out or a drain",
            stats.closed_named,
        ),
    ]
}

/// The store is watched without being held: its owner closes it at the end.
fn watch_store(metrics: &Metrics, stores: &Stores) {
    let read = stores.watch();
    metrics.add_source(move || match read() {
        Some(EngineStats::Sqlite(stats)) => sqlite(&stats),
        Some(EngineStats::Postgres(stats)) => postgres(&stats),
        None => Vec::new(),
    });
}

fn sqlite(stats: &StoreStats) -> Vec<Sample> {
    vec![
        counter("store_commits", "Commits that are on disk", stats.commits),
        counter("store_failed_commits", "Commits that failed", stats.failed_commits),
        counter("store_writes", "Writes taken from the queue", stats.writes),
        gauge("store_last_batch", "Writes in the last commit", stats.last_batch),
        gauge("store_largest_batch", "Writes in the largest commit", stats.largest_batch),
        gauge("store_write_queue", "Writes waiting", stats.write_queue as u64),
        gauge("store_read_queue", "Reads waiting", stats.read_queue as u64),
        gauge("store_wal_bytes", "Size of the write-ahead log", stats.wal_bytes),
    ]
}

fn postgres(stats: &PostgresStats) -> Vec<Sample> {
    vec![
        counter("store_commits", "Commits that are on disk", stats.commits),
        counter("store_failed_commits", "Commits without a clear answer", stats.failed_commits),
        counter("store_writes", "Writes taken from the queue", stats.writes),
        counter("store_repeated", "Transactions that were run again", stats.repeated),
        counter("store_connects", "Connections of the writer", stats.connects),
        gauge("store_last_batch", "Writes in the last commit", stats.last_batch),
        gauge("store_largest_batch", "Writes in the largest commit", stats.largest_batch),
        gauge("store_write_queue", "Writes waiting", stats.write_queue as u64),
        gauge("store_pool_size", "Connections that read", stats.pool_size as u64),
        gauge("store_read_queue", "Reads waiting for a connection", stats.read_queue as u64),
    ]
}

fn watch_live(metrics: &Metrics, live: &Live) {
    let live = live.clone();
    metrics.add_source(move || {
        let help = "Comings and goings not announced because too many waited";
        vec![counter("unannounced_presence", help, live.unannounced())]
    });
}

/// The index of messages.
pub(super) fn watch_indexer(metrics: &Metrics, indexer: &Indexer) {
    let read = indexer.watch();
    metrics.add_source(move || {
        let stats = read();
        vec![
            gauge("search_behind", "Events that wait to be indexed", stats.behind),
            counter("search_indexed", "Events indexed by this process", stats.indexed),
            counter("search_index_failures", "Steps of indexing that failed", stats.failures),
        ]
    });
}

pub(super) fn watched_traffic(metrics: &Metrics) -> Traffic {
    let watched = Traffic::default();
    let traffic = watched.clone();
    metrics.add_source(move || {
        let totals = traffic.totals();
        vec![
            counter("sessions_opened", "Connections begun", totals.opened),
            gauge("polling_sessions", "Open connections that poll", totals.polling),
            counter("packets_received", "Messages received, heartbeats aside", totals.packets_in),
            counter("bytes_received", "Bytes of messages received", totals.bytes_in),
        ]
    });
    watched
}

/// Over all apps; by app they are told under Soketi's names.
pub(super) fn watch_channels(metrics: &Metrics, channels: Channels) {
    metrics.add_source(move || {
        let apps = channels.traffic();
        let sum = |of: fn(&PusherTraffic) -> u64| apps.iter().map(|(_, traffic)| of(traffic)).sum();
        vec![
            gauge("pusher_sockets", "Open Pusher connections", sum(|t| t.connected)),
            counter("pusher_sockets_opened", "Pusher connections begun", sum(|t| t.opened)),
            counter("pusher_messages_received", "Pusher messages received", sum(|t| t.messages_in)),
            counter("pusher_bytes_received", "Their bytes", sum(|t| t.bytes_in)),
            counter("pusher_messages_sent", "Pusher messages sent", sum(|t| t.messages_out)),
            counter("pusher_bytes_sent", "Their bytes", sum(|t| t.bytes_out)),
            counter(
                "pusher_partial_answers",
                "Questions about channels that not all nodes answered in time",
                channels.partial_answers(),
            ),
        ]
    });
}

/// The broker and what is heard of other nodes.
pub(super) fn watch_cluster(metrics: &Metrics, voice: &Voice, stats: &Arc<NodeStats>) {
    let (voice, stats) = (voice.clone(), Arc::clone(stats));
    metrics.add_source(move || {
        let broker = voice.broker().stats();
        let follower = *stats.follower.lock();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            gauge("broker_up", "Whether the broker is connected", u64::from(broker.is_up)),
            counter("broker_connects", "Connections made to the broker", broker.connects),
            counter("broker_published", "Messages sent to other nodes", broker.published),
            counter("broker_published_bytes", "Their bytes", broker.published_bytes),
            counter("broker_unsent", "Messages dropped before they were sent", broker.unsent),
            counter("broker_writes", "Writes to the broker", broker.writes),
            counter("broker_received", "Messages heard from the broker", broker.received),
            counter("broker_received_bytes", "Their bytes", broker.received_bytes),
            counter("broker_missed", "Messages dropped for want of room", broker.missed),
            gauge("broker_channels", "Channels heard", broker.channels),
            counter("broker_garbage", "Messages that could not be read", read(&stats.garbage)),
            counter("cluster_stale", "Words of nodes without a lease", read(&stats.stale)),
            counter(
                "cluster_dropped_words",
                "Typing and the like dropped when too much waited",
                read(&stats.dropped_words),
            ),
            counter("cluster_unsaid", "Words not said for want of a lease", voice.unsaid()),
            gauge(
                "cluster_nodes",
                "Nodes that are heard, this one included",
                read(&stats.peers) + 1,
            ),
            gauge("cluster_streams", "Streams followed", follower.streams),
            counter("cluster_gaps", "Gaps found in what other nodes told", follower.gaps),
            counter("cluster_healed_events", "Events that the store had to tell", follower.healed),
            counter("cluster_doubles", "Events heard twice", follower.doubles),
            counter(
                "cluster_resyncs",
                "Streams whose listeners had to connect again",
                follower.resyncs,
            ),
        ]
    });
}

/// What goes to and fro between this node and Node servers.
fn watch_interop(metrics: &Metrics, interop: &Interop) {
    let interop = interop.clone();
    metrics.add_source(move || {
        let stats = interop.stats();
        vec![
            gauge(
                "interop_up",
                "Whether the Redis of the Node servers is connected",
                u64::from(stats.broker.is_up),
            ),
            counter("interop_published", "Messages sent to Node servers", stats.broker.published),
            counter(
                "interop_unsent",
                "Messages to Node servers that were dropped",
                stats.broker.unsent,
            ),
            counter(
                "interop_missed",
                "Messages of Node servers that were dropped",
                stats.broker.missed,
            ),
            counter("interop_broadcasts", "Events heard of Node servers", stats.broadcasts),
            counter("interop_requests", "Requests heard of Node servers", stats.requests),
            counter("interop_answers", "Answers given to Node servers", stats.answers),
            counter(
                "interop_garbage",
                "Messages among Node servers that could not be read",
                stats.garbage,
            ),
        ]
    });
}
