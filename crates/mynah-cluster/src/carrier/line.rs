//! One connection: what was read of it, what is to be written, which answers are to come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Stream;
use super::stream::poll_read;

/// So much is read at once.
const READ_BYTES: usize = 64 << 10;

/// What waits for answers of the peer.
pub(super) struct Pending {
    /// So many are to come.
    pub(super) left: usize,
    pub(super) since: Instant,
    pub(super) then: Then,
}

pub(super) enum Then {
    Nothing,
    /// All channels are heard again.
    Up,
    /// Somebody waits for it.
    Tell(oneshot::Sender<bool>),
}

/// One connection.
pub(super) struct Line {
    pub(super) stream: Stream,
    /// What was read is `input[start..end]`.
    pub(super) input: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// What is to be written is `output[written..]`.
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// There are publications in it.
    pub(super) carries: bool,
    pub(super) is_flushed: bool,
    pub(super) pending: VecDeque<Pending>,
    pub(super) pinged: Instant,
}

impl Line {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            output: Vec::new(),
            written: 0,
            carries: false,
            is_flushed: true,
            pending: VecDeque::new(),
            pinged: Instant::now(),
        }
    }

    pub(super) fn expect(&mut self, left: usize, then: Then) {
        self.pending.push_back(Pending { left, since: Instant::now(), then });
    }

    /// Makes room and reads; how much.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.input.len() > READ_BYTES {
                self.input = vec![0; READ_BYTES];
            }
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end * 2 > self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
        }
        let space = self.input.get_mut(self.end..).unwrap_or_default();
        let count = ready!(poll_read(&mut self.stream, context, space))?;
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Writes all; whether there was anything to write, and how many writes it took.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<u64>> {
        let mut writes = 0;
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(count) => count?,
                Poll::Pending => return Poll::Pending,
            };
            self.written += count;
            self.is_flushed = false;
            writes += 1;
        }
        self.output.clear();
        self.written = 0;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(writes))
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
