//! What the hub fans out, and the key it is routed by.

use std::borrow::Borrow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use crate::{Class, Dialect, Frame, SessionId};

/// A routing key, for example `room:0198c5…`. A clone is a reference count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic with this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Encode = dyn Fn(Dialect) -> Option<Frame> + Send + Sync;

/// The frames of one publication, each made when the first subscriber of its dialect is met and at
/// most once over all shards. It is as large as the dialects that are met, of which there are one
/// or two as a rule.
pub struct LazyFrames {
    made: Made,
    encode: Box<Encode>,
}

/// Frames of the first dialects met, and those of later ones.
#[derive(Default)]
struct Made {
    first: [OnceLock<Spelling>; 2],
    later: OnceLock<Box<Made>>,
}

struct Spelling {
    dialect: Dialect,
    frame: OnceLock<Option<Frame>>,
}

impl LazyFrames {
    /// `encode` gives the frame in a dialect, or `None` if the dialect cannot say this.
    pub fn new(encode: impl Fn(Dialect) -> Option<Frame> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { made: Made::default(), encode: Box::new(encode) })
    }

    /// The frame in `dialect`; `None` for a dialect without a spelling.
    ///
    /// An encoder that panics has no spelling: one bad message must not end a shard and all its
    /// sessions. The panic hook has reported it.
    pub fn get(&self, dialect: Dialect) -> Option<&Frame> {
        let encode = || (self.encode)(dialect);
        self.made
            .spelling(dialect)
            .frame
            .get_or_init(|| catch_unwind(AssertUnwindSafe(encode)).unwrap_or_default())
            .as_ref()
    }
}

impl Made {
    /// The place of a dialect. Who comes first to a vacant place takes it, for good.
    fn spelling(&self, dialect: Dialect) -> &Spelling {
        let mut made = self;
        loop {
            for place in &made.first {
                let taken = place.get_or_init(|| Spelling { dialect, frame: OnceLock::new() });
                if taken.dialect == dialect {
                    return taken;
                }
            }
            made = made.later.get_or_init(Box::default);
        }
    }
}

impl fmt::Debug for LazyFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyFrames").finish_non_exhaustive()
    }
}

/// One message for all subscribers of a topic.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who gets it.
    pub topic: Topic,
    /// Its place in the topic's order. Publications with a `seq` must be published in rising order
    /// per topic: a subscription drops what is not above the last it delivered.
    pub seq: Option<u64>,
    /// Its place in the order over all topics, for example its position in the journal.
    /// Publications with a `pos` must be published in rising order; see [`crate::Hub::hold`].
    pub pos: Option<u64>,
    /// What happens to it in a full send queue.
    pub class: Class,
    /// A session that does not get it, usually the one that caused it.
    pub except: Option<SessionId>,
    /// Its bytes, per dialect.
    pub frames: Arc<LazyFrames>,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn each_dialect_is_encoded_once_and_may_have_no_spelling() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let frames = LazyFrames::new(move |dialect| {
            counted.fetch_add(1, Ordering::Relaxed);
            (dialect.0 == 1).then(|| Frame::stream_only(Bytes::from_static(b"hi")))
        });
        for _ in 0..3 {
            assert!(frames.get(Dialect(0)).is_none());
            assert_eq!(frames.get(Dialect(1)).unwrap().stream().as_ref(), b"hi");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn every_dialect_has_its_own_frame_whoever_asks_first() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let frames = LazyFrames::new(move |dialect| {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(Frame::stream_only(vec![dialect.0].into()))
        });
        // Each shard in its own order.
        let shard = |factor: u8| {
            for dialect in (0..=u8::MAX).map(|step| step.wrapping_mul(factor)) {
                assert_eq!(frames.get(Dialect(dialect)).unwrap().stream().as_ref(), [dialect]);
            }
        };
        std::thread::scope(|scope| {
            for factor in [1, 3, 5, 7] {
                scope.spawn(move || shard(factor));
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), Dialect::COUNT as u32);
    }

    #[test]
    fn an_encoder_that_panics_says_nothing() {
        let frames = LazyFrames::new(|_| panic!("a bug in an encoder"));
        assert!(frames.get(Dialect(0)).is_none());
        assert!(frames.get(Dialect(0)).is_none());
    }
}
