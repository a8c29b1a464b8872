//! Counters of a hub.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a hub holds and did, summed over its shards. Gauges say so; the rest only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct HubStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl HubStats {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }

        /// A shard's figures as other threads see them, stored after each round of work.
        #[derive(Debug, Default)]
        pub(crate) struct ShardCounters {
            $($name: AtomicU64,)*
        }

        impl ShardCounters {
            pub(crate) fn store(&self, stats: &HubStats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn load(&self) -> HubStats {
                HubStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Gauge: sessions, those that are closing included.
    sessions,
    /// Gauge: topics with at least one subscriber; a topic counts once per shard.
    topics,
    /// Gauge: session × topic.
    subscriptions,
    /// Gauge: frames waiting, kept ones included.
    queued_frames,
    /// Gauge: bytes waiting, kept ones included.
    queued_bytes,
    /// Gauge: frames kept back until [`crate::Hub::resume`].
    kept_frames,
    /// Gauge: bytes kept back.
    kept_bytes,
    /// Publications taken; each counts once per shard.
    publications,
    /// Frames that left whole, over either kind of link.
    deliveries,
    /// `write` and `writev` calls, those that would have blocked included.
    write_calls,
    /// Bytes that stream sockets took.
    bytes_written,
    /// Polls answered.
    polls_answered,
    /// Ephemeral frames dropped because newer ones came or the queue was full.
    dropped_ephemeral,
    /// Publications not delivered because the subscription had that `seq` already.
    dropped_duplicates,
    /// Commands for sessions that were gone.
    stale_commands,
    /// Sessions ended, all reasons.
    closed,
    /// Sessions ended for [`crate::CloseReason::SlowConsumer`].
    closed_slow,
    /// Sessions ended for [`crate::CloseReason::PingTimeout`].
    closed_ping_timeout,
    /// Keepalive probes sent.
    probes,
}
