//! The last events of cache channels, in bounded memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_hub::{Frame, Topic};

use super::channels::{CachedEvent, ChannelEvent};

/// Bytes of all remembered events; those not used for longest are forgotten first.
const BYTES_MAX: u64 = 64 << 20;

/// What an event costs beside its texts.
const OVERHEAD: usize = 256;

/// Remembered events by topic.
pub(super) struct Cache(moka::sync::Cache<Topic, Arc<Kept>>);

/// A remembered event.
pub(super) struct Kept {
    name: Arc<str>,
    data: Arc<str>,
    at: Instant,
    /// The event as it was sent.
    pub(super) frame: Frame,
}

impl Kept {
    pub(super) fn of(event: &ChannelEvent, frame: Frame) -> Arc<Self> {
        Self::aged((&event.name, &event.data), Duration::ZERO, frame)
    }

    /// An event by its name and data that was published a while ago.
    pub(super) fn aged((name, data): (&str, &str), age: Duration, frame: Frame) -> Arc<Self> {
        let now = Instant::now();
        let at = now.checked_sub(age).unwrap_or(now);
        Arc::new(Self { name: name.into(), data: data.into(), at, frame })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data(&self) -> &str {
        &self.data
    }

    /// How long ago it was published.
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// As it is told.
    pub(super) fn event(&self, ttl: Duration) -> CachedEvent {
        let ttl_s = ttl.saturating_sub(self.at.elapsed()).as_secs();
        CachedEvent { name: Arc::clone(&self.name), data: Arc::clone(&self.data), ttl_s }
    }

    fn bytes(&self) -> u32 {
        let bytes = OVERHEAD + self.name.len() + self.data.len() + self.frame.len();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Cache {
    pub(super) fn new(ttl: Duration) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(|topic: &Topic, kept: &Arc<Kept>| {
                kept.bytes().saturating_add(topic.as_str().len() as u32)
            })
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .time_to_live(ttl)
            .build();
        Self(cache)
    }

    pub(super) fn keep(&self, topic: Topic, kept: Arc<Kept>) {
        self.0.insert(topic, kept);
    }

    /// Keeps an event, if none is known that was published later.
    pub(super) fn keep_newer(&self, topic: Topic, kept: Arc<Kept>) {
        if self.get(&topic).is_none_or(|known| known.at < kept.at) {
            self.keep(topic, kept);
        }
    }

    pub(super) fn get(&self, topic: &Topic) -> Option<Arc<Kept>> {
        self.0.get(topic)
    }
}
