//! Waiting frames: one arena per shard, threaded into a list per session (and per dialect it
//! holds), so that a session costs two numbers and no queue of its own.

use std::io::IoSlice;
use std::num::NonZeroU64;

use crate::arena::{Arena, NIL};
use crate::{Class, Compact, Frame};

/// A waiting frame.
pub(crate) struct Queued {
    pub(crate) frame: Frame,
    pub(crate) class: Class,
    /// The subscription it came by; [`NIL`] for a direct frame.
    pub(crate) subscription: u32,
    /// Its place in its topic.
    pub(crate) seq: Option<NonZeroU64>,
}

impl Queued {
    /// A frame that is not a publication.
    pub(crate) fn direct(frame: Frame, class: Class) -> Self {
        Self { frame, class, subscription: NIL, seq: None }
    }
}

struct Node {
    queued: Queued,
    next: u32,
}

/// Ends of one list of the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameList {
    head: u32,
    tail: u32,
}

impl FrameList {
    pub(crate) const EMPTY: Self = Self { head: NIL, tail: NIL };

    pub(crate) fn is_empty(self) -> bool {
        self.head == NIL
    }

    pub(crate) fn is_single(self) -> bool {
        self.head == self.tail && !self.is_empty()
    }
}

/// Frames and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) frames: u32,
    pub(crate) bytes: u32,
}

impl Amount {
    pub(crate) fn of(frame: &Frame) -> Self {
        Self { frames: 1, bytes: u32::try_from(frame.len()).unwrap_or(u32::MAX) }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn take(&mut self, other: Self) {
        self.frames = self.frames.saturating_sub(other.frames);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// All waiting frames of a shard.
pub(crate) struct FrameStore {
    nodes: Arena<Node>,
    bytes: u64,
}

impl FrameStore {
    pub(crate) fn new() -> Self {
        Self { nodes: Arena::new(), bytes: 0 }
    }

    /// Frames waiting in all lists.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes waiting in all lists.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, list: &mut FrameList, queued: Queued) {
        self.bytes += queued.frame.len() as u64;
        let index = self.nodes.insert(Node { queued, next: NIL });
        match self.nodes.get_mut(list.tail) {
            Some(tail) => tail.next = index,
            None => list.head = index,
        }
        list.tail = index;
    }

    pub(crate) fn pop(&mut self, list: &mut FrameList) -> Option<Queued> {
        let node = self.nodes.remove(list.head)?;
        self.bytes -= node.queued.frame.len() as u64;
        list.head = node.next;
        if list.head == NIL {
            list.tail = NIL;
        }
        Some(node.queued)
    }

    pub(crate) fn front(&self, list: FrameList) -> Option<&Queued> {
        self.nodes.get(list.head).map(|node| &node.queued)
    }

    /// Takes out every frame after `keep_front` that `unwanted` names; says how much that was.
    pub(crate) fn remove_where(
        &mut self,
        list: &mut FrameList,
        keep_front: bool,
        unwanted: impl Fn(&Queued) -> bool,
    ) -> Amount {
        let mut removed = Amount::default();
        let mut before = NIL;
        let mut index = list.head;
        if keep_front && let Some(front) = self.nodes.get(index) {
            before = index;
            index = front.next;
        }
        while let Some(node) = self.nodes.get(index) {
            let next = node.next;
            if unwanted(&node.queued) {
                removed.add(Amount::of(&node.queued.frame));
                self.bytes -= node.queued.frame.len() as u64;
                self.nodes.remove(index);
                match self.nodes.get_mut(before) {
                    Some(node) => node.next = next,
                    None => list.head = next,
                }
                if next == NIL {
                    list.tail = before;
                }
            } else {
                before = index;
            }
            index = next;
        }
        removed
    }

    /// Empties a list, keeping its front if `keep_front`; says how much was dropped.
    pub(crate) fn clear(&mut self, list: &mut FrameList, keep_front: bool) -> Amount {
        self.remove_where(list, keep_front, |_| true)
    }

    /// Points `slices` at what a stream writes from the front on, the first `skip` bytes left out.
    /// Says how many slices and bytes that are.
    pub(crate) fn gather<'a>(
        &'a self,
        list: FrameList,
        (skip, compact): (usize, Option<Compact>),
        slices: &mut [IoSlice<'a>],
    ) -> (usize, usize) {
        let (mut index, mut skip, mut used, mut bytes) = (list.head, skip, 0, 0);
        for slice in slices {
            let Some(node) = self.nodes.get(index) else { break };
            let rest = node.queued.frame.written(compact).get(skip..).unwrap_or_default();
            *slice = IoSlice::new(rest);
            skip = 0;
            used += 1;
            bytes += rest.len();
            index = node.next;
        }
        (used, bytes)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn queued(text: &'static str, class: Class) -> Queued {
        Queued::direct(Frame::stream_only(Bytes::from_static(text.as_bytes())), class)
    }

    fn texts(store: &mut FrameStore, list: &mut FrameList) -> Vec<Bytes> {
        std::iter::from_fn(|| store.pop(list)).map(|q| q.frame.stream().clone()).collect()
    }

    #[test]
    fn removal_keeps_order_ends_and_counts() {
        let mut store = FrameStore::new();
        let mut list = FrameList::EMPTY;
        let state = Class::Ephemeral { key: 1 };
        for (text, class) in
            [("a", state), ("b", Class::Durable), ("c", state), ("d", Class::Durable), ("e", state)]
        {
            store.push(&mut list, queued(text, class));
        }
        let removed = store.remove_where(&mut list, true, |queued| queued.class == state);
        assert_eq!(removed, Amount { frames: 2, bytes: 2 });
        store.push(&mut list, queued("f", Class::Durable));
        assert_eq!((store.len(), store.bytes()), (4, 4));
        assert_eq!(texts(&mut store, &mut list), ["a", "b", "d", "f"]);
        assert!(list.is_empty());
        assert_eq!((store.len(), store.bytes()), (0, 0));
    }

    #[test]
    fn gather_skips_what_was_written() {
        let mut store = FrameStore::new();
        let mut list = FrameList::EMPTY;
        store.push(&mut list, queued("hello", Class::Durable));
        store.push(&mut list, queued("world", Class::Durable));
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(store.gather(list, (2, None), &mut slices), (2, 8));
        assert_eq!((&*slices[0], &*slices[1]), (&b"llo"[..], &b"world"[..]));
    }
}
