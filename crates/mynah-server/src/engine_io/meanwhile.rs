//! Reading on while something takes its time.
//!
//! Coming in may wait for the store, and in a storm for a turn. The client's answers to our probes must be heard
//! meanwhile, or it would be taken for dead; and when it gives up, those who work for it must know.

use std::future::Future;
use std::pin::pin;

use futures_util::poll;
use mynah_hub::{Close, CloseReason, Hub};
use mynah_protocol::engine_io;
use mynah_protocol::websocket::Message;

use super::line::Line;
use super::stream::{Ending, Reader};
use crate::frames;

/// Up to so many messages, and about so many bytes, are read ahead.
const MESSAGES_MAX: usize = 64;
const BYTES_MAX: usize = 64 * 1024;

/// What was read and not yet looked at, and how reading goes.
pub(super) struct Input {
    pub(super) messages: Vec<Message>,
    pub(super) outcome: Result<(), Ending>,
}

impl Default for Input {
    fn default() -> Self {
        Self { messages: Vec::new(), outcome: Ok(()) }
    }
}

impl Input {
    fn is_full(&self) -> bool {
        let bytes: usize = self.messages.iter().map(size).sum();
        self.messages.len() >= MESSAGES_MAX || bytes >= BYTES_MAX
    }

    /// How to end the session if its peer has gone and nothing of it is left to be acted upon.
    fn goodbye(&self) -> Option<Close> {
        let closing = self.messages.iter().find_map(|message| match message {
            Message::Close { code, .. } => Some(code.unwrap_or(1000)),
            Message::Text(text) if text == engine_io::CLOSE => Some(1000),
            Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => None,
        });
        let is_over = closing.is_some() || self.outcome.is_err();
        if !is_over || self.messages.iter().any(says_something) {
            return None;
        }
        Some(match closing {
            Some(code) => {
                let last = Some(frames::close(code, ""));
                Close { reason: CloseReason::Named("transport close"), last }
            }
            None => Close { reason: CloseReason::PeerGone, last: None },
        })
    }
}

/// Whether it is more than a sign of life or a farewell.
fn says_something(message: &Message) -> bool {
    match message {
        Message::Text(text) => !matches!(text.as_str(), engine_io::CLOSE | engine_io::PONG),
        Message::Binary(_) => true,
        Message::Ping(_) | Message::Pong(_) | Message::Close { .. } => false,
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close { .. } => 0,
    }
}

/// Does some work for a session. If that takes time, its peer is read on, within bounds; whatever it says is a sign of
/// life, and when it has gone without another word the session is closed, while the work goes on to its end.
pub(super) async fn meanwhile<T>(
    work: impl Future<Output = T>,
    reader: &mut Reader,
    (hub, line): (&Hub, &Line),
    input: &mut Input,
) -> T {
    let mut work = pin!(work);
    if let std::task::Poll::Ready(done) = poll!(&mut work) {
        return done;
    }
    while input.outcome.is_ok() && !input.is_full() {
        tokio::select! {
            biased;
            done = &mut work => return done,
            outcome = reader.read(&mut input.messages) => input.outcome = outcome,
        }
        if input.outcome.is_ok() {
            line.pulse.beat();
        }
        if let Some(close) = input.goodbye() {
            hub.close(line.id, close).await;
            break;
        }
    }
    work.await
}
