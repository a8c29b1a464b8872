//! Counters of a hub.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::CloseReason;

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
    /// Sessions ended, all reasons: the sum of those that follow.
    closed,
    /// Sessions ended for [`CloseReason::SlowConsumer`].
    closed_slow,
    /// Sessions ended for [`CloseReason::PingTimeout`].
    closed_ping_timeout,
    /// Sessions ended for [`CloseReason::PollOverlap`].
    closed_poll_overlap,
    /// Sessions ended for [`CloseReason::LinkFailed`].
    closed_link_failed,
    /// Sessions ended for [`CloseReason::TooManySubscriptions`].
    closed_too_many_subscriptions,
    /// Sessions ended for [`CloseReason::PeerGone`].
    closed_peer_gone,
    /// Sessions ended for [`CloseReason::HubStopped`].
    closed_hub_stopped,
    /// Sessions ended for a reason of the caller, [`CloseReason::Named`].
    closed_named,
    /// Keepalive probes sent.
    probes,
}

impl HubStats {
    pub(crate) fn count_close(&mut self, reason: CloseReason) {
        self.closed += 1;
        *match reason {
            CloseReason::SlowConsumer => &mut self.closed_slow,
            CloseReason::PingTimeout => &mut self.closed_ping_timeout,
            CloseReason::PollOverlap => &mut self.closed_poll_overlap,
            CloseReason::LinkFailed => &mut self.closed_link_failed,
            CloseReason::TooManySubscriptions => &mut self.closed_too_many_subscriptions,
            CloseReason::PeerGone => &mut self.closed_peer_gone,
            CloseReason::HubStopped => &mut self.closed_hub_stopped,
            CloseReason::Named(_) => &mut self.closed_named,
        } += 1;
    }
}
