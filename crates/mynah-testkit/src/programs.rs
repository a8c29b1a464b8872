//! The programs that Mynah works with, and Mynah itself: real ones, on free ports, in folders of their own.
//!
//! Each can be killed, paused, resumed and started again on the same port, with its data or without. Starting waits
//! until the program answers. All of it blocks: call it from a thread that may wait.
//!
//! Nothing stays behind. A program ends when its value is dropped; and should this process end in any way, also by
//! SIGKILL, a watching shell that holds a pipe to it sees the pipe close, kills what still runs and removes the folders.

use std::fmt;

mod mynah;
mod nats;
mod postgres;
mod process;
mod redis;
#[cfg(test)]
mod tests;
mod watcher;

pub use mynah::{Mynah, MynahSetup};
pub use nats::Nats;
pub use postgres::Postgres;
pub use process::free_port;
pub use redis::Redis;

/// Whether a program that is started again finds what it had stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// As after a crash.
    Kept,
    /// As after a failover to a fresh machine.
    Lost,
}

/// Why a program is not as asked; the text has the end of its log.
#[derive(Debug)]
pub struct ProgramError(String);

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProgramError {}

impl ProgramError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// An error of the machine while doing `what`.
    fn at(what: &str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

/// What starting and steering programs gives.
pub type Result<T> = std::result::Result<T, ProgramError>;
