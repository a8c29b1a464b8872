//! The doors of Mynah and what they stand on: identity, passwords, HTTP, and the web page.
//!
//! A door translates its own words into calls of `mynah_domain::chat::Chat` and
//! `mynah_domain::account::Accounts` and translates the facts back; it decides nothing. What this crate
//! deliberately lacks: SQL, fan-out and wire formats of its own (they live in `mynah-store`,
//! `mynah-hub` and `mynah-protocol`).
//!
//! Entry points: [`http::public_router`] and [`http::admin_router`] over a [`state::House`].

pub mod admin_ui;
pub mod app_command;
pub mod apps;
pub mod backup_command;
mod bodies;
pub mod chat_socket;
pub mod cluster;
pub mod codes;
mod coding;
pub mod config;
pub mod deadlines;
pub mod dialects;
pub mod dispatch;
pub mod doctor;
pub mod drain;
pub mod ears;
pub mod engine_io;
pub mod failure;
pub mod frames;
pub mod health;
pub mod http;
pub mod identity;
pub mod indexer;
pub mod interop;
pub mod listener;
pub mod live;
pub mod metrics;
pub mod origin;
pub mod passwords;
mod patience;
pub mod pusher;
pub mod rate;
pub mod realtime;
pub mod recovery;
pub mod relay;
pub mod secrets;
pub mod serve;
pub mod socket_io;
pub mod sockets;
pub mod state;
pub mod stores;
pub mod system;
pub mod time_text;
pub mod topics;
pub mod views;
pub mod vocabulary;
pub mod wire;
pub mod wiring;

#[cfg(test)]
mod test_world;
