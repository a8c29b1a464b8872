//! What carries bytes from node to node: adapters of the hub's [`Broker`](mynah_hub::Broker).
//!
//! [`socket_io`] lets Mynah join a cluster of Node Socket.IO servers.
//!
//! [`InProcess`] joins nodes within one process, [`redis`] uses Redis or Valkey, [`nats`] NATS. An adapter knows
//! nothing of what it carries, heals no gap and stores nothing: what it lost it tells
//! ([`BrokerEvent`](mynah_hub::BrokerEvent)), and the node asks its store.
//!
//! # Invariants
//!
//! * Publishing never waits, and what is published while a write is under way leaves together in the next.
//! * Every queue is bounded ([`Limits`]); what is dropped is counted and told.
//! * After a reconnect all channels are heard before [`BrokerEvent::Up`](mynah_hub::BrokerEvent::Up) is told.
//! * A peer that swallows everything is given up within `ping_interval + ping_timeout` and a fifth ([`Timing`]).
//! * Secrets of urls are in no error and no log.

mod carrier;
mod in_process;
pub mod nats;
pub mod redis;
pub mod socket_io;

pub use carrier::{Limits, Timing, TlsError, TlsOption, TlsOptions};
pub use in_process::InProcess;

/// Appends a number in decimal digits.
fn digits(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(written) = out.get_mut(start..) {
        written.reverse();
    }
}

/// Reads `%40` as `@` and so on; what is no such sequence stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let decoded = (*first == b'%').then(|| after.split_at_checked(2)).flatten().and_then(
            |(digits, after)| {
                let digits = str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            },
        );
        let (byte, after) = decoded.unwrap_or((*first, after));
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}
