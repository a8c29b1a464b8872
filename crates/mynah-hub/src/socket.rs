//! What a shard needs from a socket, and how a socket tells a shard that it can be written again.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A non-blocking byte stream that a shard writes to.
pub trait Socket: Send + 'static {
    /// Writes from the buffers in order and says how many bytes were taken.
    ///
    /// # Errors
    /// `WouldBlock` if none can be taken now; any other error ends the session.
    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Wakes `waker` once the socket can be written. `true` if it can be written already: then the
    /// waker is not kept.
    fn writable(&self, waker: &Waker) -> bool;

    /// Ends one or both directions; the reader of a socket whose read half is ended sees the end.
    fn shutdown(&self, how: Shutdown);
}

/// A TCP connection shared with its reader. The write half is the shard's alone.
pub type TcpSocket = Arc<TcpStream>;

impl Socket for TcpSocket {
    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match buffers {
            [one] => self.try_write(one),
            many => self.try_write_vectored(many),
        }
    }

    fn writable(&self, waker: &Waker) -> bool {
        self.poll_write_ready(&mut Context::from_waker(waker)).is_ready()
    }

    fn shutdown(&self, how: Shutdown) {
        // Fails only if the peer has already gone, which is what is wanted.
        drop(socket2::SockRef::from(&**self).shutdown(how));
    }
}

/// Sessions whose sockets can be written again. Holds at most one entry per waiting session.
#[derive(Debug, Default)]
pub struct WritableList {
    slots: Mutex<Vec<(u32, u32)>>,
    notify: Notify,
}

impl WritableList {
    /// A waker that puts this session on the list, once.
    pub(crate) fn waker(self: &Arc<Self>, slot: u32, generation: u32) -> Waker {
        Arc::new(SlotWaker { list: Arc::clone(self), slot, generation, woken: false.into() }).into()
    }

    /// Moves the entries, as slot and generation, to the end of `to`.
    pub(crate) fn take(&self, to: &mut Vec<(u32, u32)>) {
        to.append(&mut self.slots.lock());
    }

    /// Waits until there may be entries.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
}

struct SlotWaker {
    list: Arc<WritableList>,
    slot: u32,
    generation: u32,
    woken: AtomicBool,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.list.slots.lock().push((self.slot, self.generation));
            self.list.notify.notify_one();
        }
    }
}
